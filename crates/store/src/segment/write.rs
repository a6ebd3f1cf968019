//! Writes a segment image column by column.
//!
//! Owns: presence, encodings, block and column entries. Never does: gather cells from batches or other segments.

use super::dict::{Effort, TextBuffers, write_histogram, write_ids, write_text};
use super::format::{BLOCK_BYTES, BlockMeta, COLUMN_BYTES, ColumnMeta, EXPONENT_BITS, Encoding, MAGIC, Presence, TRAILER_BYTES, Trailer};
use super::ints;
use super::pack::Lane;
use super::{BLOCK_ROWS, Layout};
use model::{ColumnKind, TimeNs, bucket_of};

/// The present cells of a column in row order.
pub(super) enum Stored<'a> {
    /// Codes into a dictionary of `n` entries, already written.
    Codes(&'a [u32], usize),
    Bools(&'a [bool]),
    Ints(&'a [i64]),
    Floats(&'a [f64]),
    /// Raw ids, and bytes of each.
    Ids(&'a [u128], usize),
}

/// A segment under construction.
pub(super) struct SegmentWriter {
    out: Vec<u8>,
    n_rows: usize,
    columns: Vec<ColumnMeta>,
    names: Vec<u8>,
    /// Block entries of the column at hand.
    blocks: Vec<BlockMeta>,
    text: TextBuffers,
    times_offset: u64,
    rates_offset: u64,
    sample_rate: f64,
    times: (TimeNs, TimeNs),
    effort: Effort,
}

/// Appends a float that is not above `v` (or not below it).
fn float_below(v: i64) -> f64 {
    let f = v as f64;
    if f as i128 > i128::from(v) { f.next_down() } else { f }
}

fn float_above(v: i64) -> f64 {
    let f = v as f64;
    if (f as i128) < i128::from(v) { f.next_up() } else { f }
}

const POWERS: [i64; 13] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    100_000_000_000,
    1_000_000_000_000,
];

/// 10 to the power of an exponent that the writer may have used.
pub(super) fn power(exponent: u8) -> Option<i64> {
    POWERS.get(exponent as usize).copied()
}

/// The integers that the floats are with so many decimal places, if they all are.
fn decimals(values: &[f64], out: &mut Vec<i64>) -> Option<u8> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let fits = |v: f64, exponent: usize| {
        let power = POWERS[exponent] as f64;
        let scaled = (v * power).round();
        (scaled.abs() < EXACT && scaled / power == v).then_some(scaled as i64)
    };
    let step = (values.len() / 32).max(1);
    let mut exponent = 0;
    for &v in values.iter().step_by(step) {
        while fits(v, exponent).is_none() {
            exponent += 1;
            if exponent == POWERS.len() {
                return None;
            }
        }
    }
    'next: while exponent < POWERS.len() {
        out.clear();
        for &v in values {
            match fits(v, exponent) {
                Some(i) => out.push(i),
                None => {
                    exponent += 1;
                    continue 'next;
                }
            }
        }
        return Some(exponent as u8);
    }
    None
}

impl SegmentWriter {
    pub(super) fn new(n_rows: usize, effort: Effort) -> Self {
        SegmentWriter {
            out: MAGIC.to_vec(),
            n_rows,
            columns: Vec::new(),
            names: Vec::new(),
            blocks: Vec::new(),
            text: TextBuffers::default(),
            times_offset: 0,
            rates_offset: 0,
            sample_rate: 1.0,
            times: (0, 0),
            effort,
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Makes room for so many columns with so many bytes of names, cells and dictionaries.
    pub(super) fn expect(&mut self, n_columns: usize, n_bytes: usize) {
        const BYTES_PER_COLUMN: usize = COLUMN_BYTES + BLOCK_BYTES + 4;
        self.out.reserve(n_columns * BYTES_PER_COLUMN + n_bytes + TRAILER_BYTES);
        self.columns.reserve(n_columns);
    }

    /// Event times, ascending.
    pub(super) fn times(&mut self, times: &[TimeNs]) {
        self.times = (times.first().copied().unwrap_or(0), times.last().copied().unwrap_or(0));
        let mut blocks = Vec::new();
        for block in times.chunks(BLOCK_ROWS) {
            let base = block[0];
            let exponent = [9u8, 6, 3]
                .into_iter()
                .find(|e| block.iter().all(|t| t.wrapping_sub(base).rem_euclid(POWERS[*e as usize]) == 0))
                .unwrap_or(0);
            let mut meta = BlockMeta { n_stored: block.len() as u32, exponent, ..BlockMeta::default() };
            // A spread beyond 63 bits would wrap in the division.
            if block.last().is_some_and(|l| l.checked_sub(base).is_none()) {
                meta.exponent = 0;
            }
            meta.min = base as u64;
            meta.max = block[block.len() - 1] as u64;
            let start = self.out.len();
            ints::write(block, POWERS[meta.exponent as usize], &mut meta, &mut self.out);
            self.seal_block(start, &mut meta);
            blocks.push(meta);
        }
        self.times_offset = self.write_blocks(&blocks);
    }

    /// Sample rates; an empty slice says that all are 1.
    pub(super) fn sample_rates(&mut self, rates: &[f64]) {
        let first = rates.first().copied().unwrap_or(1.0);
        if rates.iter().all(|r| *r == first) {
            self.sample_rate = first;
            return;
        }
        self.sample_rate = f64::NAN;
        let mut blocks = Vec::new();
        for block in rates.chunks(BLOCK_ROWS) {
            let start = self.out.len();
            let mut meta = BlockMeta { n_stored: block.len() as u32, ..BlockMeta::default() };
            self.floats(block, &mut meta);
            self.seal_block(start, &mut meta);
            blocks.push(meta);
        }
        self.rates_offset = self.write_blocks(&blocks);
    }

    /// Writes a text dictionary for the next column; answers what [`Self::column`] needs.
    pub(super) fn text_dict<'a>(&mut self, counts: &[u32], get: impl Fn(usize) -> &'a [u8]) -> DictPlace {
        let offset = self.out.len() as u64;
        let text_bytes = write_text(counts, get, self.effort, &mut self.text, &mut self.out);
        DictPlace { offset, bytes: self.out.len() as u64 - offset, raw_bytes: text_bytes, n: counts.len() }
    }

    /// Writes a dictionary of ids for the next column.
    pub(super) fn id_dict(&mut self, counts: &[u32], raw: &[u8]) -> DictPlace {
        let offset = self.out.len() as u64;
        write_ids(counts, raw, &mut self.out);
        DictPlace { offset, bytes: self.out.len() as u64 - offset, raw_bytes: raw.len() as u64, n: counts.len() }
    }

    /// Writes a column. `rows` are the rows that have a cell, ascending; `None` if all have. Columns come ascending by (name, kind).
    pub(super) fn column(&mut self, name: &str, kind: ColumnKind, rows: Option<&[u32]>, cells: &Stored<'_>, dict: Option<DictPlace>) {
        let layout = match cells {
            Stored::Codes(..) => Layout::Dict,
            Stored::Bools(_) => Layout::Bools,
            Stored::Ints(_) => Layout::Ints,
            Stored::Floats(_) => Layout::Floats,
            Stored::Ids(..) => Layout::Ids,
        };
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.clear();
        let mut at = 0;
        for first in (0..self.n_rows).step_by(BLOCK_ROWS) {
            let n = (self.n_rows - first).min(BLOCK_ROWS);
            let (range, positions) = match rows {
                None => (first..first + n, None),
                Some(rows) => {
                    let end = at + rows[at..].partition_point(|r| (*r as usize) < first + n);
                    let range = at..end;
                    at = end;
                    (range.clone(), (range.len() < n).then(|| &rows[range]))
                }
            };
            let start = self.out.len();
            let mut meta = BlockMeta { n_stored: range.len() as u32, ..BlockMeta::default() };
            if range.is_empty() {
                meta.presence = Presence::None;
            } else {
                self.block(cells, range, positions, first, n, &mut meta);
            }
            self.seal_block(start, &mut meta);
            blocks.push(meta);
        }
        let blocks_offset = self.write_blocks(&blocks);
        let numeric = matches!(layout, Layout::Ints | Layout::Floats);
        let dict = dict.or_else(|| self.histogram(cells));
        let stored = || blocks.iter().filter(|b| numeric && b.presence != Presence::None);
        let dict = dict.unwrap_or_default();
        let n_present = rows.map_or(self.n_rows, <[u32]>::len) as u32;
        debug_assert!(self.columns.last().is_none_or(|m| (self.name_of(m), m.kind) < (name.as_bytes(), kind)), "columns ascend");
        if !self.names.ends_with(name.as_bytes()) {
            self.names.extend_from_slice(name.as_bytes());
        }
        let meta = ColumnMeta {
            name_offset: (self.names.len() - name.len()) as u32,
            name_bytes: name.len() as u16,
            kind,
            layout,
            n_present,
            n_dict: match cells {
                Stored::Bools(bools) => bools.iter().filter(|b| **b).count() as u32,
                _ => dict.n as u32,
            },
            blocks_offset,
            dict_offset: dict.offset,
            dict_bytes: dict.bytes,
            dict_raw_bytes: dict.raw_bytes,
            min: stored().map(|b| f64::from_bits(b.min)).fold(f64::INFINITY, f64::min),
            max: stored().map(|b| f64::from_bits(b.max)).fold(f64::NEG_INFINITY, f64::max),
        };
        self.columns.push(meta);
        self.blocks = blocks;
    }

    fn name_of(&self, meta: &ColumnMeta) -> &[u8] {
        &self.names[meta.name_offset as usize..][..meta.name_bytes as usize]
    }

    fn block(
        &mut self,
        cells: &Stored<'_>,
        range: std::ops::Range<usize>,
        positions: Option<&[u32]>,
        first: usize,
        n: usize,
        meta: &mut BlockMeta,
    ) {
        if let (Some(positions), Stored::Codes(..) | Stored::Bools(_)) = (positions, cells) {
            // A code for "missing" scans fastest; it is taken unless it is larger.
            let n_dict = if let Stored::Codes(_, n) = cells { *n } else { 2 };
            let apart = if n_dict == 1 { 0 } else { ints::bits_of(n_dict as u64 - 1) as usize };
            let apart_bits = n.min(16 * positions.len()) + positions.len() * apart;
            if n * ints::bits_of(n_dict as u64) as usize <= apart_bits + apart_bits / 8 {
                let mut dense = vec![n_dict as u32; n];
                for (p, i) in positions.iter().zip(range) {
                    dense[*p as usize - first] = match cells {
                        Stored::Codes(codes, _) => codes[i],
                        Stored::Bools(bools) => u32::from(bools[i]),
                        _ => 0,
                    };
                }
                meta.n_stored = n as u32;
                ints::write_codes(&dense, n_dict as u32, meta, &mut self.out);
                return;
            }
        }
        if let Some(positions) = positions {
            if 16 * positions.len() <= n {
                meta.presence = Presence::Positions;
                for p in positions {
                    self.out.extend_from_slice(&((*p as usize - first) as u16).to_le_bytes());
                }
            } else {
                meta.presence = Presence::Bitmap;
                let mut bits = vec![0u8; n.div_ceil(8)];
                for p in positions {
                    let p = *p as usize - first;
                    bits[p / 8] |= 1 << (p % 8);
                }
                self.out.extend_from_slice(&bits);
            }
        }
        match cells {
            Stored::Codes(codes, n_dict) => ints::write_codes(&codes[range], *n_dict as u32 - 1, meta, &mut self.out),
            Stored::Bools(bools) => {
                let codes: Vec<u32> = bools[range].iter().map(|b| u32::from(*b)).collect();
                ints::write_codes(&codes, 1, meta, &mut self.out);
            }
            Stored::Ints(values) => {
                let values = &values[range];
                let (min, max) = values.iter().fold((i64::MAX, i64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
                meta.min = float_below(min).to_bits();
                meta.max = float_above(max).to_bits();
                ints::write(values, 1, meta, &mut self.out);
            }
            Stored::Floats(values) => self.floats(&values[range], meta),
            Stored::Ids(ids, width) => {
                meta.encoding = Encoding::Plain;
                meta.lane = Lane::U64;
                for id in &ids[range] {
                    self.out.extend_from_slice(&id.to_be_bytes()[16 - width..]);
                }
            }
        }
    }

    /// Writes how the numbers of a column are distributed, so that a whole segment can be compared without reading them.
    fn histogram(&mut self, cells: &Stored<'_>) -> Option<DictPlace> {
        const ROWS_MIN: usize = 4096;
        let mut buckets: Vec<u32> = match cells {
            _ if self.effort == Effort::Fast => return None,
            Stored::Ints(v) if v.len() >= ROWS_MIN => v.iter().map(|v| bucket_of(*v as f64)).collect(),
            Stored::Floats(v) if v.len() >= ROWS_MIN => v.iter().map(|v| bucket_of(*v)).collect(),
            _ => return None,
        };
        let low = buckets.iter().copied().min()?;
        let span = buckets.iter().copied().max()? - low;
        let mut counts = vec![0u32; span as usize + 1];
        for b in buckets.drain(..) {
            counts[(b - low) as usize] += 1;
        }
        let offset = self.out.len();
        let n = write_histogram(low, &counts, &mut self.out);
        Some(DictPlace { offset: offset as u64, bytes: (self.out.len() - offset) as u64, raw_bytes: 0, n })
    }

    fn floats(&mut self, values: &[f64], meta: &mut BlockMeta) {
        let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
        let mut ints = Vec::with_capacity(values.len());
        match decimals(values, &mut ints) {
            Some(exponent) => meta.exponent = exponent,
            None => {
                meta.exponent = EXPONENT_BITS;
                ints.clear();
                ints.extend(values.iter().map(|v| v.to_bits() as i64));
            }
        }
        ints::write(&ints, 1, meta, &mut self.out);
        meta.min = min.to_bits();
        meta.max = max.to_bits();
    }

    fn seal_block(&mut self, start: usize, meta: &mut BlockMeta) {
        meta.offset = start as u64;
        meta.bytes = (self.out.len() - start) as u32;
        // Nothing has the checksum 0.
        if meta.bytes > 0 {
            meta.crc = crc32c::crc32c(&self.out[start..]);
        }
    }

    /// Appends block entries and their checksum; answers where they are.
    fn write_blocks(&mut self, blocks: &[BlockMeta]) -> u64 {
        let offset = self.out.len();
        for b in blocks {
            b.write(&mut self.out);
        }
        let crc = crc32c::crc32c(&self.out[offset..]);
        self.out.extend_from_slice(&crc.to_le_bytes());
        offset as u64
    }

    /// The image.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let directory_offset = self.out.len() as u64;
        self.out.reserve(self.columns.len() * COLUMN_BYTES + self.names.len() + TRAILER_BYTES);
        for meta in &self.columns {
            meta.write(&mut self.out);
        }
        let names_offset = self.out.len() as u64;
        self.out.extend_from_slice(&self.names);
        let trailer = Trailer {
            n_rows: self.n_rows as u32,
            n_columns: self.columns.len() as u32,
            directory_offset,
            names_offset,
            names_bytes: self.names.len() as u64,
            time_min: self.times.0,
            time_max: self.times.1,
            sample_rate: self.sample_rate,
            times_offset: self.times_offset,
            rates_offset: self.rates_offset,
            directory_crc: crc32c::crc32c(&self.out[directory_offset as usize..]),
        };
        trailer.write(&mut self.out);
        // Images stay in memory for a while.
        if self.out.capacity() / 5 * 4 > self.out.len() {
            self.out.shrink_to_fit();
        }
        self.out
    }
}

/// Where a dictionary was written.
#[derive(Clone, Copy, Default)]
pub(super) struct DictPlace {
    offset: u64,
    bytes: u64,
    raw_bytes: u64,
    n: usize,
}
