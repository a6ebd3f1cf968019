//! What a question found in one chunk.
//!
//! Owns: the form in which it is kept, by numbers of values that mean the same between questions. Never does: decide
//! which chunks are read.

use super::chunks::Chunk;
use crate::EngineError;
use crate::caches::ColumnIds;
use crate::calc::count::{CellMap, SKIP};
use crate::calc::pack::PackedStates;
use crate::calc::{CalcPlan, States};
use crate::execute::Question;
use crate::intern::Key;
use crate::points::Points;
use crate::scan::group::GroupPlan;
use crate::scan::keys::{KeyColumn, Numbering};
use crate::scan::pass::{Buckets, Found, Grouping, Pass};
use crate::view::{PackedValue, View};
use model::TimeNs;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};

/// Groups times buckets of one chunk at most.
const CELLS_MAX: usize = 1 << 18;

/// What a question found in one chunk.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(super) n_groups: usize,
    /// Numbers of each group's values, one group after the other.
    pub(super) groups: Vec<u32>,
    /// States, one per group.
    pub(super) cells: PackedStates,
    /// It lies in this bucket and does not fill it: there are no values of it, only states.
    pub(super) part_of: Option<TimeNs>,
    /// Values per bucket and group: start of the bucket, group, value of each calculation.
    pub(super) points: Points<PackedValue, u32>,
    /// The same for all groups as one.
    pub(super) total_points: Points<PackedValue>,
    pub(super) rows_scanned: u64,
    pub(super) rows_matched: u64,
    /// About how many rows were to be read, and were.
    pub(super) rows_planned: u64,
    pub(super) rows_done: u64,
    /// All was read.
    pub(super) complete: bool,
    /// Segments that were looked into, or what they were merged to.
    pub(super) segments: Mutex<Vec<u64>>,
    pub(super) bytes: usize,
    /// The groups by their numbers, once one was looked for.
    pub(super) order: OnceLock<Order>,
}

/// Positions of groups.
#[derive(Debug)]
pub(super) enum Order {
    /// In the order of their numbers.
    Sorted(Box<[u32]>),
    /// Of the group of each number, or [`SKIP`]: where there is one column and its numbers lie close together.
    Table(Box<[u32]>),
}

/// Numbers of a table, for each group, at most.
const TABLE_NUMBERS: usize = 4;

impl Piece {
    /// The position of a group.
    pub(super) fn find(&self, ids: &[u32]) -> Option<usize> {
        let n = ids.len();
        let group = |i: u32| &self.groups[i as usize * n..(i as usize + 1) * n];
        let order = self.order.get_or_init(|| match self.table_len() {
            Some(len) => {
                let mut table = vec![SKIP; len];
                self.groups.iter().zip(0..).for_each(|(id, at)| table[*id as usize] = at);
                Order::Table(table.into())
            }
            None => {
                let mut order: Vec<u32> = (0..self.n_groups as u32).collect();
                order.sort_unstable_by(|a, b| group(*a).cmp(group(*b)));
                Order::Sorted(order.into())
            }
        });
        match order {
            Order::Table(table) => table.get(ids[0] as usize).filter(|at| **at != SKIP).map(|at| *at as usize),
            Order::Sorted(order) => order.binary_search_by(|i| group(*i).cmp(ids)).ok().map(|at| order[at] as usize),
        }
    }

    /// Length of a table of its groups; none if they are sorted instead.
    fn table_len(&self) -> Option<usize> {
        let len = *self.groups.iter().max()? as usize + 1;
        (self.groups.len() == self.n_groups && len <= TABLE_NUMBERS * self.n_groups).then_some(len)
    }

    /// Says how large it is.
    pub(super) fn measure(&mut self) {
        let pointed = self.points.cells().chain(self.total_points.cells()).map(PackedValue::bytes).sum::<usize>();
        self.bytes = size_of::<Piece>()
            + self.groups.len() * 4
            + self.table_len().unwrap_or(self.n_groups) * 4
            + self.cells.bytes()
            + self.points.memory()
            + self.total_points.memory()
            + pointed;
    }
}

/// Makes pieces of one stretch.
pub(super) struct Maker<'a> {
    pub(super) question: Question<'a>,
    pub(super) columns: &'a [Arc<ColumnIds>],
    pub(super) distinct: &'a [Option<Arc<ColumnIds>>],
    pub(super) totals: bool,
}

