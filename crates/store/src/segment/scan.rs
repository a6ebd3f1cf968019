//! Reads a block of a column as a whole: one value per row, or the present cells and their rows.
//!
//! Owns: laying stored values out by row. Never does: find the block (`read`), single cells (`cell`).

use super::format::{BlockMeta, ColumnMeta, EXPONENT_BITS, Encoding, Presence};
use super::pack::{Lane, Packable};
use super::presence::{each_position, expand, scatter, split, stored_of};
use super::read::damaged;
use super::{Codes, Column, Layout, Scratch, Segment, SegmentError, Valid, ints, write::power};
use model::TimeNs;
use std::ops::Range;

/// The first `n` of a buffer. What is in them is written over, so they are cleared only where it was never as long: blocks of
/// all sizes take turns.
fn first<T: Clone>(buffer: &mut Vec<T>, n: usize, empty: T) -> &mut [T] {
    if buffer.len() < n {
        buffer.resize(n, empty);
    }
    &mut buffer[..n]
}

impl Segment {
    /// Event times of a block, ascending.
    pub fn read_times<'s>(&self, block: usize, scratch: &'s mut Scratch) -> Result<&'s [TimeNs], SegmentError> {
        let (meta, data) = self.block(self.time_blocks()?, block)?;
        let scale = power(meta.exponent).ok_or_else(|| damaged("exponent of times"))?;
        let times = first(&mut scratch.ints, self.block_rows(block), 0);
        ints::read(meta, data, scale, 0, times);
        Ok(times)
    }

    /// The first row of a block whose time is not before this one.
    pub fn row_from(&self, block: usize, time: TimeNs) -> Result<usize, SegmentError> {
        let (meta, data) = self.block(self.time_blocks()?, block)?;
        let scale = power(meta.exponent).ok_or_else(|| damaged("exponent of times"))?;
        let (mut low, mut high) = (0, self.block_rows(block));
        while low < high {
            let middle = low + (high - low) / 2;
            let at = ints::get(meta, data, scale, middle).ok_or_else(|| damaged("time of a row"))?;
            if at < time { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The time of a row of a block.
    pub fn time_of(&self, block: usize, row: usize) -> Result<TimeNs, SegmentError> {
        let (meta, data) = self.block(self.time_blocks()?, block)?;
        let scale = power(meta.exponent).ok_or_else(|| damaged("exponent of times"))?;
        ints::get(meta, data, scale, row).ok_or_else(|| damaged("time of a row"))
    }

    /// Sample rates of a block (also when uniform).
    pub fn read_sample_rates<'s>(&self, block: usize, scratch: &'s mut Scratch) -> Result<&'s [f64], SegmentError> {
        let n = self.block_rows(block);
        if let Some(rate) = self.uniform_sample_rate() {
            let rates = first(&mut scratch.floats, n, rate);
            rates.fill(rate);
            return Ok(rates);
        }
        let (meta, data) = self.block(self.load_blocks(self.n_columns() + 1, self.trailer.rates_offset)?, block)?;
        let rates = first(&mut scratch.floats, n, 0.0);
        stored_floats(meta, data, 0, &mut scratch.ints, rates)?;
        Ok(rates)
    }

    /// Codes of a `Dict` or `Bools` column; a missing cell has the code `dict.len()` (2 for bools).
    pub fn read_codes<'s>(&self, column: &Column<'_>, block: usize, scratch: &'s mut Scratch) -> Result<Codes<'s>, SegmentError> {
        let n_dict = if column.layout == Layout::Bools { 2 } else { self.n_dict(column) };
        let missing = n_dict as u32;
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        if meta.presence == Presence::None {
            return Ok(Codes::Const(missing));
        }
        if meta.presence == Presence::All && meta.encoding == Encoding::Const {
            return Ok(Codes::Const((meta.base as u32).min(missing)));
        }
        let parts = split(meta, data, n)?;
        let rows = (n, scratch.rows(n));
        Ok(match n_dict {
            0..=255 => Codes::U8(dense_codes(meta, parts, missing as u8, rows, &mut scratch.u8, &mut scratch.tmp8)),
            256..=65_535 => Codes::U16(dense_codes(meta, parts, missing as u16, rows, &mut scratch.u16, &mut scratch.tmp16)),
            _ => Codes::U32(dense_codes(meta, parts, missing, rows, &mut scratch.u32, &mut scratch.tmp32)),
        })
    }

    /// Integers of a block, one per row, 0 where missing.
    pub fn read_ints<'s>(
        &self,
        column: &Column<'_>,
        block: usize,
        scratch: &'s mut Scratch,
    ) -> Result<(&'s [i64], Valid<'s>), SegmentError> {
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        let rows = scratch.rows(n);
        let out = first(&mut scratch.ints, n, 0);
        if meta.presence == Presence::All {
            ints::read(meta, data, 1, rows.start, &mut out[rows]);
            return Ok((out, Valid::All));
        }
        out[rows.clone()].fill(0);
        if meta.presence == Presence::None {
            return Ok((out, Valid::None));
        }
        let (head, values) = split(meta, data, n)?;
        let (stored, before) = stored_of(meta, head, &rows);
        let tmp = first(&mut scratch.tmp_ints, stored.len(), 0);
        ints::read(meta, values, 1, stored.start, tmp);
        scatter(meta, head, &rows, &tmp[before..], out, &mut scratch.bits);
        Ok((out, Valid::Bits(&scratch.bits)))
    }

    /// Floats of a block, one per row, 0 where missing. Also serves `Ints`, as floats.
    pub fn read_floats<'s>(
        &self,
        column: &Column<'_>,
        block: usize,
        scratch: &'s mut Scratch,
    ) -> Result<(&'s [f64], Valid<'s>), SegmentError> {
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        let rows = scratch.rows(n);
        let out = first(&mut scratch.floats, n, 0.0);
        if meta.presence == Presence::None {
            out[rows].fill(0.0);
            return Ok((out, Valid::None));
        }
        let (head, values) = split(meta, data, n)?;
        if meta.presence == Presence::All {
            numbers(column.layout, meta, values, rows.start, &mut scratch.tmp_ints, &mut out[rows])?;
            return Ok((out, Valid::All));
        }
        let (stored, before) = stored_of(meta, head, &rows);
        let tmp = first(&mut scratch.tmp_floats, stored.len(), 0.0);
        numbers(column.layout, meta, values, stored.start, &mut scratch.tmp_ints, tmp)?;
        out[rows.clone()].fill(0.0);
        scatter(meta, head, &rows, &tmp[before..], out, &mut scratch.bits);
        Ok((out, Valid::Bits(&scratch.bits)))
    }

    /// Raw ids of a block as numbers (big-endian; `Hex8` in the low 64 bits), one per row, 0 where missing.
    pub fn read_ids<'s>(
        &self,
        column: &Column<'_>,
        block: usize,
        scratch: &'s mut Scratch,
    ) -> Result<(&'s [u128], Valid<'s>), SegmentError> {
        let width = column.kind.id().ok_or_else(|| damaged("ids in a column of another kind"))?.width();
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        let out = first(&mut scratch.ids, n, 0);
        if meta.presence == Presence::All {
            raw_ids(data, width, out);
            return Ok((out, Valid::All));
        }
        out.fill(0);
        if meta.presence == Presence::None {
            return Ok((out, Valid::None));
        }
        let (head, values) = split(meta, data, n)?;
        let tmp = first(&mut scratch.tmp_ids, meta.n_stored as usize, 0);
        raw_ids(values, width, tmp);
        scatter(meta, head, &(0..n), tmp, out, &mut scratch.bits);
        Ok((out, Valid::Bits(&scratch.bits)))
    }

    /// Which rows of a block have a cell, for columns without codes: cheaper than reading the cells.
    pub fn read_valid<'s>(&self, column: &Column<'_>, block: usize, scratch: &'s mut Scratch) -> Result<Valid<'s>, SegmentError> {
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        let (head, _) = split(meta, data, n)?;
        let bits = &mut scratch.bits;
        bits.clear();
        bits.resize(n.div_ceil(64), 0);
        match meta.presence {
            Presence::All => return Ok(Valid::All),
            Presence::None => return Ok(Valid::None),
            Presence::Bitmap => {
                for (word, bytes) in bits.iter_mut().zip(head.chunks(8)) {
                    let mut wide = [0; 8];
                    wide[..bytes.len()].copy_from_slice(bytes);
                    *word = u64::from_le_bytes(wide);
                }
                if let Some(last) = bits.last_mut().filter(|_| !n.is_multiple_of(64)) {
                    *last &= (1 << (n % 64)) - 1;
                }
            }
            Presence::Positions => each_position(meta, head, n, |row| bits[row / 64] |= 1 << (row % 64)),
        }
        Ok(Valid::Bits(bits))
    }

    /// The present cells of a block as (row in block, …): rows into `rows`, values into the buffer of the layout
    /// (`u32` codes, `ints`, `floats`, `ids`) of `scratch`.
    pub(super) fn read_stored(
        column: &ColumnMeta,
        (meta, data): (&BlockMeta, &[u8]),
        n: usize,
        rows: &mut Vec<u32>,
        scratch: &mut Scratch,
    ) -> Result<(), SegmentError> {
        rows.clear();
        let (head, values) = split(meta, data, n)?;
        match meta.presence {
            Presence::None => {}
            Presence::All => rows.extend(0..n as u32),
            Presence::Positions | Presence::Bitmap => each_position(meta, head, n, |p| rows.push(p as u32)),
        }
        let stored = if meta.presence == Presence::None { 0 } else { rows.len() };
        match column.layout {
            Layout::Dict | Layout::Bools => {
                scratch.u32.resize(stored, 0);
                read_u32_codes(meta, values, scratch);
                let missing = if column.layout == Layout::Bools { 2 } else { column.n_dict };
                if meta.presence == Presence::All {
                    let mut kept = 0;
                    for i in 0..stored {
                        if scratch.u32[i] < missing {
                            scratch.u32[kept] = scratch.u32[i];
                            rows[kept] = rows[i];
                            kept += 1;
                        }
                    }
                    rows.truncate(kept);
                    scratch.u32.truncate(kept);
                } else if scratch.u32.iter().any(|c| *c >= missing) {
                    return Err(damaged("code beyond the dictionary"));
                }
            }
            Layout::Ints => {
                scratch.ints.resize(stored, 0);
                ints::read(meta, values, 1, 0, &mut scratch.ints);
            }
            Layout::Floats => {
                scratch.floats.resize(stored, 0.0);
                numbers(column.layout, meta, values, 0, &mut scratch.tmp_ints, &mut scratch.floats)?;
            }
            Layout::Ids => {
                scratch.ids.resize(stored, 0);
                raw_ids(values, column.kind.id().map_or(16, |k| k.width()), &mut scratch.ids);
            }
        }
        Ok(())
    }
}

