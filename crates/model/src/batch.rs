//! A batch: decoded events of one dataset, column by column, as ingest hands them to the store.
//!
//! Owns: building columns from cells in one pass, with a dictionary per text column. Never does: sorting,
//! compression, limits (the decoders keep those).

use crate::{ColumnKind, TimeNs, hash64, parse_id};
use hashbrown::HashMap;
use std::sync::Arc;

/// Distinct texts of a column, in order of first appearance.
#[derive(Clone, Debug, Default)]
pub struct StrDict {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Open addressing; 0 is free, else code + 1.
    table: Vec<u32>,
    tags: Vec<u32>,
}

impl StrDict {
    /// Number of distinct texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes (UTF-8) of a code.
    #[must_use]
    pub fn get(&self, code: u32) -> &[u8] {
        let code = code as usize;
        let start = if code == 0 { 0 } else { self.ends[code - 1] as usize };
        &self.bytes[start..self.ends[code] as usize]
    }

    /// The code of a text, new or known.
    pub fn insert(&mut self, text: &[u8]) -> u32 {
        if (self.ends.len() + 1) * 2 > self.table.len() {
            self.grow();
        }
        let hash = hash64(text);
        let tag = (hash >> 32) as u32;
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.table[at];
            if slot == 0 {
                let code = self.ends.len() as u32;
                self.bytes.extend_from_slice(text);
                self.ends.push(self.bytes.len() as u32);
                self.tags.push(tag);
                self.table[at] = code + 1;
                return code;
            }
            if self.tags[slot as usize - 1] == tag && self.get(slot - 1) == text {
                return slot - 1;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 4).max(32);
        self.table = vec![0; size];
        for code in 0..self.ends.len() as u32 {
            let mut at = hash64(self.get(code)) as usize & (size - 1);
            while self.table[at] != 0 {
                at = (at + 1) & (size - 1);
            }
            self.table[at] = code + 1;
        }
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + 4 * (self.ends.capacity() + self.table.capacity() + self.tags.capacity())
    }
}

/// The present cells of a column, in row order.
#[derive(Clone, Debug)]
pub enum Values {
    /// Codes into the dictionary.
    Str {
        /// One per present cell.
        codes: Vec<u32>,
        /// What they stand for.
        dict: StrDict,
    },
    /// Integers.
    Int(Vec<i64>),
    /// Floats.
    Float(Vec<f64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// 8-byte ids.
    Hex8(Vec<[u8; 8]>),
    /// 16-byte ids, written as 32 hex digits.
    Hex16(Vec<[u8; 16]>),
    /// 16-byte ids, written as UUIDs.
    Uuid(Vec<[u8; 16]>),
}

impl Values {
    /// An empty column of a kind.
    #[must_use]
    pub fn new(kind: ColumnKind) -> Values {
        match kind {
            ColumnKind::Str => Values::Str { codes: Vec::new(), dict: StrDict::default() },
            ColumnKind::Int => Values::Int(Vec::new()),
            ColumnKind::Float => Values::Float(Vec::new()),
            ColumnKind::Bool => Values::Bool(Vec::new()),
            ColumnKind::Hex8 => Values::Hex8(Vec::new()),
            ColumnKind::Hex16 => Values::Hex16(Vec::new()),
            ColumnKind::Uuid => Values::Uuid(Vec::new()),
        }
    }

    /// The kind of column.
    #[must_use]
    pub fn kind(&self) -> ColumnKind {
        match self {
            Values::Str { .. } => ColumnKind::Str,
            Values::Int(_) => ColumnKind::Int,
            Values::Float(_) => ColumnKind::Float,
            Values::Bool(_) => ColumnKind::Bool,
            Values::Hex8(_) => ColumnKind::Hex8,
            Values::Hex16(_) => ColumnKind::Hex16,
            Values::Uuid(_) => ColumnKind::Uuid,
        }
    }

    /// Number of present cells.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Values::Str { codes, .. } => codes.len(),
            Values::Int(v) => v.len(),
            Values::Float(v) => v.len(),
            Values::Bool(v) => v.len(),
            Values::Hex8(v) => v.len(),
            Values::Hex16(v) | Values::Uuid(v) => v.len(),
        }
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn pop(&mut self) {
        match self {
            Values::Str { codes, .. } => drop(codes.pop()),
            Values::Int(v) => drop(v.pop()),
            Values::Float(v) => drop(v.pop()),
            Values::Bool(v) => drop(v.pop()),
            Values::Hex8(v) => drop(v.pop()),
            Values::Hex16(v) | Values::Uuid(v) => drop(v.pop()),
        }
    }
}

