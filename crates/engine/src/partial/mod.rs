//! Partial results: what a question found in a stretch of time is kept, and used again as long as the stretch holds the
//! same segments. A dashboard that is asked again costs only what is new.
//!
//! The range of a question is cut into chunks at fixed times. A chunk's piece of the answer depends on nothing but the
//! question and the immutable segments that have events in it, so those are what it is kept under. Pieces are added up in
//! any order without a difference in the answer (`calc::total`, `calc::quantile`): it is the same as without them.
//!
//! Owns: which questions are answered from pieces, making the missing ones, adding them up. Never does: read blocks.

mod add;
mod chunks;
mod keep;
mod middle;
mod piece;

pub(crate) use chunks::Occupancy;
pub(crate) use keep::Pieces;
pub(crate) use middle::BYTES_MAX as MIDDLE_BYTES_MAX;

use crate::caches::{Caches, ColumnIds};
use crate::calc::CalcPlan;
use crate::calc::pack::context;
use crate::execute::{Fields, Question, Sizes, plan_calcs};
use crate::memory::Budget;
use crate::plan::Plan;
use crate::run::{Run, parallel};
use crate::scan::place::Source;
use crate::scan::prepare::{Prepared, Shape, Wanted, prepare};
use crate::{Answer, CalcOp, EngineError, Progress};
use chunks::{Chunk, Chunks};
use parking_lot::Mutex;
use piece::{Maker, Piece};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// Bytes of the pieces of one question, beyond which it is answered without.
const QUESTION_BYTES_MAX: usize = 96 << 20;
/// Stretches of missing chunks that are made ready one by one; more are made ready as one, with what lies between them.
const STRETCHES_MAX: usize = 4;
/// A further thread for so many rows to be read: it has to be started.
const ROWS_PER_THREAD: u64 = 1 << 16;
/// How often progress is told.
const PROGRESS_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

/// A question that may be answered from pieces.
pub(crate) struct Asked<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) run: &'a Run,
    pub(crate) caches: &'a Caches,
    pub(crate) fields: &'a Fields,
    pub(crate) wanted: &'a Wanted<'a>,
    pub(crate) shape: &'a Shape,
}

/// Neighbouring chunks whose pieces are missing.
struct Stretch<'a> {
    plan: Plan,
    chunks: std::ops::Range<usize>,
    prepared: Prepared<'a>,
}

/// Whether pieces of an answer can be added up: not where neighbouring times look at each other, or events at others.
fn is_fit(plan: &Plan) -> bool {
    !plan.is_raw() && !plan.is_relational() && plan.calculations.iter().all(|c| !c.op.is_rate() && c.op != CalcOp::Concurrency)
}

