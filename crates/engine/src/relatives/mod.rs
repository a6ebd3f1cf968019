//! Relatives: other events of the same trace that a question looks at (`root.`, `parent.`, `child.`, `any.`, `none.`).
//!
//! They are looked for among all events of the asked datasets in the question's range and a margin around it. What is found
//! is an array from events to their relatives; computed columns are made of it (`overlay::related`).
//!
//! Owns: what is found, once per question and relation. Never does: keep anything between questions, make columns.

mod gather;
mod links;
pub(crate) mod reach;
#[cfg(test)]
mod tests;
mod traces;

pub(crate) use gather::Gathered;

use crate::EngineError;
use crate::answer::Relations;
use crate::caches::Caches;
use crate::plan::{Condition, Field, Relation};
use crate::run::{Run, parallel};
use crate::scan::apply::FilterBuffers;
use crate::scan::filter::Filter;
use crate::scan::place::Source;
use hashbrown::HashMap;
use links::Links;
use model::TimeNs;
use model::columns::{PARENT_ID, SPAN_ID};
use parking_lot::Mutex;
use reach::{NONE, Reach};
use std::ops::Range;
use std::sync::Arc;
use traces::{Firsts, Order, Traces};

/// Bytes per row of what is read first, and of ids of spans.
const BYTES_PER_ROW: usize = 12;
const ID_BYTES: usize = 8;

/// What is found by key, each once, however many threads ask for it.
type ByKey<T> = Mutex<HashMap<Arc<str>, Slot<T>>>;
type Slot<T> = Arc<Mutex<Option<Arc<T>>>>;

/// What the slot holds, or else what `make` makes; others wait for it meanwhile.
fn once<T>(slot: &Mutex<Option<Arc<T>>>, make: impl FnOnce() -> Result<T, EngineError>) -> Result<Arc<T>, EngineError> {
    let mut slot = slot.lock();
    if let Some(known) = &*slot {
        return Ok(Arc::clone(known));
    }
    let made = Arc::new(make()?);
    *slot = Some(Arc::clone(&made));
    Ok(made)
}

fn once_by<T>(all: &ByKey<T>, key: &str, make: impl FnOnce() -> Result<T, EngineError>) -> Result<Arc<T>, EngineError> {
    let slot = Arc::clone(all.lock().entry(key.into()).or_default());
    once(&slot, make)
}

/// The events in reach and their traces.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) reach: Reach,
    pub(crate) traces: Traces,
    /// Of each part the rows of the segment that are in the range of the question.
    range: Vec<(usize, usize)>,
}

impl Base {
    /// The rows of a part that are in the range of the question, by their numbers.
    fn in_range(&self, part: usize) -> Range<usize> {
        let (part, (low, high)) = (&self.reach.parts[part], self.range[part]);
        part.base + low - part.rows.0..part.base + high - part.rows.0
    }

    /// How many rows in the range of the question are such.
    fn count(&self, run: &Run, is: impl Fn(usize) -> bool + Sync) -> Result<u64, EngineError> {
        let counts = self.reach.each(run, |_, task, _| {
            let inside = self.in_range(task.part);
            Ok((inside.start.max(task.base)..inside.end.min(task.base + task.len())).filter(|row| is(*row)).count() as u64)
        })?;
        Ok(counts.into_iter().sum())
    }
}

/// The first relative of each event.
#[derive(Debug)]
pub(crate) enum Found {
    /// By trace.
    OfTrace(Vec<u32>),
    /// By event: its parent if that passes.
    Parents { links: Arc<Links>, passes: Option<Vec<bool>>, first_twins: Vec<u32> },
    /// By the first span of those that have the same id.
    Children { links: Arc<Links>, first: Vec<u32> },
}

impl Found {
    /// The first relative of a row; [`NONE`] if it has none.
    #[inline(always)]
    pub(crate) fn of(&self, base: &Base, row: u32) -> u32 {
        match self {
            Found::OfTrace(first) => first[base.traces.of_row[row as usize] as usize],
            Found::Parents { links, passes, first_twins } => {
                let parent = links.parent[row as usize];
                let Some(passes) = passes.as_ref().filter(|_| parent != NONE) else { return parent };
                match links.twins(parent) {
                    Some(i) => first_twins[i],
                    None if passes[parent as usize] => parent,
                    None => NONE,
                }
            }
            Found::Children { links, first } => first[links.head(row) as usize],
        }
    }
}