/// A column of a batch: one (name, kind).
#[derive(Clone, Debug)]
pub struct BatchColumn {
    /// Name of the column.
    pub name: Arc<str>,
    /// Rows that have a cell, ascending; `None` if all do.
    pub rows: Option<Vec<u32>>,
    /// Their cells.
    pub values: Values,
}

/// Events of one dataset in order of arrival.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Number of events.
    pub n_rows: usize,
    /// Event times, one per row.
    pub times: Vec<TimeNs>,
    /// Sample rates, one per row; empty if all are 1.
    pub sample_rates: Vec<f64>,
    /// Columns; names may repeat with different kinds, a row has a cell in at most one of those.
    pub columns: Vec<BatchColumn>,
}

/// A column of a [`BatchBuilder`], by name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnId(u32);

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Logical {
    name: Arc<str>,
    /// The physical column of each kind.
    physical: [u32; 7],
    /// Row of the last cell, and the physical column that holds it.
    last_row: u32,
    last_physical: u32,
    /// The column that followed this one last time.
    next: u32,
}

#[derive(Debug)]
struct Physical {
    logical: u32,
    rows: Vec<u32>,
    values: Values,
}

/// Builds a [`Batch`] event by event: `begin`, cells, then `end` or `abort`.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    names: HashMap<Arc<str>, u32>,
    logical: Vec<Logical>,
    physical: Vec<Physical>,
    times: Vec<TimeNs>,
    sample_rates: Vec<f64>,
    row: u32,
    /// Distinct columns set in the current row.
    fields: usize,
    /// Columns of the current row, to take them back.
    touched: Vec<u32>,
}

