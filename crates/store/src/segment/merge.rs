//! Several segments become one: how memtables are sealed and small segments compacted.
//!
//! Owns: gathering cells of many inputs. Never does: choose what to merge.

use super::dict::Effort;
use super::encode::{TextCodes, arrange, inverse_of, picked, put_ids, put_text, time_order};
use super::write::{Cells, SegmentWriter};
use super::{Column, Dict, Layout, Scratch, Segment, SegmentError};
use hashbrown::{HashMap, HashTable};
use model::{ColumnKind, hash64};
use std::sync::Arc;

/// Merges segments into one image. All rows of all inputs are kept, sorted by time; rows of the same time keep the order of the inputs.
pub fn merge(inputs: &[Arc<Segment>]) -> Result<Vec<u8>, SegmentError> {
    merge_as(inputs, Effort::Small)
}

/// Like [`merge`], without compression: for images that stay in memory.
pub fn merge_fast(inputs: &[Arc<Segment>]) -> Result<Vec<u8>, SegmentError> {
    merge_as(inputs, Effort::Fast)
}

struct Inputs<'a> {
    segments: &'a [Arc<Segment>],
    /// Rows before each input.
    bases: Vec<usize>,
    n_rows: usize,
    /// Old rows by new row, and the other way round; none if the inputs follow each other in time.
    order: Option<(Vec<u32>, Vec<u32>)>,
}

fn merge_as(segments: &[Arc<Segment>], effort: Effort) -> Result<Vec<u8>, SegmentError> {
    let mut scratch = Scratch::default();
    let mut times = Vec::new();
    let mut bases = Vec::with_capacity(segments.len());
    for s in segments {
        bases.push(times.len());
        for block in 0..s.n_blocks() {
            times.extend_from_slice(s.read_times(block, &mut scratch)?);
        }
    }
    if u32::try_from(times.len()).is_err() {
        return Err(SegmentError::TooLarge { what: "rows" });
    }
    let order = time_order(&times);
    let mut writer = SegmentWriter::new(times.len(), effort);
    match &order {
        None => writer.times(&times),
        Some(order) => writer.times(&picked(&times, Some(order))),
    }
    let uniform = segments.first().and_then(|s| s.uniform_sample_rate());
    if uniform.is_some() && segments.iter().all(|s| s.uniform_sample_rate() == uniform) {
        writer.sample_rates(&uniform.map_or_else(Vec::new, |r| vec![r]));
    } else {
        let mut rates = Vec::with_capacity(times.len());
        for s in segments {
            for block in 0..s.n_blocks() {
                rates.extend_from_slice(s.read_sample_rates(block, &mut scratch)?);
            }
        }
        writer.sample_rates(&picked(&rates, order.as_deref()));
    }
    let n_rows = times.len();
    drop(times);
    let order = order.map(|order| {
        let inverse = inverse_of(&order);
        (order, inverse)
    });
    let inputs = Inputs { segments, bases, n_rows, order };
    let mut texts = TextCodes::default();
    for ((name, kind), parts) in columns_of(segments) {
        merge_column(&inputs, name, kind, &parts, &mut writer, &mut scratch, &mut texts)?;
    }
    Ok(writer.finish())
}

/// A column of the output: name and kind, and where the inputs have it.
type Merged<'a> = ((&'a str, ColumnKind), Vec<(usize, Column<'a>)>);

/// The columns of all segments, ascending.
fn columns_of(segments: &[Arc<Segment>]) -> Vec<Merged<'_>> {
    let mut known: HashMap<(&str, ColumnKind), usize> = HashMap::new();
    let mut columns: Vec<Merged<'_>> = Vec::new();
    for (i, s) in segments.iter().enumerate() {
        // Most inputs have the same columns in the same order: what followed last time is tried first.
        let mut next = 0;
        for c in s.columns() {
            let key = (c.name, c.kind);
            let at = match columns.get(next) {
                Some((likely, _)) if *likely == key => next,
                _ => *known.entry(key).or_insert_with(|| {
                    columns.push((key, Vec::with_capacity(segments.len() - i)));
                    columns.len() - 1
                }),
            };
            columns[at].1.push((i, c));
            next = at + 1;
        }
    }
    columns.sort_unstable_by_key(|(key, _)| *key);
    columns
}

