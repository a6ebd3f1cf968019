//! Dictionaries: the distinct values of a column, ascending by bytes, each with its number of events.
//!
//! Owns: decoded dictionaries, looking up (writing: `write`; a part of the values: `pages`). Never does: decide which columns get a dictionary.

mod mark;
mod pages;
mod write;

pub use mark::Mark;
pub use pages::DictPages;
pub(super) use pages::{read_many, read_one};
pub(super) use write::{Effort, TextBuffers, shared_prefix, write_histogram, write_ids, write_text};

use super::SegmentError;
use model::{ColumnKind, IdKind, hash128, write_id};
use pages::read_text;
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

pub(super) fn get_varint(b: &mut &[u8]) -> Option<u32> {
    let mut v = 0u64;
    for shift in [0, 7, 14, 21, 28] {
        let (&first, rest) = b.split_first()?;
        *b = rest;
        v |= u64::from(first & 0x7f) << shift;
        if first < 0x80 {
            return u32::try_from(v).ok();
        }
    }
    None
}

/// Reads a histogram of `n` buckets: (bucket, count), ascending.
pub(super) fn read_histogram(mut b: &[u8], n: usize) -> Result<Vec<(u32, u32)>, SegmentError> {
    let mut go = || {
        let crc = take_u32(&mut b)?;
        if crc32c::crc32c(b) != crc || n > b.len() {
            return None;
        }
        let mut out = Vec::with_capacity(n);
        let mut bucket = 0u32;
        for _ in 0..n {
            bucket = bucket.checked_add(get_varint(&mut b)?)?;
            out.push((bucket, get_varint(&mut b)?));
        }
        Some(out)
    };
    go().ok_or_else(|| damaged("histogram"))
}

/// Entries one after the other, of one dictionary or of several.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Texts {
    /// None, with room for `n` of together `n_bytes`: memory that is not used is not touched.
    #[must_use]
    pub fn with_room(n: usize, n_bytes: usize) -> Texts {
        Texts { bytes: Vec::with_capacity(n_bytes), ends: Vec::with_capacity(n) }
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Drops the first `n`.
    pub fn drop_first(&mut self, n: usize) {
        let Some(start) = n.checked_sub(1).map(|last| self.ends[last]) else { return };
        self.bytes.drain(..start as usize);
        self.ends.drain(..n);
        self.ends.iter_mut().for_each(|end| *end -= start);
    }

    /// Bytes that they take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.len() + 4 * self.ends.len()
    }

    /// Bytes of all of them together, which may not become more than 4 GiB.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends one.
    #[inline]
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u32);
    }

    /// Appends some of another list.
    pub fn append(&mut self, other: &Texts, range: std::ops::Range<usize>) {
        let at = |i: usize| i.checked_sub(1).map_or(0, |last| other.ends[last]);
        let (start, base) = (at(range.start), self.bytes.len() as u32);
        self.bytes.extend_from_slice(&other.bytes[start as usize..at(range.end) as usize]);
        self.ends.extend(other.ends[range].iter().map(|end| end - start + base));
    }

    /// Appends one that has an exact mark.
    #[inline]
    pub fn push_exact(&mut self, mark: Mark) {
        let (bytes, len) = mark.text();
        let end = self.bytes.len() + len;
        self.bytes.extend_from_slice(&bytes);
        self.bytes.truncate(end);
        self.ends.push(end as u32);
    }

    /// Writes the marks of some to `marks`.
    pub fn marks(&self, range: std::ops::Range<usize>, marks: &mut Vec<Mark>) {
        let mut start = range.start.checked_sub(1).map_or(0, |last| self.ends[last] as usize);
        marks.clear();
        marks.extend(self.ends[range].iter().map(|end| {
            let (text, len) = (&self.bytes[start..], *end as usize - start);
            start = *end as usize;
            match text.first_chunk() {
                Some(bytes) if len < Mark::BYTES => Mark::short(*bytes, len),
                _ => Mark::of(&text[..len]),
            }
        }));
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// One of them.
    #[must_use]
    #[inline]
    pub fn get(&self, i: u32) -> &[u8] {
        let i = i as usize;
        let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
        &self.bytes[start..self.ends[i] as usize]
    }

    /// Appends those of a dictionary of `n` entries, which probably take `raw_bytes`.
    pub(super) fn read(&mut self, b: &[u8], n: usize, raw_bytes: u64) -> Result<(), SegmentError> {
        let rest = sections(b).ok_or_else(|| damaged("counts"))?.rest;
        read_text(rest, n, raw_bytes, self).ok_or_else(|| damaged("text"))
    }
}