fn dense_codes<'s, T: Packable + Ord>(
    meta: &BlockMeta,
    (head, values): (&[u8], &[u8]),
    missing: T,
    (n, rows): (usize, Range<usize>),
    out: &'s mut Vec<T>,
    tmp: &mut Vec<T>,
) -> &'s [T] {
    let out = first(out, n, missing);
    if meta.presence == Presence::All {
        ints::read_codes(meta, values, rows.start, &mut out[rows.clone()]);
    } else {
        out[rows.clone()].fill(missing);
        let (stored, before) = stored_of(meta, head, &rows);
        let tmp = first(tmp, stored.len(), missing);
        ints::read_codes(meta, values, stored.start, tmp);
        if meta.presence == Presence::Bitmap {
            let mut bits = vec![0; rows.len().div_ceil(64)];
            expand(head.get(rows.start / 8..).unwrap_or(&[]), &tmp[before..], &mut out[rows.clone()], &mut bits);
        }
        let mut stored = tmp.iter();
        let head = if meta.presence == Presence::Bitmap { &[] } else { head };
        each_position(meta, head, n, |p| {
            if let Some(v) = stored.next() {
                out[p] = *v;
            }
        });
    }
    // Codes index dictionaries: damage that a checksum missed must not become a panic later.
    for c in &mut out[rows] {
        *c = (*c).min(missing);
    }
    out
}

