//! A batch becomes a segment image.
//!
//! Owns: sorting by time, dictionaries of a batch. Never does: the bytes themselves (`write`).

use super::dict::Effort;
use super::write::{Cells, SegmentWriter};
use hashbrown::HashMap;
use model::{Batch, BatchColumn, ColumnKind, Values};
use std::borrow::Cow;

/// Encodes a batch as a segment image (rows get sorted by time, stably).
#[must_use]
pub fn encode(batch: &Batch) -> Vec<u8> {
    let order = time_order(&batch.times);
    let inverse = order.as_deref().map(inverse_of);
    let mut writer = SegmentWriter::new(batch.n_rows, Effort::Fast);
    match &order {
        None => {
            writer.times(&batch.times);
            writer.sample_rates(&batch.sample_rates);
        }
        Some(order) => {
            writer.times(&picked(&batch.times, Some(order)));
            if batch.sample_rates.is_empty() {
                writer.sample_rates(&[]);
            } else {
                writer.sample_rates(&picked(&batch.sample_rates, Some(order)));
            }
        }
    }
    let mut columns: Vec<&BatchColumn> = batch.columns.iter().collect();
    columns.sort_unstable_by(|a, b| (&*a.name, a.values.kind()).cmp(&(&*b.name, b.values.kind())));
    let mut buffers = TextCodes::default();
    for column in columns {
        let arranged;
        let (rows, pick) = match (column.rows.as_deref(), &inverse) {
            (rows, None) => (rows, None),
            (None, Some(_)) => (None, order.as_deref()),
            (Some(rows), Some(inverse)) => {
                arranged = arrange(rows, inverse, batch.n_rows);
                (Some(&*arranged.0), Some(&*arranged.1))
            }
        };
        let (name, kind) = (&*column.name, column.values.kind());
        match &column.values {
            Values::Str { codes, dict } => {
                put_text(&mut writer, name, rows, in_order(codes, pick).into_owned(), dict.len(), |c| dict.get(c), &mut buffers);
            }
            Values::Int(v) => writer.column(name, kind, rows, &Cells::Ints(&in_order(v, pick)), None),
            Values::Float(v) => writer.column(name, kind, rows, &Cells::Floats(&in_order(v, pick)), None),
            Values::Bool(v) => writer.column(name, kind, rows, &Cells::Bools(&in_order(v, pick)), None),
            Values::Hex8(v) => {
                let wide: Vec<u128> = v.iter().map(|b| u128::from(u64::from_be_bytes(*b))).collect();
                put_ids(&mut writer, name, kind, rows, &in_order(&wide, pick));
            }
            Values::Hex16(v) | Values::Uuid(v) => {
                let wide: Vec<u128> = v.iter().map(|b| u128::from_be_bytes(*b)).collect();
                put_ids(&mut writer, name, kind, rows, &in_order(&wide, pick));
            }
        }
    }
    writer.finish()
}

/// The rows in order of time (stable), or `None` if they are already.
pub(super) fn time_order(times: &[i64]) -> Option<Vec<u32>> {
    if times.is_sorted() {
        return None;
    }
    let mut order: Vec<(i64, u32)> = times.iter().copied().zip(0..).collect();
    // A stable sort that finds runs: parts that are sorted already cost little.
    order.sort();
    Some(order.into_iter().map(|(_, i)| i).collect())
}

/// Where each old row went.
pub(super) fn inverse_of(order: &[u32]) -> Vec<u32> {
    let mut inverse = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        inverse[*old as usize] = new as u32;
    }
    inverse
}

/// New rows, ascending, of cells in old `rows`; and for each the index of its cell.
pub(super) fn arrange(rows: &[u32], inverse: &[u32], n_rows: usize) -> (Vec<u32>, Vec<u32>) {
    if rows.len() * 8 >= n_rows {
        let mut slots = vec![0u32; n_rows];
        for (i, r) in rows.iter().enumerate() {
            slots[inverse[*r as usize] as usize] = i as u32 + 1;
        }
        let mut out = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (row, slot) in slots.iter().enumerate() {
            if *slot != 0 {
                out.0.push(row as u32);
                out.1.push(slot - 1);
            }
        }
        return out;
    }
    let mut pairs: Vec<(u32, u32)> = rows.iter().map(|r| inverse[*r as usize]).zip(0..).collect();
    pairs.sort_unstable();
    pairs.into_iter().unzip()
}

/// The values at the picked indices; as they are if there are none.
fn in_order<'v, T: Copy>(values: &'v [T], pick: Option<&[u32]>) -> Cow<'v, [T]> {
    match pick {
        None => Cow::Borrowed(values),
        Some(_) => Cow::Owned(picked(values, pick)),
    }
}

/// The values at the picked indices; all of them in order if there are none.
pub(super) fn picked<T: Copy>(values: &[T], pick: Option<&[u32]>) -> Vec<T> {
    match pick {
        None => values.to_vec(),
        Some(pick) => pick.iter().map(|i| values[*i as usize]).collect(),
    }
}

