//! Columns of a batch that have few cells: from the log of the batch into the image, without memory of their own.
//!
//! Owns: their order and dictionaries. Never does: the bytes themselves (`write`).

use super::encode::{put_ids, sort_by_bytes};
use super::write::{SegmentWriter, Stored};
use model::{Cells, ColumnKind, FewCells, Values};

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
    /// Eight bytes of a text, and its cell: by code, then.
    keyed: Vec<(u64, u32)>,
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
            ColumnKind::Str => texts.put(writer, name, rows, words.len(), |cell| few.bytes(words[cell as usize])),
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
    fn put<'a>(&mut self, writer: &mut SegmentWriter, name: &str, rows: Option<&[u32]>, n: usize, text: impl Fn(u32) -> &'a [u8]) {
        let Texts { keyed, counts, codes } = self;
        let common = sort_by_bytes(0..n as u32, &text, keyed);
        counts.clear();
        codes.clear();
        codes.resize(n, 0);
        let mut before: Option<(u64, u32)> = None;
        keyed.retain(|&(head, cell)| {
            let again = before.is_some_and(|(h, b)| h == head && text(b)[common..] == text(cell)[common..]);
            before = Some((head, cell));
            match counts.last_mut().filter(|_| again) {
                Some(last) => *last += 1,
                None => counts.push(1),
            }
            codes[cell as usize] = counts.len() as u32 - 1;
            !again
        });
        let place = writer.text_dict(counts, |i| text(keyed[i].1));
        writer.column(name, ColumnKind::Str, rows, &Stored::Codes(codes, counts.len()), Some(place));
    }
}
