//! Numbers for all values of several dictionaries at once.
//!
//! Dictionaries are ascending, so what they have in common lies in the same ranges of values. Range by range, equal values
//! are found in a table that fits a CPU's innermost cache; only what is then left, each value once, goes through the
//! interner's large tables.
//!
//! Owns: finding equal values of dictionaries. Never does: read blocks.

use super::keys::key_of_code;
use crate::EngineError;
use crate::caches::{CodeMap, ColumnIds};
use crate::intern::{SHARDS, Sorted, Values};
use crate::run::{Run, parallel};
use model::ColumnKind;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use store::segment::Dict;

/// A dictionary whose values have no numbers yet.
pub(crate) struct Unnumbered {
    pub(crate) map: Arc<CodeMap>,
    pub(crate) dict: Arc<Dict>,
    pub(crate) kind: ColumnKind,
}

/// Values that are numbered together, on average.
const PART_VALUES: usize = 1 << 16;
/// Bytes of dictionaries to a part, on average at most: texts have positions of 32 bits.
const PART_BYTES: usize = 64 << 20;
/// Values of the largest dictionary in a range.
const RANGE_VALUES: usize = 256;

/// A further thread numbers values if there are so many: it has to be started.
const VALUES_PER_THREAD: usize = 1 << 15;

/// Gives all values of these dictionaries their numbers.
pub(crate) fn number_dicts(mut dicts: Vec<Unnumbered>, ids: &ColumnIds, run: &Run) -> Result<(), EngineError> {
    dicts.retain(|d| {
        if d.dict.is_empty() {
            d.map.complete(0);
        }
        !d.dict.is_empty()
    });
    dicts.sort_by_key(|d| (d.kind, std::cmp::Reverse(d.dict.len())));
    for alike in dicts.chunk_by(|a, b| a.kind == b.kind) {
        number_alike(alike, ids, run)?;
    }
    Ok(())
}

/// Dictionaries of one kind, the largest first.
fn number_alike(dicts: &[Unnumbered], ids: &ColumnIds, run: &Run) -> Result<(), EngineError> {
    let Some(largest) = dicts.first() else { return Ok(()) };
    let total: usize = dicts.iter().map(|d| d.dict.len()).sum();
    let bytes: usize = dicts.iter().map(|d| d.dict.memory()).sum();
    let n_parts = total.div_ceil(PART_VALUES).max(bytes / PART_BYTES).min(largest.dict.len());
    // Where each part begins in each dictionary.
    let mut cuts: Vec<Vec<usize>> = vec![vec![0; dicts.len()]];
    for part in 1..n_parts {
        let first = largest.dict.len() * part / n_parts;
        let text = largest.dict.raw(first as u32);
        let cut = |d: &Unnumbered| first_from(&d.dict, 0..d.dict.len(), text);
        cuts.push(std::iter::once(first).chain(dicts[1..].iter().map(cut)).collect());
    }
    cuts.push(dicts.iter().map(|d| d.dict.len()).collect());
    let tables: Mutex<Vec<Table>> = Mutex::default();
    let found = parallel(run.threads, n_parts, |part| {
        run.check()?;
        let mut table = tables.lock().pop().unwrap_or_default();
        let found = Part::find(dicts, (&cuts[part], &cuts[part + 1]), &mut table);
        tables.lock().push(table);
        Ok(found)
    });
    let (parts, values): (Vec<Part>, Vec<Values>) = found.into_iter().collect::<Result<_, EngineError>>()?;
    let threads = run.threads.min(total / VALUES_PER_THREAD + 1);
    match ids.interner.intern_bulk(values) {
        Ok(firsts) => {
            parallel(threads, parts.len(), |i| parts[i].write(dicts, |place| firsts[i] + place));
        }
        Err(values) => {
            ids.interner.table_bulk(threads);
            let sorted = parallel(threads, values.len(), |i| Sorted::new(&values[i]));
            let numbers: Vec<Vec<AtomicU32>> = values.iter().map(|v| (0..v.len()).map(|_| AtomicU32::new(0)).collect()).collect();
            parallel(threads, SHARDS, |shard| {
                let found = |part: usize, i: usize, number| numbers[part][i].store(number, Ordering::Relaxed);
                ids.interner.intern_shard(shard, values.iter().zip(&sorted), found);
            });
            parallel(threads, parts.len(), |i| parts[i].write(dicts, |place| numbers[i][place as usize].load(Ordering::Relaxed)));
        }
    }
    dicts.iter().for_each(|d| d.map.complete(d.dict.len()));
    Ok(())
}

