//! A batch becomes a segment image.
//!
//! Owns: sorting by time, dictionaries of a batch. Never does: the bytes themselves (`write`).

use super::dict::{Effort, shared_prefix};
use super::few::{self, FewBuffers};
use super::write::{SegmentWriter, Stored};
use hashbrown::HashMap;
use model::{Batch, BatchColumn, Cells, ColumnKind, ManyCells, Values};
use std::{borrow::Cow, cmp::Ordering};

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
    let columns = by_name(&batch.columns);
    writer.expect(columns.len(), columns.iter().map(|c| c.name.len() + few::likely_bytes(&c.cells)).sum());
    let mut buffers = TextCodes::default();
    let mut few = FewBuffers::default();
    for column in columns {
        match &column.cells {
            Cells::Few(cells) => few.put(&mut writer, &column.name, cells, inverse.as_deref()),
            Cells::Many(many) => put_many(&mut writer, &column.name, many, order.as_deref().zip(inverse.as_deref()), &mut buffers),
        }
    }
    writer.finish()
}

/// Writes a column; with the order of the rows and its inverse, if that is to change.
fn put_many(writer: &mut SegmentWriter, name: &str, many: &ManyCells, order: Option<(&[u32], &[u32])>, buffers: &mut TextCodes) {
    let arranged;
    let (rows, pick) = match (many.rows.as_deref(), order) {
        (rows, None) => (rows, None),
        (None, Some((order, _))) => (None, Some(order)),
        (Some(rows), Some((_, inverse))) => {
            arranged = arrange(rows, inverse, inverse.len());
            (Some(&*arranged.0), Some(&*arranged.1))
        }
    };
    let kind = many.values.kind();
    match &many.values {
        Values::Str { codes, dict } => {
            put_text(writer, name, rows, in_order(codes, pick).into_owned(), dict.len(), |c| dict.get(c), buffers);
        }
        Values::Int(v) => writer.column(name, kind, rows, &Stored::Ints(&in_order(v, pick)), None),
        Values::Float(v) => writer.column(name, kind, rows, &Stored::Floats(&in_order(v, pick)), None),
        Values::Bool(v) => writer.column(name, kind, rows, &Stored::Bools(&in_order(v, pick)), None),
        Values::Hex8(v) => {
            let wide: Vec<u128> = v.iter().map(|b| u128::from(u64::from_be_bytes(*b))).collect();
            put_ids(writer, name, kind, rows, &in_order(&wide, pick));
        }
        Values::Hex16(v) | Values::Uuid(v) => {
            let wide: Vec<u128> = v.iter().map(|b| u128::from_be_bytes(*b)).collect();
            put_ids(writer, name, kind, rows, &in_order(&wide, pick));
        }
    }
}

/// The columns, ascending by name and kind.
fn by_name(columns: &[BatchColumn]) -> Vec<&BatchColumn> {
    let name = |i: u32| columns[i as usize].name.as_bytes();
    let mut keyed = Vec::with_capacity(columns.len());
    let keys = key_by_bytes(0..columns.len() as u32, &name, &mut keyed);
    let kind = |i: u32| columns[i as usize].cells.kind();
    keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| keys.decide(name(a.1), name(b.1))).then_with(|| kind(a.1).cmp(&kind(b.1))));
    keyed.into_iter().map(|(_, i)| &columns[i as usize]).collect()
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

/// Writes a text column, with a dictionary of the entries that are used. Entries may be equal to others.
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
    let keys = sort_by_bytes((0..n_entries as u32).filter(|c| counts[*c as usize] > 0), &entry, keyed);
    sorted_counts.clear();
    let mut before: Option<(u64, u32)> = None;
    keyed.retain(|&(head, old)| {
        let n = std::mem::replace(&mut counts[old as usize], sorted_counts.len() as u32);
        let again = before.is_some_and(|(h, b)| h == head && keys.decide(entry(b), entry(old)).is_eq());
        before = Some((head, old));
        if let Some(last) = sorted_counts.last_mut().filter(|_| again) {
            *last += n;
            counts[old as usize] -= 1;
        } else {
            sorted_counts.push(n);
        }
        !again
    });
    for c in &mut codes {
        *c = counts[*c as usize];
    }
    let place = writer.text_dict(sorted_counts, |i| entry(keyed[i].1));
    writer.column(name, ColumnKind::Str, rows, &Stored::Codes(&codes, sorted_counts.len()), Some(place));
}

