//! What passes found, as rows of an answer.
//!
//! Owns: values of calculations per group and bucket, including those that look at neighbouring buckets.
//! Never does: read blocks, choose passes.

use crate::calc::count::{CellMap, SKIP};
use crate::calc::heatmap::Heat;
use crate::calc::quantile::{RELATIVE_ERROR, Solved};
use crate::calc::{CalcPlan, States, distinct};
use crate::execute::Fields;
use crate::intern::mix;
use crate::plan::Plan;
use crate::points::{NO_GROUP, SeriesPoints};
use crate::rank::{Values, select};
use crate::scan::group::Groups;
use crate::scan::keys::KeyColumn;
use crate::scan::pass::Buckets;
use crate::{Answer, Approximate, Calc, CalcOp, Cell, HeatmapScale, Meta};
use std::sync::Arc;

/// The value of a calculation as it is kept between questions: in terms of no range of numbers.
#[derive(Clone, Debug)]
pub(crate) enum PackedValue {
    Cell(Cell),
    /// A percentile before it is kept within the range of all numbers.
    Quantile(f64),
    Heat(Box<[(i64, f64)]>),
}

impl PackedValue {
    /// Bytes that it points to.
    pub(crate) fn bytes(&self) -> usize {
        if let PackedValue::Heat(heat) = self { heat.len() * 16 } else { 0 }
    }
}

/// States of a pass with all that is computed once over all cells.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) states: States,
    calcs: CalcPlan,
    solved: Vec<Option<Solved>>,
    /// Buckets of heatmaps that no cell uses.
    unused: Vec<usize>,
    /// Per bucket and group.
    concurrency: Vec<f64>,
    buckets: Option<Buckets>,
}

impl View {
    pub(crate) fn new(calcs: &CalcPlan, mut states: States, buckets: Option<Buckets>, threads: usize) -> View {
        states.settle();
        let solved = states.fields.iter().map(|f| f.quantiles.as_ref().map(|q| q.solve(threads))).collect();
        let unused = states.fields.iter().map(|f| f.heat.as_ref().map_or(0, |h| h.unused())).collect();
        let mut concurrency = Vec::new();
        if let (Some(c), Some(b)) = (&states.concurrency, buckets) {
            let (mut whole, mut out) = (Vec::new(), Vec::new());
            for bucket in 0..b.n {
                c.of_bucket(bucket, &mut whole, &mut out);
                concurrency.extend_from_slice(&out);
            }
        }
        View { states, calcs: calcs.clone(), solved, unused, concurrency, buckets }
    }

    /// The value of a calculation on a cell; RATE_* give what they are the difference of.
    fn value(&self, calc: &Calc, field: Option<usize>, cell: usize) -> Cell {
        match calc.op {
            CalcOp::Quantile(share) => {
                let solved = field.and_then(|f| self.solved[f].as_ref());
                solved.and_then(|s| s.get(cell, share)).map_or(Cell::Null, Cell::number)
            }
            CalcOp::Heatmap => match field.and_then(|f| Some((self.states.fields[f].heat.as_ref()?, self.unused[f]))) {
                Some((heat, unused)) => heat.value(cell, unused),
                None => Cell::Null,
            },
            CalcOp::Concurrency => match (self.buckets, &self.states.concurrency) {
                (Some(_), _) => Cell::number(self.concurrency.get(cell).copied().unwrap_or(0.0)),
                (None, Some(c)) => Cell::number(c.of_range(cell)),
                (None, None) => Cell::Null,
            },
            op => self.states.value(op, field, cell),
        }
    }

