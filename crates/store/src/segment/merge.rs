//! Several segments become one: how memtables are sealed and small segments compacted.
//!
//! Owns: gathering cells of many inputs. Never does: choose what to merge.

use super::dict::{Effort, Texts};
use super::encode::{TextCodes, arrange, inverse_of, picked, put_ids, put_text, time_order};
use super::format::{BlockMeta, ColumnMeta};
use super::read::damaged;
use super::write::{SegmentWriter, Stored};
use super::{Layout, Scratch, Segment, SegmentError};
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

/// Columns whose small parts are fetched from memory together.
const WARM_COLUMNS: usize = 32;

impl Inputs<'_> {
    /// Fetches the parts of some columns that are small: one after the other from each input, and not waiting for any, where
    /// merging goes from input to input, and waits for the memory at each.
    fn warm(&self, columns: &[Merged<'_>]) {
        let most = columns.iter().map(|c| c.parts.len()).max().unwrap_or(0);
        let mut seen = 0;
        for i in 0..most {
            for part in columns.iter().filter_map(|c| c.parts.get(i)) {
                seen ^= self.segments[part.input as usize].touch(part.column as usize);
            }
        }
        std::hint::black_box(seen);
    }

    fn entry(&self, part: Part) -> Result<(&Segment, ColumnMeta), SegmentError> {
        let segment = &self.segments[part.input as usize];
        Ok((segment, segment.entry(part.column as usize).ok_or_else(|| damaged("column entry"))?))
    }
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
    let mut buffers = Buffers { scratch, ..Buffers::default() };
    for columns in columns_of(segments).chunks(WARM_COLUMNS) {
        inputs.warm(columns);
        for column in columns {
            merge_column(&inputs, column, &mut writer, &mut buffers)?;
        }
    }
    Ok(writer.finish())
}

/// A column of the output, and where the inputs have it.
struct Merged<'a> {
    name: &'a [u8],
    kind: ColumnKind,
    parts: Vec<Part>,
}

/// A column of an input.
#[derive(Clone, Copy)]
struct Part {
    input: u32,
    column: u32,
}

/// What is used again for the next column.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    blocks: Vec<BlockMeta>,
    rows: Vec<u32>,
    texts: Texts,
    codes: TextCodes,
}

/// The columns of all segments, ascending.
fn columns_of(segments: &[Arc<Segment>]) -> Vec<Merged<'_>> {
    let mut known: HashMap<(&[u8], ColumnKind), usize> = HashMap::new();
    let mut columns: Vec<Merged<'_>> = Vec::new();
    for (i, s) in segments.iter().enumerate() {
        // Most inputs have the same columns in the same order: what followed last time is tried first.
        let mut next = 0;
        for column in 0..s.n_columns() {
            let Some(meta) = s.entry(column) else { continue };
            let Some(name) = s.name_of(&meta) else { continue };
            let at = match columns.get(next) {
                Some(likely) if likely.name == name && likely.kind == meta.kind => next,
                _ => *known.entry((name, meta.kind)).or_insert_with(|| {
                    columns.push(Merged { name, kind: meta.kind, parts: Vec::with_capacity(segments.len() - i) });
                    columns.len() - 1
                }),
            };
            columns[at].parts.push(Part { input: i as u32, column: column as u32 });
            next = at + 1;
        }
    }
    columns.sort_unstable_by_key(|c| (c.name, c.kind));
    columns
}

/// Texts of all dictionaries of a column, up to which they are only sorted; with more, most of which are the same, each is
/// looked up first.
const SORTED_TEXTS_MAX: usize = 1024;