/// The first code from which on values are not below `text`.
fn first_from(dict: &Dict, within: Range<usize>, text: &[u8]) -> usize {
    let (mut low, mut high) = (within.start, within.end);
    // Near the start more often than not.
    let mut step = 64;
    while low + step < high {
        if dict.raw((low + step) as u32) >= text {
            high = low + step;
            break;
        }
        low += step;
        step *= 2;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if dict.raw(middle as u32) < text { low = middle + 1 } else { high = middle }
    }
    low
}

/// Open addressing: 0 is free, else a position in the values of a part, plus 1.
#[derive(Default)]
struct Table {
    slots: Vec<u32>,
    /// Of the values of a part.
    hashes: Vec<u64>,
    /// Dictionary and code of each.
    values: Vec<(u32, u32)>,
}

/// A range of values, in all dictionaries.
struct Part {
    /// Neighbouring codes of a dictionary.
    runs: Vec<(u32, Range<usize>)>,
    /// For each code, in the order of `runs`, the position of its value.
    places: Vec<u32>,
}

impl Part {
    /// What lies between two cuts, and its different values.
    fn find(dicts: &[Unnumbered], (from, to): (&[usize], &[usize]), table: &mut Table) -> (Part, Values) {
        let n = from.iter().zip(to).map(|(a, b)| b - a).sum();
        let (mut runs, mut places) = (Vec::new(), Vec::with_capacity(n));
        table.hashes.clear();
        table.values.clear();
        let mut at = from.to_vec();
        while at[0] < to[0] {
            let next = (at[0] + RANGE_VALUES).min(to[0]);
            let first = runs.len();
            for (i, d) in dicts.iter().enumerate() {
                let end = match i {
                    0 => next,
                    _ if next == to[0] => to[i],
                    _ => first_from(&d.dict, at[i]..to[i], dicts[0].dict.raw(next as u32)),
                };
                if at[i] < end {
                    runs.push((i as u32, at[i]..end));
                }
                at[i] = end;
            }
            find_equal(dicts, &runs[first..], table, &mut places);
        }
        let of = |(dict, code): &(u32, u32)| (&dicts[*dict as usize].dict, *code);
        let found = match key_of_code(&dicts[0].dict, 0, dicts[0].kind) {
            key if key.is_text() => {
                let text = |v| of(v).0.raw(of(v).1);
                let mut texts = Vec::with_capacity(table.values.iter().map(|v| text(v).len()).sum());
                let ends = table.values.iter().map(|v| {
                    texts.extend_from_slice(text(v));
                    texts.len() as u32
                });
                Values::Texts { ends: ends.collect(), texts }
            }
            key => Values::Ids(key.tag, table.values.iter().map(|v| of(v).0.id(of(v).1).unwrap_or_default()).collect()),
        };
        (Part { runs, places }, found)
    }

    /// Writes what was found to the maps.
    fn write(&self, dicts: &[Unnumbered], number: impl Fn(u32) -> u32) {
        let mut places = self.places.iter();
        for (dict, codes) in &self.runs {
            let map = &dicts[*dict as usize].map;
            for (code, place) in codes.clone().zip(&mut places) {
                map.set(code, number(*place));
            }
        }
    }
}

