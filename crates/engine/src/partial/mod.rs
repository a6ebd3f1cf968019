//! Partial results: what a question found in a stretch of time is kept, and used again as long as the stretch holds the
//! same segments. A dashboard that is asked again costs only what is new.
//!
//! The range of a question is cut into chunks at fixed times. A chunk's piece of the answer depends on nothing but the
//! question and the immutable segments that have events in it, so those are what it is kept under. Pieces are added up in
//! any order without a difference in the answer (`calc::total`, `calc::quantile`): it is the same as without them.
//!
//! Owns: which questions are answered from pieces, making the missing ones, adding them up. Never does: read blocks.

mod chunks;
mod keep;
mod piece;

pub(crate) use chunks::Occupancy;
pub(crate) use keep::Pieces;

use crate::calc::count::SKIP;
use crate::calc::pack::context;
use crate::calc::quantile::EXACT;
use crate::calc::{CalcPlan, States};
use crate::execute::{Fields, Question, Sizes, plan_calcs};
use crate::intern::{Caches, ColumnIds};
use crate::memory::Budget;
use crate::plan::Plan;
use crate::run::{Run, parallel};
use crate::scan::group::{GroupPlan, Groups};
use crate::scan::keys::{KeyColumn, Numbering};
use crate::scan::place::Source;
use crate::scan::prepare::{Prepared, Shape, Wanted, prepare};
use crate::view::{Table, View};
use crate::{Answer, CalcOp, EngineError, Meta, OrderKey, Progress};
use chunks::Chunks;
use model::TimeNs;
use parking_lot::Mutex;
use piece::{Maker, Piece};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// Bytes of the pieces of one question, beyond which it is answered without.
const QUESTION_BYTES_MAX: usize = 96 << 20;
/// Stretches of missing chunks that are read one by one; more are read as one, with what lies between them.
const STRETCHES_MAX: usize = 4;
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
    let Some(chunks) = Chunks::of(source, plan, caches) else { return Ok(None) };
    let columns: Vec<Arc<ColumnIds>> = plan.breakdowns.iter().map(|b| caches.column(b.name())).collect();
    let distinct: Vec<Option<Arc<ColumnIds>>> =
        asked.wanted.fields.iter().map(|(f, distinct)| distinct.then(|| caches.column(f.name()))).collect();
    let context = context(&asked.calcs(None, &distinct, None));
    let key = keep::key(source, plan, run.totals, chunks.length_ns);
    let Some(mut pieces) = caches.pieces.find(&key, &chunks, &context, (&columns, &distinct)) else { return Ok(None) };
    let missing: Vec<usize> = (0..chunks.list.len()).filter(|i| pieces[*i].is_none()).collect();
    let budget = Budget::new(run);
    budget.reserve(source.overlays.bytes(), "calculated fields", "calculate fewer fields, or narrow the time range")?;
    if !missing.is_empty() {
        let made = Work { asked, chunks: &chunks, columns: &columns, distinct: &distinct, budget: &budget }.make(&mut pieces, &missing);
        match made {
            Ok(true) => {}
            // Without pieces there may be room.
            Ok(false) | Err(EngineError::Memory { .. }) => {
                caches.pieces.refuse(key);
                return Ok(None);
            }
            Err(e) => return Err(e),
        }
        caches.pieces.count_made(missing.len());
        caches.pieces.keep(key, &chunks, &context, (&columns, &distinct), &pieces);
    }
    if !pieces.is_empty() && pieces.iter().flatten().all(|p| !p.complete && p.rows_done == 0) {
        return Err(EngineError::Deadline);
    }
    asked.assemble(&pieces, 0, &columns, &distinct).map(Some)
}