fn read_u32_codes(meta: &BlockMeta, values: &[u8], scratch: &mut Scratch) {
    let n = scratch.u32.len();
    match meta.lane {
        Lane::U8 => {
            scratch.tmp8.resize(n, 0);
            ints::read_codes(meta, values, 0, &mut scratch.tmp8);
            for (o, c) in scratch.u32.iter_mut().zip(&scratch.tmp8) {
                *o = u32::from(*c);
            }
            if meta.encoding == Encoding::Const {
                scratch.u32.fill(meta.base as u32);
            }
        }
        Lane::U16 => {
            scratch.tmp16.resize(n, 0);
            ints::read_codes(meta, values, 0, &mut scratch.tmp16);
            for (o, c) in scratch.u32.iter_mut().zip(&scratch.tmp16) {
                *o = u32::from(*c);
            }
        }
        _ => ints::read_codes(meta, values, 0, &mut scratch.u32),
    }
}

fn raw_ids(data: &[u8], width: usize, out: &mut [u128]) {
    if width == 8 {
        let (ids, _) = data.as_chunks::<8>();
        for (o, b) in out.iter_mut().zip(ids) {
            *o = u128::from(u64::from_be_bytes(*b));
        }
    } else {
        let (ids, _) = data.as_chunks::<16>();
        for (o, b) in out.iter_mut().zip(ids) {
            *o = u128::from_be_bytes(*b);
        }
    }
}

fn stored_floats(meta: &BlockMeta, data: &[u8], from: usize, tmp: &mut Vec<i64>, out: &mut [f64]) -> Result<(), SegmentError> {
    if meta.exponent == EXPONENT_BITS {
        let tmp = first(tmp, out.len(), 0);
        ints::read(meta, data, 1, from, tmp);
        for (o, i) in out.iter_mut().zip(tmp) {
            *o = f64::from_bits(*i as u64);
        }
        return Ok(());
    }
    let power = power(meta.exponent).ok_or_else(|| damaged("exponent of floats"))? as f64;
    ints::read_decimals(meta, data, power, from, out);
    Ok(())
}

fn numbers(layout: Layout, meta: &BlockMeta, data: &[u8], from: usize, tmp: &mut Vec<i64>, out: &mut [f64]) -> Result<(), SegmentError> {
    if layout == Layout::Floats {
        return stored_floats(meta, data, from, tmp, out);
    }
    let tmp = first(tmp, out.len(), 0);
    ints::read(meta, data, 1, from, tmp);
    for (o, i) in out.iter_mut().zip(tmp) {
        *o = *i as f64;
    }
    Ok(())
}
