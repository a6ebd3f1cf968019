//! Group values of the segments of a question become numbers, before the scan.
//!
//! Owns: which values of a key column are numbered beforehand, and how. Never does: find equal values (`dicts`), read blocks, except
//! those of integers whose values are not known yet.

use super::dicts::number_dicts;
use super::keys::{KeyColumn, KeyPart, LazyDict, Numbering};
use super::met::{self, Unmet};
use super::place::Place;
use super::prepare::Ready;
use crate::EngineError;
use crate::caches::{Caches, CodeMap, ColumnIds};
use crate::intern::Key;
use crate::run::{Run, parallel};
use hashbrown::HashMap;
use model::TimeNs;
use std::sync::Arc;
use store::segment::{Layout, Scratch};

/// Numbers up to which they are found by table, beside some per value.
const DENSE_VALUES: usize = 1 << 12;
/// Integers of a segment that lie this close together are numbered by table.
const SMALL_SPAN: f64 = 16_384.0;

/// A part of a key column before it is numbered.
pub(super) enum Part<'s> {
    /// With whether all its values get numbers before the scan, however many they are.
    Dict(Place<'s>, bool),
    Bools(Place<'s>),
    Small(Place<'s>, Arc<CodeMap>),
    Raw(Place<'s>),
    Const(Key, String),
    Root(Vec<Place<'s>>),
}

impl Part<'_> {
    /// At most so many different values.
    pub(super) fn n_values(&self) -> usize {
        match self {
            Part::Dict(column, _) => column.n_dict(),
            Part::Small(_, map) => map.n_complete(),
            Part::Bools(_) | Part::Root(_) => 2,
            Part::Const(..) => 1,
            Part::Raw(column) => column.n_present,
        }
    }
}

/// A segment before its values are numbered.
pub(super) struct Draft<'s> {
    pub(super) ready: Ready<'s>,
    pub(super) parts: Vec<Vec<Part<'s>>>,
}

/// Dictionaries of up to `values_max` values are numbered as a whole.
pub(super) fn part<'s>(column: Place<'s>, ids: &ColumnIds, values_max: usize) -> Result<Part<'s>, EngineError> {
    Ok(match column.layout {
        Layout::Dict => {
            let all = column.n_dict() <= values_max;
            Part::Dict(column, all)
        }
        Layout::Bools => Part::Bools(column),
        Layout::Ints => match column.range {
            Some((min, max)) if max - min < SMALL_SPAN && min.abs() < 9e15 => {
                let map = ids.map(column.segment, column.index, (max - min) as usize + 1);
                find_ints(&column, min as i64, &map, ids)?;
                Part::Small(column, map)
            }
            _ => Part::Raw(column),
        },
        Layout::Floats | Layout::Ids => Part::Raw(column),
    })
}

/// Numbers the integers that occur in a segment, once for all questions.
fn find_ints(column: &Place<'_>, base: i64, map: &CodeMap, ids: &ColumnIds) -> Result<(), EngineError> {
    if map.is_complete() {
        return Ok(());
    }
    let mut occurs = vec![false; map.len()];
    let mut scratch = Scratch::default();
    for block in 0..column.segment.n_blocks() {
        let (values, valid) = column.ints(block, &mut scratch)?;
        for (row, v) in values.iter().enumerate() {
            if let Some(o) = occurs.get_mut(v.wrapping_sub(base) as usize)
                && super::select::is_valid(valid, row)
            {
                *o = true;
            }
        }
    }
    for (offset, _) in occurs.iter().enumerate().filter(|(_, o)| **o) {
        map.set(offset, ids.interner.intern(Key::int(base + offset as i64), || ""));
    }
    map.complete(occurs.iter().filter(|o| **o).count());
    Ok(())
}

