//! The fixed-size records of a segment: trailer, column entries, block entries; all little-endian.
//!
//! Owns: their bytes. Never does: interpret the data they point to.

use super::{Layout, SegmentError, pack::Lane};
use model::ColumnKind;

/// First and last bytes of a segment.
pub(super) const MAGIC: &[u8; 8] = b"WIDESEG1";
/// Version of the format.
pub(super) const VERSION: u32 = 1;
/// Bytes of a column entry in the directory.
pub(super) const COLUMN_BYTES: usize = 64;
/// Bytes of a block entry.
pub(super) const BLOCK_BYTES: usize = 56;
/// Bytes of the trailer.
pub(super) const TRAILER_BYTES: usize = 96;

/// How the stored values of a block are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Encoding {
    /// All are `base`.
    Const = 0,
    /// One lane each, above `base`.
    Plain = 1,
    /// Bit-packed above `base`.
    Packed = 2,
    /// Bit-packed with a base and width per 1,024 values.
    Chunked = 3,
    /// Bit-packed above `base`, with a list of values that do not fit.
    Patched = 4,
}

/// Which rows of a block have a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Presence {
    /// Every row (missing cells of dictionary columns have a code of their own).
    All = 0,
    /// None.
    None = 1,
    /// A bit per row, before the values.
    Bitmap = 2,
    /// The rows as 16-bit numbers, before the values.
    Positions = 3,
}

/// Decimal exponent that says "not decimal: the bits of a float".
pub(super) const EXPONENT_BITS: u8 = 255;

/// A block of a column.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockMeta {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) crc: u32,
    /// Values stored (rows, if presence is `All`).
    pub(super) n_stored: u32,
    pub(super) presence: Presence,
    pub(super) encoding: Encoding,
    pub(super) lane: Lane,
    pub(super) width: u8,
    /// Floats: value = integer / 10^exponent, or [`EXPONENT_BITS`]. Times: value = base + packed × 10^exponent.
    pub(super) exponent: u8,
    pub(super) base: i64,
    /// Smallest and largest: times as they are; numbers as bits of floats, widened where a float is not exact.
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Default for BlockMeta {
    fn default() -> Self {
        BlockMeta {
            offset: 0,
            bytes: 0,
            crc: 0,
            n_stored: 0,
            presence: Presence::All,
            encoding: Encoding::Const,
            lane: Lane::U8,
            width: 0,
            exponent: 0,
            base: 0,
            min: 0,
            max: 0,
        }
    }
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*b.get(at..)?.first_chunk()?))
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*b.get(at..)?.first_chunk()?))
}

/// So many bytes of a record.
#[inline(always)]
fn bytes<const N: usize>(b: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&b[at..at + N]);
    out
}

impl BlockMeta {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut b = [0; BLOCK_BYTES];
        b[..8].copy_from_slice(&self.offset.to_le_bytes());
        b[8..12].copy_from_slice(&self.bytes.to_le_bytes());
        b[12..16].copy_from_slice(&self.crc.to_le_bytes());
        b[16..20].copy_from_slice(&self.n_stored.to_le_bytes());
        b[20..25].copy_from_slice(&[self.presence as u8, self.encoding as u8, self.lane as u8, self.width, self.exponent]);
        b[32..40].copy_from_slice(&self.base.to_le_bytes());
        b[40..48].copy_from_slice(&self.min.to_le_bytes());
        b[48..].copy_from_slice(&self.max.to_le_bytes());
        out.extend_from_slice(&b);
    }

    pub(super) fn read(b: &[u8]) -> Option<BlockMeta> {
        let b: &[u8; BLOCK_BYTES] = b.first_chunk()?;
        Some(BlockMeta {
            offset: u64::from_le_bytes(bytes(b, 0)),
            bytes: u32::from_le_bytes(bytes(b, 8)),
            crc: u32::from_le_bytes(bytes(b, 12)),
            n_stored: u32::from_le_bytes(bytes(b, 16)),
            presence: match b[20] {
                0 => Presence::All,
                1 => Presence::None,
                2 => Presence::Bitmap,
                3 => Presence::Positions,
                _ => return None,
            },
            encoding: match b[21] {
                0 => Encoding::Const,
                1 => Encoding::Plain,
                2 => Encoding::Packed,
                3 => Encoding::Chunked,
                4 => Encoding::Patched,
                _ => return None,
            },
            lane: Lane::from_code(b[22])?,
            width: Some(b[23]).filter(|w| *w <= 64)?,
            exponent: b[24],
            base: i64::from_le_bytes(bytes(b, 32)),
            min: u64::from_le_bytes(bytes(b, 40)),
            max: u64::from_le_bytes(bytes(b, 48)),
        })
    }
}

