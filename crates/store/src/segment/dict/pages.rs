//! The pages of a dictionary, decoded one by one.
//!
//! Text is front-coded in pages that are compressed each by itself, so that some values can be read without the others.
//! Owns: pages, and which of them are needed. Never does: keep what was decoded.

use super::write::{PAGE_BYTES, PAGE_RECORD, SHARED_MAX};
use super::{Texts, damaged, get_varint, skip_counts, take, take_u32};
use crate::segment::SegmentError;
use model::{ColumnKind, write_id};
use std::cell::RefCell;

#[derive(Clone, Copy)]
struct Page<'a> {
    first: usize,
    stored: &'a [u8],
    raw_bytes: usize,
    crc: u32,
}

/// The page table, and the pages.
fn page_table(mut b: &[u8]) -> Option<(&[u8], &[u8])> {
    let n = take_u32(&mut b)? as usize;
    let crc = take_u32(&mut b)?;
    let table = take(&mut b, n.checked_mul(PAGE_RECORD)?)?;
    (crc32c::crc32c(table) == crc).then_some((table, b))
}

fn page_of<'a>(mut record: &[u8], body: &'a [u8]) -> Option<Page<'a>> {
    let r = &mut record;
    let (first, start, bytes, raw_bytes, crc) = (take_u32(r)?, take_u32(r)?, take_u32(r)?, take_u32(r)?, take_u32(r)?);
    let stored = body.get(start as usize..)?.get(..bytes as usize)?;
    Some(Page { first: first as usize, stored, raw_bytes: raw_bytes as usize, crc })
}

/// Largest page that a reader takes: [`PAGE_BYTES`] plus one entry of the largest field.
const PAGE_RAW_MAX: usize = PAGE_BYTES + (2 << 20);

thread_local! {
    /// Setting one up costs more than opening a small page.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Opens pages one after the other.
#[derive(Default)]
struct Opener {
    buffer: Vec<u8>,
}

impl Opener {
    fn open<'a>(&'a mut self, page: Page<'a>) -> Option<&'a [u8]> {
        if crc32c::crc32c(page.stored) != page.crc || page.raw_bytes > PAGE_RAW_MAX {
            return None;
        }
        if page.stored.len() == page.raw_bytes {
            return Some(page.stored);
        }
        self.buffer.clear();
        self.buffer.reserve(page.raw_bytes);
        DECOMPRESSOR.with_borrow_mut(|zstd| {
            if zstd.is_none() {
                *zstd = zstd::bulk::Decompressor::new().ok();
            }
            zstd.as_mut()?.decompress_to_buffer(page.stored, &mut self.buffer).ok()
        })?;
        (self.buffer.len() == page.raw_bytes).then_some(self.buffer.as_slice())
    }
}

/// One text entry, decoding only its page.
pub(in crate::segment) fn read_one(b: &[u8], kind: ColumnKind, code: u32) -> Result<String, SegmentError> {
    let go = || {
        let rest = skip_counts(b)?;
        if let Some(id) = kind.id() {
            let raw = rest.get(4..)?.get(code as usize * id.width()..)?.get(..id.width())?;
            let mut text = String::new();
            write_id(id, raw, &mut text);
            return Some(text);
        }
        let (table, body) = page_table(rest)?;
        let mut found = None;
        let pages = DictPages { kind, body, table, len: usize::MAX };
        pages.read(&[code], |text| found = Some(String::from_utf8_lossy(text).into_owned())).ok()?;
        found
    };
    go().ok_or_else(|| damaged("one value"))
}

/// Text entries by their codes, which ascend; each page is decoded once.
pub(in crate::segment) fn read_many(b: &[u8], kind: ColumnKind, codes: &[u32]) -> Result<Vec<String>, SegmentError> {
    if kind.id().is_some() || codes.len() < 2 {
        return codes.iter().map(|c| read_one(b, kind, *c)).collect();
    }
    let mut out = Vec::with_capacity(codes.len());
    DictPages::of(b, kind, 0)?.read(codes, |text| out.push(String::from_utf8_lossy(text).into_owned()))?;
    Ok(out)
}

/// A dictionary of which some entries are decoded. Its entries as bytes are UTF-8 text, or raw ids.
#[derive(Clone, Copy, Debug)]
pub struct DictPages<'s> {
    kind: ColumnKind,
    /// Pages and their table, or ids.
    body: &'s [u8],
    table: &'s [u8],
    len: usize,
}

/// Ids that are taken for a page.
const PAGE_IDS: usize = 2048;