/// Answers a question from pieces; none if it is better answered without.
pub(crate) fn table(asked: &Asked<'_>) -> Result<Option<Answer>, EngineError> {
    let Asked { source, plan, run, caches, .. } = *asked;
    if !run.cache || !is_fit(plan) {
        return Ok(None);
    }
    let key = keep::key(source, plan, run.totals);
    let Some(chunks) = Chunks::of(source, plan, caches, &key) else { return Ok(None) };
    let key = keep::with_length(&key, chunks.length_ns);
    let columns: Vec<Arc<ColumnIds>> = plan.breakdowns.iter().map(|b| caches.column(b.name())).collect();
    let distinct: Vec<Option<Arc<ColumnIds>>> =
        asked.wanted.fields.iter().map(|(f, distinct)| distinct.then(|| caches.column(f.name()))).collect();
    let context = context(&asked.calcs(None, &distinct, None));
    let Some(mut found) = caches.pieces.find(&key, &chunks, &context, (&columns, &distinct)) else { return Ok(None) };
    let missing: Vec<usize> = (0..found.parts.len()).filter(|i| found.pieces[*i].is_none()).collect();
    let budget = Budget::new(run);
    budget.reserve(source.overlays.bytes(), "calculated fields", "calculate fewer fields, or narrow the time range")?;
    if !missing.is_empty() {
        let work = Work { asked, parts: &found.parts, columns: &columns, distinct: &distinct, budget: &budget };
        match work.make(&mut found.pieces, &missing) {
            Ok(true) => {}
            // Without pieces there may be room.
            Ok(false) | Err(EngineError::Memory { .. }) => {
                caches.pieces.refuse(key);
                return Ok(None);
            }
            Err(e) => return Err(e),
        }
        caches.pieces.count_made(missing.len());
    }
    // Parts of a chunk that is whole by now become one.
    let (mut pieces, mut new, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for (chunk, of) in chunks.list.iter().zip(&found.of) {
        let parts: Vec<Arc<Piece>> = found.pieces[of.clone()].iter().flatten().map(Arc::clone).collect();
        let joined =
            if of.len() > 1 && parts.iter().all(|p| p.complete) { asked.join(Some(chunk), &parts, &columns, &distinct)? } else { None };
        match joined.map(Arc::new) {
            Some(joined) => {
                new.push((chunk, Arc::clone(&joined)));
                pieces.push(Some(joined));
            }
            None => pieces.extend(parts.into_iter().map(Some)),
        }
        let length_ns = chunk.place.filter(|_| pieces.len() == lengths.len() + 1).map_or(0, |place| place.0);
        lengths.resize(pieces.len(), length_ns);
    }
    new.extend(missing.iter().filter_map(|i| Some((&found.parts[*i], Arc::clone(found.pieces[*i].as_ref()?)))));
    let (middle, chooser) = asked.shorten(&mut pieces, &lengths, found.middle.take(), missing.len(), (&columns, &distinct))?;
    if !new.is_empty() || middle.is_some() {
        caches.pieces.keep(key, &chunks, &context, (&columns, &distinct), &new, middle);
    }
    if !pieces.is_empty() && pieces.iter().flatten().all(|p| !p.complete && p.rows_done == 0) {
        return Err(EngineError::Deadline);
    }
    asked.assemble(&pieces, 0, (&columns, &distinct), chooser).map(Some)
}

impl Asked<'_> {
    fn calcs(&self, n_cells: Option<usize>, distinct: &[Option<Arc<ColumnIds>>], piece_rows: Option<u64>) -> CalcPlan {
        let bounds = distinct.iter().map(|d| d.as_ref().map(|ids| ids.interner.bound() + 1)).collect();
        let sizes = Sizes { n_cells, buckets: None, distinct: bounds, threads: 1, piece_rows };
        plan_calcs(self.plan, self.run, self.fields, self.shape, &sizes)
    }
}

/// Making of pieces.
struct Work<'a> {
    asked: &'a Asked<'a>,
    /// Of which the pieces of some are missing.
    parts: &'a [Chunk],
    columns: &'a [Arc<ColumnIds>],
    distinct: &'a [Option<Arc<ColumnIds>>],
    budget: &'a Budget,
}