/// Numbers values of dictionaries: all of those that are small, or wanted as a whole, and of others those that will be met.
pub(super) fn number_values<'s>(
    drafts: &[Draft<'s>],
    cached: &[Arc<ColumnIds>],
    compact: &[bool],
    (end_ns, threads): (TimeNs, usize),
    caches: &Caches,
    run: &Run,
) -> Result<(), EngineError> {
    // Dictionaries without numbers beside values that have none in advance are numbered as they are met.
    let is_raw = |k: usize| drafts.iter().any(|d| d.parts[k].iter().any(|p| matches!(p, Part::Raw(_))));
    let columns: Vec<usize> = (0..cached.len()).filter(|k| !is_raw(*k)).collect();
    let unnumbered = |draft: usize, k: usize| {
        let mut found: Vec<(Place<'s>, Arc<CodeMap>, bool)> = Vec::new();
        for part in &drafts[draft].parts[k] {
            if let Part::Dict(column, all) = part {
                let map = cached[k].map(column.segment, column.index, column.n_dict());
                if !map.is_complete() {
                    found.push((*column, map, *all || compact[k]));
                }
            }
        }
        found.into_iter()
    };
    for k in &columns {
        let wholes = (0..drafts.len()).flat_map(|i| unnumbered(i, *k)).filter(|(.., all)| *all);
        number_dicts(wholes.map(|(column, ..)| column), &cached[*k], run)?;
    }
    let met = parallel(threads, drafts.len(), |i| {
        let mut unmet = Vec::new();
        for k in &columns {
            // Without a filter, few rows are looked through each time; with one, many only once.
            let is_worth = |map: &CodeMap| drafts[i].ready.filter.is_all() || map.meet();
            let of_column = unnumbered(i, *k).filter(|(column, map, all)| !all && is_worth(map) && column.known_dict().is_none());
            unmet.extend(of_column.map(|(column, map, _)| (*k, Unmet::new(column, map))));
        }
        if !unmet.is_empty() {
            let mut buffers = caches.take_buffers();
            met::meet(&drafts[i].ready, end_ns, &mut unmet, &mut buffers, run)?;
            caches.keep_buffers(buffers);
        }
        Ok::<_, EngineError>(unmet)
    });
    let mut of_column: Vec<Vec<Unmet<'_>>> = cached.iter().map(|_| Vec::new()).collect();
    for unmet in met {
        unmet?.into_iter().for_each(|(k, unmet)| of_column[k].push(unmet));
    }
    for (unmet, ids) in of_column.iter().zip(cached) {
        if met::are_few(unmet, ids) {
            parallel(threads, unmet.len(), |i| unmet[i].number(ids)).into_iter().collect::<Result<(), EngineError>>()?;
        } else {
            number_dicts(unmet.iter().map(|u| u.column), ids, run)?;
        }
    }
    Ok(())
}

/// Gives the values of the `k`th key column their numbers; its parts go to `place` among those of each segment.
pub(super) fn number<'s>(
    drafts: &mut [Draft<'s>],
    (k, place): (usize, usize),
    ids: Arc<ColumnIds>,
    (raw, compact): (bool, bool),
) -> KeyColumn {
    let n: usize = drafts.iter().flat_map(|d| &d.parts[k]).map(Part::n_values).sum();
    let dense = ids.interner.bound() <= DENSE_VALUES + 4 * n;
    let mut locals = Locals { compact, dense, table: Vec::new(), map: HashMap::new(), ids: Vec::new() };
    for draft in &mut *drafts {
        let mut ready = Vec::new();
        for part in std::mem::take(&mut draft.parts[k]) {
            ready.push(match part {
                Part::Const(key, text) => KeyPart::Const(locals.get(ids.interner.intern(key, || &text))),
                Part::Root(parents) => {
                    let [child, root] = [false, true].map(|b| locals.get(ids.interner.intern(Key::bool(b), || "")));
                    KeyPart::Root { parents, root, child }
                }
                Part::Bools(column) => {
                    let [no, yes] = [false, true].map(|b| locals.get(ids.interner.intern(Key::bool(b), || "")));
                    KeyPart::Codes { column, ids: Box::new([no, yes, 0]) }
                }
                Part::Small(column, _) if raw => KeyPart::Raw { column },
                Part::Small(column, map) => {
                    let small = (0..map.len()).map(|offset| map.get(offset).map_or(0, |id| locals.get(id)));
                    let base = column.range.map_or(0, |r| r.0 as i64);
                    KeyPart::Small { column, base, ids: small.collect() }
                }
                Part::Raw(column) => KeyPart::Raw { column },
                Part::Dict(column, _) => {
                    let map = ids.map(column.segment, column.index, column.n_dict());
                    if compact {
                        // All are numbered.
                        let table = (0..map.len()).map(|code| map.get(code).map_or(0, |id| locals.get(id)));
                        KeyPart::Codes { column, ids: table.chain([0]).collect() }
                    } else {
                        KeyPart::Map { column, map, dict: LazyDict::default() }
                    }
                }
            });
        }
        debug_assert_eq!(draft.ready.keys.len(), place);
        draft.ready.keys.push(ready);
    }
    // Without numbers of their own, values that are new to the engine come on top of those it knows.
    let bound = if compact { locals.ids.len() + 1 } else { ids.interner.bound() + 1 };
    let unmet = if compact || ids.interner.bound() > 0 { 0 } else { n };
    let numbering = if compact { Numbering::Local(locals.ids) } else { Numbering::Interned };
    KeyColumn::new(ids, numbering, (bound + unmet) as u64)
}

/// The first integer of a key column and the bound of its numbers, if it holds nothing but integers.
pub(super) fn integers(drafts: &[Draft<'_>], k: usize) -> Option<(i64, u64)> {
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for part in drafts.iter().flat_map(|d| &d.parts[k]) {
        let (Part::Raw(column) | Part::Small(column, _)) = part else { return None };
        if column.layout != Layout::Ints {
            return None;
        }
        if let Some(range) = column.range {
            (min, max) = (min.min(range.0), max.max(range.1));
        }
    }
    // Beyond 2^53 the bounds, being floats, are not exact.
    (min <= max && max - min < 9e15).then(|| {
        let slack = if min.abs().max(max.abs()) < 9e15 { 0 } else { 4096 };
        let first = (min as i64).saturating_sub(slack);
        (first, (max as i64).saturating_add(slack).wrapping_sub(first) as u64 + 2)
    })
}

/// Lets integers number themselves.
pub(super) fn number_integers<'s>(drafts: &mut [Draft<'s>], (k, place): (usize, usize), first: i64, bound: u64) -> KeyColumn {
    for draft in drafts {
        debug_assert_eq!(draft.ready.keys.len(), place);
        let parts = std::mem::take(&mut draft.parts[k]);
        let columns = parts.into_iter().filter_map(|p| match p {
            Part::Raw(column) | Part::Small(column, _) => Some(column),
            _ => None,
        });
        draft.ready.keys.push(columns.map(|column| KeyPart::Integers { column, first }).collect());
    }
    KeyColumn::new(Arc::default(), Numbering::Integers(first), bound)
}

/// Numbers of one question.
struct Locals {
    compact: bool,
    /// Numbers lie close together: they are found by table.
    dense: bool,
    table: Vec<u32>,
    map: HashMap<u32, u32>,
    ids: Vec<u32>,
}

impl Locals {
    fn get(&mut self, id: u32) -> u32 {
        if !self.compact {
            return id + 1;
        }
        let at = id as usize;
        if self.dense && at >= self.table.len() {
            self.table.resize((at + 1).next_power_of_two().max(256), 0);
        }
        let local = if self.dense { &mut self.table[at] } else { self.map.entry(id).or_default() };
        if *local == 0 {
            self.ids.push(id);
            *local = self.ids.len() as u32;
        }
        *local
    }
}