impl<'s> DictPages<'s> {
    pub(in crate::segment) fn of(b: &'s [u8], kind: ColumnKind, len: usize) -> Result<DictPages<'s>, SegmentError> {
        let go = || {
            let mut rest = skip_counts(b)?;
            let (table, body) = match kind.id() {
                None => page_table(rest)?,
                Some(id) => {
                    let crc = take_u32(&mut rest)?;
                    let raw = take(&mut rest, len.checked_mul(id.width())?)?;
                    (&[][..], Some(raw).filter(|raw| crc32c::crc32c(raw) == crc)?)
                }
            };
            Some(DictPages { kind, body, table, len })
        };
        go().ok_or_else(|| damaged("pages"))
    }

    /// Entries.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "an empty one is none")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Pages that the entries lie on.
    #[must_use]
    pub fn n_pages(&self) -> usize {
        if self.kind.id().is_some() { self.len.div_ceil(PAGE_IDS) } else { self.table.len() / PAGE_RECORD }
    }

    /// The code of the first entry of a page; [`Self::len`] if there is no such page.
    #[must_use]
    pub fn first_code(&self, page: usize) -> usize {
        if page >= self.n_pages() {
            return self.len;
        }
        if self.kind.id().is_some() { page * PAGE_IDS } else { self.page(page).map_or(self.len, |p| p.first) }
    }

    fn page(&self, page: usize) -> Option<Page<'s>> {
        page_of(self.table.get(page * PAGE_RECORD..)?.get(..PAGE_RECORD)?, self.body)
    }

    /// The page that a code lies on, which is not before another one.
    fn page_with(&self, code: usize, from: usize) -> usize {
        // The next one more often than not.
        let (mut low, mut high) = (from, self.n_pages());
        if from + 2 < high {
            if self.first_code(from + 2) <= code { low = from + 2 } else { high = from + 2 }
        }
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if self.first_code(middle) <= code { low = middle } else { high = middle }
        }
        low
    }

    /// The first entry of a page.
    pub fn first(&self, page: usize) -> Result<Vec<u8>, SegmentError> {
        let go = || {
            if let Some(id) = self.kind.id() {
                return Some(self.body.get(page * PAGE_IDS * id.width()..)?.get(..id.width())?.to_vec());
            }
            let mut first = None;
            walk(Opener::default().open(self.page(page)?)?, |text| {
                first = Some(text.to_vec());
                false
            })?;
            first
        };
        go().ok_or_else(|| damaged("first of a page"))
    }

    /// Appends the entries of a page.
    pub fn append(&self, page: usize, texts: &mut Texts) -> Result<(), SegmentError> {
        let (from, to) = (self.first_code(page), self.first_code(page + 1));
        let mut go = || {
            let n_before = texts.len();
            if page >= self.n_pages() {
                return None;
            }
            match self.kind.id() {
                Some(id) => {
                    let raw = self.body.get(from * id.width()..to * id.width())?;
                    for raw in raw.chunks_exact(id.width()) {
                        texts.bytes.extend_from_slice(raw);
                        texts.ends.push(u32::try_from(texts.bytes.len()).ok()?);
                    }
                }
                None => {
                    let (mut opener, first) = (Opener::default(), texts.bytes.len());
                    let raw = opener.open(self.page(page)?)?;
                    make_room(raw, texts, first);
                    let end = append_page(raw, texts, first)?;
                    texts.bytes.truncate(end);
                }
            }
            (texts.len() - n_before == to.checked_sub(from)?).then_some(())
        };
        go().ok_or_else(|| damaged("page"))
    }

    /// Calls `visit` with the entries of some codes, which ascend; opens no page in vain.
    pub fn read(&self, codes: &[u32], mut visit: impl FnMut(&[u8])) -> Result<(), SegmentError> {
        let mut go = || {
            if let Some(id) = self.kind.id() {
                return codes.iter().try_for_each(|code| {
                    visit(self.body.get(*code as usize * id.width()..)?.get(..id.width())?);
                    Some(())
                });
            }
            let (mut opener, mut left, mut page) = (Opener::default(), codes, 0);
            while let Some(first) = left.first() {
                page = self.page_with(*first as usize, page);
                let end = if page + 1 < self.n_pages() { self.first_code(page + 1) } else { usize::MAX };
                let (here, later) = left.split_at(left.partition_point(|c| (*c as usize) < end));
                left = later;
                let at = self.page(page)?;
                let (mut code, mut wanted) = (at.first as u32, here);
                walk(opener.open(at)?, |text| {
                    while wanted.first() == Some(&code) {
                        visit(text);
                        wanted = &wanted[1..];
                    }
                    code += 1;
                    !wanted.is_empty()
                })?;
                if !wanted.is_empty() {
                    return None;
                }
            }
            Some(())
        };
        go().ok_or_else(|| damaged("some values"))
    }
}

/// Bytes that are copied at once, whether so many are meant or fewer.
const COPY: usize = 16;
const COPY_MAX: u8 = COPY as u8;

