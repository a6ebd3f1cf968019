//! Raw rows: the events themselves, newest first or as ordered.
//!
//! Owns: finding the rows of the answer while reading as little as possible. Never does: group or calculate.

use crate::caches::Caches;
use crate::plan::{OrderKey, Plan};
use crate::rank::compare;
use crate::run::{Run, parallel};
use crate::scan::apply::FilterBuffers;
use crate::scan::place::Source;
use crate::scan::prepare::{Prepared, Wanted, prepare};
use crate::scan::select::Rows;
use crate::{Answer, Cell, EngineError, Field, Meta, Progress, RawEvent};
use model::query::Direction;
use model::{TimeNs, Value};
use std::cmp::Ordering as Order;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use store::SegmentError;
use store::segment::{BLOCK_ROWS, Scratch};

/// Columns that a thread reads at a time.
const JOB_COLUMNS: usize = 8;

/// A row that may be in the answer.
#[derive(Clone, Debug)]
struct Candidate {
    time: TimeNs,
    /// Position among the prepared segments, and row in it.
    segment: u32,
    row: u32,
    /// Values of the columns that rows are ordered by.
    keys: Vec<Cell>,
}

struct Search<'a> {
    plan: &'a Plan,
    prepared: Prepared<'a>,
    source: Source<'a>,
    /// Rows are ordered by time alone, and this way.
    by_time: Option<Direction>,
    units: Vec<(u32, u32)>,
    next: AtomicUsize,
    stop: AtomicBool,
    /// Enough rows are known that come before this time; times are negated to search the oldest.
    cutoff: AtomicI64,
    scanned: AtomicU64,
    matched: AtomicU64,
    done: AtomicU64,
}

/// Answers a question for raw rows.
pub(crate) fn rows(source: Source<'_>, plan: &Plan, run: &Run, caches: &Caches) -> Result<Answer, EngineError> {
    let wanted = Wanted { plan, fields: Vec::new(), concurrency: false };
    let prepared = prepare(source, &wanted, caches, run)?;
    let by_time = match plan.orders.as_slice() {
        [] => Some(Direction::Descending),
        [first, ..] if first.key == OrderKey::Time => Some(first.direction),
        _ => None,
    };
    let mut units = prepared.units.clone();
    if by_time == Some(Direction::Ascending) {
        units.sort_by_key(|(s, b)| prepared.segments[*s as usize].segment.block_times(*b as usize).0);
    }
    let search = Search {
        plan,
        prepared,
        source,
        by_time,
        units,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        cutoff: AtomicI64::new(i64::MIN),
        scanned: AtomicU64::new(0),
        matched: AtomicU64::new(0),
        done: AtomicU64::new(0),
    };
    let threads = run.threads.min(search.units.len()).max(1);
    let mut candidates = Vec::new();
    for part in parallel(threads, threads, |who| search.work(run, who)) {
        candidates.extend(part?);
    }
    candidates.sort_by(|a, b| search.compare(a, b));
    candidates.truncate(plan.limit);
    let done = search.done.load(Ordering::Relaxed);
    if done == 0 && search.stop.load(Ordering::Relaxed) && search.prepared.rows_planned > 0 {
        return Err(EngineError::Deadline);
    }
    let events = search.events(&candidates, threads)?;
    let whole = !search.stop.load(Ordering::Relaxed);
    let coverage = if whole || search.prepared.rows_planned == 0 { 1.0 } else { done as f64 / search.prepared.rows_planned as f64 };
    let mut meta = Meta {
        rows_scanned: search.scanned.load(Ordering::Relaxed),
        rows_matched: search.matched.load(Ordering::Relaxed),
        segments: search.prepared.segments.len() as u64,
        coverage,
        ..Meta::default()
    };
    if coverage < 1.0 {
        meta.notes.push("stopped before all events were read".to_owned());
    }
    Ok(Answer { start_ns: plan.start_ns, end_ns: plan.end_ns, raw: Some(events), meta, ..Answer::default() })
}

