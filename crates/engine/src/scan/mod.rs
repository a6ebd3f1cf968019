//! The scan: blocks of segments go through filter, grouping and calculation, in one pass, on several threads.
//!
//! Owns: the work on one block, and the threads. Never does: interpret questions, order results.

pub(crate) mod apply;
pub(crate) mod dicts;
pub(crate) mod filter;
pub(crate) mod group;
pub(crate) mod keys;
mod measure;
mod met;
mod numbering;
mod numbers;
pub(crate) mod pass;
pub(crate) mod place;
pub(crate) mod prepare;
pub(crate) mod select;

use crate::EngineError;
use crate::calc::States;
use crate::calc::count::{Cells, SKIP};
use apply::FilterBuffers;
use group::{GroupPlan, Groups, Table};
use keys::{BlockRef, KeyBuffers, KeyPart};
use model::TimeNs;
use pass::{Grouping, Pass};
use prepare::Ready;
use select::Rows;
use store::segment::Scratch;

/// Buffers of one thread, used again for every block and every question.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) scratch: Scratch,
    filter: FilterBuffers,
    /// Position of the cell of each selected row.
    cells: Vec<u32>,
    keys: Vec<u64>,
    values: KeyBuffers,
    /// Rows that stay when groups are left out.
    chosen: Vec<u32>,
    weights: Vec<f64>,
    /// Ends of runs of rows in the same bucket, and the bucket.
    cuts: Vec<(usize, u32)>,
    pub(crate) measure: measure::MeasureBuffers,
}

/// Buckets of a block up to which each is looked for; of more, all times are read.
const SEARCHED_BUCKETS: usize = 64;

/// What one thread has found so far.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) groups: Option<Groups>,
    pub(crate) states: States,
    pub(crate) rows_done: u64,
    pub(crate) rows_scanned: u64,
    pub(crate) rows_matched: u64,
    /// Bytes that were taken from the budget.
    pub(crate) reserved: usize,
    buffers: Buffers,
}

impl Worker {
    pub(crate) fn new(pass: &Pass<'_, '_>, buffers: Buffers) -> Worker {
        let groups = match &pass.grouping {
            Grouping::Find { plan, many, roomy } => Some(Groups::new(std::sync::Arc::clone(plan), *many, *roomy)),
            Grouping::Chosen { .. } => None,
        };
        let mut states = States::new(&pass.calcs);
        if let Some(n) = pass.fixed_groups() {
            states.resize(n * pass.n_buckets(), n);
        }
        Worker { groups, states, rows_done: 0, rows_scanned: 0, rows_matched: 0, reserved: 0, buffers }
    }

    pub(crate) fn into_buffers(self) -> (Option<Groups>, States, Buffers) {
        (self.groups, self.states, self.buffers)
    }

    pub(crate) fn memory(&self) -> usize {
        self.states.memory() + self.groups.as_ref().map_or(0, Groups::memory)
    }

    /// Deals with one block.
    pub(crate) fn block(&mut self, pass: &Pass<'_, '_>, ready: &Ready<'_>, block: usize) -> Result<(), EngineError> {
        let segment = &**ready.segment;
        let at = BlockRef { segment, block };
        self.rows_done += segment.block_rows(block) as u64;
        let Buffers { scratch, filter, cells, keys, values, chosen, weights, cuts, measure } = &mut self.buffers;
        let (span, low) = time_rows(pass, ready, at, cuts, scratch)?;
        self.rows_scanned += (span.1 - span.0) as u64;
        if span.0 == span.1 {
            return Ok(());
        }
        scratch.want(span.0, span.1);
        let mut rows = ready.filter.select(segment.block_rows(block), block, span, filter, scratch)?;
        if rows.len() == 0 {
            return Ok(());
        }
        self.rows_matched += (rows.len() - rows.before(low)) as u64;

        // Which group each row belongs to.
        let n_groups_before = self.states.n_cells;
        number_rows(pass, ready, at, rows, self.groups.as_mut(), (cells, keys), values, scratch)?;
        match &pass.grouping {
            Grouping::Find { .. } => {
                if let Some(groups) = &mut self.groups
                    && pass.buckets.is_none()
                {
                    let n = groups.len();
                    if n > n_groups_before {
                        let n = if groups.is_slots() { n } else { n.max(n_groups_before * 2) };
                        self.states.resize(n, n);
                    }
                }
            }
            Grouping::Chosen { map, .. } => {
                rows = choose(map, rows, cells, chosen);
                if rows.len() == 0 {
                    return Ok(());
                }
            }
        }

        weights.clear();
        let weights = if pass.calcs.weighted {
            match segment.uniform_sample_rate() {
                Some(rate) => weights.resize(rows.len(), rate),
                None => {
                    let rates = segment.read_sample_rates(block, scratch)?;
                    weights.resize(rows.len(), 0.0);
                    rows.each_value(rates, |i, w| weights[i] = w);
                }
            }
            Some(weights.as_slice())
        } else {
            None
        };
        if let Some(concurrency) = &mut self.states.concurrency {
            measure.add_spans(concurrency, ready, at, rows, cells, weights, scratch)?;
        }

        // Spans from before the range count for nothing else.
        let lead = rows.before(low);
        let rows = rows.skip(lead);
        let cells = &mut cells[lead..];
        let weights = weights.map(|w| &w[lead..]);
        if rows.len() == 0 {
            return Ok(());
        }
        let arithmetic = self.groups.as_ref().is_some_and(Groups::is_slots);
        let n_groups = pass.fixed_groups().or(pass.group_plan().fixed().filter(|_| arithmetic));
        let (mut first, mut width) = (0, n_groups.unwrap_or(usize::MAX));
        if let Some(buckets) = &pass.buckets {
            let mut from = 0;
            for (end, bucket) in cuts.iter() {
                let to = rows.before(*end);
                let first = bucket * buckets.n_groups as u32;
                cells[from..to].iter_mut().for_each(|c| *c += first);
                from = to;
            }
            if let (Some((_, one)), Some((_, last))) = (cuts.first(), cuts.last()) {
                first = one * buckets.n_groups as u32;
                width = (last - one + 1) as usize * buckets.n_groups;
            }
        }
        let cells = Cells { list: cells, low: first, width };
        self.states.count.add(cells, weights);
        for (f, (field, state)) in pass.calcs.fields.iter().zip(&mut self.states.fields).enumerate() {
            measure.add_field(pass, f, field, state, ready, at, (rows, cells, weights), values, scratch)?;
        }
        Ok(())
    }

