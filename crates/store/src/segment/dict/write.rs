//! Writing dictionaries and histograms.
//!
//! Owns: pages, front coding, how much effort goes into compression. Never does: read them back.

use std::cell::RefCell;

/// Entries of a page, at most.
const PAGE_ENTRIES: usize = 2048;
/// Bytes of text after which a page ends.
pub(super) const PAGE_BYTES: usize = 64 << 10;
/// Longest prefix shared with the entry before: bounds how far front coding can inflate.
pub(super) const SHARED_MAX: usize = 255;
pub(super) const PAGE_RECORD: usize = 20;
/// So few entries are first tried as one page.
const ONE_PAGE_ENTRIES: usize = 512;

/// Effort of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::segment) enum Effort {
    /// None: images that live for seconds.
    Fast,
    /// Text is compressed with zstd.
    Small,
}

const ZSTD_LEVEL: i32 = 3;
/// Compressing a smaller page costs more than the bytes that it saves.
const SMALL_PAGE_BYTES: usize = 1024;

pub(in crate::segment) fn put_varint(mut v: u32, out: &mut Vec<u8>) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

thread_local! {
    /// Setting one up costs more than compressing a small page.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

fn compress(page: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        if compressor.is_none() {
            *compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        compressor.as_mut()?.compress(page).ok()
    })
}

fn write_counts(counts: &[u32], out: &mut Vec<u8>) {
    let head = out.len();
    out.extend_from_slice(&[0; 8]);
    for &c in counts {
        put_varint(c, out);
    }
    let bytes = &out[head + 8..];
    let (n, crc) = (bytes.len() as u32, crc32c::crc32c(bytes));
    out[head..head + 4].copy_from_slice(&n.to_le_bytes());
    out[head + 4..head + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Bytes that two texts have in common at their beginning.
#[inline]
pub(in crate::segment) fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    let (words_a, rest_a) = a.as_chunks::<8>();
    let (words_b, rest_b) = b.as_chunks::<8>();
    let mut n = 0;
    for (x, y) in words_a.iter().zip(words_b) {
        let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differ != 0 {
            return n + differ.trailing_zeros() as usize / 8;
        }
        n += 8;
    }
    let (rest_a, rest_b) = if words_a.len() == words_b.len() { (rest_a, rest_b) } else { (&a[n..], &b[n..]) };
    n + rest_a.iter().zip(rest_b).take_while(|(x, y)| x == y).count()
}

/// What [`write_text`] uses again for the next dictionary.
#[derive(Default)]
pub(in crate::segment) struct TextBuffers {
    /// The page table.
    pages: Vec<u8>,
    body: Vec<u8>,
    page: Vec<u8>,
}

/// Appends an entry that follows another one.
#[inline(always)]
fn put_entry(before: &[u8], text: &[u8], out: &mut Vec<u8>) {
    let shared = shared_prefix(before, text).min(SHARED_MAX);
    put_varint(shared as u32, out);
    put_varint((text.len() - shared) as u32, out);
    out.extend_from_slice(&text[shared..]);
}

/// Appends a record of the page table.
fn put_page(first: usize, start: usize, stored: &[u8], raw_bytes: usize, out: &mut Vec<u8>) {
    for v in [first as u32, start as u32, stored.len() as u32, raw_bytes as u32, crc32c::crc32c(stored)] {
        out.extend_from_slice(&v.to_le_bytes());
    }
}

/// A page in the form in which it is kept, if that is another one.
fn packed(page: &[u8], effort: Effort) -> Option<Vec<u8>> {
    match effort {
        Effort::Small if page.len() > SMALL_PAGE_BYTES => compress(page).filter(|z| z.len() < page.len()),
        _ => None,
    }
}

/// Appends the pages of a text dictionary if they are one, which then stands where it is to be at once. Answers the bytes of text.
fn write_one_page<'a>(n: usize, get: &impl Fn(usize) -> &'a [u8], effort: Effort, pages: &mut Vec<u8>, out: &mut Vec<u8>) -> Option<u64> {
    let head = out.len();
    out.extend_from_slice(&[0; 8 + PAGE_RECORD]);
    let start = out.len();
    let (mut before, mut text_bytes): (&[u8], _) = (&[], 0);
    for i in 0..n {
        if out.len() - start >= PAGE_BYTES {
            return None;
        }
        let text = get(i);
        put_entry(before, text, out);
        text_bytes += text.len() as u64;
        before = text;
    }
    let raw_bytes = out.len() - start;
    if let Some(packed) = packed(&out[start..], effort) {
        out.truncate(start);
        out.extend_from_slice(&packed);
    }
    put_page(0, 0, &out[start..], raw_bytes, pages);
    out[head..head + 4].copy_from_slice(&1u32.to_le_bytes());
    out[head + 4..head + 8].copy_from_slice(&crc32c::crc32c(pages).to_le_bytes());
    out[head + 8..start].copy_from_slice(pages);
    Some(text_bytes)
}

/// Appends a text dictionary; `get(i)` are its entries, ascending. Answers the bytes of text.
pub(in crate::segment) fn write_text<'a>(
    counts: &[u32],
    get: impl Fn(usize) -> &'a [u8],
    effort: Effort,
    buffers: &mut TextBuffers,
    out: &mut Vec<u8>,
) -> u64 {
    write_counts(counts, out);
    let TextBuffers { pages, body, page } = buffers;
    pages.clear();
    if counts.len() <= ONE_PAGE_ENTRIES && !counts.is_empty() {
        let head = out.len();
        if let Some(text_bytes) = write_one_page(counts.len(), &get, effort, pages, out) {
            return text_bytes;
        }
        out.truncate(head);
        pages.clear();
    }
    body.clear();
    page.clear();
    let (mut first, mut text_bytes) = (0usize, 0u64);
    let mut close = |first: usize, page: &mut Vec<u8>| {
        let packed = packed(page, effort);
        let stored = packed.as_deref().unwrap_or(page);
        put_page(first, body.len(), stored, page.len(), pages);
        body.extend_from_slice(stored);
        page.clear();
    };
    let mut before: &[u8] = &[];
    for i in 0..counts.len() {
        if i > first && (i - first >= PAGE_ENTRIES || page.len() >= PAGE_BYTES) {
            close(first, page);
            first = i;
            before = &[];
        }
        let text = get(i);
        put_entry(before, text, page);
        text_bytes += text.len() as u64;
        before = text;
    }
    if !counts.is_empty() {
        close(first, page);
    }
    out.extend_from_slice(&((pages.len() / PAGE_RECORD) as u32).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(pages).to_le_bytes());
    out.extend_from_slice(pages);
    out.extend_from_slice(body);
    text_bytes
}

/// Appends a dictionary of ids: `raw` holds their bytes, ascending.
pub(in crate::segment) fn write_ids(counts: &[u32], raw: &[u8], out: &mut Vec<u8>) {
    write_counts(counts, out);
    out.extend_from_slice(&crc32c::crc32c(raw).to_le_bytes());
    out.extend_from_slice(raw);
}

/// Appends a histogram: checksum, then for each bucket that is not empty its distance from the one before and its count.
/// Answers the number of buckets.
pub(in crate::segment) fn write_histogram(low: u32, counts: &[u32], out: &mut Vec<u8>) -> usize {
    let (mut bytes, mut n, mut before) = (Vec::new(), 0, 0);
    for (bucket, count) in (low..).zip(counts).filter(|(_, c)| **c > 0) {
        put_varint(bucket - before, &mut bytes);
        put_varint(*count, &mut bytes);
        before = bucket;
        n += 1;
    }
    out.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    out.extend_from_slice(&bytes);
    n
}