/// Copies `n` bytes; where both sides have room, without asking how many they are.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8], n: usize) -> Option<()> {
    match (from.first_chunk::<COPY>(), to.first_chunk_mut::<COPY>()) {
        (Some(from), Some(to)) if n <= COPY => *to = *from,
        _ => to.get_mut(..n)?.copy_from_slice(from.get(..n)?),
    }
    Some(())
}

/// How much of an entry is as in the one before, and how much is its own.
#[inline(always)]
fn lengths(raw: &mut &[u8]) -> Option<(usize, usize)> {
    if let [shared @ 0..0x80, rest @ 0..0x80, own @ ..] = *raw {
        *raw = own;
        return Some((usize::from(*shared), usize::from(*rest)));
    }
    Some((get_varint(raw)? as usize, get_varint(raw)? as usize))
}

/// Calls `visit` with the entries of an open page, in order, until it answers false.
fn walk(mut raw: &[u8], mut visit: impl FnMut(&[u8]) -> bool) -> Option<()> {
    // The entry, and room behind it.
    let (mut text, mut len) = (vec![0; 4 * COPY], 0);
    while !raw.is_empty() {
        let (shared, rest) = lengths(&mut raw)?;
        let own = raw.get(..rest).filter(|_| shared <= len)?;
        len = shared + rest;
        match (raw.first_chunk::<COPY>(), text.get_mut(shared..).and_then(<[u8]>::first_chunk_mut)) {
            (Some(own), Some(room)) if rest <= COPY => *room = *own,
            _ => {
                text.resize(text.len().max(len + COPY), 0);
                text[shared..len].copy_from_slice(own);
            }
        }
        raw = &raw[rest..];
        if !visit(&text[..len]) {
            break;
        }
    }
    Some(())
}

/// What entries share makes them longer than their page, mostly by less than this makes room for.
fn make_room(raw: &[u8], texts: &mut Texts, end: usize) {
    let likely = end + 2 * raw.len() + 2 * COPY;
    if texts.bytes.len() < likely {
        texts.bytes.resize(likely, 0);
    }
}

/// Appends the texts of a page to others, which end at `end`; answers where they end then. There may be more bytes behind
/// them, which mean nothing.
fn append_page(mut raw: &[u8], Texts { bytes, ends }: &mut Texts, mut end: usize) -> Option<usize> {
    let mut start = end;
    while !raw.is_empty() {
        // Most are short and have room around them: what is copied is not measured.
        if let [shared @ 0..=COPY_MAX, rest @ 0..=COPY_MAX, own @ ..] = raw
            && let Some(own_text) = own.first_chunk::<COPY>()
            && let Some(room) = bytes.get_mut(start..end + 2 * COPY)
        {
            let (shared, rest, at) = (usize::from(*shared), usize::from(*rest), end - start);
            if shared > at {
                return None;
            }
            let before = *room.first_chunk::<COPY>()?;
            *room.get_mut(at..)?.first_chunk_mut()? = before;
            *room.get_mut(at + shared..)?.first_chunk_mut()? = *own_text;
            raw = &own[rest..];
            start = end;
            end += shared + rest;
            ends.push(u32::try_from(end).ok()?);
            continue;
        }
        let (shared, rest) = lengths(&mut raw)?;
        if start + shared > end || shared > SHARED_MAX || rest > raw.len() {
            return None;
        }
        if bytes.len() < end + shared + rest + 2 * COPY {
            bytes.resize((end + shared + rest + 2 * COPY).max(bytes.len() * 2), 0);
        }
        let (before, here) = bytes.split_at_mut(end);
        copy(&before[start..], here, shared)?;
        copy(raw, &mut here[shared..], rest)?;
        raw = &raw[rest..];
        start = end;
        end += shared + rest;
        ends.push(u32::try_from(end).ok()?);
    }
    Some(end)
}

/// Appends the texts of a dictionary of `n` entries, which probably take `raw_bytes`.
pub(super) fn read_text(b: &[u8], n: usize, raw_bytes: u64, texts: &mut Texts) -> Option<()> {
    let (table, body) = page_table(b)?;
    let pages = || table.chunks_exact(PAGE_RECORD).map(|record| page_of(record, body));
    let (first, n_before) = (texts.bytes.len(), texts.len());
    // As much as is needed at once: new memory is the larger part of what decoding costs.
    let stored: usize = pages().map(|p| p.map_or(0, |p| p.raw_bytes.min(PAGE_RAW_MAX))).sum();
    texts.bytes.resize(first + usize::try_from(raw_bytes).ok()?.min(stored + n * SHARED_MAX) + 2 * COPY, 0);
    texts.ends.reserve(n.min(stored));
    let (mut opener, mut end) = (Opener::default(), first);
    for page in pages() {
        end = append_page(opener.open(page?)?, texts, end)?;
    }
    texts.bytes.truncate(end);
    std::str::from_utf8(&texts.bytes[first..]).ok()?;
    (texts.len() - n_before == n).then_some(())
}