impl Asked<'_> {
    fn calcs(&self, n_cells: Option<usize>, distinct: &[Option<Arc<ColumnIds>>], piece_rows: Option<u64>) -> CalcPlan {
        let bounds = distinct.iter().map(|d| d.as_ref().map(|ids| ids.interner.bound() + 1)).collect();
        let sizes = Sizes { n_cells, buckets: None, distinct: bounds, threads: 1, piece_rows };
        plan_calcs(self.plan, self.run, self.fields, self.shape, &sizes)
    }

    /// The states of all groups, those at [`SKIP`] left out.
    fn add_up(&self, calcs: &CalcPlan, pieces: &[&Piece], places: &[Vec<u32>], n_groups: usize) -> Result<States, EngineError> {
        let mut states = States::new(calcs);
        states.resize(n_groups, n_groups);
        for (piece, places) in pieces.iter().zip(places) {
            self.run.go_on()?;
            states.absorb(&piece.cells, places);
        }
        Ok(states)
    }

    /// The fields that decide which groups are in the answer, if that leaves out some groups and some fields.
    fn deciding(&self, n_groups: usize) -> Option<Vec<bool>> {
        let plan = self.plan;
        // The scale of a heatmap is that of all groups.
        if n_groups <= plan.limit || self.run.totals || plan.calculations.iter().any(|c| c.op == CalcOp::Heatmap) {
            return None;
        }
        let ordered = plan.orders.iter().filter_map(|o| if let OrderKey::Calc(c) = o.key { Some(c) } else { None });
        let by_default = plan.orders.is_empty().then_some(0);
        let mut deciding = vec![false; self.fields.n()];
        for calc in plan.havings.iter().map(|h| h.calc).chain(ordered).chain(by_default) {
            // A formula may look at anything.
            if let Some(field) = self.fields.of_calc.get(calc)? {
                deciding[*field] = true;
            }
        }
        deciding.contains(&false).then_some(deciding)
    }

    /// The fields of which some group has so many numbers that its percentiles are not exact.
    fn not_exact(&self, pieces: &[&Piece], places: &[Vec<u32>], n_groups: usize) -> Vec<usize> {
        let is_so = |field: &usize| {
            let mut n_numbers = vec![0; n_groups];
            pieces.iter().zip(places).any(|(piece, places)| {
                piece.cells.quantiles(*field).is_some_and(|quantiles| {
                    places.iter().enumerate().any(|(i, place)| {
                        let n = &mut n_numbers[*place as usize];
                        *n += quantiles.n_numbers(i);
                        *n >= u32::from(EXACT)
                    })
                })
            })
        };
        (0..self.fields.n()).filter(is_so).collect()
    }

    /// Adds up the pieces; `rows_missing` were planned for pieces that are not there.
    fn assemble(
        &self,
        pieces: &[Option<Arc<Piece>>],
        rows_missing: u64,
        columns: &[Arc<ColumnIds>],
        distinct: &[Option<Arc<ColumnIds>>],
    ) -> Result<Answer, EngineError> {
        let key = |ids: &Arc<ColumnIds>| KeyColumn { ids: Arc::clone(ids), numbering: Numbering::Interned, bound: u64::from(u32::MAX) };
        let keys: Vec<KeyColumn> = columns.iter().map(key).collect();
        let there: Vec<&Piece> = pieces.iter().flatten().map(|p| &**p).collect();
        let Numbered { mut groups, mut places } = Numbered::of(&there, &keys);
        let mut not_exact = Vec::new();
        // Of many groups only those of the answer are added up in full.
        if let Some(deciding) = self.deciding(groups.len()) {
            let calcs = self.calcs(Some(groups.len()), distinct, None).only(&deciding);
            let states = self.add_up(&calcs, &there, &places, groups.len())?;
            not_exact = self.not_exact(&there, &places, groups.len());
            let view = View::new(&calcs, states, None, self.run.threads);
            let table = Table::new(&keys, groups, view, None, &self.fields.of_calc, Meta::default(), false);
            let mut chosen = Groups::new(group_plan(&keys), false);
            let mut position = vec![SKIP; table.n_groups()];
            for g in table.selected(self.plan) {
                let ids: Vec<u32> = table.groups().ids(g as usize, keys.len()).iter().map(|id| *id as u32).collect();
                position[g as usize] = chosen.insert(&ids);
            }
            places.iter_mut().flatten().for_each(|place| *place = position[*place as usize]);
            groups = chosen;
        }
        let n_groups = groups.len();
        let calcs = self.calcs(Some(n_groups), distinct, None);
        let states = self.add_up(&calcs, &there, &places, n_groups)?;
        let mut meta = Meta { coverage: 1.0, ..Meta::default() };
        let (mut segments, mut done, mut planned) = (Vec::new(), 0, rows_missing);
        for piece in &there {
            meta.rows_scanned += piece.rows_scanned;
            meta.rows_matched += piece.rows_matched;
            segments.extend_from_slice(&piece.segments);
            done += piece.rows_done;
            planned += piece.rows_planned;
        }
        segments.sort_unstable();
        segments.dedup();
        meta.segments = segments.len() as u64;
        if !pieces.iter().all(|p| p.as_ref().is_some_and(|p| p.complete)) {
            meta.coverage = (done as f64 / planned.max(1) as f64).min(1.0 - f64::EPSILON);
            meta.note_partial();
        }
        let mut view = View::new(&calcs, states, None, self.run.threads);
        not_exact.into_iter().for_each(|field| view.blur(field));
        view.add_scales(self.plan, self.fields, &mut meta);
        let table = Table::new(&keys, groups, view, None, &self.fields.of_calc, meta, self.run.totals);
        let selected = table.selected(self.plan);
        let mut answer = table.answer(self.plan, None);
        if self.plan.series {
            let mut place = vec![SKIP; n_groups];
            for (i, g) in selected.iter().enumerate() {
                place[*g as usize] = i as u32;
            }
            for (piece, places) in there.iter().zip(&places) {
                let mut points: Vec<(TimeNs, u32, usize)> = Vec::new();
                for (i, (time, group, _)) in piece.points.iter().enumerate() {
                    let position = place.get(places[*group as usize] as usize).copied().unwrap_or(SKIP);
                    if position != SKIP {
                        points.push((*time, position, i));
                    }
                }
                points.sort_unstable();
                let n_labels = keys.len();
                for (time, position, i) in points {
                    let mut row = Vec::with_capacity(n_labels + self.plan.calculations.len());
                    row.extend_from_slice(&answer.results[position as usize][..n_labels]);
                    row.extend(piece.points[i].2.iter().enumerate().map(|(c, v)| table.view().unpack(v, self.fields.of_calc[c])));
                    answer.series.push((time, row));
                }
                for (time, values) in &piece.total_points {
                    let mut row = vec![crate::Cell::Null; n_labels];
                    row.extend(values.iter().enumerate().map(|(c, v)| table.view().unpack(v, self.fields.of_calc[c])));
                    answer.total_series.push((*time, row));
                }
            }
        }
        Ok(answer)
    }
}

