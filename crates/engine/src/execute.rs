//! From a plan to its answer: which passes are needed, and what their findings become.
//!
//! Owns: the choice between one pass (groups and buckets together) and two (groups first, then the buckets of the
//! groups in the answer). Never does: read blocks, rank groups.

use crate::caches::Caches;
use crate::calc::concurrency::ConcurrencyPlan;
use crate::calc::count::{CellMap, SKIP};
use crate::calc::distinct::DistinctPlan;
use crate::calc::heatmap::HeatPlan;
use crate::calc::number::NumberPlan;
use crate::calc::quantile::QuantilePlan;
use crate::calc::{CalcPlan, FieldPlan};
use crate::memory::Budget;
use crate::partial::{self, Asked};
use crate::plan::Plan;
use crate::run::Run;
use crate::scan::group::GroupPlan;
use crate::scan::pass::{Buckets, Found, Grouping, Pass};
use crate::scan::place::Source;
use crate::scan::prepare::{FieldRange, Prepared, Shape, Wanted, prepare};
use crate::view::{Table, View};
use crate::{Answer, CalcOp, EngineError, Field, Meta};
use std::sync::Arc;

/// Cells (groups times buckets) up to which one pass does both.
const ONE_PASS_CELLS: usize = 1 << 20;
/// Bytes of counters of one kind that a thread may set up ahead.
const COUNTER_BYTES: usize = 64 << 20;
/// Bytes of counters for each row of a piece of an answer, at most.
const PIECE_ROW_BYTES: usize = 32;

/// What a question calculates on: distinct fields, and the field of each calculation.
pub(crate) struct Fields {
    fields: Vec<Field>,
    pub(crate) of_calc: Vec<Option<usize>>,
}

impl Fields {
    fn new(plan: &Plan) -> Fields {
        let mut fields: Vec<Field> = Vec::new();
        let of_calc = plan.calculations.iter().map(|c| {
            let field = c.field.as_ref()?;
            Some(fields.iter().position(|f| f == field).unwrap_or_else(|| {
                fields.push(field.clone());
                fields.len() - 1
            }))
        });
        let of_calc = of_calc.collect();
        Fields { fields, of_calc }
    }

    /// How many distinct fields there are.
    pub(crate) fn n(&self) -> usize {
        self.fields.len()
    }

    /// The calculations on a field.
    fn ops<'a>(&'a self, plan: &'a Plan, field: usize) -> impl Iterator<Item = CalcOp> + 'a {
        plan.calculations.iter().zip(&self.of_calc).filter(move |(_, f)| **f == Some(field)).map(|(c, _)| c.op)
    }
}

/// Answers a question that groups and calculates.
pub(crate) fn table(source: Source<'_>, plan: &Plan, run: &Run, caches: &Caches) -> Result<Answer, EngineError> {
    let fields = Fields::new(plan);
    let wanted = Wanted {
        plan,
        fields: (0..fields.fields.len())
            .map(|f| (fields.fields[f].clone(), fields.ops(plan, f).any(|op| op == CalcOp::CountDistinct)))
            .collect(),
        concurrency: plan.calculations.iter().any(|c| c.op == CalcOp::Concurrency),
    };
    let shape = Shape::of(source, &wanted, run)?;
    let asked = Asked { source, plan, run, caches, fields: &fields, wanted: &wanted, shape: &shape };
    if let Some(answer) = partial::table(&asked)? {
        return Ok(answer);
    }
    let prepared = prepare(source, &wanted, caches, run)?;
    let budget = Budget::new(run);
    budget.reserve(source.overlays.bytes(), "calculated fields", "calculate fewer fields, or narrow the time range")?;
    Question { plan, run, caches, fields: &fields, shape: &shape, budget: &budget, prepared: &prepared }.answer()
}

/// A question and the segments that it is put to.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) run: &'a Run,
    pub(crate) caches: &'a Caches,
    pub(crate) fields: &'a Fields,
    pub(crate) shape: &'a Shape,
    pub(crate) budget: &'a Budget,
    pub(crate) prepared: &'a Prepared<'a>,
}

