//! Bytes of a write-ahead file: a header, then records.
//!
//! Owns: version 1 of the format, and finding valid records in damaged files. Never does: I/O.

use std::ops::Range;

/// First bytes of a file.
const FILE_MAGIC: [u8; 8] = *b"wideyewl";
/// Version that we write and read.
const VERSION: u32 = 1;
/// Bytes of the file header.
pub(super) const FILE_HEADER_BYTES: usize = 32;
/// First bytes of a record.
const RECORD_MAGIC: [u8; 4] = *b"wrec";
/// Bytes of a record header.
pub(super) const RECORD_HEADER_BYTES: usize = 48;
/// Bytes that describe one image: dataset, length.
const IMAGE_ENTRY_BYTES: usize = 16;
/// Records start at multiples of this from the first one.
const ALIGN: usize = 8;
/// Bytes of a record's body at most.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 30;

/// What the file header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    /// Random; repeated in every record, so that bytes that senders chose can never pass for a record.
    pub(super) salt: u64,
    /// Sequence number of the first record.
    pub(super) first_sequence: u64,
}

/// Why a file header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Too short, or a wrong checksum.
    Damaged,
    /// Intact, from a later version.
    Newer(u32),
}

impl FileHeader {
    pub(super) fn encode(self) -> [u8; FILE_HEADER_BYTES] {
        let mut out = [0; FILE_HEADER_BYTES];
        out[..8].copy_from_slice(&FILE_MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..24].copy_from_slice(&self.salt.to_le_bytes());
        out[24..].copy_from_slice(&self.first_sequence.to_le_bytes());
        let crc = header_crc(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<FileHeader, HeaderError> {
        let bytes = bytes.get(..FILE_HEADER_BYTES).ok_or(HeaderError::Damaged)?;
        if bytes[..8] != FILE_MAGIC || u32_at(bytes, 12) != header_crc(bytes) {
            return Err(HeaderError::Damaged);
        }
        match u32_at(bytes, 8) {
            VERSION => Ok(FileHeader { salt: u64_at(bytes, 16), first_sequence: u64_at(bytes, 24) }),
            version => Err(HeaderError::Newer(version)),
        }
    }
}

fn header_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..FILE_HEADER_BYTES])
}

/// What a record says besides its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) salt: u64,
    pub(super) sequence: u64,
    /// Sequence number of the first record of the same synced write: all records before it were on disk when this
    /// one was written.
    pub(super) batch_first: u64,
    pub(super) written_at: i64,
}

/// Bytes of a record's body (before padding) for images of these lengths.
pub(super) fn body_bytes(images: impl Iterator<Item = usize>) -> usize {
    images.map(|len| len + IMAGE_ENTRY_BYTES).sum()
}