impl Search<'_> {
    fn compare(&self, a: &Candidate, b: &Candidate) -> Order {
        let mut keys = a.keys.iter().zip(&b.keys);
        for order in &self.plan.orders {
            let by = match order.key {
                OrderKey::Time if order.direction == Direction::Ascending => a.time.cmp(&b.time),
                OrderKey::Time => b.time.cmp(&a.time),
                _ => keys.next().map_or(Order::Equal, |(x, y)| compare(x, y, order.direction)),
            };
            if by.is_ne() {
                return by;
            }
        }
        b.time.cmp(&a.time).then_with(|| (a.segment, b.row).cmp(&(b.segment, a.row)))
    }

    /// The time of a row as `cutoff` counts it: larger comes first.
    fn lead(&self, time: TimeNs) -> i64 {
        if self.by_time == Some(Direction::Ascending) { time.saturating_neg() } else { time }
    }

    /// One thread's share of the blocks: the best rows of them.
    fn work(&self, run: &Run, who: usize) -> Result<Vec<Candidate>, EngineError> {
        let (mut filter, mut scratch) = (FilterBuffers::default(), Scratch::default());
        let mut best = Vec::new();
        let mut told = (run.clock)();
        loop {
            if who == 0 {
                run.between();
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(best);
            }
            if run.cancel.load(Ordering::Relaxed) {
                return Err(EngineError::Cancelled);
            }
            let now = (run.clock)();
            if run.deadline.is_some_and(|d| now >= d) {
                self.stop.store(true, Ordering::Relaxed);
                return Ok(best);
            }
            let Some(&(segment, block)) = self.units.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return Ok(best) };
            let ready = &self.prepared.segments[segment as usize];
            let n = ready.segment.block_rows(block as usize) as u64;
            let (first, last) = ready.segment.block_times(block as usize);
            let foremost = if self.by_time == Some(Direction::Ascending) { first } else { last };
            if self.by_time.is_some() && self.lead(foremost) < self.cutoff.load(Ordering::Relaxed) {
                // Blocks come in order of their foremost row: nothing that follows is any better.
                self.done.fetch_add(n, Ordering::Relaxed);
                return Ok(best);
            }
            self.block(segment, block, &mut best, &mut filter, &mut scratch)?;
            let rows_done = self.done.fetch_add(n, Ordering::Relaxed) + n;
            if let Some(on_progress) = &run.on_progress
                && who == 0
                && now.duration_since(told).as_millis() >= 50
            {
                told = now;
                on_progress(Progress { rows_done, rows_planned: self.prepared.rows_planned });
            }
        }
    }

    fn block(
        &self,
        segment: u32,
        block: u32,
        best: &mut Vec<Candidate>,
        filter: &mut FilterBuffers,
        scratch: &mut Scratch,
    ) -> Result<(), EngineError> {
        let ready = &self.prepared.segments[segment as usize];
        let store = ready.segment;
        let times = store.read_times(block as usize, scratch)?;
        let low = times.partition_point(|t| *t < self.plan.start_ns);
        let high = times.partition_point(|t| *t < self.plan.end_ns).max(low);
        self.scanned.fetch_add((high - low) as u64, Ordering::Relaxed);
        let rows = ready.filter.select(store.block_rows(block as usize), block as usize, (low, high), filter, scratch)?;
        if rows.len() == 0 {
            return Ok(());
        }
        self.matched.fetch_add(rows.len() as u64, Ordering::Relaxed);
        // Of one block, by time, only the foremost rows can be in the answer.
        let keep = match self.by_time {
            Some(Direction::Descending) if self.plan.orders.len() <= 1 => rows.skip(rows.len().saturating_sub(self.plan.limit)),
            Some(Direction::Ascending) if self.plan.orders.len() <= 1 => match rows {
                Rows::Range(low, high) => Rows::Range(low, high.min(low + self.plan.limit)),
                Rows::List(list) => Rows::List(&list[..list.len().min(self.plan.limit)]),
            },
            _ => rows,
        };
        let base = block as usize * BLOCK_ROWS;
        let mut failed = None;
        let (from, kept) = (best.len(), keep.len());
        best.reserve(kept);
        let mut found: Vec<u32> = Vec::with_capacity(kept);
        keep.each(|_, row| found.push(row as u32));
        let times = store.read_times(block as usize, scratch)?;
        let cutoff = self.cutoff.load(Ordering::Relaxed);
        for row in found {
            let time = times[row as usize];
            if self.by_time.is_some() && self.lead(time) < cutoff {
                continue;
            }
            best.push(Candidate { time, segment, row: row + base as u32, keys: Vec::new() });
        }
        for candidate in &mut best[from..] {
            match self.keys(candidate) {
                Ok(keys) => candidate.keys = keys,
                Err(e) => failed = Some(e),
            }
        }
        if let Some(e) = failed {
            return Err(e);
        }
        if best.len() > self.plan.limit.max(1024) * 2 || (best.len() > self.plan.limit && self.by_time.is_some()) {
            best.select_nth_unstable_by(self.plan.limit - 1, |a, b| self.compare(a, b));
            best.truncate(self.plan.limit);
            if self.by_time.is_some() {
                let least = best.iter().map(|c| self.lead(c.time)).min().unwrap_or(i64::MIN);
                self.cutoff.fetch_max(least, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// The values that a row is ordered by, except its time.
    fn keys(&self, c: &Candidate) -> Result<Vec<Cell>, EngineError> {
        let mut keys = Vec::new();
        for order in &self.plan.orders {
            if let OrderKey::Field(field) = &order.key {
                keys.push(self.cell(c, field)?);
            }
        }
        Ok(keys)
    }

    fn cell(&self, c: &Candidate, field: &Field) -> Result<Cell, EngineError> {
        let ready = &self.prepared.segments[c.segment as usize];
        let value = |name: &str| -> Result<Value, EngineError> {
            for column in ready.segment.find(name) {
                match ready.segment.cell(&column, c.row as usize)? {
                    Value::Null => {}
                    v => return Ok(v.canonical()),
                }
            }
            Ok(Value::Null)
        };
        Ok(match field {
            Field::Column(name) => value(name)?.into(),
            Field::Computed(_) => {
                for place in self.source.places(ready.index, field)? {
                    match place.cell(c.row as usize)? {
                        Value::Null => {}
                        v => return Ok(v.canonical().into()),
                    }
                }
                Cell::Null
            }
            Field::IsRoot => Cell::Bool(value(model::columns::PARENT_ID)? == Value::Null),
            Field::Dataset => Cell::Str(self.source.dataset(ready.index).into()),
        })
    }

    /// Adds a computed field to rows of a segment; it goes before a column of the same name.
    fn show(&self, field: &Field, index: usize, members: &[usize], rows: &[usize], events: &mut [RawEvent]) -> Result<(), EngineError> {
        let name: Arc<str> = field.name().into();
        for i in members {
            events[*i].fields.retain(|(n, _)| *n != name);
        }
        for place in self.source.places(index, field)? {
            for (i, value) in members.iter().zip(place.cells(rows)?) {
                if value != Value::Null {
                    events[*i].fields.push((Arc::clone(&name), value));
                }
            }
        }
        Ok(())
    }

    /// The rows with all their fields; column by column, which is much cheaper than row by row.
    fn events(&self, candidates: &[Candidate], threads: usize) -> Result<Vec<RawEvent>, EngineError> {
        let mut by_segment: Vec<(u32, Vec<usize>)> = Vec::new();
        for (i, c) in candidates.iter().enumerate() {
            match by_segment.iter_mut().find(|(s, _)| *s == c.segment) {
                Some((_, members)) => members.push(i),
                None => by_segment.push((c.segment, vec![i])),
            }
        }
        let mut events = Vec::with_capacity(candidates.len());
        for c in candidates {
            let ready = &self.prepared.segments[c.segment as usize];
            let (time, sample_rate) = ready.segment.row_time(c.row as usize)?;
            let dataset = self.source.datasets.get(ready.index).map(Arc::clone);
            events.push(RawEvent { time, sample_rate, dataset, fields: Vec::new() });
        }
        for (segment, members) in by_segment {
            let index = self.prepared.segments[segment as usize].index;
            let segment = self.prepared.segments[segment as usize].segment;
            let rows: Vec<usize> = members.iter().map(|i| candidates[*i].row as usize).collect();
            let n = segment.n_columns();
            let threads = if n * rows.len() < 20_000 { 1 } else { threads };
            let columns = |job: usize| (job * JOB_COLUMNS..((job + 1) * JOB_COLUMNS).min(n)).filter_map(|i| segment.column_at(i));
            let jobs = parallel(threads, n.div_ceil(JOB_COLUMNS), |job| {
                columns(job).map(|column| Ok((column.name, segment.cells(&column, &rows)?))).collect::<Result<Vec<_>, SegmentError>>()
            });
            for job in jobs {
                for (name, cells) in job? {
                    let mut shared: Option<Arc<str>> = None;
                    for (i, value) in members.iter().zip(cells) {
                        if value != Value::Null {
                            let name = shared.get_or_insert_with(|| name.into());
                            events[*i].fields.push((Arc::clone(name), value));
                        }
                    }
                }
            }
            for field in &self.plan.shown {
                self.show(field, index, &members, &rows, &mut events)?;
            }
        }
        Ok(events)
    }
}