/// What one question has found so far.
#[derive(Debug)]
pub(crate) struct Relatives {
    /// Relatives of events in this time are looked for.
    range: (TimeNs, TimeNs),
    /// In this time.
    reach: (TimeNs, TimeNs),
    base: Slot<Base>,
    spans: Slot<Vec<u64>>,
    links: Slot<Links>,
    found: ByKey<Found>,
    gathered: ByKey<Gathered>,
    counts: Mutex<Relations>,
}

impl Relatives {
    pub(crate) fn new(range: (TimeNs, TimeNs), reach: (TimeNs, TimeNs)) -> Relatives {
        let counts = Relations { events_from_ns: reach.0, events_to_ns: reach.1, ..Relations::default() };
        Relatives {
            range,
            reach,
            base: Slot::default(),
            spans: Slot::default(),
            links: Slot::default(),
            found: ByKey::default(),
            gathered: ByKey::default(),
            counts: Mutex::new(counts),
        }
    }

    /// Where relatives were looked for, and how many events lack them.
    pub(crate) fn told(&self) -> Relations {
        self.counts.lock().clone()
    }

    pub(crate) fn base(&self, source: Source<'_>, run: &Run, caches: Option<&Caches>) -> Result<Arc<Base>, EngineError> {
        once(&self.base, || {
            let reach = Reach::new(source, self.reach)?;
            source.overlays.count_relatives(reach.n_rows.saturating_mul(BYTES_PER_ROW))?;
            if reach.n_rows >= NONE as usize {
                return Err(source.overlays.too_many_relatives());
            }
            let range = reach.parts.iter().map(|part| {
                let (low, high) = reach::rows_between(&source.segments[part.index], self.range)?;
                let low = low.clamp(part.rows.0, part.rows.1);
                Ok((low, high.clamp(low, part.rows.1)))
            });
            let range = range.collect::<Result<_, EngineError>>()?;
            let traces = Traces::read(source, &reach, run, caches)?;
            source.overlays.count_relatives(traces.bound.saturating_mul(4))?;
            Ok(Base { reach, traces, range })
        })
    }

    /// The ids of spans.
    fn spans(&self, source: Source<'_>, base: &Base, run: &Run) -> Result<Arc<Vec<u64>>, EngineError> {
        once(&self.spans, || {
            source.overlays.count_relatives(base.reach.n_rows * ID_BYTES)?;
            traces::ids(source, &base.reach, SPAN_ID, run)
        })
    }

    fn links(&self, source: Source<'_>, base: &Base, run: &Run) -> Result<Arc<Links>, EngineError> {
        once(&self.links, || {
            let spans = self.spans(source, base, run)?;
            let (join, stay) = Links::BYTES_PER_ROW;
            source.overlays.count_relatives(base.reach.n_rows * (join + stay))?;
            let parents = traces::ids(source, &base.reach, PARENT_ID, run)?;
            let links = Links::join(&base.traces, &spans, &parents, run)?;
            source.overlays.uncount(base.reach.n_rows * join);
            let orphan = |row: usize| parents[row] != 0 && base.traces.of_row[row] != 0 && links.parent[row] == NONE;
            self.counts.lock().without_parent = Some(base.count(run, orphan)?);
            Ok(links)
        })
    }