impl Maker<'_> {
    /// The piece of a chunk; none if it has no such form.
    pub(super) fn make(&self, chunk: &Chunk) -> Result<Option<Piece>, EngineError> {
        let Question { plan, prepared, run, caches, budget, fields, .. } = self.question;
        let (units, rows_planned) = prepared.units_between(chunk.start_ns, chunk.end_ns);
        let kept = |id: &&u64| prepared.segments.iter().any(|s| s.segment.id() == **id);
        let segments = Mutex::new(chunk.segments.iter().filter(kept).copied().collect());
        if units.is_empty() {
            return Ok(Some(Piece { segments, complete: true, bytes: size_of::<Piece>(), ..Piece::default() }));
        }
        let group_plan = Arc::new(GroupPlan::new(&prepared.keys[..plan.breakdowns.len()]));
        let mut buckets = None;
        let part_of = chunk.part_of(plan);
        if let Some(step_ns) = plan.granularity_ns.filter(|_| plan.series && part_of.is_none()) {
            let Some(n_groups) = group_plan.fixed() else { return Ok(None) };
            let first_ns = chunk.start_ns.div_euclid(step_ns) * step_ns;
            let n = ((chunk.end_ns - 1 - first_ns) / step_ns) as usize + 1;
            if n_groups.checked_mul(n).is_none_or(|n| n > CELLS_MAX) {
                return Ok(None);
            }
            buckets = Some(Buckets { first_ns, step_ns, n, n_groups });
        }
        let n_cells = buckets.map(|b| b.n * b.n_groups).or(group_plan.fixed().filter(|n| *n <= 1 << 12));
        let calcs = self.question.calcs(n_cells, buckets, Some(rows_planned));
        if let Some(n) = n_cells
            && n.saturating_mul(calcs.cell_bytes()) > budget.free() / 4
        {
            return Ok(None);
        }
        let few = group_plan.is_small() && group_plan.fits(calcs.cell_bytes() * run.threads, budget.free() / 4);
        let grouping = Grouping::Find { plan: group_plan, many: buckets.is_some(), roomy: buckets.is_some() || few };
        let pass = Pass { prepared, units: &units, calcs, grouping, buckets, start_ns: chunk.start_ns, end_ns: chunk.end_ns };
        let found = pass.run(run, budget, caches, None)?;
        let Found { groups: Some(groups), states, rows_done, rows_scanned, rows_matched } = found else {
            return Err(EngineError::Internal { what: "a first pass finds groups" });
        };
        let to_do: u64 = units.iter().map(|(s, b)| prepared.segments[*s as usize].segment.block_rows(*b as usize) as u64).sum();
        let complete = rows_done == to_do;
        let rows_done = if complete { rows_planned } else { rows_planned * rows_done / to_do.max(1) };
        let mut piece = Piece { complete, rows_done, rows_scanned, rows_matched, rows_planned, segments, part_of, ..Piece::default() };
        let (calcs, n_groups) = (&pass.calcs, groups.len());
        let states = match buckets {
            Some(buckets) => {
                let map: Vec<u32> = (0..buckets.n * n_groups).map(|c| (c % n_groups) as u32).collect();
                let rolled = states.rolled(calcs, n_groups, CellMap::To(&map), (n_groups, CellMap::Same));
                self.points(&mut piece, calcs, states, buckets);
                rolled
            }
            None => states,
        };
        let occurring: Vec<u32> = (0..n_groups as u32).filter(|g| states.count.get(*g as usize) > 0.0).collect();
        let Some(cells) = states.pack(&occurring, |field, id| self.distinct_number(field, id)) else { return Ok(None) };
        piece.cells = cells;
        let mut places = vec![u32::MAX; n_groups];
        let mut ids = vec![0; plan.breakdowns.len()];
        for (place, g) in occurring.into_iter().enumerate() {
            groups.read_ids(g as usize, &mut ids);
            let numbers = ids.iter().zip(&prepared.keys).zip(self.columns).map(|((id, key), ids)| number(key, *id, ids));
            places[g as usize] = place as u32;
            piece.groups.extend(numbers);
            piece.n_groups += 1;
        }
        piece.points.heads_mut().for_each(|(_, group)| *group = places[*group as usize]);
        piece.measure();
        debug_assert_eq!(fields.of_calc.len(), plan.calculations.len());
        Ok(Some(piece))
    }

    /// Values per bucket.
    fn points(&self, piece: &mut Piece, calcs: &CalcPlan, states: States, buckets: Buckets) {
        let Question { plan, fields, .. } = self.question;
        if self.totals {
            let map: Vec<u32> = (0..buckets.n * buckets.n_groups).map(|c| (c / buckets.n_groups) as u32).collect();
            let view = View::new(calcs, states.rolled(calcs, buckets.n, CellMap::To(&map), (buckets.n, CellMap::Same)), None, 1);
            piece.total_points = Points::new(plan.calculations.len());
            for b in 0..buckets.n {
                if let Some(values) = view.pack(plan, fields, b) {
                    piece.total_points.push(buckets.start(b as u32), values);
                }
            }
        }
        let view = View::new(calcs, states, None, 1);
        piece.points = Points::new(plan.calculations.len());
        for b in 0..buckets.n {
            for g in 0..buckets.n_groups {
                if let Some(values) = view.pack(plan, fields, b * buckets.n_groups + g) {
                    piece.points.push_tagged(buckets.start(b as u32), g as u32, values);
                }
            }
        }
    }

    /// How a value that is counted is called between questions.
    fn distinct_number(&self, field: usize, id: u64) -> u32 {
        let prepared = self.question.prepared;
        match (prepared.distinct_keys[field], &self.distinct[field]) {
            (Some(key), Some(ids)) => number(&prepared.keys[key], id, ids),
            _ => 0,
        }
    }
}

/// How a value is called between questions: its number among those of its column, plus 1; 0 where it is missing.
fn number(key: &KeyColumn, id: u64, ids: &Arc<ColumnIds>) -> u32 {
    let Some(id) = id.checked_sub(1) else { return 0 };
    let known = match &key.numbering {
        Numbering::Integers(first) => return ids.interner.intern(Key::int(first.wrapping_add(id as i64)), || "") + 1,
        Numbering::Interned => id as u32,
        Numbering::Local(locals) => locals.get(id as usize).copied().unwrap_or(0),
    };
    if Arc::ptr_eq(&key.ids, ids) { known + 1 } else { ids.interner.carry(&key.ids.interner, known) + 1 }
}