/// Finds what is equal in some runs.
fn find_equal(dicts: &[Unnumbered], runs: &[(u32, Range<usize>)], table: &mut Table, places: &mut Vec<u32>) {
    let Table { slots, hashes, values, .. } = table;
    if let [(dict, codes)] = runs {
        for code in codes.clone() {
            places.push(values.len() as u32);
            values.push((*dict, code as u32));
            hashes.push(0);
        }
        return;
    }
    let n: usize = runs.iter().map(|r| r.1.len()).sum();
    slots.clear();
    slots.resize((n * 2).next_power_of_two(), 0);
    let mask = slots.len() - 1;
    for (dict, codes) in runs {
        let own = &dicts[*dict as usize].dict;
        for code in codes.clone() {
            let text = own.raw(code as u32);
            let hash = quick_hash(text);
            let mut at = hash as usize & mask;
            let place = loop {
                let Some(place) = (slots[at] as usize).checked_sub(1) else {
                    values.push((*dict, code as u32));
                    hashes.push(hash);
                    slots[at] = values.len() as u32;
                    break values.len() - 1;
                };
                let (dict, code) = values[place];
                if hashes[place] == hash && dicts[dict as usize].dict.raw(code) == text {
                    break place;
                }
                at = (at + 1) & mask;
            };
            places.push(place as u32);
        }
    }
}

/// A hash that is as good as a small table needs.
#[inline(always)]
fn quick_hash(text: &[u8]) -> u64 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(SPREAD).rotate_left(29);
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(text.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let hash = mix(hash, rest);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;
    use crate::intern::Key;
    use store::Segment;

    /// The dictionary of a column of one segment with these values.
    fn dict(values: impl Iterator<Item = String>) -> (Arc<Dict>, ColumnKind) {
        let mut builder = model::BatchBuilder::new();
        for (i, value) in values.enumerate() {
            // Twice each, so that ids get a dictionary, too.
            for n in 0..2 {
                builder.begin();
                let column = builder.column("x");
                builder.value(column, &model::Value::Str(value.clone()));
                builder.end((i * 2 + n) as i64, 1.0);
            }
        }
        let segment = Segment::from_bytes(store::segment::encode(&builder.finish())).unwrap();
        let column = segment.find("x").next().unwrap();
        (segment.dict(&column).unwrap(), column.kind)
    }

    #[test]
    fn equal_values_get_one_number() {
        let long = "a long beginning that all of them have, ".repeat(8);
        let hex = |i: usize| format!("{:016x}", i * 1_000_003);
        let dicts = [
            dict((0..20_000).map(|i| format!("u{:06}", i * 3))),
            dict((0..30_000).map(|i| format!("u{:06}", i * 2))),
            dict((0..3_000).map(|i| format!("{long}{i}"))),
            dict((0..100).map(|i| format!("{long}{}", i * 50))),
            dict(std::iter::once("u000006".to_owned())),
            dict((0..9_000).map(hex)),
            dict((0..5_000).map(|i| hex(i * 7))),
        ];
        for known in [false, true] {
            let ids = ColumnIds::default();
            if known {
                ids.interner.intern(Key::text("u000006"), || "u000006");
                ids.interner.intern(Key::text(&hex(7)), || "");
            }
            let maps: Vec<Arc<CodeMap>> = dicts.iter().map(|(d, _)| Arc::new(CodeMap::new(d.len()))).collect();
            let all = dicts.iter().zip(&maps);
            let all = all.map(|((dict, kind), map)| Unnumbered { map: Arc::clone(map), dict: Arc::clone(dict), kind: *kind });
            number_dicts(all.collect(), &ids, &Run::new(0)).unwrap();
            let mut by_text = std::collections::HashMap::new();
            let mut scratch = String::new();
            for ((dict, _), map) in dicts.iter().zip(&maps) {
                assert!(map.is_complete());
                for code in 0..dict.len() {
                    let (text, id) = (dict.text(code as u32, &mut scratch).to_owned(), map.get(code));
                    assert_eq!(ids.interner.value(id), Cell::Str(text.as_str().into()));
                    assert_eq!(*by_text.entry(text).or_insert(id), id);
                }
            }
            let different: std::collections::HashSet<u32> = by_text.values().copied().collect();
            assert_eq!(different.len(), by_text.len());
        }
    }
}
