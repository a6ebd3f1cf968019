//! Which rows of a block have a stored value: a bit per row, or a list of rows.
//!
//! Owns: reading both forms. Never does: know what the values are.

use super::SegmentError;
use super::format::{BlockMeta, Presence};
use super::pack::CHUNK;
use super::read::damaged;
use std::ops::Range;

/// Splits a block into presence and values.
pub(super) fn split<'a>(meta: &BlockMeta, data: &'a [u8], n: usize) -> Result<(&'a [u8], &'a [u8]), SegmentError> {
    let head = match meta.presence {
        Presence::All | Presence::None => 0,
        Presence::Bitmap => n.div_ceil(8),
        Presence::Positions => 2 * meta.n_stored as usize,
    };
    data.split_at_checked(head).ok_or_else(|| damaged("presence of a block"))
}

/// Calls `f` with the rows that have a stored value; never more than `n_stored`, all below `n`.
pub(super) fn each_position(meta: &BlockMeta, head: &[u8], n: usize, mut f: impl FnMut(usize)) {
    if meta.presence == Presence::Positions {
        let (positions, _) = head.as_chunks::<2>();
        for p in positions.iter().map(|p| u16::from_le_bytes(*p) as usize).filter(|p| *p < n) {
            f(p);
        }
    } else {
        let mut left = meta.n_stored;
        for (i, byte) in head.iter().enumerate() {
            let mut byte = *byte;
            while byte != 0 && left > 0 {
                let p = i * 8 + byte.trailing_zeros() as usize;
                byte &= byte - 1;
                if p < n {
                    f(p);
                    left -= 1;
                }
            }
        }
    }
}

/// Which stored values, the first of them starting a packed chunk, are needed for some rows, of which the first starts a chunk,
/// too; and how many of those are before the first that has a row.
pub(super) fn stored_of(meta: &BlockMeta, head: &[u8], rows: &Range<usize>) -> (Range<usize>, usize) {
    let n = meta.n_stored as usize;
    if meta.presence != Presence::Bitmap {
        return (0..n, 0);
    }
    let ones = |bytes: &[u8]| {
        let (words, rest) = bytes.as_chunks::<8>();
        let words = words.iter().map(|w| u64::from_le_bytes(*w).count_ones());
        words.chain(rest.iter().map(|b| b.count_ones())).sum::<u32>() as usize
    };
    let before = ones(head.get(..rows.start / 8).unwrap_or(head)).min(n);
    let end = (before + ones(head.get(rows.start / 8..rows.end.div_ceil(8).min(head.len())).unwrap_or(&[]))).min(n);
    let start = before / CHUNK * CHUNK;
    (start..end, before - start)
}

/// Puts stored values, as [`stored_of`] says, at their rows, and notes the rows in `bits`.
pub(super) fn scatter<T: Copy>(meta: &BlockMeta, head: &[u8], rows: &Range<usize>, values: &[T], out: &mut [T], bits: &mut Vec<u64>) {
    bits.clear();
    bits.resize(out.len().div_ceil(64), 0);
    if meta.presence == Presence::Bitmap {
        let head = head.get(rows.start / 8..).unwrap_or(&[]);
        expand(head, values, &mut out[rows.clone()], &mut bits[rows.start / 64..]);
        return;
    }
    let mut values = values.iter();
    each_position(meta, head, out.len(), |p| {
        if let Some(v) = values.next() {
            out[p] = *v;
            bits[p / 64] |= 1 << (p % 64);
        }
    });
}

/// [`scatter`] by bitmap, 64 rows at a time; words without a gap are copied.
pub(super) fn expand<T: Copy>(head: &[u8], mut values: &[T], out: &mut [T], bits: &mut [u64]) {
    for ((bytes, rows), bits) in head.chunks(8).zip(out.chunks_mut(64)).zip(bits) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let mut word = u64::from_le_bytes(word);
        if rows.len() < 64 {
            word &= (1 << rows.len()) - 1;
        }
        let n = word.count_ones() as usize;
        let Some((these, rest)) = values.split_at_checked(n) else { return };
        values = rest;
        *bits = word;
        if n == rows.len() {
            rows.copy_from_slice(these);
            continue;
        }
        for v in these {
            rows[word.trailing_zeros() as usize] = *v;
            word &= word - 1;
        }
    }
}

/// The place of a row's stored value in its block, if the row has one.
pub(super) fn stored_index(meta: &BlockMeta, head: &[u8], n: usize, row: usize) -> Option<usize> {
    match meta.presence {
        Presence::All => Some(row),
        Presence::None => None,
        Presence::Positions => {
            let (positions, _) = head.as_chunks::<2>();
            positions.binary_search_by_key(&row, |p| u16::from_le_bytes(*p) as usize).ok()
        }
        Presence::Bitmap => {
            if row >= n || head[row / 8] >> (row % 8) & 1 == 0 {
                return None;
            }
            let (words, bytes) = head[..row / 8].as_chunks::<8>();
            let whole =
                words.iter().map(|w| u64::from_le_bytes(*w).count_ones()).sum::<u32>() + bytes.iter().map(|b| b.count_ones()).sum::<u32>();
            Some((whole + (head[row / 8] & ((1u16 << (row % 8)) - 1) as u8).count_ones()) as usize)
        }
    }
}
