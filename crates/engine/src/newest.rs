//! The newest traces that have an event like this.
//!
//! Owns: finding them while reading as little as possible: blocks newest first, and no further than needed.
//! Never does: read anything of an event but its time and its trace.

use crate::EngineError;
use crate::caches::Caches;
use crate::intern::Key;
use crate::plan::Plan;
use crate::run::{Run, parallel};
use crate::scan::apply::FilterBuffers;
use crate::scan::filter::written;
use crate::scan::keys::each_key;
use crate::scan::place::{Place, Source};
use crate::scan::prepare::{Prepared, Wanted, prepare};
use crate::scan::select::Rows;
use hashbrown::HashMap;
use model::columns::TRACE_ID;
use model::{TimeNs, Value};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use store::segment::{BLOCK_ROWS, Scratch};

/// Traces that were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundTraces {
    /// Values of `trace.trace_id` with the time of the newest event that matched, the newest first.
    pub traces: Vec<(String, TimeNs)>,
    /// Whether all events that matter were looked at; else time ran out, and older traces may be missing.
    pub complete: bool,
    /// Events that were looked at.
    pub rows_scanned: u64,
}

/// The newest event of a trace so far.
#[derive(Clone, Copy, Debug)]
struct Newest {
    time: TimeNs,
    /// Position among the prepared segments, and row in it.
    segment: u32,
    row: u32,
}

struct Search<'a> {
    plan: &'a Plan,
    prepared: Prepared<'a>,
    limit: usize,
    next: AtomicUsize,
    stop: AtomicBool,
    /// Enough traces are known with an event at this time or later.
    cutoff: AtomicI64,
    scanned: AtomicU64,
    found: Mutex<HashMap<Key, Newest>>,
}

/// The `limit` traces whose newest event that satisfies the conditions of the plan is the newest.
pub(crate) fn newest(source: Source<'_>, plan: &Plan, limit: usize, run: &Run, caches: &Caches) -> Result<FoundTraces, EngineError> {
    let wanted = Wanted { plan, fields: Vec::new(), concurrency: false };
    let search = Search {
        plan,
        prepared: prepare(source, &wanted, caches, run)?,
        limit: limit.max(1),
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        cutoff: AtomicI64::new(i64::MIN),
        scanned: AtomicU64::new(0),
        found: Mutex::default(),
    };
    let threads = run.threads.min(search.prepared.units.len()).max(1);
    for part in parallel(threads, threads, |_| search.work(run)) {
        part?;
    }
    let scanned = search.scanned.load(Ordering::Relaxed);
    let complete = !search.stop.load(Ordering::Relaxed);
    if !complete && scanned == 0 && search.prepared.rows_planned > 0 {
        return Err(EngineError::Deadline);
    }
    let mut found: Vec<Newest> = search.found.lock().values().copied().collect();
    // Ties in an order that does not change from one time to the next.
    found.sort_by_key(|n| (std::cmp::Reverse(n.time), n.segment, n.row));
    found.truncate(search.limit);
    let traces = found.iter().map(|n| Ok((search.trace_id(*n)?, n.time))).collect::<Result<_, EngineError>>()?;
    Ok(FoundTraces { traces, complete, rows_scanned: scanned })
}

impl Search<'_> {
    /// One thread's share of the blocks.
    fn work(&self, run: &Run) -> Result<(), EngineError> {
        let (mut filter, mut scratch) = (FilterBuffers::default(), Scratch::default());
        loop {
            match run.check() {
                Ok(()) => {}
                Err(EngineError::Deadline) => self.stop.store(true, Ordering::Relaxed),
                Err(e) => return Err(e),
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let Some(&(segment, block)) = self.prepared.units.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
            let last = self.prepared.segments[segment as usize].segment.block_times(block as usize).1;
            if last < self.cutoff.load(Ordering::Relaxed) {
                // Blocks come in order of their newest event: nothing that follows is any newer.
                return Ok(());
            }
            self.block(segment, block, &mut filter, &mut scratch)?;
        }
    }

    fn block(&self, segment: u32, block: u32, filter: &mut FilterBuffers, scratch: &mut Scratch) -> Result<(), EngineError> {
        let ready = &self.prepared.segments[segment as usize];
        let (store, at) = (ready.segment, block as usize);
        let times = store.read_times(at, scratch)?;
        let low = times.partition_point(|t| *t < self.plan.start_ns.max(self.cutoff.load(Ordering::Relaxed)));
        let high = times.partition_point(|t| *t < self.plan.end_ns).max(low);
        self.scanned.fetch_add((high - low) as u64, Ordering::Relaxed);
        let rows = ready.filter.select(store.block_rows(at), at, (low, high), filter, scratch)?;
        if rows.len() == 0 {
            return Ok(());
        }
        let mut matching: Vec<u32> = Vec::with_capacity(rows.len());
        rows.each(|_, row| matching.push(row as u32));
        let times = store.read_times(at, scratch)?;
        let times: Vec<TimeNs> = matching.iter().map(|row| times[*row as usize]).collect();
        let mut here: HashMap<Key, Newest> = HashMap::new();
        for place in Place::find(store, TRACE_ID) {
            // Rows ascend in time, so the last one of a trace is its newest.
            each_key(&place, at, Rows::List(&matching), scratch, |i, key| {
                here.insert(key, Newest { time: times[i], segment, row: matching[i] + block * BLOCK_ROWS as u32 });
            })?;
        }
        self.add(here);
        Ok(())
    }

    fn add(&self, here: HashMap<Key, Newest>) {
        let mut found = self.found.lock();
        for (key, newest) in here {
            let known = found.entry(key).or_insert(newest);
            if newest.time > known.time {
                *known = newest;
            }
        }
        if found.len() >= self.limit {
            let mut times: Vec<TimeNs> = found.values().map(|n| n.time).collect();
            let (_, least, _) = times.select_nth_unstable_by(self.limit - 1, |a, b| b.cmp(a));
            let least = *least;
            self.cutoff.fetch_max(least, Ordering::Relaxed);
            // A trace that is let go comes back if a newer event of it turns up.
            found.retain(|_, n| n.time >= least);
        }
    }

    fn trace_id(&self, newest: Newest) -> Result<String, EngineError> {
        let store = self.prepared.segments[newest.segment as usize].segment;
        for place in Place::find(store, TRACE_ID) {
            match place.cell(newest.row as usize)? {
                Value::Null => {}
                value => return Ok(written(&value)),
            }
        }
        Err(EngineError::Internal { what: "a trace without an id" })
    }
}

#[cfg(test)]
mod tests;