impl Question<'_> {
    fn answer(&self) -> Result<Answer, EngineError> {
        let group_plan = Arc::new(GroupPlan::new(&self.prepared.keys[..self.plan.breakdowns.len()]));
        let buckets = self.buckets();
        let one_pass = match (buckets, group_plan.fixed()) {
            (Some(b), Some(n_groups)) => self.one_pass(Buckets { n_groups, ..b }),
            _ => None,
        };
        let rates = self.plan.calculations.iter().any(|c| c.op.is_rate());
        let sorted_by_rate = |calc: usize| self.plan.is_of_rates(calc);
        let needs_rates = self.plan.havings.iter().any(|h| sorted_by_rate(h.calc))
            || self.plan.orders.iter().any(|o| matches!(o.key, crate::OrderKey::Calc(c) if sorted_by_rate(c)))
            || (self.plan.orders.is_empty()
                && self.plan.calculations.first().is_some_and(|c| c.op.is_rate())
                && !self.plan.breakdowns.is_empty());
        if let Some(buckets) = one_pass {
            let calcs = self.calcs(Some(buckets.n_groups * buckets.n), Some(buckets), None);
            let grouping = Grouping::Find { plan: Arc::clone(&group_plan), many: true, roomy: true };
            let pass = self.pass(calcs, grouping, Some(buckets));
            let on_found = |found: Found| self.show(&pass, found, buckets);
            let found = pass.run(self.run, self.budget, self.caches, Some(&on_found))?;
            self.check_done(&found)?;
            return self.assemble(&pass, found, buckets);
        }
        if buckets.is_some() && needs_rates {
            return Err(EngineError::invalid(
                "RATE_* decides about the order of too many groups and buckets; order by something else, group by fewer values, or use a larger granularity",
            ));
        }
        // Positions for all combinations at once, if they fit into memory with ease: then tables are not needed.
        let roomy = group_plan.fits(self.calcs(None, None, None).cell_bytes() * self.run.threads, self.budget.free() / 4);
        let all = self.prepared.segments.iter().all(|s| s.filter.is_all());
        let many = match &*group_plan {
            GroupPlan::Slots { n, .. } => roomy && all && self.prepared.rows_planned >= *n as u64,
            _ => false,
        };
        let small = group_plan.fixed().filter(|_| many || roomy && group_plan.is_small());
        let pass = self.pass(self.calcs(small, None, None), Grouping::Find { plan: Arc::clone(&group_plan), many, roomy }, None);
        let on_found = |found: Found| {
            if let Ok(table) = self.view(&pass.calcs, found, None) {
                self.emit(table.answer(self.plan, None));
            }
        };
        let found = pass.run(self.run, self.budget, self.caches, Some(&on_found))?;
        self.check_done(&found)?;
        let table = self.view(&pass.calcs, found, None)?;
        let Some(buckets) = buckets.filter(|_| self.plan.series || rates) else { return Ok(table.answer(self.plan, None)) };
        self.second_pass(&table, &group_plan, buckets)
    }

    /// The buckets of the groups that the table chose.
    fn second_pass(&self, table: &Table<'_>, group_plan: &Arc<GroupPlan>, buckets: Buckets) -> Result<Answer, EngineError> {
        let chosen = table.selected(self.plan);
        let rest = self.run.totals && !self.plan.breakdowns.is_empty();
        let n_groups = chosen.len() + usize::from(rest);
        if n_groups == 0 {
            return Ok(table.answer(self.plan, None));
        }
        let mut map = vec![if rest { chosen.len() as u32 } else { SKIP }; table.n_groups()];
        for (i, g) in chosen.iter().enumerate() {
            map[*g as usize] = i as u32;
        }
        let buckets = Buckets { n_groups, ..buckets };
        let n_cells = n_groups.saturating_mul(buckets.n);
        let calcs = self.calcs(Some(n_cells), Some(buckets), None);
        let bytes = n_cells.saturating_mul(calcs.cell_bytes()).saturating_mul(self.run.threads);
        let hint = "use a larger granularity or a lower limit, or ask without series";
        self.budget.reserve(bytes, "groups times buckets of the series", hint)?;
        self.budget.release(bytes);
        let grouping = Grouping::Chosen { plan: Arc::clone(group_plan), groups: table.groups(), map: &map, n: n_groups };
        let pass = self.pass(calcs, grouping, Some(buckets));
        let found = pass.run(self.run, self.budget, self.caches, None)?;
        let share = found.rows_done as f64 / self.prepared.rows_planned.max(1) as f64;
        let mut series = View::new(&pass.calcs, found.states, Some(buckets), self.run.threads);
        series.share_scales(table.view());
        let mut answer = table.answer(self.plan, Some((&series, &chosen)));
        if share < answer.meta.coverage {
            answer.meta.coverage = share;
        }
        answer.meta.note_partial();
        Ok(answer)
    }

    fn pass<'g>(&'g self, calcs: CalcPlan, grouping: Grouping<'g>, buckets: Option<Buckets>) -> Pass<'g, 'g> {
        Pass {
            prepared: self.prepared,
            units: &self.prepared.units,
            calcs,
            grouping,
            buckets,
            start_ns: self.plan.start_ns,
            end_ns: self.plan.end_ns,
        }
    }

    /// Buckets that can hold something; `n_groups` is not known yet.
    fn buckets(&self) -> Option<Buckets> {
        let step_ns = self.plan.granularity_ns?;
        let (mut first, mut last) = self.prepared.times?;
        if self.plan.calculations.iter().any(|c| c.op == CalcOp::Concurrency) {
            (first, last) = (self.plan.start_ns, self.plan.end_ns - 1);
        }
        let first_ns = first.div_euclid(step_ns).saturating_mul(step_ns);
        let n = (last.saturating_sub(first_ns) / step_ns) as usize + 1;
        Some(Buckets { first_ns, step_ns, n, n_groups: 0 })
    }

    /// Whether groups and buckets can be dealt with together.
    fn one_pass(&self, buckets: Buckets) -> Option<Buckets> {
        let cells = buckets.n_groups.checked_mul(buckets.n).filter(|n| *n <= ONE_PASS_CELLS)?;
        let bytes = cells * self.calcs(Some(cells), Some(buckets), None).cell_bytes() * self.run.threads;
        (bytes <= self.budget.free() / 2).then_some(buckets)
    }

    /// What to calculate when there are this many cells, if that is known. `piece_rows`: for a piece of the answer.
    pub(crate) fn calcs(&self, n_cells: Option<usize>, buckets: Option<Buckets>, piece_rows: Option<u64>) -> CalcPlan {
        let bound = |k: &Option<usize>| k.map(|k| self.prepared.keys[k].bound as usize);
        let distinct = self.prepared.distinct_keys.iter().map(bound).collect();
        plan_calcs(
            self.plan,
            self.run,
            self.fields,
            self.shape,
            &Sizes { n_cells, buckets, distinct, threads: self.run.threads, piece_rows },
        )
    }

    /// A table, without buckets, from what a pass found.
    fn view<'q>(&'q self, calcs: &CalcPlan, found: Found, series: Option<View>) -> Result<Table<'q>, EngineError> {
        let Found { groups, states, .. } = found;
        let Some(groups) = groups else { return Err(EngineError::Internal { what: "a first pass finds groups" }) };
        let mut meta = Meta {
            rows_scanned: found.rows_scanned,
            rows_matched: found.rows_matched,
            segments: self.prepared.segments.len() as u64,
            coverage: if self.prepared.rows_planned == 0 { 1.0 } else { found.rows_done as f64 / self.prepared.rows_planned as f64 },
            ..Meta::default()
        };
        meta.note_partial();
        let view = View::new(calcs, states, None, self.run.threads);
        view.add_scales(self.plan, self.fields, &mut meta);
        let keys = &self.prepared.keys[..self.plan.breakdowns.len()];
        Ok(Table::new(keys, groups, view, series, &self.fields.of_calc, meta, self.run.totals))
    }

    /// The answer of a pass that dealt with groups and buckets together.
    fn assemble(&self, pass: &Pass<'_, '_>, found: Found, buckets: Buckets) -> Result<Answer, EngineError> {
        let n = buckets.n_groups;
        let map: Vec<u32> = (0..buckets.n * n).map(|c| (c % n) as u32).collect();
        let rolled = found.states.rolled(&pass.calcs, n, CellMap::To(&map), (n, CellMap::Same));
        let series = View::new(&pass.calcs, found.states, Some(buckets), self.run.threads);
        let found = Found { states: rolled, ..found };
        let table = self.view(&pass.calcs, found, Some(series))?;
        Ok(table.answer(self.plan, None))
    }

    fn show(&self, pass: &Pass<'_, '_>, found: Found, buckets: Buckets) {
        if let Ok(answer) = self.assemble(pass, found, buckets) {
            self.emit(answer);
        }
    }

    fn emit(&self, answer: Answer) {
        if let Some((_, on_partial)) = &self.run.on_partial {
            on_partial(crate::formula::finish(self.plan, answer));
        }
    }

    /// A deadline that left no time at all is an error.
    fn check_done(&self, found: &Found) -> Result<(), EngineError> {
        if found.rows_done == 0 && self.prepared.rows_planned > 0 { Err(EngineError::Deadline) } else { Ok(()) }
    }
}

