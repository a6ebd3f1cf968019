//! Which rows of a block are meant: bitmaps, lists, and the loops that test values into bits.
//!
//! Owns: the kernels of filtering. Never does: know columns or conditions.

use crate::bits::ones;
use store::segment::{Codes, Valid};

/// One bit per row of a block, lowest first; bits at and after the last row are 0.
#[derive(Debug, Default)]
pub(crate) struct Bitmap {
    pub(crate) words: Vec<u64>,
}

/// A word with the bits below `n` set.
fn low_bits(n: usize) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

impl Bitmap {
    /// Becomes `n` bits that are set from `low` to `high`.
    pub(crate) fn set_range(&mut self, n: usize, low: usize, high: usize) {
        self.words.clear();
        self.words.resize(n.div_ceil(64), 0);
        for (i, w) in self.words.iter_mut().enumerate().take(high.div_ceil(64)).skip(low / 64) {
            let base = i * 64;
            *w = low_bits(high - base) & !low_bits(low.saturating_sub(base));
        }
    }

    /// Number of set bits.
    pub(crate) fn count(&self) -> usize {
        ones(&self.words)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    pub(crate) fn clear_all(&mut self) {
        self.words.fill(0);
    }

    pub(crate) fn and(&mut self, other: &Bitmap) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= b;
        }
    }

    pub(crate) fn and_not(&mut self, other: &Bitmap) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= !b;
        }
    }

    pub(crate) fn or(&mut self, other: &Bitmap) {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a |= b;
        }
    }

    /// Appends the positions of the set bits.
    pub(crate) fn push_rows(&self, rows: &mut Vec<u32>) {
        rows.reserve(self.count());
        for (i, word) in self.words.iter().enumerate() {
            let mut word = *word;
            let base = (i * 64) as u32;
            if word == u64::MAX {
                rows.extend(base..base + 64);
                continue;
            }
            while word != 0 {
                rows.push(base + word.trailing_zeros());
                word &= word - 1;
            }
        }
    }

    /// Clears the bits whose row fails the test.
    pub(crate) fn keep(&mut self, mut test: impl FnMut(usize) -> bool) {
        for (i, word) in self.words.iter_mut().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                if !test(i * 64 + bit as usize) {
                    *word &= !(1 << bit);
                }
            }
        }
    }
}