/// A column in the directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnMeta {
    pub(super) name_offset: u32,
    pub(super) name_bytes: u16,
    pub(super) kind: ColumnKind,
    pub(super) layout: Layout,
    pub(super) n_present: u32,
    /// Entries of the dictionary; buckets of the histogram; of truth values, those that are true.
    pub(super) n_dict: u32,
    /// Block entries start here; one per block of the segment.
    pub(super) blocks_offset: u64,
    pub(super) dict_offset: u64,
    pub(super) dict_bytes: u64,
    /// Bytes of its values, decoded.
    pub(super) dict_raw_bytes: u64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl ColumnMeta {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut b = [0; COLUMN_BYTES];
        b[..4].copy_from_slice(&self.name_offset.to_le_bytes());
        b[4..6].copy_from_slice(&self.name_bytes.to_le_bytes());
        b[6..8].copy_from_slice(&[self.kind as u8, self.layout as u8]);
        b[8..12].copy_from_slice(&self.n_present.to_le_bytes());
        b[12..16].copy_from_slice(&self.n_dict.to_le_bytes());
        b[16..24].copy_from_slice(&self.blocks_offset.to_le_bytes());
        b[24..32].copy_from_slice(&self.dict_offset.to_le_bytes());
        b[32..40].copy_from_slice(&self.dict_bytes.to_le_bytes());
        b[40..48].copy_from_slice(&self.min.to_le_bytes());
        b[48..56].copy_from_slice(&self.max.to_le_bytes());
        b[56..].copy_from_slice(&self.dict_raw_bytes.to_le_bytes());
        out.extend_from_slice(&b);
    }

    /// Of the bytes of an entry: about where the column begins, and where its block entries do.
    #[inline]
    pub(super) fn place(b: &[u8]) -> Option<(usize, usize)> {
        let b: &[u8; COLUMN_BYTES] = b.first_chunk()?;
        let blocks = u64::from_le_bytes(bytes(b, 16)) as usize;
        let dict = u64::from_le_bytes(bytes(b, 24)) as usize;
        // Without a dictionary: its cells are just before its block entries.
        Some((if dict == 0 { blocks.saturating_sub(64) } else { dict }, blocks))
    }

    pub(super) fn read(b: &[u8]) -> Option<ColumnMeta> {
        let b: &[u8; COLUMN_BYTES] = b.first_chunk()?;
        let meta = ColumnMeta {
            name_offset: u32::from_le_bytes(bytes(b, 0)),
            name_bytes: u16::from_le_bytes(bytes(b, 4)),
            kind: ColumnKind::from_code(b[6])?,
            layout: [Layout::Dict, Layout::Ints, Layout::Floats, Layout::Bools, Layout::Ids].get(usize::from(b[7])).copied()?,
            n_present: u32::from_le_bytes(bytes(b, 8)),
            n_dict: u32::from_le_bytes(bytes(b, 12)),
            blocks_offset: u64::from_le_bytes(bytes(b, 16)),
            dict_offset: u64::from_le_bytes(bytes(b, 24)),
            dict_bytes: u64::from_le_bytes(bytes(b, 32)),
            min: f64::from_le_bytes(bytes(b, 40)),
            max: f64::from_le_bytes(bytes(b, 48)),
            dict_raw_bytes: u64::from_le_bytes(bytes(b, 56)),
        };
        // Readers go by the layout, merging goes by the kind: they must not contradict each other.
        let fits = match meta.layout {
            Layout::Dict => meta.kind == ColumnKind::Str || meta.kind.id().is_some(),
            Layout::Ints => meta.kind == ColumnKind::Int,
            Layout::Floats => meta.kind == ColumnKind::Float,
            Layout::Bools => meta.kind == ColumnKind::Bool,
            Layout::Ids => meta.kind.id().is_some(),
        };
        fits.then_some(meta)
    }
}

/// The last bytes of a segment: where everything is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trailer {
    pub(super) n_rows: u32,
    pub(super) n_columns: u32,
    pub(super) directory_offset: u64,
    pub(super) names_offset: u64,
    pub(super) names_bytes: u64,
    pub(super) time_min: i64,
    pub(super) time_max: i64,
    /// Sample rate of all rows, or NaN if they differ.
    pub(super) sample_rate: f64,
    pub(super) times_offset: u64,
    /// Block entries of the sample rates, if they differ.
    pub(super) rates_offset: u64,
    /// Of directory and names.
    pub(super) directory_crc: u32,
}

impl Trailer {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.n_rows.to_le_bytes());
        out.extend_from_slice(&self.n_columns.to_le_bytes());
        for v in [self.directory_offset, self.names_offset, self.names_bytes, self.time_min as u64, self.time_max as u64] {
            out.extend_from_slice(&v.to_le_bytes());
        }
        out.extend_from_slice(&self.sample_rate.to_le_bytes());
        out.extend_from_slice(&self.times_offset.to_le_bytes());
        out.extend_from_slice(&self.rates_offset.to_le_bytes());
        out.extend_from_slice(&self.directory_crc.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        let crc = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(MAGIC);
        debug_assert_eq!(out.len() - start, TRAILER_BYTES);
    }

    pub(super) fn read(segment: &[u8]) -> Result<Trailer, SegmentError> {
        let damaged = |what: &str| SegmentError::Damaged { what: what.to_owned() };
        if segment.len() < TRAILER_BYTES + MAGIC.len() || !segment.starts_with(MAGIC) || !segment.ends_with(MAGIC) {
            return Err(damaged("it does not begin and end as a segment"));
        }
        let b = &segment[segment.len() - TRAILER_BYTES..];
        let read = || {
            if u32_at(b, 80)? != crc32c::crc32c(&b[..80]) {
                return None;
            }
            Some((
                u32_at(b, 76)?,
                Trailer {
                    n_rows: u32_at(b, 0)?,
                    n_columns: u32_at(b, 4)?,
                    directory_offset: u64_at(b, 8)?,
                    names_offset: u64_at(b, 16)?,
                    names_bytes: u64_at(b, 24)?,
                    time_min: u64_at(b, 32)? as i64,
                    time_max: u64_at(b, 40)? as i64,
                    sample_rate: f64::from_bits(u64_at(b, 48)?),
                    times_offset: u64_at(b, 56)?,
                    rates_offset: u64_at(b, 64)?,
                    directory_crc: u32_at(b, 72)?,
                },
            ))
        };
        match read() {
            None => Err(damaged("checksum of the trailer")),
            Some((VERSION, t)) => Ok(t),
            Some((v, _)) => {
                Err(SegmentError::Damaged { what: format!("version {v}; this wideye reads version {VERSION}, use a newer one") })
            }
        }
    }
}