#[derive(Debug)]
enum Values {
    Text(Texts),
    Ids { kind: IdKind, raw: Vec<u8> },
}

/// The dictionary of a column, decoded. Entries are ascending by bytes, so a value is found by binary search.
#[derive(Debug)]
pub struct Dict {
    values: Values,
    counts: Vec<u32>,
    hashes: OnceLock<Vec<u128>>,
    /// Hashes that were asked for one by one.
    n_single: AtomicU32,
}

/// With fewer than one entry in so many asked for, hashes are computed one by one.
const SINGLE_SHARE: usize = 16;

/// The bytes of a dictionary, taken apart.
struct Sections<'a> {
    counts: &'a [u8],
    rest: &'a [u8],
}

fn take<'a>(b: &mut &'a [u8], n: usize) -> Option<&'a [u8]> {
    let (head, rest) = b.split_at_checked(n)?;
    *b = rest;
    Some(head)
}

fn take_u32(b: &mut &[u8]) -> Option<u32> {
    take(b, 4)?.first_chunk().map(|c| u32::from_le_bytes(*c))
}

/// What comes after the counts.
fn skip_counts(mut b: &[u8]) -> Option<&[u8]> {
    let bytes = take_u32(&mut b)? as usize;
    b.get(bytes.checked_add(4)?..)
}

fn sections(mut b: &[u8]) -> Option<Sections<'_>> {
    let bytes = take_u32(&mut b)? as usize;
    let crc = take_u32(&mut b)?;
    let counts = take(&mut b, bytes)?;
    (crc32c::crc32c(counts) == crc).then_some(Sections { counts, rest: b })
}

fn damaged(what: &str) -> SegmentError {
    SegmentError::Damaged { what: format!("dictionary ({what})") }
}

impl Dict {
    /// Decodes a dictionary of `n` entries, which probably take `raw_bytes` then.
    pub(super) fn read(b: &[u8], kind: ColumnKind, n: usize, raw_bytes: u64) -> Result<Dict, SegmentError> {
        let Sections { counts: mut packed, rest } = sections(b).ok_or_else(|| damaged("counts"))?;
        if n > packed.len() {
            return Err(damaged("counts"));
        }
        let mut counts = Vec::with_capacity(n);
        for _ in 0..n {
            counts.push(match *packed {
                [one @ 0..0x80, ref rest @ ..] => {
                    packed = rest;
                    u32::from(one)
                }
                _ => get_varint(&mut packed).ok_or_else(|| damaged("counts"))?,
            });
        }
        let values = match kind.id() {
            Some(id) => read_ids(rest, id, n).ok_or_else(|| damaged("ids"))?,
            None => {
                let mut texts = Texts::default();
                read_text(rest, n, raw_bytes, &mut texts).ok_or_else(|| damaged("text"))?;
                Values::Text(texts)
            }
        };
        Ok(Dict { values, counts, hashes: OnceLock::new(), n_single: AtomicU32::new(0) })
    }