/// Appends a record. The body must be within [`BODY_BYTES_MAX`].
pub(super) fn encode_record(header: RecordHeader, images: &[(u64, &[u8])], out: &mut Vec<u8>) {
    let start = out.len();
    let body = body_bytes(images.iter().map(|(_, bytes)| bytes.len()));
    debug_assert!(body <= BODY_BYTES_MAX);
    out.reserve(RECORD_HEADER_BYTES + body + ALIGN);
    out.extend_from_slice(&RECORD_MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&header.salt.to_le_bytes());
    out.extend_from_slice(&header.sequence.to_le_bytes());
    out.extend_from_slice(&header.batch_first.to_le_bytes());
    out.extend_from_slice(&header.written_at.to_le_bytes());
    out.extend_from_slice(&(body as u32).to_le_bytes());
    out.extend_from_slice(&(images.len() as u32).to_le_bytes());
    for (dataset, bytes) in images {
        out.extend_from_slice(&dataset.to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    }
    for (_, bytes) in images {
        out.extend_from_slice(bytes);
    }
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    let padded = start + (out.len() - start).next_multiple_of(ALIGN);
    out.resize(padded, 0);
}

/// A valid record in the bytes of a file.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) sequence: u64,
    pub(crate) batch_first: u64,
    /// The server's clock when it was written.
    pub(crate) written_at: i64,
    /// Where it lies in the file, with padding.
    pub(crate) range: Range<usize>,
    salt: u64,
    n_images: usize,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record that starts at an offset, if there is a valid one (with this salt, if given).
    fn decode(bytes: &'a [u8], offset: usize, salt: Option<u64>) -> Option<Record<'a>> {
        let rest = bytes.get(offset..)?;
        let header = rest.get(..RECORD_HEADER_BYTES)?;
        if header[..4] != RECORD_MAGIC || salt.is_some_and(|s| s != u64_at(header, 8)) {
            return None;
        }
        let body_len = u32_at(header, 40) as usize;
        let whole = rest.get(..RECORD_HEADER_BYTES + body_len)?;
        if crc32c::crc32c(&whole[8..]) != u32_at(header, 4) {
            return None;
        }
        let record = Record {
            sequence: u64_at(header, 16),
            batch_first: u64_at(header, 24),
            written_at: u64_at(header, 32) as i64,
            range: offset..(offset + whole.len().next_multiple_of(ALIGN)).min(bytes.len()),
            salt: u64_at(header, 8),
            n_images: u32_at(header, 44) as usize,
            body: &whole[RECORD_HEADER_BYTES..],
        };
        record.entries_fit().then_some(record)
    }

    fn entries_fit(&self) -> bool {
        let entries = self.n_images.checked_mul(IMAGE_ENTRY_BYTES).filter(|n| *n <= self.body.len());
        let Some(entries) = entries else { return false };
        let mut left = (self.body.len() - entries) as u64;
        for i in 0..self.n_images {
            let Some(rest) = left.checked_sub(u64_at(self.body, i * IMAGE_ENTRY_BYTES + 8)) else { return false };
            left = rest;
        }
        left == 0 && self.batch_first <= self.sequence
    }

    /// Datasets and their images.
    pub(crate) fn images(&self) -> impl Iterator<Item = (u64, &'a [u8])> {
        let body = self.body;
        let mut start = self.n_images * IMAGE_ENTRY_BYTES;
        (0..self.n_images).map(move |i| {
            let len = u64_at(body, i * IMAGE_ENTRY_BYTES + 8) as usize;
            start += len;
            (u64_at(body, i * IMAGE_ENTRY_BYTES), &body[start - len..start])
        })
    }
}

/// All that is readable in a file.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    pub(super) header: Result<FileHeader, HeaderError>,
    /// Valid records, in order of position.
    pub(super) records: Vec<Record<'a>>,
    /// What lies between and after them.
    pub(super) invalid: Vec<Range<usize>>,
}

/// Reads a file, skipping what is invalid to the next valid record.
pub(super) fn scan(bytes: &[u8]) -> Scan<'_> {
    let header = FileHeader::decode(bytes);
    let mut salt = header.ok().map(|h| h.salt);
    let mut out = Scan { header, records: Vec::new(), invalid: Vec::new() };
    if matches!(header, Err(HeaderError::Newer(_))) {
        return out;
    }
    let mut at = FILE_HEADER_BYTES.min(bytes.len());
    while at < bytes.len() {
        let found = Record::decode(bytes, at, salt).or_else(|| next_record(bytes, at + 1, salt));
        let Some(record) = found else {
            out.invalid.push(at..bytes.len());
            break;
        };
        if record.range.start > at {
            out.invalid.push(at..record.range.start);
        }
        // With a damaged header the first record vouches for the salt.
        salt = Some(record.salt);
        at = record.range.end;
        out.records.push(record);
    }
    out
}

/// The first valid record at or after an offset. Any offset: damage may have shifted bytes.
fn next_record(bytes: &[u8], from: usize, salt: Option<u64>) -> Option<Record<'_>> {
    let mut at = from;
    while at + RECORD_HEADER_BYTES <= bytes.len() {
        at += bytes[at..].iter().position(|b| *b == RECORD_MAGIC[0])?;
        if let Some(record) = Record::decode(bytes, at, salt) {
            return Some(record);
        }
        at += 1;
    }
    None
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut raw = [0; 4];
    raw.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(raw)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(raw)
}