    /// Goes over to arithmetic if the table has become too full for one.
    pub(crate) fn settle(&mut self, pass: &Pass<'_, '_>) {
        if let Some(groups) = &mut self.groups
            && matches!(pass.grouping, Grouping::Find { roomy: true, .. })
            && groups.is_crowded()
        {
            let map = groups.use_slots();
            let n = groups.len();
            self.remap(pass, &map, n);
        }
    }

    /// Moves the states of all groups.
    pub(crate) fn remap(&mut self, pass: &Pass<'_, '_>, map: &[u32], n: usize) {
        let mut old = std::mem::replace(&mut self.states, States::new(&pass.calcs));
        old.number_coded();
        self.states.resize(n, n);
        let map = crate::calc::count::CellMap::To(map);
        self.states.merge(old, map, map);
    }
}

/// Rows of the block that lie in the range or lead up to it, the first row in the range itself, and the buckets.
fn time_rows(
    pass: &Pass<'_, '_>,
    ready: &Ready<'_>,
    BlockRef { segment, block }: BlockRef<'_>,
    cuts: &mut Vec<(usize, u32)>,
    scratch: &mut Scratch,
) -> Result<((usize, usize), usize), EngineError> {
    cuts.clear();
    let n = segment.block_rows(block);
    let (first, last) = segment.block_times(block);
    let (start, end) = (pass.start_ns, pass.end_ns);
    let inside = first >= start && last < end;
    let bucket_of = |t: TimeNs| pass.buckets.as_ref().map_or(0, |b| b.index(t));
    if inside && bucket_of(first) == bucket_of(last) {
        cuts.push((n, bucket_of(first)));
        return Ok(((0, n), 0));
    }
    let lead_ns = if pass.calcs.concurrency.is_some() { ready.lead_ns } else { start };
    let lead = segment.row_from(block, lead_ns)?;
    let low = segment.row_from(block, start)?.max(lead);
    let high = segment.row_from(block, end)?.max(low);
    if let Some(buckets) = pass.buckets.as_ref().filter(|_| low < high) {
        let mut bucket = bucket_of(first.max(start));
        let last = bucket_of(last.min(end - 1));
        if ((last - bucket) as usize) < SEARCHED_BUCKETS {
            let mut from = low;
            while from < high {
                let to = if bucket == last { high } else { segment.row_from(block, buckets.start(bucket + 1))?.clamp(from, high) };
                if from < to {
                    cuts.push((to, bucket));
                }
                (from, bucket) = (to, bucket + 1);
            }
            return Ok(((lead, high), low));
        }
        let times = segment.read_times(block, scratch)?;
        let mut from = low;
        while from < high {
            let bucket = buckets.index(times[from]);
            let next = buckets.start(bucket + 1);
            // Neighbouring buckets hold about as many rows: look near first.
            let mut step = 64;
            let mut to = from + 1;
            while to < high && times[to] < next {
                from = to;
                to = (to + step).min(high);
                step *= 2;
            }
            let to = from + times[from..to].partition_point(|t| *t < next);
            cuts.push((to, bucket));
            from = to;
        }
    } else {
        cuts.push((high, 0));
    }
    Ok(((lead, high), low))
}