    /// Number of distinct values; also the code that stands for "missing".
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        let values = match &self.values {
            Values::Text(texts) => texts.memory(),
            Values::Ids { raw, .. } => raw.len(),
        };
        values + self.counts.len() * 4 + self.hashes.get().map_or(0, |h| h.len() * 16)
    }

    /// The bytes of a code as they are ordered: UTF-8 text, or the raw id.
    #[must_use]
    #[inline]
    pub fn raw(&self, code: u32) -> &[u8] {
        match &self.values {
            Values::Text(texts) => texts.get(code),
            Values::Ids { kind, raw } => &raw[code as usize * kind.width()..(code as usize + 1) * kind.width()],
        }
    }

    /// The text of a code; ids are written into `scratch`. The code must be below [`Self::len`].
    #[must_use]
    pub fn text<'a>(&'a self, code: u32, scratch: &'a mut String) -> &'a str {
        match &self.values {
            // Checked when it was decoded.
            Values::Text(_) => std::str::from_utf8(self.raw(code)).unwrap_or_default(),
            Values::Ids { kind, .. } => {
                scratch.clear();
                write_id(*kind, self.raw(code), scratch);
                scratch
            }
        }
    }

    /// The bytes of a text dictionary's entry, without a check for UTF-8; `None` for ids.
    #[must_use]
    #[inline]
    pub fn text_bytes(&self, code: u32) -> Option<&[u8]> {
        matches!(self.values, Values::Text(_)).then(|| self.raw(code))
    }

    /// 128-bit hash of the text of a code (the same for ids in whatever layout they are kept).
    #[must_use]
    pub fn hash(&self, code: u32) -> u128 {
        let few = || (self.n_single.fetch_add(1, Ordering::Relaxed) as usize) < self.len() / SINGLE_SHARE;
        if self.hashes.get().is_none() && few() {
            return self.hash_of(code, &mut String::new());
        }
        self.hashes()[code as usize]
    }

    /// The raw id of a code, big-endian, as one number; `None` for text.
    #[must_use]
    pub fn id(&self, code: u32) -> Option<u128> {
        let Values::Ids { .. } = &self.values else { return None };
        Some(self.raw(code).iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))
    }

    fn hash_of(&self, code: u32, scratch: &mut String) -> u128 {
        match &self.values {
            Values::Text(_) => hash128(self.raw(code)),
            Values::Ids { .. } => hash128(self.text(code, scratch).as_bytes()),
        }
    }

    /// The hashes of all codes; computed on first use.
    pub fn hashes(&self) -> &[u128] {
        self.hashes.get_or_init(|| {
            let mut scratch = String::new();
            (0..self.len() as u32).map(|c| self.hash_of(c, &mut scratch)).collect()
        })
    }

    /// Events with this value, unweighted.
    #[must_use]
    pub fn count(&self, code: u32) -> u32 {
        self.counts[code as usize]
    }

    /// The code of a text.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<u32> {
        let id;
        let key: &[u8] = match &self.values {
            Values::Text(_) => text.as_bytes(),
            Values::Ids { kind, .. } => {
                id = model::parse_id(text.as_bytes()).filter(|(k, _)| k == kind)?.1;
                &id[..kind.width()]
            }
        };
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.raw(middle as u32) < key { low = middle + 1 } else { high = middle }
        }
        (low < self.len() && self.raw(low as u32) == key).then_some(low as u32)
    }
}

