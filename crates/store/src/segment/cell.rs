//! Reads single cells and rows, without decoding their blocks.
//!
//! Owns: that one cell costs one cell. Never does: read blocks as a whole (`scan`).

use super::dict::{read_many, read_one};
use super::format::{BlockMeta, EXPONENT_BITS};
use super::presence::{split, stored_index};
use super::read::damaged;
use super::{BLOCK_ROWS, Column, Layout, Segment, SegmentError, cache, ints, write::power};
use model::{ColumnKind, TimeNs, Value, write_id};

impl Segment {
    /// All cells of one row, for raw results: cheap for few rows (no block is decoded as a whole).
    /// Answers time and sample rate.
    pub fn row(&self, row: usize, visit: &mut dyn FnMut(&str, Value)) -> Result<(TimeNs, f64), SegmentError> {
        for i in 0..self.n_columns() {
            let column = self.column_at(i).ok_or_else(|| damaged("column entry"))?;
            match self.cell(&column, row)? {
                Value::Null => {}
                value => visit(column.name, value),
            }
        }
        self.row_time(row)
    }

    /// Cells of a column, one per row asked for: for many rows cheaper than one [`Self::cell`] after the other.
    pub fn cells(&self, column: &Column<'_>, rows: &[usize]) -> Result<Vec<Value>, SegmentError> {
        if column.layout != Layout::Dict || rows.len() < 2 || cache::known(self.id, column.index).is_some() {
            return rows.iter().map(|row| self.cell(column, *row)).collect();
        }
        let mut codes = Vec::with_capacity(rows.len());
        for (i, row) in rows.iter().enumerate() {
            if let Some(code) = self.code(column, *row)? {
                codes.push((code, i));
            }
        }
        codes.sort_unstable();
        let wanted: Vec<u32> = codes.iter().map(|c| c.0).collect();
        let texts = read_many(self.dict_bytes(column)?.0, column.kind, &wanted)?;
        let mut out = vec![Value::Null; rows.len()];
        for ((_, i), text) in codes.into_iter().zip(texts) {
            out[i] = Value::Str(text);
        }
        Ok(out)
    }

    /// Time and sample rate of one row.
    pub fn row_time(&self, row: usize) -> Result<(TimeNs, f64), SegmentError> {
        let (block, at) = (row / BLOCK_ROWS, row % BLOCK_ROWS);
        let time = self.time_of(block, at)?;
        let rate = match self.uniform_sample_rate() {
            Some(rate) => rate,
            None => {
                let (meta, data) = self.block(self.load_blocks(self.n_columns() + 1, self.trailer.rates_offset)?, block)?;
                ints::get(meta, data, 1, at).and_then(|i| float_of(meta, i)).ok_or_else(|| damaged("sample rate of a row"))?
            }
        };
        Ok((time, rate))
    }

    /// The code of one cell of a `Dict` or `Bools` column; `None` if it is missing.
    pub fn code(&self, column: &Column<'_>, row: usize) -> Result<Option<u32>, SegmentError> {
        let (block, row) = (row / BLOCK_ROWS, row % BLOCK_ROWS);
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        let (head, values) = split(meta, data, n)?;
        let Some(at) = stored_index(meta, head, n, row) else { return Ok(None) };
        let code = ints::get(meta, values, 1, at).ok_or_else(|| damaged("one cell"))?;
        let missing = if column.layout == Layout::Bools { 2 } else { self.n_dict(column) as i64 };
        Ok((0..missing).contains(&code).then_some(code as u32))
    }

    /// One cell.
    pub fn cell(&self, column: &Column<'_>, row: usize) -> Result<Value, SegmentError> {
        if matches!(column.layout, Layout::Dict | Layout::Bools) {
            let Some(code) = self.code(column, row)? else { return Ok(Value::Null) };
            if column.layout == Layout::Bools {
                return Ok(Value::Bool(code == 1));
            }
            if let Some(dict) = cache::known(self.id, column.index) {
                let mut scratch = String::new();
                return Ok(Value::Str(dict.text(code, &mut scratch).to_owned()));
            }
            return Ok(Value::Str(read_one(self.dict_bytes(column)?.0, column.kind, code)?));
        }
        let (block, row) = (row / BLOCK_ROWS, row % BLOCK_ROWS);
        let (meta, data) = self.block(self.column_blocks(column)?, block)?;
        let n = self.block_rows(block);
        let (head, values) = split(meta, data, n)?;
        let Some(at) = stored_index(meta, head, n, row) else { return Ok(Value::Null) };
        let value = || match column.kind {
            ColumnKind::Int => ints::get(meta, values, 1, at).map(Value::Int),
            ColumnKind::Float => ints::get(meta, values, 1, at).and_then(|i| float_of(meta, i)).map(Value::Float),
            _ => {
                let id = column.kind.id()?;
                let raw = values.get(at * id.width()..)?.get(..id.width())?;
                let mut text = String::new();
                write_id(id, raw, &mut text);
                Some(Value::Str(text))
            }
        };
        value().ok_or_else(|| damaged("one cell"))
    }
}

fn float_of(meta: &BlockMeta, i: i64) -> Option<f64> {
    if meta.exponent == EXPONENT_BITS {
        return Some(f64::from_bits(i as u64));
    }
    Some(i as f64 / power(meta.exponent)? as f64)
}
