//! Which trace an event belongs to, when it was, and which of several comes first.
//!
//! Owns: numbers of traces, times, ids of spans as numbers. Never does: know relations.

use super::reach::{NONE, Part, Reach, Task};
use crate::EngineError;
use crate::caches::{Caches, ColumnIds};
use crate::intern::Key;
use crate::run::{Run, parallel};
use crate::scan::dicts::number_dicts;
use crate::scan::keys::{BlockRef, KeyBuffers, KeyPart, LazyDict, each_key};
use crate::scan::place::{Place, Source};
use crate::scan::select::Rows;
use model::columns::TRACE_ID;
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use store::segment::{Layout, Scratch};

/// Numbers that a column may have given out before a question that needs few of them takes numbers of its own.
const NUMBERS_SPARE: usize = 1 << 20;

/// The rows in reach as members of traces.
#[derive(Debug)]
pub(crate) struct Traces {
    /// The trace of each row; 0: none.
    pub(crate) of_row: Vec<u32>,
    /// Numbers of traces are below this.
    pub(crate) bound: usize,
    pub(crate) times: Vec<i64>,
}

impl Traces {
    pub(crate) fn read(source: Source<'_>, reach: &Reach, run: &Run, caches: Option<&Caches>) -> Result<Traces, EngineError> {
        let places: Vec<Vec<Place<'_>>> = reach.parts.iter().map(|p| source.stored(p.index, TRACE_ID).collect()).collect();
        let all_dict = places.iter().flatten().all(|p| p.layout == Layout::Dict);
        // Numbers are kept between questions where dictionaries say which number each code has.
        let kept = caches.filter(|_| all_dict).map(|c| c.column(TRACE_ID));
        let ids: Arc<ColumnIds> = kept.filter(|ids| ids.interner.bound() <= reach.n_rows * 2 + NUMBERS_SPARE).unwrap_or_default();
        let is_most = |of: &Part| (of.rows.1 - of.rows.0) * 2 > source.segments[of.index].n_rows();
        let of_most = reach.parts.iter().zip(&places).filter(|(of, _)| is_most(of)).flat_map(|(_, places)| places);
        let is_new = |p: &&Place<'_>| p.layout == Layout::Dict && !ids.map(p.segment, p.index, p.n_dict()).is_complete();
        number_dicts(of_most.filter(is_new).copied(), &ids, run)?;
        let parts: Vec<Vec<KeyPart<'_>>> = places.iter().map(|places| places.iter().map(|place| part(*place, &ids)).collect()).collect();
        let of_row = reach.array(run, 0, |task, scratch, out| {
            let (at, mut buffers) = (block_ref(source, task), KeyBuffers::default());
            for part in &parts[task.part] {
                part.each_id(&ids, at, Rows::Range(task.rows.0, task.rows.1), &mut buffers, scratch, |i, id| {
                    if id != 0 {
                        out[i] = id as u32;
                    }
                })?;
            }
            Ok(())
        })?;
        let times = reach.array(run, 0, |task, scratch, out| {
            let times = source.segments[task.index].read_times(task.block, scratch)?;
            out.copy_from_slice(&times[task.rows.0..task.rows.1]);
            Ok(())
        })?;
        Ok(Traces { of_row, bound: ids.interner.bound() + 1, times })
    }
}

/// Which of two rows of a trace comes first: by time, then by the id of the span, in an order that is always the same.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    times: &'a [i64],
    /// Needed only where two are of the same time.
    spans: Option<&'a [u64]>,
    tied: AtomicBool,
}

impl<'a> Order<'a> {
    pub(crate) fn new(times: &'a [i64], spans: Option<&'a [u64]>) -> Order<'a> {
        Order { times, spans, tied: AtomicBool::new(false) }
    }

    pub(crate) fn is_before(&self, a: u32, b: u32) -> bool {
        let (i, j) = (a as usize, b as usize);
        match self.times[i].cmp(&self.times[j]) {
            Ordering::Equal if a == b => false,
            Ordering::Equal => match self.spans {
                Some(spans) => (spans[i], a) < (spans[j], b),
                None => {
                    self.tied.store(true, Relaxed);
                    a < b
                }
            },
            by => by.is_lt(),
        }
    }

    /// Ids of spans would have decided, and were not there.
    pub(crate) fn was_tied(&self) -> bool {
        self.tied.load(Relaxed)
    }
}