    /// The values of a cell as they are kept between questions; none if it has nothing to say.
    pub(crate) fn pack<'v>(&'v self, plan: &'v Plan, fields: &'v Fields, cell: usize) -> Option<impl Iterator<Item = PackedValue> + 'v> {
        let pack = move |calc: &Calc, field: Option<usize>| match (calc.op, field) {
            (CalcOp::Quantile(share), Some(f)) => {
                let value = self.solved[f].as_ref().and_then(|s| s.unclamped(cell, share));
                value.map_or(PackedValue::Cell(Cell::Null), PackedValue::Quantile)
            }
            (CalcOp::Heatmap, Some(f)) => {
                PackedValue::Heat(self.states.fields[f].heat.as_ref().map_or_else(Box::default, |h| h.pack(cell)))
            }
            _ => PackedValue::Cell(self.value(calc, field, cell)),
        };
        self.occurs(cell).then(|| plan.calculations.iter().zip(&fields.of_calc).map(move |(calc, field)| pack(calc, *field)))
    }

    /// A kept value as one of an answer with this view's ranges.
    pub(crate) fn unpack(&self, value: &PackedValue, field: Option<usize>) -> Cell {
        match value {
            PackedValue::Cell(cell) => cell.clone(),
            PackedValue::Quantile(v) => {
                let plan = field.and_then(|f| self.calcs.fields[f].quantiles.as_ref());
                Cell::number(plan.map_or(*v, |plan| plan.clamp(*v)))
            }
            PackedValue::Heat(packed) => {
                let Some((f, plan)) = field.and_then(|f| Some((f, self.calcs.fields[f].heat?))) else { return Cell::Null };
                let mut heat = Heat::new(plan);
                heat.resize(1);
                heat.absorb(0, packed);
                heat.value(0, self.unused[f])
            }
        }
    }

    /// Whether a cell has anything to say.
    fn occurs(&self, cell: usize) -> bool {
        if self.states.count.get(cell) > 0.0 {
            return true;
        }
        match (self.buckets, &self.states.concurrency) {
            (Some(_), Some(_)) => self.concurrency.get(cell).is_some_and(|c| *c > 1e-12),
            (None, Some(c)) => c.of_range(cell) > 0.0,
            _ => false,
        }
    }

    /// Says that percentiles of a field are not exact, though those of these cells are.
    pub(crate) fn blur(&mut self, field: usize) {
        if let Some(Some(solved)) = self.solved.get_mut(field) {
            solved.blur();
        }
    }

    /// How far a calculation may be off.
    pub(crate) fn error(&self, op: CalcOp, field: Option<usize>) -> Option<f64> {
        let field = field?;
        match op {
            CalcOp::Quantile(_) => self.solved[field].as_ref().filter(|s| s.approximate).map(|_| RELATIVE_ERROR),
            CalcOp::CountDistinct => {
                self.states.fields[field].distinct.as_ref().filter(|d| d.is_sampled()).map(|_| distinct::RELATIVE_ERROR)
            }
            _ => None,
        }
    }

    /// Says which values the buckets of heatmaps hold.
    pub(crate) fn add_scales(&self, plan: &Plan, fields: &Fields, meta: &mut Meta) {
        for (calc, field) in plan.calculations.iter().zip(&fields.of_calc) {
            if let Some(scale) = self.scale(calc.op, *field) {
                meta.heatmaps.push((Arc::clone(&calc.key), scale));
            }
        }
    }

    fn scale(&self, op: CalcOp, field: Option<usize>) -> Option<HeatmapScale> {
        let field = field.filter(|_| op == CalcOp::Heatmap)?;
        Some(self.states.fields[field].heat.as_ref()?.scale(self.unused[field]))
    }

    /// Takes over the scales of heatmaps, which an answer has once.
    pub(crate) fn share_scales(&mut self, other: &View) {
        self.unused.clone_from(&other.unused);
    }

    /// The same states with cells put together.
    fn rolled(&self, map: &[u32], n: usize, buckets: Option<Buckets>, groups: CellMap<'_>) -> View {
        let n_groups = buckets.map_or(n, |b| b.n_groups);
        let states = self.states.rolled(&self.calcs, n, CellMap::To(map), (n_groups, groups));
        let mut view = View::new(&self.calcs, states, buckets, 1);
        view.share_scales(self);
        view
    }
}

/// Groups with their values, and perhaps with buckets.
#[derive(Debug)]
pub(crate) struct Table<'q> {
    keys: &'q [KeyColumn],
    groups: Groups,
    view: View,
    /// By bucket and group, of a pass that did both.
    series: Option<View>,
    of_calc: &'q [Option<usize>],
    meta: Meta,
    totals: bool,
}

struct GroupValues<'t> {
    table: &'t Table<'t>,
    plan: &'t Plan,
}

