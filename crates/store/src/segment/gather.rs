//! Cells of some rows of a block, for questions that look at few rows of many columns.
//!
//! Owns: finding the stored values of rows that ascend, and reading only those. Never does: pick rows.

use super::format::{BlockMeta, EXPONENT_BITS, Presence};
use super::presence::{each_position, split};
use super::read::damaged;
use super::write::power;
use super::{Column, Layout, Segment, SegmentError, ints};

/// Of one cell in so many, or fewer, single reads are cheaper than decoding the block.
const SPARSE: usize = 6;

/// Whether so few of `n` rows are wanted that single reads pay.
#[must_use]
pub fn is_sparse(wanted: usize, n: usize) -> bool {
    wanted * SPARSE < n
}

/// Buffers of the reads of this file.
#[derive(Debug, Default)]
pub struct GatherBuffers {
    /// Positions in the list of rows, of rows that have a cell.
    found: Vec<u32>,
    /// Where their stored values are.
    places: Vec<u32>,
    ints: Vec<i64>,
    codes: Vec<u32>,
    floats: Vec<f64>,
}

impl GatherBuffers {
    /// Notes which rows have a stored value, and where.
    fn locate(&mut self, meta: &BlockMeta, head: &[u8], rows: &[u32]) {
        self.found.clear();
        self.places.clear();
        match meta.presence {
            Presence::None => {}
            Presence::All => {
                self.found.extend(0..rows.len() as u32);
                self.places.extend_from_slice(rows);
            }
            Presence::Positions => {
                let (positions, _) = head.as_chunks::<2>();
                let mut at = 0;
                for (i, row) in rows.iter().enumerate() {
                    // Rows ascend: never look back.
                    at += positions[at..].partition_point(|p| u32::from(u16::from_le_bytes(*p)) < *row);
                    match positions.get(at) {
                        None => break,
                        Some(p) if u32::from(u16::from_le_bytes(*p)) == *row => {
                            self.found.push(i as u32);
                            self.places.push(at as u32);
                        }
                        Some(_) => {}
                    }
                }
            }
            Presence::Bitmap => {
                let (mut word_at, mut before) = (0, 0);
                let word = |i: usize| {
                    let mut bytes = [0; 8];
                    if let Some(rest) = head.get(i * 8..) {
                        let n = rest.len().min(8);
                        bytes[..n].copy_from_slice(&rest[..n]);
                    }
                    u64::from_le_bytes(bytes)
                };
                let mut current = word(0);
                for (i, row) in rows.iter().enumerate() {
                    let (wanted, bit) = (*row as usize / 64, row % 64);
                    while word_at < wanted {
                        before += current.count_ones();
                        word_at += 1;
                        current = word(word_at);
                    }
                    if current >> bit & 1 == 1 {
                        self.found.push(i as u32);
                        self.places.push(before + (current & ((1 << bit) - 1)).count_ones());
                    }
                }
            }
        }
        // Damage that a checksum missed.
        let kept = self.places.partition_point(|p| *p < meta.n_stored);
        self.found.truncate(kept);
        self.places.truncate(kept);
    }

    /// The floats that the integers stand for.
    fn make_floats(&mut self, column: &Column<'_>, meta: &BlockMeta) -> Result<(), SegmentError> {
        let GatherBuffers { ints, floats, .. } = self;
        floats.clear();
        if column.layout == Layout::Floats && meta.exponent == EXPONENT_BITS {
            floats.extend(ints.iter().map(|i| f64::from_bits(*i as u64)));
        } else if column.layout == Layout::Floats && meta.exponent > 0 {
            let power = power(meta.exponent).ok_or_else(|| damaged("exponent of floats"))? as f64;
            floats.extend(ints.iter().map(|i| *i as f64 / power));
        } else {
            floats.extend(ints.iter().map(|i| *i as f64));
        }
        Ok(())
    }
}

impl Segment {
    /// Codes of a `Dict` or `Bools` column at some rows of a block, which ascend: one per row, those of missing cells as
    /// [`Segment::read_codes`] says.
    pub fn codes_at<'b>(
        &self,
        column: &Column<'_>,
        block: usize,
        rows: &[u32],
        buffers: &'b mut GatherBuffers,
    ) -> Result<&'b [u32], SegmentError> {
        let missing = if column.layout == Layout::Bools { 2 } else { self.n_dict(column) as u32 };
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let (head, values) = split(meta, data, self.block_rows(block))?;
        buffers.locate(meta, head, rows);
        ints::gather(meta, values, 1, &buffers.places, &mut buffers.ints);
        buffers.codes.clear();
        buffers.codes.resize(rows.len(), missing);
        for (at, code) in buffers.found.iter().zip(&buffers.ints) {
            buffers.codes[*at as usize] = u32::try_from(*code).map_or(missing, |c| c.min(missing));
        }
        Ok(&buffers.codes)
    }

    /// Numbers of an `Ints` or `Floats` column at some rows of a block, which ascend: positions in `rows` of those that have a
    /// number, and the numbers.
    pub fn floats_at<'b>(
        &self,
        column: &Column<'_>,
        block: usize,
        rows: &[u32],
        buffers: &'b mut GatherBuffers,
    ) -> Result<(&'b [u32], &'b [f64]), SegmentError> {
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let (head, values) = split(meta, data, self.block_rows(block))?;
        buffers.locate(meta, head, rows);
        ints::gather(meta, values, 1, &buffers.places, &mut buffers.ints);
        buffers.make_floats(column, meta)?;
        Ok((&buffers.found, &buffers.floats))
    }

    /// All numbers of an `Ints` or `Floats` column in a block, and their rows: for columns that few rows have.
    pub fn present_floats<'b>(
        &self,
        column: &Column<'_>,
        block: usize,
        buffers: &'b mut GatherBuffers,
    ) -> Result<(&'b [u32], &'b [f64]), SegmentError> {
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        let (head, values) = split(meta, data, n)?;
        buffers.found.clear();
        match meta.presence {
            Presence::None => {}
            Presence::All => buffers.found.extend(0..n as u32),
            Presence::Positions | Presence::Bitmap => each_position(meta, head, n, |row| buffers.found.push(row as u32)),
        }
        buffers.ints.clear();
        buffers.ints.resize(buffers.found.len(), 0);
        if !buffers.found.is_empty() {
            ints::read(meta, values, 1, 0, &mut buffers.ints);
        }
        buffers.make_floats(column, meta)?;
        Ok((&buffers.found, &buffers.floats))
    }
}