    /// The first relatives that satisfy all of these conditions.
    pub(crate) fn find(
        &self,
        source: Source<'_>,
        base: &Base,
        (relation, conditions): (Relation, &[Condition]),
        run: &Run,
    ) -> Result<Arc<Found>, EngineError> {
        // All and none differ in what is made of it.
        let relation = if relation == Relation::None { Relation::Any } else { relation };
        let key = crate::plan::relatives_key(relation, conditions);
        once_by(&self.found, &key, || {
            let n = base.reach.n_rows;
            source.overlays.count_relatives(if conditions.is_empty() { 0 } else { n })?;
            let passes = passing(source, &base.reach, conditions, run)?;
            let pass = |row: u32| passes.as_ref().is_none_or(|p| p[row as usize]);
            Ok(match relation {
                Relation::Root => {
                    let roots = self.roots(source, base, run)?;
                    Found::OfTrace(roots.into_iter().map(|root| if root != NONE && pass(root) { root } else { NONE }).collect())
                }
                Relation::Any | Relation::None => {
                    let each = |firsts: &Firsts, order: &Order<'_>, task: &reach::Task| {
                        for row in task.base..task.base + task.len() {
                            let trace = base.traces.of_row[row];
                            if trace != 0 && pass(row as u32) {
                                firsts.offer(trace as usize, row as u32, order);
                            }
                        }
                    };
                    let found = self.firsts(source, base, base.traces.bound, run, |firsts, order, task, _| {
                        each(firsts, order, task);
                        Ok(())
                    })?;
                    Found::OfTrace(found)
                }
                Relation::Parent => {
                    let links = self.links(source, base, run)?;
                    let first_twins = links.first_twins(pass);
                    Found::Parents { links, passes, first_twins }
                }
                Relation::Child => {
                    let links = self.links(source, base, run)?;
                    source.overlays.count_relatives(n * 4)?;
                    let first = self.firsts(source, base, n, run, |firsts, order, task, _| {
                        for row in task.base..task.base + task.len() {
                            let parent = links.parent[row];
                            if parent != NONE && pass(row as u32) {
                                firsts.offer(parent as usize, row as u32, order);
                            }
                        }
                        Ok(())
                    })?;
                    Found::Children { links, first }
                }
            })
        })
    }

    /// The root of each trace.
    fn roots(&self, source: Source<'_>, base: &Base, run: &Run) -> Result<Vec<u32>, EngineError> {
        let places: Vec<Vec<_>> = base.reach.parts.iter().map(|p| source.stored(p.index, PARENT_ID).collect()).collect();
        let roots = self.firsts(source, base, base.traces.bound, run, |firsts, order, task, scratch| {
            let mut lacks = vec![false; task.len()];
            traces::lacks(&places[task.part], task, scratch, &mut lacks)?;
            for (i, _) in lacks.iter().enumerate().filter(|(_, lacks)| **lacks) {
                let trace = base.traces.of_row[task.base + i];
                if trace != 0 {
                    firsts.offer(trace as usize, (task.base + i) as u32, order);
                }
            }
            Ok(())
        })?;
        let of_row = &base.traces.of_row;
        let without = base.count(run, |row| of_row[row] != 0 && roots[of_row[row] as usize] == NONE)?;
        self.counts.lock().without_root = Some(without);
        Ok(roots)
    }

    /// Of each of `n` things the first row that is offered.
    fn firsts(
        &self,
        source: Source<'_>,
        base: &Base,
        n: usize,
        run: &Run,
        offer: impl Fn(&Firsts, &Order<'_>, &reach::Task, &mut store::segment::Scratch) -> Result<(), EngineError> + Sync,
    ) -> Result<Vec<u32>, EngineError> {
        let all = |order: &Order<'_>| {
            let firsts = Firsts::new(n);
            base.reach.each(run, |_, task, scratch| offer(&firsts, order, task, scratch))?;
            Ok::<_, EngineError>(firsts.into_rows())
        };
        let order = Order::new(&base.traces.times, None);
        let found = all(&order)?;
        if !order.was_tied() {
            return Ok(found);
        }
        drop(found);
        let spans = self.spans(source, base, run)?;
        all(&Order::new(&base.traces.times, Some(&spans)))
    }

    /// The cells of a field on relatives.
    pub(crate) fn gather(
        &self,
        source: Source<'_>,
        base: &Base,
        (key, field, found): (&str, &Field, &Found),
        run: &Run,
    ) -> Result<Arc<Gathered>, EngineError> {
        once_by(&self.gathered, key, || {
            let wanted = gather::wanted(base, found, run)?;
            gather::gather(source, &base.reach, wanted, field, run)
        })
    }
}

/// Which rows satisfy all conditions; none if there are no conditions.
fn passing(source: Source<'_>, reach: &Reach, conditions: &[Condition], run: &Run) -> Result<Option<Vec<bool>>, EngineError> {
    if conditions.is_empty() {
        return Ok(None);
    }
    let filters = parallel(run.threads, reach.parts.len(), |i| {
        run.check()?;
        Filter::compile(conditions, false, source, reach.parts[i].index)
    });
    let filters: Vec<Option<Filter<'_>>> = filters.into_iter().collect::<Result<_, EngineError>>()?;
    let passes = reach.array(run, false, |task, scratch, out| {
        let Some(filter) = &filters[task.part] else { return Ok(()) };
        let mut buffers = FilterBuffers::default();
        let n = source.segments[task.index].block_rows(task.block);
        let rows = filter.select(n, task.block, task.rows, &mut buffers, scratch)?;
        rows.each(|_, row| out[row - task.rows.0] = true);
        Ok(())
    })?;
    Ok(Some(passes))
}