/// The plan of groups that are numbered as they come.
fn group_plan(keys: &[KeyColumn]) -> Arc<GroupPlan> {
    Arc::new(if keys.is_empty() { GroupPlan::One } else { GroupPlan::tables(keys) })
}

/// The groups of some pieces together.
struct Numbered {
    groups: Groups,
    /// For each piece the position of each of its groups.
    places: Vec<Vec<u32>>,
}

impl Numbered {
    fn of(pieces: &[&Piece], keys: &[KeyColumn]) -> Numbered {
        let mut groups = Groups::new(group_plan(keys), false);
        let all = || pieces.iter().flat_map(|p| &p.groups);
        let places = match keys.len() {
            0 => pieces.iter().map(|p| vec![0; p.n_groups]).collect(),
            // By table, unless the numbers lie far apart.
            1 if all().max().is_none_or(|max| *max as usize <= 64 * 1024 + 4 * all().count()) => {
                let mut known = vec![SKIP; all().max().map_or(0, |max| *max as usize + 1)];
                let mut place = |id: &u32| {
                    let known = &mut known[*id as usize];
                    if *known == SKIP {
                        *known = groups.insert(&[*id]);
                    }
                    *known
                };
                pieces.iter().map(|p| p.groups.iter().map(&mut place).collect()).collect()
            }
            n => pieces.iter().map(|p| p.groups.chunks_exact(n).map(|ids| groups.insert(ids)).collect()).collect(),
        };
        Numbered { groups, places }
    }
}

/// Making of pieces.
struct Work<'a> {
    asked: &'a Asked<'a>,
    chunks: &'a Chunks,
    columns: &'a [Arc<ColumnIds>],
    distinct: &'a [Option<Arc<ColumnIds>>],
    budget: &'a Budget,
}

impl Work<'_> {
    /// Makes the pieces that are missing, the newest first; false if the question is better answered without.
    fn make(&self, pieces: &mut [Option<Arc<Piece>>], missing: &[usize]) -> Result<bool, EngineError> {
        let run = self.asked.run;
        let stretches = self.stretches(missing)?;
        let mut tasks: Vec<(&Stretch<'_>, usize)> = stretches.iter().flat_map(|s| s.chunks.clone().map(move |c| (s, c))).collect();
        tasks.reverse();
        let made: Mutex<Vec<Option<Arc<Piece>>>> = Mutex::new(pieces.to_vec());
        tasks.iter().for_each(|(_, chunk)| made.lock()[*chunk] = None);
        let (useless, bytes) = (AtomicBool::new(false), AtomicUsize::new(0));
        let planned: u64 = stretches.iter().map(|s| s.prepared.rows_planned).sum();
        let (rows_done, told, shown) = (AtomicU64::new(0), Mutex::new((run.clock)()), Mutex::new((run.clock)()));
        let results = parallel(run.threads, tasks.len(), |i| {
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
            let (first, last) = (&self.chunks.list[chunks.start], &self.chunks.list[chunks.end - 1]);
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
        let chunk = &self.chunks.list[chunk];
        Maker { question, columns: self.columns, distinct: self.distinct, totals: run.totals }.make(chunk)
    }

    /// The piece of a chunk that was not read.
    fn empty(&self, stretch: &Stretch<'_>, chunk: usize) -> Result<Arc<Piece>, EngineError> {
        if self.asked.run.cancel.load(Ordering::Relaxed) {
            return Err(EngineError::Cancelled);
        }
        let chunk = &self.chunks.list[chunk];
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
            if let Ok(answer) = self.asked.assemble(&so_far, rows_planned.saturating_sub(made), self.columns, self.distinct) {
                on_partial(crate::formula::finish(self.asked.plan, answer));
            }
            *shown = (run.clock)();
        }
    }
}

#[cfg(test)]
mod tests;