fn merge_column(
    inputs: &Inputs<'_>,
    name: &str,
    kind: ColumnKind,
    parts: &[(usize, Column<'_>)],
    writer: &mut SegmentWriter,
    scratch: &mut Scratch,
    texts: &mut TextCodes,
) -> Result<(), SegmentError> {
    match kind {
        ColumnKind::Str => {
            let mut dicts = Vec::with_capacity(parts.len());
            for (i, c) in parts {
                dicts.push(inputs.segments[*i].read_dict(c)?);
            }
            if dicts.iter().map(Dict::memory).sum::<usize>() > u32::MAX as usize {
                return Err(SegmentError::TooLarge { what: "text of one column" });
            }
            let mut union = Union::default();
            let renamed: Vec<Vec<u32>> = dicts.iter().map(|d| (0..d.len() as u32).map(|c| union.insert(d.raw(c))).collect()).collect();
            let mut codes: Vec<u32> = Vec::new();
            let rows = gather(inputs, parts, scratch, |part, s| codes.extend(s.u32.iter().map(|c| renamed[part][*c as usize])))?;
            let (rows, codes) = ordered(inputs, rows, codes);
            put_text(writer, name, rows.as_deref(), codes, union.entries.len(), |c| union.entries[c as usize], texts);
        }
        ColumnKind::Int => {
            let mut values = Vec::new();
            let rows = gather(inputs, parts, scratch, |_, s| values.extend_from_slice(&s.ints))?;
            let (rows, values) = ordered(inputs, rows, values);
            writer.column(name, kind, rows.as_deref(), &Cells::Ints(&values), None);
        }
        ColumnKind::Float => {
            let mut values = Vec::new();
            let rows = gather(inputs, parts, scratch, |_, s| values.extend_from_slice(&s.floats))?;
            let (rows, values) = ordered(inputs, rows, values);
            writer.column(name, kind, rows.as_deref(), &Cells::Floats(&values), None);
        }
        ColumnKind::Bool => {
            let mut values = Vec::new();
            let rows = gather(inputs, parts, scratch, |_, s| values.extend(s.u32.iter().map(|c| *c == 1)))?;
            let (rows, values) = ordered(inputs, rows, values);
            writer.column(name, kind, rows.as_deref(), &Cells::Bools(&values), None);
        }
        ColumnKind::Hex8 | ColumnKind::Hex16 | ColumnKind::Uuid => {
            let mut dicts: Vec<Option<Vec<u128>>> = Vec::with_capacity(parts.len());
            for (i, c) in parts {
                dicts.push(match c.layout {
                    Layout::Dict => {
                        let dict = inputs.segments[*i].read_dict(c)?;
                        Some((0..dict.len() as u32).map(|c| dict.raw(c).iter().fold(0, |id, b| id << 8 | u128::from(*b))).collect())
                    }
                    _ => None,
                });
            }
            let mut values = Vec::new();
            let rows = gather(inputs, parts, scratch, |part, s| match &dicts[part] {
                Some(dict) => values.extend(s.u32.iter().map(|c| dict[*c as usize])),
                None => values.extend_from_slice(&s.ids),
            })?;
            let (rows, values) = ordered(inputs, rows, values);
            put_ids(writer, name, kind, rows.as_deref(), &values);
        }
    }
    Ok(())
}

/// Calls `take` with the stored cells of each block of each part; answers their rows in the concatenation of all inputs.
fn gather(
    inputs: &Inputs<'_>,
    parts: &[(usize, Column<'_>)],
    scratch: &mut Scratch,
    mut take: impl FnMut(usize, &Scratch),
) -> Result<Vec<u32>, SegmentError> {
    let mut all = Vec::with_capacity(parts.iter().map(|(_, c)| c.n_present).sum::<usize>().min(inputs.n_rows));
    let mut rows = Vec::new();
    for (part, (i, column)) in parts.iter().enumerate() {
        let segment = &inputs.segments[*i];
        for block in 0..segment.n_blocks() {
            segment.read_stored(column, block, &mut rows, scratch)?;
            if !rows.is_empty() {
                let base = (inputs.bases[*i] + block * super::BLOCK_ROWS) as u32;
                all.extend(rows.iter().map(|r| r + base));
                take(part, scratch);
            }
        }
    }
    Ok(all)
}

/// Cells in the order of the merged rows.
fn ordered<T: Copy>(inputs: &Inputs<'_>, rows: Vec<u32>, values: Vec<T>) -> (Option<Vec<u32>>, Vec<T>) {
    let dense = rows.len() == inputs.n_rows;
    match &inputs.order {
        None => ((!dense).then_some(rows), values),
        Some((order, _)) if dense => (None, picked(&values, Some(order))),
        Some((_, inverse)) => {
            let (rows, pick) = arrange(&rows, inverse, inputs.n_rows);
            (Some(rows), picked(&values, Some(&pick)))
        }
    }
}

/// Distinct texts of several dictionaries.
#[derive(Default)]
struct Union<'a> {
    table: HashTable<u32>,
    entries: Vec<&'a [u8]>,
    hashes: Vec<u64>,
}

impl<'a> Union<'a> {
    fn insert(&mut self, text: &'a [u8]) -> u32 {
        let Union { table, entries, hashes } = self;
        let hash = hash64(text);
        let entry = table.entry(hash, |c| hashes[*c as usize] == hash && entries[*c as usize] == text, |c| hashes[*c as usize]);
        match entry {
            hashbrown::hash_table::Entry::Occupied(e) => *e.get(),
            hashbrown::hash_table::Entry::Vacant(e) => {
                let code = entries.len() as u32;
                e.insert(code);
                entries.push(text);
                hashes.push(hash);
                code
            }
        }
    }
}