/// What sizes the states of a question depend on.
pub(crate) struct Sizes {
    /// Cells, if that is known.
    pub(crate) n_cells: Option<usize>,
    pub(crate) buckets: Option<Buckets>,
    /// For each field: bound of the numbers by which its values are counted, if they have numbers.
    pub(crate) distinct: Vec<Option<usize>>,
    /// Threads with states of their own.
    pub(crate) threads: usize,
    /// The states are for a piece of the answer, to be kept, that is made of so many rows.
    pub(crate) piece_rows: Option<u64>,
}

/// What a question calculates, and in which form.
pub(crate) fn plan_calcs(plan: &Plan, run: &Run, of: &Fields, shape: &Shape, sizes: &Sizes) -> CalcPlan {
    let weighted = shape.weighted;
    let counting = |op: CalcOp| matches!(op, CalcOp::Quantile(_) | CalcOp::Heatmap | CalcOp::CountDistinct);
    let n_counting = (0..of.fields.len()).filter(|f| of.ops(plan, *f).any(counting)).count();
    // Setting up counters of a piece must not cost more than what is counted in them.
    let worth = sizes.piece_rows.map_or(usize::MAX, |rows| (rows as usize).saturating_mul(PIECE_ROW_BYTES));
    let room = (run.memory_bytes_max / (4 * sizes.threads.max(1) * n_counting.max(1))).min(COUNTER_BYTES).min(worth);
    let fits = |bytes: usize| sizes.n_cells.is_some_and(|n| n.saturating_mul(bytes) <= room);
    let fields = of.fields.iter().enumerate().map(|(f, field)| {
        let FieldRange { range, whole, .. } = shape.ranges[f];
        let has = |wanted: &[CalcOp]| of.ops(plan, f).any(|op| wanted.contains(&op));
        let shares: Vec<f64> = of.ops(plan, f).filter_map(|op| if let CalcOp::Quantile(q) = op { Some(q) } else { None }).collect();
        let quantiles = (!shares.is_empty()).then(|| {
            let q = QuantilePlan::new(shares, range, whole, weighted);
            Arc::new(if fits(q.cell_bytes()) { q } else { q.without_buckets() })
        });
        let distinct = has(&[CalcOp::CountDistinct]).then(|| match sizes.distinct[f] {
            Some(bound) if fits(bound / 8 + 24) => DistinctPlan::Bits(bound),
            Some(_) if sizes.piece_rows.is_some() => DistinctPlan::Lists,
            _ => DistinctPlan::Set,
        });
        FieldPlan {
            field: field.clone(),
            present: has(&[CalcOp::Count]),
            numbers: NumberPlan {
                sum: has(&[CalcOp::Sum, CalcOp::Avg, CalcOp::RateSum, CalcOp::RateAvg]),
                min: has(&[CalcOp::Min]),
                max: has(&[CalcOp::Max, CalcOp::RateMax]),
                whole,
                fits: shape.rows as f64 * range.0.abs().max(range.1.abs()) < 9e18,
            },
            quantiles,
            heat: has(&[CalcOp::Heatmap])
                .then(|| if sizes.piece_rows.is_some() { HeatPlan::deep(range, weighted) } else { HeatPlan::new(range, weighted) }),
            distinct,
            exact: plan.calculations.iter().zip(&of.of_calc).any(|(c, of)| *of == Some(f) && c.exact),
        }
    });
    let concurrency = plan.calculations.iter().any(|c| c.op == CalcOp::Concurrency).then(|| ConcurrencyPlan {
        start_ns: plan.start_ns,
        end_ns: plan.end_ns,
        first_ns: sizes.buckets.map_or(plan.start_ns, |b| b.first_ns),
        bucket_ns: sizes.buckets.map_or(0, |b| b.step_ns),
        n_buckets: sizes.buckets.map_or(0, |b| b.n),
    });
    CalcPlan { fields: fields.collect(), weighted, concurrency }
}