impl Work<'_> {
    /// Makes the pieces that are missing, the newest first; false if the question is better answered without.
    fn make(&self, pieces: &mut [Option<Arc<Piece>>], missing: &[usize]) -> Result<bool, EngineError> {
        let run = self.asked.run;
        let stretches = self.stretches(missing)?;
        let is_missing = |chunk: &usize| pieces[*chunk].is_none();
        let mut tasks: Vec<(&Stretch<'_>, usize)> =
            stretches.iter().flat_map(|s| s.chunks.clone().filter(is_missing).map(move |c| (s, c))).collect();
        tasks.reverse();
        let made: Mutex<Vec<Option<Arc<Piece>>>> = Mutex::new(pieces.to_vec());
        let (useless, bytes) = (AtomicBool::new(false), AtomicUsize::new(0));
        let planned: u64 = tasks.iter().map(|(s, c)| s.prepared.units_between(self.parts[*c].start_ns, self.parts[*c].end_ns).1).sum();
        let (rows_done, told, shown) = (AtomicU64::new(0), Mutex::new((run.clock)()), Mutex::new((run.clock)()));
        let threads = run.threads.min((planned / ROWS_PER_THREAD) as usize + 1);
        let results = parallel(threads, tasks.len(), |i| {
            let (stretch, chunk) = tasks[i];
            if useless.load(Ordering::Relaxed) || run.deadline.is_some_and(|d| (run.clock)() >= d) {
                return self.empty(stretch, chunk).map(|p| made.lock()[chunk] = Some(p));
            }
            let Some(piece) = self.piece(stretch, chunk)? else {
                useless.store(true, Ordering::Relaxed);
                return Ok(());
            };
            let rows = rows_done.fetch_add(piece.rows_done, Ordering::Relaxed) + piece.rows_done;
            if bytes.fetch_add(piece.bytes, Ordering::Relaxed) + piece.bytes > QUESTION_BYTES_MAX {
                useless.store(true, Ordering::Relaxed);
            }
            made.lock()[chunk] = Some(Arc::new(piece));
            self.tell(rows, planned, &tasks, (&told, &shown), &made);
            Ok(())
        });
        results.into_iter().collect::<Result<(), EngineError>>()?;
        if useless.into_inner() {
            return Ok(false);
        }
        pieces.clone_from_slice(&made.into_inner());
        Ok(true)
    }

    /// What has to be read, made ready.
    fn stretches(&self, missing: &[usize]) -> Result<Vec<Stretch<'_>>, EngineError> {
        let Asked { source, plan, run, caches, wanted, .. } = *self.asked;
        let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
        for i in missing {
            match ranges.last_mut() {
                Some(last) if last.end == *i => last.end = i + 1,
                _ => ranges.push(*i..i + 1),
            }
        }
        if ranges.len() > STRETCHES_MAX {
            let whole = ranges.first().map_or(0, |r| r.start)..ranges.last().map_or(0, |r| r.end);
            ranges = vec![whole];
        }
        let stretch = |chunks: std::ops::Range<usize>| {
            let (first, last) = (&self.parts[chunks.start], &self.parts[chunks.end - 1]);
            let plan = Plan { start_ns: first.start_ns, end_ns: last.end_ns, ..plan.clone() };
            let wanted = Wanted { plan: &plan, fields: wanted.fields.clone(), concurrency: false };
            let prepared = prepare(source, &wanted, caches, run)?;
            Ok(Stretch { plan, chunks, prepared })
        };
        ranges.into_iter().map(stretch).collect()
    }

    /// The piece of one chunk; none if the question is better answered without pieces.
    fn piece(&self, stretch: &Stretch<'_>, chunk: usize) -> Result<Option<Piece>, EngineError> {
        let Asked { run, caches, fields, shape, .. } = *self.asked;
        let alone = run.quiet(1);
        let question =
            Question { run: &alone, caches, fields, shape, budget: self.budget, plan: &stretch.plan, prepared: &stretch.prepared };
        let chunk = &self.parts[chunk];
        Maker { question, columns: self.columns, distinct: self.distinct, totals: run.totals }.make(chunk)
    }

    /// The piece of a chunk that was not read.
    fn empty(&self, stretch: &Stretch<'_>, chunk: usize) -> Result<Arc<Piece>, EngineError> {
        if self.asked.run.cancel.load(Ordering::Relaxed) {
            return Err(EngineError::Cancelled);
        }
        let chunk = &self.parts[chunk];
        let (_, rows_planned) = stretch.prepared.units_between(chunk.start_ns, chunk.end_ns);
        Ok(Arc::new(Piece { rows_planned, ..Piece::default() }))
    }

    /// Tells how far it is, and what is known so far.
    fn tell(
        &self,
        rows_done: u64,
        rows_planned: u64,
        tasks: &[(&Stretch<'_>, usize)],
        (told, shown): (&Mutex<Instant>, &Mutex<Instant>),
        made: &Mutex<Vec<Option<Arc<Piece>>>>,
    ) {
        let run = self.asked.run;
        if let Some(on_progress) = &run.on_progress
            && let Some(mut told) = told.try_lock()
            && (run.clock)().duration_since(*told) >= PROGRESS_EVERY
        {
            on_progress(Progress { rows_done, rows_planned });
            *told = (run.clock)();
        }
        if let Some((every, on_partial)) = &run.on_partial
            && let Some(mut shown) = shown.try_lock()
            && (run.clock)().duration_since(*shown) >= *every
        {
            let so_far = made.lock().clone();
            let made: u64 = tasks.iter().filter_map(|(_, chunk)| so_far[*chunk].as_ref()).map(|p| p.rows_planned).sum();
            if let Ok(answer) = self.asked.assemble(&so_far, rows_planned.saturating_sub(made), (self.columns, self.distinct), None) {
                on_partial(crate::formula::finish(self.asked.plan, answer));
            }
            *shown = (run.clock)();
        }
    }
}

#[cfg(test)]
mod tests;