/// Eight bytes of 0 or 1 become eight bits.
fn pack8(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

fn pack64(bytes: &[u8; 64]) -> u64 {
    let (eights, _) = bytes.as_chunks::<8>();
    let mut word = 0;
    for (i, e) in eights.iter().enumerate() {
        word |= pack8(*e) << (8 * i);
    }
    word
}

/// Clears the bits whose value fails the test. Written so that the compiler tests many values at once.
pub(crate) fn keep_values<T: Copy>(values: &[T], bits: &mut Bitmap, test: impl Fn(T) -> bool) {
    let (chunks, rest) = values.as_chunks::<64>();
    let mut bytes = [0u8; 64];
    for (chunk, word) in chunks.iter().zip(bits.words.iter_mut()) {
        if *word == 0 {
            continue;
        }
        for (b, v) in bytes.iter_mut().zip(chunk) {
            *b = u8::from(test(*v));
        }
        *word &= pack64(&bytes);
    }
    if let Some(last) = bits.words.get_mut(chunks.len()) {
        let mut word = 0;
        for (i, v) in rest.iter().enumerate() {
            word |= u64::from(test(*v)) << i;
        }
        *last &= word;
    }
}

/// Clears the bits of rows without a cell.
pub(crate) fn keep_valid(valid: Valid<'_>, bits: &mut Bitmap) {
    match valid {
        Valid::All => {}
        Valid::None => bits.clear_all(),
        Valid::Bits(words) => {
            for (a, b) in bits.words.iter_mut().zip(words) {
                *a &= b;
            }
        }
    }
}

/// Whether a row has a cell.
pub(crate) fn is_valid(valid: Valid<'_>, row: usize) -> bool {
    match valid {
        Valid::All => true,
        Valid::None => false,
        Valid::Bits(words) => words[row / 64] >> (row % 64) & 1 == 1,
    }
}

/// Calls `f` with start and end of runs of set bits between two positions.
pub(crate) fn each_run(words: &[u64], low: usize, high: usize, mut f: impl FnMut(usize, usize)) {
    // The run that is still open.
    let mut from = None;
    for (i, word) in words.iter().enumerate().take(high.div_ceil(64)).skip(low / 64) {
        let base = i * 64;
        let inside = low_bits(high - base) & !low_bits(low.saturating_sub(base));
        let mut word = word & inside;
        if word == u64::MAX {
            from.get_or_insert(base);
            continue;
        }
        if let Some(start) = from.take() {
            let n = word.trailing_ones();
            f(start, base + n as usize);
            word &= u64::MAX << n;
        }
        while word != 0 {
            let start = word.trailing_zeros();
            let n = (word >> start).trailing_ones();
            if start + n == 64 {
                from = Some(base + start as usize);
                break;
            }
            f(base + start as usize, base + (start + n) as usize);
            word &= u64::MAX << (start + n);
        }
    }
    if let Some(start) = from {
        f(start, high);
    }
}

/// The rows of a block that a question is about, ascending.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'a> {
    /// All from here to there.
    Range(usize, usize),
    /// These.
    List(&'a [u32]),
}

impl<'a> Rows<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Rows::Range(low, high) => high - low,
            Rows::List(rows) => rows.len(),
        }
    }

    pub(crate) fn first(&self) -> Option<usize> {
        match self {
            Rows::Range(low, high) => (low < high).then_some(*low),
            Rows::List(rows) => rows.first().map(|r| *r as usize),
        }
    }

    pub(crate) fn last(&self) -> Option<usize> {
        match self {
            Rows::Range(low, high) => (low < high).then(|| high - 1),
            Rows::List(rows) => rows.last().map(|r| *r as usize),
        }
    }

    /// Those from one row up to another.
    pub(crate) fn between(&self, from: usize, to: usize) -> Rows<'a> {
        match *self {
            Rows::Range(low, high) => {
                let low = low.clamp(from, to);
                Rows::Range(low, high.clamp(low, to))
            }
            Rows::List(rows) => {
                Rows::List(&rows[rows.partition_point(|r| (*r as usize) < from)..rows.partition_point(|r| (*r as usize) < to)])
            }
        }
    }

    /// Without the first `n`.
    pub(crate) fn skip(self, n: usize) -> Rows<'a> {
        match self {
            Rows::Range(low, high) => Rows::Range(low + n, high),
            Rows::List(rows) => Rows::List(&rows[n..]),
        }
    }

    /// How many of them come before a row.
    pub(crate) fn before(&self, row: usize) -> usize {
        match *self {
            Rows::Range(low, high) => row.clamp(low, high) - low,
            Rows::List(rows) => rows.partition_point(|r| (*r as usize) < row),
        }
    }

    /// Calls `f` with position and row of each.
    #[inline(always)]
    pub(crate) fn each(&self, mut f: impl FnMut(usize, usize)) {
        match *self {
            Rows::Range(low, high) => {
                for i in 0..high - low {
                    f(i, low + i);
                }
            }
            Rows::List(rows) => {
                for (i, r) in rows.iter().enumerate() {
                    f(i, *r as usize);
                }
            }
        }
    }

    /// Calls `f` with position and value of each.
    #[inline(always)]
    pub(crate) fn each_value<T: Copy>(&self, values: &[T], mut f: impl FnMut(usize, T)) {
        match *self {
            Rows::Range(low, high) => {
                for (i, v) in values[low..high].iter().enumerate() {
                    f(i, *v);
                }
            }
            Rows::List(rows) => {
                for (i, r) in rows.iter().enumerate() {
                    f(i, values[*r as usize]);
                }
            }
        }
    }

    /// Calls `f` with position and code of each.
    #[inline(always)]
    pub(crate) fn each_code(&self, codes: Codes<'_>, mut f: impl FnMut(usize, usize)) {
        match codes {
            Codes::Const(c) => self.each(|i, _| f(i, c as usize)),
            Codes::U8(c) => self.each_value(c, |i, c| f(i, c as usize)),
            Codes::U16(c) => self.each_value(c, |i, c| f(i, c as usize)),
            Codes::U32(c) => self.each_value(c, |i, c| f(i, c as usize)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bits: &Bitmap) -> Vec<u32> {
        let mut out = Vec::new();
        bits.push_rows(&mut out);
        out
    }

    #[test]
    fn ranges_of_bits() {
        let mut b = Bitmap::default();
        for (n, low, high) in [(200, 0, 200), (200, 63, 64), (200, 64, 128), (130, 5, 129), (64, 0, 0), (1, 0, 1), (200, 200, 200)] {
            b.set_range(n, low, high);
            assert_eq!(rows(&b), (low as u32..high as u32).collect::<Vec<_>>(), "{n} {low} {high}");
            assert_eq!(b.count(), high - low);
        }
    }

    #[test]
    fn runs_of_bits() {
        for seed in 0..50u64 {
            let words: Vec<u64> = (0..5)
                .map(|i| match crate::intern::mix(seed * 5 + i) % 4 {
                    0 => u64::MAX,
                    1 => 0,
                    _ => crate::intern::mix(seed + i * 99),
                })
                .collect();
            for (low, high) in [(0, 320), (0, 64), (3, 70), (64, 320), (63, 65), (100, 100), (1, 319)] {
                let mut found = Vec::new();
                each_run(&words, low, high, |from, to| {
                    assert!(from < to);
                    found.extend(from..to);
                });
                let expected: Vec<usize> = (low..high).filter(|i| words[i / 64] >> (i % 64) & 1 == 1).collect();
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn tests_clear_bits() {
        for n in [1usize, 63, 64, 65, 1000] {
            let values: Vec<u16> = (0..n as u16).map(|i| i.wrapping_mul(7919) % 100).collect();
            let mut b = Bitmap::default();
            b.set_range(n, 0, n);
            keep_values(&values, &mut b, |v| v.wrapping_sub(20) <= 30);
            let expected: Vec<u32> = (0..n as u32).filter(|i| (20..=50).contains(&values[*i as usize])).collect();
            assert_eq!(rows(&b), expected);
            b.keep(|row| row % 2 == 0);
            assert_eq!(rows(&b), expected.iter().copied().filter(|r| r % 2 == 0).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_as_list_and_range() {
        let list = [3u32, 5, 9];
        assert_eq!(Rows::List(&list).before(5), 1);
        assert_eq!(Rows::Range(3, 10).before(5), 2);
        assert_eq!(Rows::Range(3, 10).skip(2).len(), 5);
        let mut seen = Vec::new();
        Rows::List(&list).each_value(&[0u8, 10, 20, 30, 40, 50, 60, 70, 80, 90], |i, v| seen.push((i, v)));
        assert_eq!(seen, [(0, 30), (1, 50), (2, 90)]);
    }
}
