//! One pass over the planned blocks: shares them among threads, watches time and memory, merges what was found.
//!
//! Owns: threads, budget, deadline, cancel, progress. Never does: the work on a block.

use super::Worker;
use super::group::{GroupPlan, Groups};
use super::prepare::Prepared;
use crate::caches::Caches;
use crate::calc::count::CellMap;
use crate::calc::{CalcPlan, States};
use crate::memory::Budget;
use crate::run::Run;
use crate::turns::Helper;
use crate::{EngineError, Progress};
use model::TimeNs;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Time buckets of a pass. The cell of a row is `bucket * n_groups + group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buckets {
    pub(crate) first_ns: TimeNs,
    pub(crate) step_ns: i64,
    pub(crate) n: usize,
    pub(crate) n_groups: usize,
}

impl Buckets {
    /// The bucket of a time, which must not lie before the first.
    pub(crate) fn index(&self, t: TimeNs) -> u32 {
        (t.saturating_sub(self.first_ns).max(0) / self.step_ns) as u32
    }

    /// When a bucket starts.
    pub(crate) fn start(&self, bucket: u32) -> TimeNs {
        self.first_ns.saturating_add(self.step_ns.saturating_mul(i64::from(bucket)))
    }
}

/// How rows find their group.
#[derive(Debug)]
pub(crate) enum Grouping<'g> {
    /// Groups are numbered as they come.
    Find {
        plan: Arc<GroupPlan>,
        /// Most combinations are expected to occur.
        many: bool,
        /// There is room for cells of all combinations.
        roomy: bool,
    },
    /// Only groups that an earlier pass found count.
    Chosen {
        plan: Arc<GroupPlan>,
        groups: &'g Groups,
        /// From their position in that pass to that in this one.
        map: &'g [u32],
        n: usize,
    },
}

/// One pass.
#[derive(Debug)]
pub(crate) struct Pass<'s, 'g> {
    pub(crate) prepared: &'g Prepared<'s>,
    /// The blocks to read, of those prepared.
    pub(crate) units: &'g [(u32, u32)],
    pub(crate) calcs: CalcPlan,
    pub(crate) grouping: Grouping<'g>,
    pub(crate) buckets: Option<Buckets>,
    pub(crate) start_ns: TimeNs,
    pub(crate) end_ns: TimeNs,
}

impl Pass<'_, '_> {
    pub(crate) fn group_plan(&self) -> &GroupPlan {
        match &self.grouping {
            Grouping::Find { plan, .. } | Grouping::Chosen { plan, .. } => plan,
        }
    }

    /// Number of groups, if it is certain before the pass.
    pub(crate) fn fixed_groups(&self) -> Option<usize> {
        match &self.grouping {
            Grouping::Chosen { n, .. } => Some(*n),
            Grouping::Find { .. } => self.buckets.map(|b| b.n_groups),
        }
    }

    pub(crate) fn n_buckets(&self) -> usize {
        self.buckets.map_or(1, |b| b.n)
    }
}

/// What a pass found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) groups: Option<Groups>,
    pub(crate) states: States,
    pub(crate) rows_done: u64,
    pub(crate) rows_scanned: u64,
    pub(crate) rows_matched: u64,
}

impl Found {
    fn memory(&self) -> usize {
        self.states.memory() + self.groups.as_ref().map_or(0, Groups::memory)
    }
}

/// Blocks that a thread takes at once, at most.
const BLOCKS_AT_ONCE: usize = 16;

/// Groups whose merging needs no memory worth counting.
const FEW_GROUPS: usize = 4_096;

/// What needs memory, and how to need less.
const WHAT: &str = "groups and values";
const HINT: &str = "filter more, group by fewer columns, or narrow the time range";

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

struct Shared<'a> {
    next: AtomicUsize,
    stop: AtomicBool,
    rows_done: AtomicU64,
    error: Mutex<Option<EngineError>>,
    workers: Vec<Mutex<Worker>>,
    budget: &'a Budget,
    /// Bytes of numbered values before the pass, and those reserved for more of them since.
    interned: (usize, Mutex<usize>),
}

/// Called with what was found so far.
pub(crate) type OnFound<'a> = &'a dyn Fn(Found);

impl Pass<'_, '_> {
    /// Reads all planned blocks, or as many as the deadline allows.
    pub(crate) fn run(&self, run: &Run, budget: &Budget, caches: &Caches, on_found: Option<OnFound<'_>>) -> Result<Found, EngineError> {
        let threads = run.threads.min(self.units.len()).max(1);
        let take = |_| Mutex::new(Worker::new(self, caches.take_buffers()));
        let shared = Shared {
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            rows_done: AtomicU64::new(0),
            error: Mutex::new(None),
            workers: (0..threads).map(take).collect(),
            budget,
            interned: (self.interned_bytes(), Mutex::new(0)),
        };
        std::thread::scope(|scope| {
            for worker in 1..threads {
                let shared = &shared;
                scope.spawn(move || {
                    self.work(run, shared, worker, None);
                    shared.workers[worker].lock().states.number_coded();
                });
            }
            self.work(run, &shared, 0, on_found);
            if let Some(turn) = &run.turn {
                turn.dismiss();
            }
            shared.workers[0].lock().states.number_coded();
        });
        let mut reserved: usize = shared.workers.iter().map(|w| w.lock().reserved).sum();
        let mut error = shared.error.lock().take();
        let mut found: Option<Found> = None;
        for worker in shared.workers {
            let worker = worker.into_inner();
            let (rows_done, rows_scanned, rows_matched) = (worker.rows_done, worker.rows_scanned, worker.rows_matched);
            let (groups, states, buffers) = worker.into_buffers();
            caches.keep_buffers(buffers);
            let part = Found { groups, states, rows_done, rows_scanned, rows_matched };
            // Many groups: what they are merged into grows while they are still there. Few are merged in place.
            if found.is_some() && error.is_none() && part.groups.as_ref().is_some_and(|g| g.len() > FEW_GROUPS) {
                let bytes = part.memory();
                match budget.reserve(bytes, WHAT, HINT) {
                    Ok(()) => reserved += bytes,
                    Err(e) => error = Some(e),
                }
            }
            found = match found {
                _ if error.is_some() => None,
                None => Some(part),
                Some(before) => Some(self.combine(before, part)),
            };
        }
        budget.release(reserved + *shared.interned.1.lock());
        match (error, found) {
            (Some(e), _) => Err(e),
            (None, Some(found)) => Ok(found),
            (None, None) => Err(EngineError::Internal { what: "a pass has at least one thread" }),
        }
    }

    /// One thread's share.
    fn work(&self, run: &Run, shared: &Shared<'_>, who: usize, on_found: Option<OnFound<'_>>) {
        let (mut told, mut shown) = ((run.clock)(), (run.clock)());
        let mut mine = 0..0;
        let mut helper = run.turn.as_ref().filter(|_| who > 0).map(Helper::new);
        let done = || shared.stop.load(Ordering::Relaxed) || shared.next.load(Ordering::Relaxed) >= self.prepared.units.len();
        loop {
            if who == 0 {
                run.between();
            }
            // With blocks of its own in hand a thread does not wait: the others could not end.
            if let Some(helper) = helper.as_mut().filter(|_| mine.is_empty())
                && !helper.may_go_on(&done)
            {
                return;
            }
            if shared.stop.load(Ordering::Relaxed) {
                return;
            }
            if run.cancel.load(Ordering::Relaxed) {
                *shared.error.lock() = Some(EngineError::Cancelled);
                shared.stop.store(true, Ordering::Relaxed);
                return;
            }
            let now = (run.clock)();
            if run.deadline.is_some_and(|d| now >= d) {
                shared.stop.store(true, Ordering::Relaxed);
                return;
            }
            if mine.is_empty() {
                mine = self.take(shared);
            }
            let Some((segment, block)) = mine.next().and_then(|unit| self.units.get(unit)) else { return };
            let ready = &self.prepared.segments[*segment as usize];
            let mut worker = shared.workers[who].lock();
            if let Err(e) = worker.block(self, ready, *block as usize).and_then(|()| self.watch(&mut worker, shared)) {
                shared.error.lock().get_or_insert(e);
                shared.stop.store(true, Ordering::Relaxed);
                return;
            }
            drop(worker);
            let rows = ready.segment.block_rows(*block as usize) as u64;
            let rows_done = shared.rows_done.fetch_add(rows, Ordering::Relaxed) + rows;
            if who == 0 {
                self.tell(run, shared, rows_done, (&mut told, &mut shown), on_found);
            }
        }
    }

    /// The next blocks for a thread: several, so that threads fill different buckets, but fewer towards the end; if possible
    /// up to where a segment ends, so that they meet the values of different ones.
    fn take(&self, shared: &Shared<'_>) -> Range<usize> {
        let (n, threads) = (self.units.len(), shared.workers.len());
        let end = |next: usize| {
            let most = (n.saturating_sub(next) / (threads * 4)).clamp(1, BLOCKS_AT_ONCE);
            let segment = |unit: usize| self.units.get(unit).map(|(segment, _)| segment);
            let ends = |end: &usize| segment(*end - 1) != segment(*end);
            (next + most.div_ceil(2)..next + most).find(ends).unwrap_or(next + most)
        };
        let update = shared.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| Some(end(next)));
        let from = update.unwrap_or(n);
        from.min(n)..end(from).min(n)
    }

    /// Keeps a thread's memory inside the budget.
    fn watch(&self, worker: &mut Worker, shared: &Shared<'_>) -> Result<(), EngineError> {
        let budget = shared.budget;
        if shared.next.load(Ordering::Relaxed) < self.units.len() {
            worker.settle(self);
        }
        let interned = self.interned_bytes().saturating_sub(shared.interned.0);
        if interned > 0 {
            let mut reserved = shared.interned.1.lock();
            if interned > *reserved {
                budget.reserve(
                    interned - *reserved,
                    "values to group by",
                    "filter more, group by other columns, or narrow the time range",
                )?;
                *reserved = interned;
            }
        }
        let memory = worker.memory();
        if memory <= worker.reserved {
            return Ok(());
        }
        // Ask for more than is needed now, so as not to ask at every block.
        let more = memory - worker.reserved;
        match budget.reserve(more, WHAT, HINT) {
            Ok(()) => worker.reserved += more,
            Err(_) => {
                worker.states.compact();
                let memory = worker.memory();
                if memory > worker.reserved {
                    budget.reserve(memory - worker.reserved, WHAT, HINT)?;
                    worker.reserved = memory;
                }
            }
        }
        Ok(())
    }

    /// Bytes of values that get their numbers during the pass.
    fn interned_bytes(&self) -> usize {
        self.prepared.keys.iter().filter(|k| k.is_open()).map(|k| k.ids.interner.bytes()).sum()
    }

    fn tell(
        &self,
        run: &Run,
        shared: &Shared<'_>,
        rows_done: u64,
        (told, shown): (&mut Instant, &mut Instant),
        on_found: Option<OnFound<'_>>,
    ) {
        let now = (run.clock)();
        // A second pass, which reads the same again, tells nothing.
        if let Some(on_progress) = &run.on_progress
            && matches!(self.grouping, Grouping::Find { .. })
            && now.duration_since(*told) >= PROGRESS_EVERY
        {
            *told = now;
            on_progress(Progress { rows_done, rows_planned: self.prepared.rows_planned });
        }
        if let (Some((every, _)), Some(on_found)) = (&run.on_partial, on_found)
            && now.duration_since(*shown) >= *every
        {
            let mut found: Option<Found> = None;
            for worker in &shared.workers {
                let part = {
                    let w = worker.lock();
                    let mut states = w.states.clone();
                    states.number_coded();
                    Found {
                        groups: w.groups.clone(),
                        states,
                        rows_done: w.rows_done,
                        rows_scanned: w.rows_scanned,
                        rows_matched: w.rows_matched,
                    }
                };
                found = Some(match found {
                    None => part,
                    Some(before) => self.combine(before, part),
                });
            }
            if let Some(found) = found {
                on_found(found);
            }
            *shown = (run.clock)();
        }
    }

    /// Adds up what two threads found.
    fn combine(&self, mut a: Found, mut b: Found) -> Found {
        if let (Some(x), Some(y)) = (&a.groups, &b.groups)
            && y.is_slots()
            && !x.is_slots()
        {
            std::mem::swap(&mut a, &mut b);
        }
        let map = match (&mut a.groups, &b.groups) {
            (Some(x), Some(y)) => x.absorb(y),
            _ => None,
        };
        let n_groups = match (&a.groups, self.fixed_groups()) {
            (_, Some(n)) => n,
            (Some(groups), None) => groups.len(),
            (None, None) => 1,
        };
        a.states.resize((n_groups * self.n_buckets()).max(b.states.n_cells * usize::from(map.is_none())), n_groups);
        let map = map.as_deref().map_or(CellMap::Same, CellMap::To);
        a.states.merge(b.states, map, map);
        a.rows_done += b.rows_done;
        a.rows_scanned += b.rows_scanned;
        a.rows_matched += b.rows_matched;
        a
    }
}
