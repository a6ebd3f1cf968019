//! Columns of a batch that have few cells: from the log of the batch into the image, without memory of their own.
//!
//! Owns: their order and dictionaries. Never does: the bytes themselves (`write`).

use super::encode::{Keys, put_ids};
use super::write::{SegmentWriter, Stored};
use model::{Cells, ColumnKind, FEW_CELLS_MAX, FewCells, Values};

/// What is used again for the next column.
#[derive(Default)]
pub(super) struct FewBuffers {
    /// New rows and words, if the order changes.
    cells: Vec<(u32, u64)>,
    rows: Vec<u32>,
    words: Vec<u64>,
    ints: Vec<i64>,
    floats: Vec<f64>,
    bools: Vec<bool>,
    ids: Vec<u128>,
    texts: Texts,
}

#[derive(Default)]
struct Texts {
    counts: Vec<u32>,
    codes: Vec<u32>,
}

/// Bytes that a column will take in an image besides its entries, or a little more.
pub(super) fn likely_bytes(cells: &Cells) -> usize {
    const DICT_HEAD: usize = 36;
    const POSITION: usize = 2;
    match cells {
        Cells::Many(many) => 2 * many.values.len() + if matches!(many.values, Values::Str { .. }) { DICT_HEAD } else { 0 },
        Cells::Few(few) => match few.kind() {
            // Code, count, and half of each text for what it shares with others.
            ColumnKind::Str => DICT_HEAD + few.words().iter().map(|w| POSITION + 4 + (*w as u32 / 2) as usize).sum::<usize>(),
            ColumnKind::Bool => (POSITION + 1) * few.len(),
            ColumnKind::Int | ColumnKind::Float => (POSITION + 4) * few.len(),
            ColumnKind::Hex8 => (POSITION + 8) * few.len(),
            ColumnKind::Hex16 | ColumnKind::Uuid => (POSITION + 16) * few.len(),
        },
    }
}

impl FewBuffers {
    /// Writes a column; `inverse` says where each row went, if the order changes.
    pub(super) fn put(&mut self, writer: &mut SegmentWriter, name: &str, few: &FewCells, inverse: Option<&[u32]>) {
        let FewBuffers { cells, rows, words, ints, floats, bools, ids, texts } = self;
        let (rows, words) = match inverse {
            None => (few.rows(), few.words()),
            Some(inverse) => {
                cells.clear();
                cells.extend(few.rows().iter().map(|r| inverse[*r as usize]).zip(few.words().iter().copied()));
                cells.sort_unstable_by_key(|c| c.0);
                rows.clear();
                words.clear();
                for (row, word) in cells {
                    rows.push(*row);
                    words.push(*word);
                }
                (&**rows, &**words)
            }
        };
        let (rows, kind) = ((rows.len() < writer.n_rows()).then_some(rows), few.kind());
        match kind {
            ColumnKind::Str => texts.put(writer, name, rows, words.iter().map(|w| few.bytes(*w))),
            ColumnKind::Int => {
                ints.clear();
                ints.extend(words.iter().map(|w| *w as i64));
                writer.column(name, kind, rows, &Stored::Ints(ints), None);
            }
            ColumnKind::Float => {
                floats.clear();
                floats.extend(words.iter().map(|w| f64::from_bits(*w)));
                writer.column(name, kind, rows, &Stored::Floats(floats), None);
            }
            ColumnKind::Bool => {
                bools.clear();
                bools.extend(words.iter().map(|w| *w != 0));
                writer.column(name, kind, rows, &Stored::Bools(bools), None);
            }
            ColumnKind::Hex8 => {
                ids.clear();
                ids.extend(words.iter().map(|w| u128::from(*w)));
                put_ids(writer, name, kind, rows, ids);
            }
            ColumnKind::Hex16 | ColumnKind::Uuid => {
                ids.clear();
                ids.extend(words.iter().map(|w| few.bytes(*w).first_chunk().map_or(0, |b| u128::from_be_bytes(*b))));
                put_ids(writer, name, kind, rows, ids);
            }
        }
    }
}

impl Texts {
    /// Writes a column of text: all its cells are sorted, as looking up those that repeat would cost more.
    fn put<'a>(&mut self, writer: &mut SegmentWriter, name: &str, rows: Option<&[u32]>, cells: impl ExactSizeIterator<Item = &'a [u8]>) {
        let Texts { counts, codes } = self;
        let mut texts: [&[u8]; FEW_CELLS_MAX] = [&[]; FEW_CELLS_MAX];
        let n = cells.len().min(FEW_CELLS_MAX);
        for (slot, text) in texts.iter_mut().zip(cells) {
            *slot = text;
        }
        let mut keyed = [(0, 0); FEW_CELLS_MAX];
        let keyed = &mut keyed[..n];
        for (cell, slot) in keyed.iter_mut().enumerate() {
            slot.1 = cell;
        }
        let keys = Keys::set(keyed, |cell| texts[cell]);
        keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| keys.decide(texts[a.1], texts[b.1])));
        counts.clear();
        codes.clear();
        codes.resize(n, 0);
        let mut entries: [&[u8]; FEW_CELLS_MAX] = [&[]; FEW_CELLS_MAX];
        let mut before: Option<(u64, usize)> = None;
        for &(head, cell) in &*keyed {
            match counts.last_mut().filter(|_| before.is_some_and(|(h, b)| h == head && keys.decide(texts[b], texts[cell]).is_eq())) {
                Some(last) => *last += 1,
                None => {
                    entries[counts.len()] = texts[cell];
                    counts.push(1);
                }
            }
            codes[cell] = counts.len() as u32 - 1;
            before = Some((head, cell));
        }
        let place = writer.text_dict(counts, |i| entries[i]);
        writer.column(name, ColumnKind::Str, rows, &Stored::Codes(codes, counts.len()), Some(place));
    }
}