fn merge_column(inputs: &Inputs<'_>, column: &Merged<'_>, writer: &mut SegmentWriter, buffers: &mut Buffers) -> Result<(), SegmentError> {
    let name = std::str::from_utf8(column.name).map_err(|_| damaged("name of a column"))?;
    let kind = column.kind;
    match kind {
        ColumnKind::Str => {
            let mut texts = std::mem::take(&mut buffers.texts);
            texts.clear();
            // Number of texts before those of each part.
            let mut firsts = Vec::with_capacity(column.parts.len());
            for part in &column.parts {
                let (segment, meta) = inputs.entry(*part)?;
                firsts.push(texts.len() as u32);
                if texts.memory() as u64 + meta.dict_raw_bytes + 8 * u64::from(meta.n_dict) > u64::from(u32::MAX) {
                    return Err(SegmentError::TooLarge { what: "text of one column" });
                }
                segment.read_texts(&meta, &mut texts)?;
            }
            let mut codes: Vec<u32> = Vec::new();
            let rows = gather(inputs, &column.parts, buffers, |part, s| codes.extend(s.u32.iter().map(|c| firsts[part] + c)))?;
            let (rows, mut codes) = ordered(inputs, rows, codes);
            if texts.len() <= SORTED_TEXTS_MAX || column.parts.len() == 1 {
                put_text(writer, name, rows.as_deref(), codes, texts.len(), |c| texts.get(c), &mut buffers.codes);
            } else {
                let mut union = Union::default();
                let renamed: Vec<u32> = (0..texts.len() as u32).map(|c| union.insert(texts.get(c))).collect();
                for c in &mut codes {
                    *c = renamed[*c as usize];
                }
                put_text(writer, name, rows.as_deref(), codes, union.entries.len(), |c| union.entries[c as usize], &mut buffers.codes);
            }
            buffers.texts = texts;
        }
        ColumnKind::Int => {
            let mut values = Vec::new();
            let rows = gather(inputs, &column.parts, buffers, |_, s| values.extend_from_slice(&s.ints))?;
            let (rows, values) = ordered(inputs, rows, values);
            writer.column(name, kind, rows.as_deref(), &Stored::Ints(&values), None);
        }
        ColumnKind::Float => {
            let mut values = Vec::new();
            let rows = gather(inputs, &column.parts, buffers, |_, s| values.extend_from_slice(&s.floats))?;
            let (rows, values) = ordered(inputs, rows, values);
            writer.column(name, kind, rows.as_deref(), &Stored::Floats(&values), None);
        }
        ColumnKind::Bool => {
            let mut values = Vec::new();
            let rows = gather(inputs, &column.parts, buffers, |_, s| values.extend(s.u32.iter().map(|c| *c == 1)))?;
            let (rows, values) = ordered(inputs, rows, values);
            writer.column(name, kind, rows.as_deref(), &Stored::Bools(&values), None);
        }
        ColumnKind::Hex8 | ColumnKind::Hex16 | ColumnKind::Uuid => {
            let mut dicts: Vec<Option<Vec<u128>>> = Vec::with_capacity(column.parts.len());
            for part in &column.parts {
                let (segment, meta) = inputs.entry(*part)?;
                dicts.push(match meta.layout {
                    Layout::Dict => {
                        let dict = segment.read_dict_of(&meta)?;
                        Some((0..dict.len() as u32).map(|c| dict.raw(c).iter().fold(0, |id, b| id << 8 | u128::from(*b))).collect())
                    }
                    _ => None,
                });
            }
            let mut values = Vec::new();
            let rows = gather(inputs, &column.parts, buffers, |part, s| match &dicts[part] {
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
/// Keeps nothing with the inputs, which are about to go.
fn gather(
    inputs: &Inputs<'_>,
    parts: &[Part],
    buffers: &mut Buffers,
    mut take: impl FnMut(usize, &Scratch),
) -> Result<Vec<u32>, SegmentError> {
    let Buffers { scratch, blocks, rows, .. } = buffers;
    let mut all = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let (segment, meta) = inputs.entry(*part)?;
        segment.read_blocks(meta.blocks_offset, blocks)?;
        if i == 0 {
            all.reserve((meta.n_present as usize).saturating_mul(parts.len()).min(inputs.n_rows));
        }
        for block in 0..blocks.len() {
            let found = segment.block_bytes(blocks, block, false)?;
            Segment::read_stored(&meta, found, segment.block_rows(block), rows, scratch)?;
            if !rows.is_empty() {
                let base = (inputs.bases[part.input as usize] + block * super::BLOCK_ROWS) as u32;
                all.extend(rows.iter().map(|r| r + base));
                take(i, scratch);
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