fn read_ids(mut b: &[u8], kind: IdKind, n: usize) -> Option<Values> {
    let crc = take_u32(&mut b)?;
    let raw = take(&mut b, n.checked_mul(kind.width())?)?;
    (crc32c::crc32c(raw) == crc).then(|| Values::Ids { kind, raw: raw.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_lengths_come_back() {
        // Shared and own parts on both sides of what is copied at once, and of one byte of varint.
        let mut texts: Vec<String> = vec![String::new()];
        for shared in [0, 1, 15, 16, 17, 127, 128, 254, 255, 256, 300] {
            for rest in [1, 7, 15, 16, 17, 31, 32, 33, 127, 128, 1000] {
                texts.push("a".repeat(shared) + &"é".repeat(rest / 2) + &"z".repeat(rest % 2));
            }
        }
        texts.extend((0..5000).map(|i| format!("u{i:07}")));
        texts.sort();
        texts.dedup();
        let counts: Vec<u32> = (0..texts.len() as u32).map(|i| [1, 127, 128, 70_000][i as usize % 4] + i).collect();
        for effort in [Effort::Fast, Effort::Small] {
            let mut bytes = Vec::new();
            let raw_bytes = write_text(&counts, |i| texts[i].as_bytes(), effort, &mut TextBuffers::default(), &mut bytes);
            // Whatever the directory says of the bytes to come.
            for raw_bytes in [raw_bytes, 0, raw_bytes / 2, u64::MAX / 2] {
                let dict = Dict::read(&bytes, ColumnKind::Str, texts.len(), raw_bytes).unwrap();
                let mut scratch = String::new();
                for (i, text) in texts.iter().enumerate() {
                    assert_eq!(dict.text(i as u32, &mut scratch), text);
                    assert_eq!(dict.count(i as u32), counts[i]);
                    assert_eq!(dict.find(text), Some(i as u32));
                }
                assert_eq!(dict.hash(3), hash128(texts[3].as_bytes()));
                assert_eq!(dict.id(3), None);
            }
            let pages = DictPages::of(&bytes, ColumnKind::Str, texts.len()).unwrap();
            assert!(pages.n_pages() > 2);
            pages_agree(pages, |i| texts[i].as_bytes());
            for step in [1, 2_500] {
                let codes: Vec<u32> = (0..texts.len() as u32).step_by(step).collect();
                let found = read_many(&bytes, ColumnKind::Str, &codes).unwrap();
                assert!(found.iter().zip(&codes).all(|(found, code)| *found == texts[*code as usize]));
                assert_eq!(found.len(), codes.len());
            }
            let in_table = bytes.len() - skip_counts(&bytes).unwrap().len() + 60;
            bytes[in_table] ^= 1;
            assert!(DictPages::of(&bytes, ColumnKind::Str, texts.len()).is_err());
        }
    }

    #[test]
    fn marks_tell_texts_apart() {
        let all = ["", "a", "a\0", "\0", "fifteen bytes!!", "sixteen bytes !!", "sixteen bytes ?!", "ab", "the end"];
        let (mut texts, mut again, mut marks) = (Texts::default(), Texts::default(), Vec::new());
        all.iter().for_each(|t| texts.push(t.as_bytes()));
        texts.marks(0..all.len(), &mut marks);
        let all_marks = marks.clone();
        for (i, mark) in marks.iter().enumerate() {
            assert_eq!(mark.is_exact(), all[i].len() < 16);
            assert!(marks[..i].iter().all(|other| other != mark));
            if mark.is_exact() {
                again.push_exact(*mark)
            } else {
                again.append(&texts, i..i + 1)
            }
            assert_eq!(again.get(i as u32), all[i].as_bytes());
        }
        // Wherever a text stands.
        for i in 0..all.len() {
            let mut few = Texts::default();
            few.append(&texts, i..all.len());
            few.marks(0..few.len(), &mut marks);
            assert_eq!(marks, all_marks[i..]);
        }
    }

    #[test]
    fn ids_have_pages_too() {
        let ids: Vec<u128> = (0..5_000).map(|i| i * 7).collect();
        let mut bytes = Vec::new();
        let raw: Vec<u8> = ids.iter().flat_map(|id| id.to_be_bytes()).collect();
        write_ids(&vec![2; ids.len()], &raw, &mut bytes);
        pages_agree(DictPages::of(&bytes, ColumnKind::Hex16, ids.len()).unwrap(), |i| &raw[i * 16..i * 16 + 16]);
        *bytes.last_mut().unwrap() ^= 1;
        assert!(DictPages::of(&bytes, ColumnKind::Hex16, ids.len()).is_err());
    }

    fn pages_agree<'a>(pages: DictPages<'_>, text: impl Fn(usize) -> &'a [u8]) {
        let mut window = Texts::default();
        for page in 0..pages.n_pages() {
            let first = pages.first_code(page);
            assert_eq!(pages.first(page).unwrap(), text(first));
            // What was there before stays before it.
            window.drop_first(window.len().saturating_sub(3));
            let kept = window.len();
            pages.append(page, &mut window).unwrap();
            for i in 0..window.len() {
                assert_eq!(window.get(i as u32), text(first - kept + i));
            }
        }
        assert_eq!(pages.first_code(pages.n_pages()), pages.len());
        for step in [1, 3, 1_000, 3_000] {
            let codes: Vec<u32> = (0..pages.len() as u32).step_by(step).collect();
            let mut left = codes.iter();
            pages.read(&codes, |found| assert_eq!(found, text(*left.next().unwrap() as usize))).unwrap();
            assert!(left.next().is_none());
        }
        assert!(pages.read(&[pages.len() as u32], |_| ()).is_err());
        assert!(pages.first(pages.n_pages()).is_err() && pages.append(pages.n_pages(), &mut window).is_err());
    }
}