fn block_ref<'s>(source: Source<'s>, task: &Task) -> BlockRef<'s> {
    BlockRef { segment: &source.segments[task.index], block: task.block }
}

fn part<'s>(column: Place<'s>, ids: &ColumnIds) -> KeyPart<'s> {
    if column.layout != Layout::Dict {
        return KeyPart::Raw { column };
    }
    let map = ids.map(column.segment, column.index, column.n_dict());
    KeyPart::Map { column, map, dict: LazyDict::default() }
}

/// What makes two ids the same, in 64 bits: the id itself if it has no more, a hash if it has. 0 is none. Ids are compared within
/// a trace only.
fn short(key: Key) -> u64 {
    key.short().max(1)
}

/// The ids of a column, one per row; 0: missing.
pub(crate) fn ids(source: Source<'_>, reach: &Reach, name: &str, run: &Run) -> Result<Vec<u64>, EngineError> {
    // Per physical column with a dictionary what each code stands for.
    type Known<'s> = (Place<'s>, Vec<u64>);
    let parts = parallel(run.threads, reach.parts.len(), |i| {
        run.check()?;
        let rows = reach.parts[i].rows.1 - reach.parts[i].rows.0;
        let known = |place: Place<'_>| {
            if place.layout != Layout::Dict || place.n_dict() > rows * 2 {
                return Ok(Vec::new());
            }
            let dict = place.dict()?;
            Ok::<_, EngineError>((0..dict.len() as u32).map(|code| short(Key::of_entry(place.kind, dict.raw(code)))).chain([0]).collect())
        };
        source.stored(reach.parts[i].index, name).map(|place| Ok((place, known(place)?))).collect::<Result<Vec<Known<'_>>, EngineError>>()
    });
    let parts: Vec<Vec<Known<'_>>> = parts.into_iter().collect::<Result<_, EngineError>>()?;
    reach.array(run, 0, |task, scratch, out| {
        let rows = Rows::Range(task.rows.0, task.rows.1);
        for (place, known) in &parts[task.part] {
            if known.is_empty() {
                each_key(place, task.block, rows, scratch, |i, key| out[i] = short(key))?;
                continue;
            }
            rows.each_code(place.codes(task.block, scratch)?, |i, code| {
                if let Some(id) = known.get(code).filter(|id| **id != 0) {
                    out[i] = *id;
                }
            });
        }
        Ok(())
    })
}

/// The first of the rows that several threads come across, for each of many things.
#[derive(Debug)]
pub(crate) struct Firsts(Vec<AtomicU32>);

impl Firsts {
    pub(crate) fn new(n: usize) -> Firsts {
        Firsts((0..n).map(|_| AtomicU32::new(NONE)).collect())
    }

    /// Takes a row into account.
    pub(crate) fn offer(&self, of: usize, row: u32, order: &Order<'_>) {
        let slot = &self.0[of];
        let mut known = slot.load(Relaxed);
        while known == NONE || order.is_before(row, known) {
            match slot.compare_exchange_weak(known, row, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(other) => known = other,
            }
        }
    }

    pub(crate) fn into_rows(self) -> Vec<u32> {
        self.0.into_iter().map(AtomicU32::into_inner).collect()
    }
}

/// Whether rows of a block have no cell in any of some columns.
pub(crate) fn lacks(places: &[Place<'_>], task: &Task, scratch: &mut Scratch, out: &mut [bool]) -> Result<(), EngineError> {
    out.fill(true);
    for place in places {
        crate::scan::keys::each_present(place, task.block, Rows::Range(task.rows.0, task.rows.1), scratch, |i| out[i] = false)?;
    }
    Ok(())
}