/// What [`put_text`] uses again for the next column.
#[derive(Default)]
pub(super) struct TextCodes {
    /// Events by old code; then new codes by old code.
    counts: Vec<u32>,
    /// Eight bytes of an entry, and its old code: by new code.
    keyed: Vec<(u64, u32)>,
    sorted_counts: Vec<u32>,
}

/// Writes a text column, with a dictionary of the entries that are used.
pub(super) fn put_text<'a>(
    writer: &mut SegmentWriter,
    name: &str,
    rows: Option<&[u32]>,
    mut codes: Vec<u32>,
    n_entries: usize,
    entry: impl Fn(u32) -> &'a [u8],
    buffers: &mut TextCodes,
) {
    let TextCodes { counts, keyed, sorted_counts } = buffers;
    counts.clear();
    counts.resize(n_entries, 0);
    for c in &codes {
        counts[*c as usize] += 1;
    }
    sort_by_bytes((0..n_entries as u32).filter(|c| counts[*c as usize] > 0), &entry, keyed);
    sorted_counts.clear();
    sorted_counts.extend(keyed.iter().map(|(_, c)| counts[*c as usize]));
    for ((_, old), new) in keyed.iter().zip(0..) {
        counts[*old as usize] = new;
    }
    for c in &mut codes {
        *c = counts[*c as usize];
    }
    let place = writer.text_dict(sorted_counts, |i| entry(keyed[i].1));
    writer.column(name, ColumnKind::Str, rows, &Cells::Codes(&codes, sorted_counts.len()), Some(place));
}

/// Sorts by the bytes of entries. Columns often share a prefix ("cache:obj:…"): it is skipped, then eight bytes decide most.
fn sort_by_bytes<'a>(codes: impl Iterator<Item = u32>, entry: &impl Fn(u32) -> &'a [u8], keyed: &mut Vec<(u64, u32)>) {
    keyed.clear();
    keyed.extend(codes.map(|c| (0, c)));
    let Some(&(_, first)) = keyed.first() else { return };
    let mut common = entry(first).len();
    for (_, c) in &*keyed {
        common = entry(first)[..common].iter().zip(entry(*c)).take_while(|(a, b)| a == b).count();
        if common == 0 {
            break;
        }
    }
    for (head, c) in &mut *keyed {
        let rest = &entry(*c)[common..];
        let mut bytes = [0; 8];
        let n = rest.len().min(8);
        bytes[..n].copy_from_slice(&rest[..n]);
        *head = u64::from_be_bytes(bytes);
    }
    keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| entry(a.1)[common..].cmp(&entry(b.1)[common..])));
}

/// Ids that repeat get a dictionary, which is an index too; others are kept raw.
pub(super) fn put_ids(writer: &mut SegmentWriter, name: &str, kind: ColumnKind, rows: Option<&[u32]>, ids: &[u128]) {
    let width = kind.id().map_or(16, |k| k.width());
    let Some((mut codes, entries)) = repeated(ids) else {
        writer.column(name, kind, rows, &Cells::Ids(ids, width), None);
        return;
    };
    let mut sorted: Vec<u32> = (0..entries.len() as u32).collect();
    sorted.sort_unstable_by_key(|c| entries[*c as usize]);
    let mut renamed = vec![0u32; entries.len()];
    for (new, old) in sorted.iter().enumerate() {
        renamed[*old as usize] = new as u32;
    }
    let mut counts = vec![0u32; entries.len()];
    for c in &mut codes {
        *c = renamed[*c as usize];
        counts[*c as usize] += 1;
    }
    let mut raw = Vec::with_capacity(entries.len() * width);
    for c in sorted {
        raw.extend_from_slice(&entries[c as usize].to_be_bytes()[16 - width..]);
    }
    let place = writer.id_dict(&counts, &raw);
    writer.column(name, kind, rows, &Cells::Codes(&codes, counts.len()), Some(place));
}

/// Codes and distinct values, if there are at most six distinct ids among ten.
fn repeated(ids: &[u128]) -> Option<(Vec<u32>, Vec<u128>)> {
    const SAMPLE: usize = 4096;
    let mut known: HashMap<u128, u32> = HashMap::with_capacity(ids.len().min(SAMPLE));
    let mut entries = Vec::new();
    let mut codes = Vec::with_capacity(ids.len());
    for (i, id) in ids.iter().enumerate() {
        let code = *known.entry(*id).or_insert_with(|| {
            entries.push(*id);
            entries.len() as u32 - 1
        });
        codes.push(code);
        if i + 1 == SAMPLE && entries.len() * 10 > SAMPLE * 6 {
            return None;
        }
    }
    (entries.len() * 10 <= ids.len() * 6).then_some((codes, entries))
}