impl Values for GroupValues<'_> {
    fn calc(&self, calc: usize, group: u32) -> Cell {
        if let Some(formula) = self.plan.formula(calc) {
            return formula.value(|input| self.calc(input, group));
        }
        let op = self.plan.calculations[calc].op;
        if op.is_rate() {
            return match &self.table.series {
                Some(series) => mean_rate(self.table.rates(series, self.plan, calc, group as usize)),
                None => Cell::Null,
            };
        }
        self.table.view.value(&self.plan.calculations[calc], self.table.of_calc[calc], group as usize)
    }

    fn number(&self, calc: usize, group: u32) -> Option<f64> {
        let Some(c) = self.plan.calculations.get(calc) else { return self.calc(calc, group).as_f64() };
        match (c.op, self.table.of_calc[calc]) {
            (CalcOp::Count, None) => Some(self.table.view.states.count.get(group as usize)),
            (CalcOp::Quantile(share), Some(f)) => self.table.view.solved[f].as_ref().and_then(|s| s.get(group as usize, share)),
            _ => self.calc(calc, group).as_f64(),
        }
    }

    fn breakdown(&self, breakdown: usize, group: u32) -> Cell {
        let ids = self.table.groups.ids(group as usize, self.table.keys.len());
        self.table.keys[breakdown].value(ids[breakdown])
    }

    fn tie(&self, group: u32) -> u64 {
        let ids = self.table.groups.ids(group as usize, self.table.keys.len());
        self.table.keys.iter().zip(ids).fold(0, |tie, (key, id)| mix(tie ^ key.hash(id)))
    }
}

/// The mean of the rates that there are.
fn mean_rate(rates: impl Iterator<Item = (u32, Cell)>) -> Cell {
    let (mut sum, mut n) = (0.0, 0.0);
    for rate in rates.filter_map(|(_, r)| r.as_f64()) {
        sum += rate;
        n += 1.0;
    }
    if n == 0.0 { Cell::Null } else { Cell::number(sum / n) }
}

fn difference(a: &Cell, b: &Cell) -> Cell {
    match (a, b) {
        (Cell::Int(a), Cell::Int(b)) => a.checked_sub(*b).map_or_else(|| Cell::Float(*a as f64 - *b as f64), Cell::Int),
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => Cell::number(a - b),
            _ => Cell::Null,
        },
    }
}