impl BatchBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Events ended so far.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.times.len()
    }

    /// Distinct fields of the event under construction.
    #[must_use]
    pub fn fields(&self) -> usize {
        self.fields
    }

    /// The name of a column.
    #[must_use]
    pub fn name(&self, column: ColumnId) -> &Arc<str> {
        &self.logical[column.0 as usize].name
    }

    /// The column with this name, new or known.
    pub fn column(&mut self, name: &str) -> ColumnId {
        if let Some(&i) = self.names.get(name) {
            return ColumnId(i);
        }
        let i = self.logical.len() as u32;
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name), i);
        self.logical.push(Logical { name, physical: [NONE; 7], last_row: NONE, last_physical: NONE, next: NONE });
        ColumnId(i)
    }

    /// Like [`Self::column`], faster where events repeat their fields in the same order: `previous` is the column
    /// that came before this one in the event.
    pub fn column_after(&mut self, previous: Option<ColumnId>, name: &str) -> ColumnId {
        let Some(ColumnId(p)) = previous else { return self.column(name) };
        let guess = self.logical[p as usize].next;
        if let Some(l) = self.logical.get(guess as usize)
            && *l.name == *name
        {
            return ColumnId(guess);
        }
        let found = self.column(name);
        self.logical[p as usize].next = found.0;
        found
    }

    /// Starts an event.
    pub fn begin(&mut self) {
        self.row = self.times.len() as u32;
        self.fields = 0;
        self.touched.clear();
    }

    /// Ends the event and keeps it. A sample rate that is not above 0 counts as 1.
    pub fn end(&mut self, time: TimeNs, sample_rate: f64) {
        let rate = if sample_rate > 0.0 && sample_rate.is_finite() { sample_rate } else { 1.0 };
        if rate != 1.0 || !self.sample_rates.is_empty() {
            self.sample_rates.resize(self.times.len(), 1.0);
            self.sample_rates.push(rate);
        }
        self.times.push(time);
    }

    /// Drops the event under construction with all its cells.
    pub fn abort(&mut self) {
        for i in std::mem::take(&mut self.touched) {
            let l = &mut self.logical[i as usize];
            if l.last_row == self.row {
                let p = &mut self.physical[l.last_physical as usize];
                p.rows.pop();
                p.values.pop();
                l.last_row = NONE;
            }
        }
        self.fields = 0;
    }

    /// Takes back the cell of this column in the event under construction, if any.
    pub fn unset(&mut self, column: ColumnId) {
        let l = &mut self.logical[column.0 as usize];
        if l.last_row == self.row {
            let p = &mut self.physical[l.last_physical as usize];
            p.rows.pop();
            p.values.pop();
            l.last_row = NONE;
            self.fields -= 1;
        }
    }

    /// Whether the event under construction has a cell in this column.
    #[must_use]
    pub fn is_set(&self, column: ColumnId) -> bool {
        self.logical[column.0 as usize].last_row == self.row
    }

    fn slot(&mut self, column: ColumnId, kind: ColumnKind) -> &mut Values {
        self.unset(column);
        let l = &mut self.logical[column.0 as usize];
        let mut at = l.physical[kind as usize];
        if at == NONE {
            at = self.physical.len() as u32;
            l.physical[kind as usize] = at;
            self.physical.push(Physical { logical: column.0, rows: Vec::new(), values: Values::new(kind) });
        }
        l.last_row = self.row;
        l.last_physical = at;
        self.fields += 1;
        self.touched.push(column.0);
        let p = &mut self.physical[at as usize];
        p.rows.push(self.row);
        &mut p.values
    }

    /// Sets a text cell; a later cell of the same column in the event replaces it. Ids are recognised.
    pub fn str(&mut self, column: ColumnId, text: &str) {
        if matches!(text.len(), 16 | 32 | 36)
            && let Some((kind, raw)) = parse_id(text.as_bytes())
        {
            match self.slot(column, kind.into()) {
                Values::Hex8(v) => {
                    let mut short = [0; 8];
                    short.copy_from_slice(&raw[..8]);
                    v.push(short);
                }
                Values::Hex16(v) | Values::Uuid(v) => v.push(raw),
                _ => unreachable!("slot answers the kind that was asked for"),
            }
            return;
        }
        if let Values::Str { codes, dict } = self.slot(column, ColumnKind::Str) {
            let code = match codes.last() {
                Some(&last) if dict.get(last) == text.as_bytes() => last,
                _ => dict.insert(text.as_bytes()),
            };
            codes.push(code);
        }
    }

    /// Sets an integer cell.
    pub fn int(&mut self, column: ColumnId, value: i64) {
        if let Values::Int(v) = self.slot(column, ColumnKind::Int) {
            v.push(value);
        }
    }

    /// Sets a float cell; what is not finite is left out.
    pub fn float(&mut self, column: ColumnId, value: f64) {
        if !value.is_finite() {
            self.unset(column);
        } else if let Values::Float(v) = self.slot(column, ColumnKind::Float) {
            v.push(value);
        }
    }

    /// Sets a truth value.
    pub fn bool(&mut self, column: ColumnId, value: bool) {
        if let Values::Bool(v) = self.slot(column, ColumnKind::Bool) {
            v.push(value);
        }
    }

    /// Sets a cell from a value; `Null` leaves it missing.
    pub fn value(&mut self, column: ColumnId, value: &crate::Value) {
        match value {
            crate::Value::Null => self.unset(column),
            crate::Value::Bool(b) => self.bool(column, *b),
            crate::Value::Int(i) => self.int(column, *i),
            crate::Value::Float(f) => self.float(column, *f),
            crate::Value::Str(s) => self.str(column, s),
        }
    }

    /// The batch of all ended events. Columns without a cell are left out.
    #[must_use]
    pub fn finish(self) -> Batch {
        let n_rows = self.times.len();
        let logical = self.logical;
        let columns = self
            .physical
            .into_iter()
            .filter(|p| !p.rows.is_empty())
            .map(|p| BatchColumn {
                name: Arc::clone(&logical[p.logical as usize].name),
                rows: (p.rows.len() < n_rows).then_some(p.rows),
                values: p.values,
            })
            .collect();
        Batch { n_rows, times: self.times, sample_rates: self.sample_rates, columns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aborted_event_leaves_nothing_behind() {
        let mut b = BatchBuilder::new();
        let (x, y) = (b.column("x"), b.column("y"));
        b.begin();
        b.int(x, 1);
        b.end(10, 1.0);
        b.begin();
        b.int(x, 2);
        b.str(y, "gone");
        b.abort();
        b.begin();
        b.str(y, "kept");
        b.end(20, 4.0);
        let batch = b.finish();
        assert_eq!((batch.n_rows, batch.times.as_slice(), batch.sample_rates.as_slice()), (2, &[10, 20][..], &[1.0, 4.0][..]));
        let text = batch.columns.iter().find(|c| *c.name == *"y").unwrap();
        assert_eq!(text.rows.as_deref(), Some(&[1][..]));
        let Values::Str { codes, dict } = &text.values else { panic!("not text") };
        assert_eq!(dict.get(codes[0]), b"kept");
    }

    #[test]
    fn the_last_of_two_cells_wins_and_kinds_live_side_by_side() {
        let mut b = BatchBuilder::new();
        let x = b.column("x");
        b.begin();
        b.int(x, 1);
        b.str(x, "one");
        assert_eq!(b.fields(), 1);
        b.end(0, 1.0);
        b.begin();
        b.int(x, 2);
        b.end(0, 0.0);
        let batch = b.finish();
        assert!(batch.sample_rates.is_empty());
        let kinds: Vec<_> = batch.columns.iter().map(|c| (c.values.kind(), c.rows.clone())).collect();
        assert_eq!(kinds, [(ColumnKind::Int, Some(vec![1])), (ColumnKind::Str, Some(vec![0]))]);
    }
}