/// Writes the position of the group of each row to `cells`; [`SKIP`] where it is not among those looked for.
#[allow(clippy::too_many_arguments)]
fn number_rows(
    pass: &Pass<'_, '_>,
    ready: &Ready<'_>,
    at: BlockRef<'_>,
    rows: Rows<'_>,
    groups: Option<&mut Groups>,
    (cells, keys): (&mut Vec<u32>, &mut Vec<u64>),
    values: &mut KeyBuffers,
    scratch: &mut Scratch,
) -> Result<(), EngineError> {
    let n = rows.len();
    cells.clear();
    cells.resize(n, 0);
    let mut each = |column: usize, f: &mut dyn FnMut(&KeyPart<'_>, &mut KeyBuffers, &mut Scratch) -> Result<(), EngineError>| {
        ready.keys[column].iter().try_for_each(|part| f(part, values, scratch))
    };
    match pass.group_plan() {
        GroupPlan::One => {}
        GroupPlan::Slots { strides, open, .. } => {
            for (column, stride) in strides.iter().enumerate() {
                let ids = &pass.prepared.keys[column].ids;
                let stride = *stride;
                each(column, &mut |part, values, scratch| {
                    if stride == 1 {
                        return part.each_id(ids, at, rows, values, scratch, |i, id| cells[i] += id as u32);
                    }
                    part.each_id(ids, at, rows, values, scratch, |i, id| cells[i] += id as u32 * stride)
                })?;
            }
            match (groups, &pass.grouping) {
                (Some(groups), _) => {
                    if let Some(tables) = groups.tables() {
                        number_by(&mut tables[0], cells);
                    } else if *open {
                        let top = cells.iter().copied().max().unwrap_or(0);
                        groups.cover(top as usize + 1);
                    }
                }
                (None, Grouping::Chosen { groups, .. }) => {
                    if let Some(tables) = groups.tables_ref() {
                        cells.iter_mut().for_each(|c| *c = tables[0].find(u64::from(*c)).unwrap_or(SKIP));
                    }
                }
                (None, Grouping::Find { .. }) => return Err(EngineError::Internal { what: "a run that finds groups has some" }),
            }
        }
        GroupPlan::Tables(plans) => {
            let mut own = groups.and_then(Groups::tables);
            for (level, plan) in plans.iter().enumerate() {
                keys.clear();
                keys.extend(cells.iter().map(|c| u64::from(*c)));
                for packed in plan {
                    let ids = &pass.prepared.keys[packed.column].ids;
                    let shift = packed.shift;
                    each(packed.column, &mut |part, values, scratch| {
                        part.each_id(ids, at, rows, values, scratch, |i, id| keys[i] += id << shift)
                    })?;
                }
                match (&mut own, &pass.grouping) {
                    (Some(tables), _) => {
                        let table = &mut tables[level];
                        cells.iter_mut().zip(keys.iter()).for_each(|(c, k)| *c = table.insert(*k));
                    }
                    (None, Grouping::Chosen { groups, .. }) => {
                        let Some(table) = groups.tables_ref().and_then(|t| t.get(level)) else { continue };
                        // A position that was skipped in one table is none in the next.
                        cells.iter_mut().zip(keys.iter()).for_each(|(c, k)| *c = table.find(*k).unwrap_or(SKIP));
                    }
                    (None, Grouping::Find { .. }) => return Err(EngineError::Internal { what: "a run that finds groups has tables" }),
                }
            }
        }
    }
    Ok(())
}

/// Replaces keys by their positions in a table.
fn number_by(table: &mut Table, cells: &mut [u32]) {
    let mut last = (u32::MAX, 0);
    for c in cells {
        if *c != last.0 || last.0 == u32::MAX {
            last = (*c, table.insert(u64::from(*c)));
        }
        *c = last.1;
    }
}

/// Keeps the rows of chosen groups, and their positions among those.
fn choose<'r>(map: &[u32], rows: Rows<'r>, cells: &mut Vec<u32>, chosen: &'r mut Vec<u32>) -> Rows<'r> {
    let mut dropped = false;
    for c in cells.iter_mut() {
        *c = map.get(*c as usize).copied().unwrap_or(SKIP);
        dropped |= *c == SKIP;
    }
    if !dropped {
        return rows;
    }
    chosen.clear();
    rows.each(|i, row| {
        if cells[i] != SKIP {
            chosen.push(row as u32);
        }
    });
    cells.retain(|c| *c != SKIP);
    Rows::List(chosen)
}