impl<'q> Table<'q> {
    pub(crate) fn new(
        keys: &'q [KeyColumn],
        groups: Groups,
        view: View,
        series: Option<View>,
        of_calc: &'q [Option<usize>],
        meta: Meta,
        totals: bool,
    ) -> Table<'q> {
        Table { keys, groups, view, series, of_calc, meta, totals }
    }

    pub(crate) fn n_groups(&self) -> usize {
        self.groups.len()
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The groups of the answer, in order.
    pub(crate) fn selected(&self, plan: &Plan) -> Vec<u32> {
        let occurring = (0..self.groups.len()).filter(|g| self.view.occurs(*g)).map(|g| g as u32);
        select(plan, occurring, &GroupValues { table: self, plan })
    }

    /// The change of a calculation from each bucket to the next, for a position of `series`.
    fn rates<'t>(&'t self, series: &'t View, plan: &'t Plan, calc: usize, position: usize) -> impl Iterator<Item = (u32, Cell)> + 't {
        let buckets = series.buckets.unwrap_or(Buckets { first_ns: 0, step_ns: 1, n: 0, n_groups: 1 });
        let mut before = Cell::Null;
        (0..buckets.n).map(move |b| {
            let cell = b * buckets.n_groups + position;
            let value = series.value(&plan.calculations[calc], self.of_calc[calc], cell);
            let rate = difference(&value, &before);
            before = value;
            (b as u32, rate)
        })
    }

    /// The answer. `second`: the buckets of a second pass, and the groups that are its positions.
    pub(crate) fn answer(&self, plan: &Plan, second: Option<(&View, &[u32])>) -> Answer {
        let own;
        let (series, selected) = match second {
            Some((series, selected)) => (Some(series), selected),
            None => {
                own = self.selected(plan);
                (self.series.as_ref(), own.as_slice())
            }
        };
        let columns = plan.breakdowns.iter().map(|b| b.name().into()).chain(plan.calculations.iter().map(|c| Arc::clone(&c.key))).collect();
        let labels: Vec<Vec<Cell>> = selected
            .iter()
            .map(|g| {
                let ids = self.groups.ids(*g as usize, self.keys.len());
                self.keys.iter().zip(ids).map(|(k, id)| k.value(id)).collect()
            })
            .collect();
        let position = |i: usize| if second.is_some() { i } else { selected[i] as usize };
        let mut answer = Answer {
            start_ns: plan.start_ns,
            end_ns: plan.end_ns,
            granularity_ns: plan.granularity_ns.filter(|_| plan.series),
            columns,
            meta: self.meta.clone(),
            ..Answer::default()
        };
        self.note_errors(plan, &self.view, &mut answer.meta);
        for (i, g) in selected.iter().enumerate() {
            let calcs = plan.calculations.iter().enumerate().map(|(c, calc)| match (calc.op.is_rate(), series) {
                (true, Some(series)) => mean_rate(self.rates(series, plan, c, position(i))),
                (true, None) => Cell::Null,
                _ => self.view.value(calc, self.of_calc[c], *g as usize),
            });
            answer.results.push(labels[i].iter().cloned().chain(calcs).collect());
        }
        if let Some(series) = series
            && plan.series
        {
            let positions: Vec<usize> = (0..selected.len()).map(position).collect();
            answer.series = self.points(series, plan, &positions, |i| i as u32);
            self.note_errors(plan, series, &mut answer.meta);
        }
        if self.totals {
            self.add_totals(plan, selected, series, &mut answer);
        }
        answer
    }

    /// One point per bucket and position that has something to say; `group` tells which result that is.
    fn points(&self, series: &View, plan: &Plan, positions: &[usize], group: impl Fn(usize) -> u32) -> SeriesPoints {
        let mut out = SeriesPoints::new(plan.calculations.len());
        let Some(buckets) = series.buckets else { return out };
        let mut row = Vec::new();
        let mut before = vec![vec![Cell::Null; plan.calculations.len()]; positions.len()];
        for b in 0..buckets.n {
            for (i, position) in positions.iter().enumerate() {
                let cell = b * buckets.n_groups + position;
                let occurs = series.occurs(cell);
                row.clear();
                for (c, calc) in plan.calculations.iter().enumerate() {
                    if !calc.op.is_rate() {
                        if occurs {
                            row.push(series.value(calc, self.of_calc[c], cell));
                        }
                        continue;
                    }
                    let value = series.value(calc, self.of_calc[c], cell);
                    row.push(difference(&value, &before[i][c]));
                    before[i][c] = value;
                }
                if occurs {
                    out.push_tagged(buckets.start(b as u32), group(i), row.drain(..));
                }
            }
        }
        out
    }

    /// All groups as one, and those that are not in the answer as one.
    fn add_totals(&self, plan: &Plan, selected: &[u32], series: Option<&View>, answer: &mut Answer) {
        let no_labels = vec![Cell::Null; plan.breakdowns.len()];
        let total_series = series.and_then(|s| {
            let buckets = s.buckets?;
            let map: Vec<u32> = (0..buckets.n * buckets.n_groups).map(|c| (c / buckets.n_groups) as u32).collect();
            let one = vec![0; buckets.n_groups];
            Some(s.rolled(&map, buckets.n, Some(Buckets { n_groups: 1, ..buckets }), CellMap::To(&one)))
        });
        let row = |view: &View, series: Option<&View>| -> Vec<Cell> {
            let calcs = plan.calculations.iter().enumerate().map(|(c, calc)| match (calc.op.is_rate(), series) {
                (true, Some(s)) => mean_rate(self.rates(s, plan, c, 0)),
                (true, None) => Cell::Null,
                _ => view.value(calc, self.of_calc[c], 0),
            });
            no_labels.iter().cloned().chain(calcs).collect()
        };
        let all = vec![0; self.groups.len()];
        let total = self.view.rolled(&all, 1, None, CellMap::To(&all));
        answer.totals = Some(row(&total, total_series.as_ref()));
        self.note_errors(plan, &total, &mut answer.meta);
        if plan.series
            && let Some(s) = &total_series
        {
            answer.total_series = self.points(s, plan, &[0], |_| NO_GROUP);
            self.note_errors(plan, s, &mut answer.meta);
        }
        let mut rest = all;
        for g in selected {
            rest[*g as usize] = SKIP;
        }
        if (0..self.groups.len()).any(|g| rest[g] == 0 && self.view.occurs(g)) {
            let rest = self.view.rolled(&rest, 1, None, CellMap::To(&rest));
            answer.other = Some(row(&rest, None));
        }
    }

    /// Says which calculations are not exact in a view.
    fn note_errors(&self, plan: &Plan, view: &View, meta: &mut Meta) {
        for (calc, field) in plan.calculations.iter().zip(self.of_calc) {
            if let Some(relative_error) = view.error(calc.op, *field)
                && meta.approximate.iter().all(|a| a.key != calc.key)
            {
                meta.approximate.push(Approximate { key: Arc::clone(&calc.key), relative_error });
            }
        }
    }
}