/// What the keys of texts say.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// Bytes that all texts begin with, and that are not in the keys.
    common: usize,
    /// Whether texts with the same key are the same.
    exact: bool,
}

impl Keys {
    /// The longest rest of a text that fits in a key, with its length.
    const EXACT_BYTES: usize = 7;

    /// The order of texts with the same key.
    #[inline(always)]
    pub(super) fn decide(self, a: &[u8], b: &[u8]) -> Ordering {
        if self.exact { Ordering::Equal } else { a[self.common..].cmp(&b[self.common..]) }
    }

    /// Sets the keys of texts, which are ordered as they are but for those that [`Self::decide`] tells apart. Texts often share a
    /// prefix ("cache:obj:…"): it is skipped, then eight bytes decide most.
    #[inline(always)]
    pub(super) fn set<'a, T: Copy>(keyed: &mut [(u64, T)], text: impl Fn(T) -> &'a [u8]) -> Keys {
        let Some(&(_, first)) = keyed.first() else { return Keys { common: 0, exact: true } };
        let (mut differ, mut shortest, mut longest) = (0, usize::MAX, 0);
        let first_head = head_of(text(first));
        for (head, t) in &mut *keyed {
            let text = text(*t);
            *head = head_of(text);
            differ |= *head ^ first_head;
            (shortest, longest) = (shortest.min(text.len()), longest.max(text.len()));
        }
        let mut common = shortest.min(differ.leading_zeros() as usize / 8);
        if common == 8 {
            let mut prefix = text(first);
            for (_, t) in &*keyed {
                prefix = &prefix[..shared_prefix(prefix, text(*t))];
            }
            common = prefix.len();
        }
        let exact = longest - common <= Keys::EXACT_BYTES;
        if common > 0 || exact {
            for (head, t) in keyed {
                let rest = &text(*t)[common..];
                *head = head_of(rest) | if exact { rest.len() as u64 } else { 0 };
            }
        }
        Keys { common, exact }
    }
}

/// Sorts by the bytes of entries.
fn sort_by_bytes<'a>(codes: impl Iterator<Item = u32>, entry: &impl Fn(u32) -> &'a [u8], keyed: &mut Vec<(u64, u32)>) -> Keys {
    let keys = key_by_bytes(codes, entry, keyed);
    if keys.exact {
        keyed.sort_unstable();
    } else {
        keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| keys.decide(entry(a.1), entry(b.1))));
    }
    keys
}

/// Lists entries with keys by their bytes.
fn key_by_bytes<'a>(codes: impl Iterator<Item = u32>, entry: &impl Fn(u32) -> &'a [u8], keyed: &mut Vec<(u64, u32)>) -> Keys {
    keyed.clear();
    keyed.extend(codes.map(|c| (0, c)));
    Keys::set(keyed, entry)
}

/// The first eight bytes as a number that is ordered as they are.
#[inline(always)]
fn head_of(text: &[u8]) -> u64 {
    if let Some(head) = text.first_chunk::<8>() {
        return u64::from_be_bytes(*head);
    }
    let n = text.len() as u32;
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        // They overlap.
        return u64::from(u32::from_be_bytes(*first)) << 32 | u64::from(u32::from_be_bytes(*last)) << (64 - 8 * n);
    }
    text.iter().fold(0, |head, b| head << 8 | u64::from(*b)).checked_shl(64 - 8 * n).unwrap_or(0)
}

/// Ids that repeat get a dictionary, which is an index too; others are kept raw.
pub(super) fn put_ids(writer: &mut SegmentWriter, name: &str, kind: ColumnKind, rows: Option<&[u32]>, ids: &[u128]) {
    let width = kind.id().map_or(16, |k| k.width());
    let Some((mut codes, entries)) = repeated(ids) else {
        writer.column(name, kind, rows, &Stored::Ids(ids, width), None);
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
    writer.column(name, kind, rows, &Stored::Codes(&codes, counts.len()), Some(place));
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
