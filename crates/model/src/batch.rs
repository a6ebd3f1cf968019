//! A batch: decoded events of one dataset, column by column, as ingest hands them to the store.
//!
//! Owns: building columns from cells in one pass, with a dictionary per text column. Never does: sorting,
//! compression, limits (the decoders keep those).

use crate::{ColumnKind, StrDict, TimeNs, parse_id};
use std::{hash::BuildHasher, sync::Arc};

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

/// How far a run of predicted columns is followed past those that the event lacks.
const LOOK_AHEAD: usize = 4;

/// Bytes of JSON that are compared at once with the name that is expected.
const KEY_BYTES: usize = 32;

/// Those bytes, or a mask of them.
type Key = [u128; KEY_BYTES / 16];

/// Masks of the first n bytes.
const MASKS: [Key; KEY_BYTES + 1] = {
    let mut masks = [[0; 2]; KEY_BYTES + 1];
    let mut n = 1;
    while n <= KEY_BYTES {
        masks[n] = masks[n - 1];
        masks[n][(n - 1) / 16] |= 0xff << ((n - 1) % 16 * 8);
        n += 1;
    }
    masks
};

fn key(bytes: &[u8; KEY_BYTES]) -> Key {
    let (low, high) = bytes.split_at(16);
    let half = |b: &[u8]| b.first_chunk().map_or(0, |c| u128::from_le_bytes(*c));
    [half(low), half(high)]
}

/// A column by name: what is needed for each cell, in one cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Logical {
    /// The name as JSON writes it, in quotes and with a colon. If that is too long, or has escapes: bytes that no JSON has.
    key: Key,
    key_bytes: u32,
    /// Row of the last cell.
    last_row: u32,
    /// The physical column of the last cell, if that is still there.
    last_physical: u32,
    /// The column that followed this one when it was met first.
    next: u32,
}

impl Logical {
    fn new(name: &str) -> Logical {
        let plain = name.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\');
        let mut bytes = [0xff; KEY_BYTES];
        let mut key_bytes = KEY_BYTES;
        if plain && name.len() + 3 <= KEY_BYTES {
            key_bytes = name.len() + 3;
            bytes[0] = b'"';
            bytes[1..=name.len()].copy_from_slice(name.as_bytes());
            bytes[key_bytes - 2..key_bytes].copy_from_slice(b"\":");
        }
        Logical { key: key(&bytes), key_bytes: key_bytes as u32, last_row: NONE, last_physical: NONE, next: NONE }
    }
}

/// The rest of it.
#[derive(Debug)]
struct Cold {
    name: Arc<str>,
    /// The physical column of each kind.
    physical: [u32; 7],
}

/// A column by name and kind.
#[derive(Debug)]
struct Physical {
    /// Number of cells.
    n: u32,
    kind: ColumnKind,
    /// Whether the last cell brought a new entry of the dictionary.
    fresh: bool,
    logical: u32,
    /// Rows of the cells, once some row had none; until then they are 0..n.
    rows: Option<Vec<u32>>,
    values: Values,
}

impl Physical {
    #[inline(always)]
    fn push_row(&mut self, row: u32) {
        match &mut self.rows {
            Some(rows) => rows.push(row),
            None if self.n == row => {}
            None => self.push_after_gap(row),
        }
        self.n += 1;
    }

    #[cold]
    fn push_after_gap(&mut self, row: u32) {
        let mut rows: Vec<u32> = Vec::with_capacity((self.n as usize + 1).next_power_of_two());
        rows.extend(0..self.n);
        rows.push(row);
        self.rows = Some(rows);
    }

    fn pop(&mut self) {
        self.n -= 1;
        if let Some(rows) = &mut self.rows {
            rows.pop();
        }
        match &mut self.values {
            Values::Str { codes, dict } => {
                codes.pop();
                if self.fresh {
                    dict.truncate(dict.len() - 1);
                    self.fresh = false;
                }
            }
            other => other.pop(),
        }
    }
}

/// Builds a [`Batch`] event by event: `begin`, cells, then `end` or `abort`.
#[derive(Debug)]
pub struct BatchBuilder {
    /// Codes are positions in `logical`.
    names: StrDict,
    logical: Vec<Logical>,
    cold: Vec<Cold>,
    physical: Vec<Physical>,
    times: Vec<TimeNs>,
    sample_rates: Vec<f64>,
    row: u32,
    /// The column that comes first in an event.
    first: u32,
    /// Columns of the cells of the current row, to take them back; and how many of those are taken back already.
    touched: Vec<u32>,
    n_unset: usize,
    /// Columns that there were before the current row.
    n_logical: usize,
    n_physical: usize,
    seed: u64,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        // Seeded, so that nobody can send texts that all collide. Batches do not depend on it.
        let seed = hashbrown::DefaultHashBuilder::default().hash_one(0u64);
        BatchBuilder {
            names: StrDict::with_seed(seed),
            logical: Vec::new(),
            cold: Vec::new(),
            physical: Vec::new(),
            times: Vec::new(),
            sample_rates: Vec::new(),
            row: 0,
            first: NONE,
            touched: Vec::new(),
            n_unset: 0,
            n_logical: 0,
            n_physical: 0,
            seed,
        }
    }
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

    /// Distinct column names so far.
    #[must_use]
    pub fn n_columns(&self) -> usize {
        self.logical.len()
    }

    /// Distinct fields of the event under construction.
    #[must_use]
    pub fn fields(&self) -> usize {
        self.touched.len() - self.n_unset
    }

    /// The name of a column.
    #[must_use]
    pub fn name(&self, column: ColumnId) -> &Arc<str> {
        &self.cold[column.0 as usize].name
    }

    /// The column with this name, if known.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ColumnId> {
        self.names.find(name.as_bytes()).map(ColumnId)
    }

    /// The column with this name, new or known. One that is new in an event which is then aborted is void.
    pub fn column(&mut self, name: &str) -> ColumnId {
        let i = self.names.insert(name.as_bytes());
        if i as usize == self.logical.len() {
            self.logical.push(Logical::new(name));
            self.cold.push(Cold { name: name.into(), physical: [NONE; 7] });
        }
        ColumnId(i)
    }

    /// Like [`Self::column`], faster where events repeat their fields in the same order: `previous` is the column
    /// that came before this one in the event.
    pub fn column_after(&mut self, previous: Option<ColumnId>, name: &str) -> ColumnId {
        if let Some(found) = self.predict(previous, |known| known == name.as_bytes()) {
            return found;
        }
        let found = self.column(name);
        self.follow(previous, found);
        found
    }

    fn guess(&self, previous: Option<ColumnId>) -> u32 {
        match previous {
            Some(ColumnId(p)) => self.logical[p as usize].next,
            None => self.first,
        }
    }

    /// The first whose name `is_it` accepts of the columns that may well come after `previous`.
    #[inline]
    pub fn predict(&self, previous: Option<ColumnId>, mut is_it: impl FnMut(&[u8]) -> bool) -> Option<ColumnId> {
        let mut guess = self.guess(previous);
        for _ in 0..LOOK_AHEAD {
            let l = self.logical.get(guess as usize)?;
            if is_it(self.cold[guess as usize].name.as_bytes()) {
                return Some(ColumnId(guess));
            }
            guess = l.next;
        }
        None
    }

    /// The same for JSON: a column whose name, in quotes and followed by a colon, `json` starts with; and how many bytes
    /// that takes. Long names and those that need escapes are never found.
    #[inline]
    pub fn predict_key(&self, previous: Option<ColumnId>, json: &[u8]) -> Option<(ColumnId, usize)> {
        let head = key(json.first_chunk()?);
        let mut guess = self.guess(previous);
        for _ in 0..LOOK_AHEAD {
            let l = self.logical.get(guess as usize)?;
            let mask = &MASKS[l.key_bytes as usize];
            if (head[0] ^ l.key[0]) & mask[0] | (head[1] ^ l.key[1]) & mask[1] == 0 {
                return Some((ColumnId(guess), l.key_bytes as usize));
            }
            guess = l.next;
        }
        None
    }

    /// Notes that `column` came after `previous`, for [`Self::predict`].
    pub fn follow(&mut self, previous: Option<ColumnId>, column: ColumnId) {
        match previous {
            Some(ColumnId(p)) if p != column.0 => {
                // Insert into the run instead of cutting it, so that optional fields do not make it forget the rest.
                let old = std::mem::replace(&mut self.logical[p as usize].next, column.0);
                let l = &mut self.logical[column.0 as usize];
                if l.next == NONE {
                    l.next = old;
                }
            }
            Some(_) => {}
            None => self.first = column.0,
        }
    }

    /// Starts an event.
    pub fn begin(&mut self) {
        self.row = self.times.len() as u32;
        self.touched.clear();
        self.n_unset = 0;
        self.n_logical = self.logical.len();
        self.n_physical = self.physical.len();
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

    /// Drops the event under construction with all its cells, and the columns that it brought.
    pub fn abort(&mut self) {
        for i in std::mem::take(&mut self.touched) {
            let l = &mut self.logical[i as usize];
            if l.last_row == self.row {
                self.physical[l.last_physical as usize].pop();
                l.last_row = NONE;
            }
        }
        for p in self.physical.drain(self.n_physical..) {
            self.logical[p.logical as usize].last_physical = NONE;
            self.cold[p.logical as usize].physical[p.kind as usize] = NONE;
        }
        self.logical.truncate(self.n_logical);
        self.cold.truncate(self.n_logical);
        self.names.truncate(self.n_logical);
        self.n_unset = 0;
    }

    /// Takes back the cell of this column in the event under construction, if any.
    pub fn unset(&mut self, column: ColumnId) {
        let l = &mut self.logical[column.0 as usize];
        if l.last_row == self.row {
            self.physical[l.last_physical as usize].pop();
            l.last_row = NONE;
            self.n_unset += 1;
        }
    }

    /// Whether the event under construction has a cell in this column.
    #[must_use]
    pub fn is_set(&self, column: ColumnId) -> bool {
        self.logical[column.0 as usize].last_row == self.row
    }

    #[inline(always)]
    fn slot(&mut self, column: ColumnId, kind: ColumnKind) -> &mut Physical {
        let row = self.row;
        let l = &mut self.logical[column.0 as usize];
        let mut at = l.last_physical;
        let again = l.last_row == row;
        l.last_row = row;
        if again || self.physical.get(at as usize).is_none_or(|p| p.kind != kind) {
            at = self.slow_slot(column, kind, again);
        }
        self.touched.push(column.0);
        let p = &mut self.physical[at as usize];
        p.push_row(row);
        p
    }

    /// The physical column for a cell that replaces another of its event, or is of another kind than the last one.
    #[cold]
    #[inline(never)]
    fn slow_slot(&mut self, column: ColumnId, kind: ColumnKind, again: bool) -> u32 {
        if again {
            self.unset(column);
        }
        let at = self.other_physical(column, kind);
        let l = &mut self.logical[column.0 as usize];
        l.last_row = self.row;
        l.last_physical = at;
        at
    }

    /// The column of this kind, new or known.
    fn other_physical(&mut self, column: ColumnId, kind: ColumnKind) -> u32 {
        let slot = &mut self.cold[column.0 as usize].physical[kind as usize];
        if *slot == NONE {
            *slot = self.physical.len() as u32;
            let mut values = Values::new(kind);
            if let Values::Str { dict, .. } = &mut values {
                *dict = StrDict::with_seed(self.seed);
            }
            self.physical.push(Physical { n: 0, kind, fresh: false, logical: column.0, rows: None, values });
        }
        *slot
    }

    /// Sets a text cell; a later cell of the same column in the event replaces it. Ids are recognised.
    #[inline]
    pub fn str(&mut self, column: ColumnId, text: &str) {
        if matches!(text.len(), 16 | 32 | 36)
            && let Some((kind, raw)) = parse_id(text.as_bytes())
        {
            match &mut self.slot(column, kind.into()).values {
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
        let p = self.slot(column, ColumnKind::Str);
        if let Values::Str { codes, dict } = &mut p.values {
            let before = dict.len();
            let code = dict.insert(text.as_bytes());
            p.fresh = code as usize == before;
            codes.push(code);
        }
    }

    /// Sets an id of 8 bytes, written as 16 hex digits.
    #[inline]
    pub fn hex8(&mut self, column: ColumnId, id: [u8; 8]) {
        if let Values::Hex8(v) = &mut self.slot(column, ColumnKind::Hex8).values {
            v.push(id);
        }
    }

    /// Sets an id of 16 bytes, written as 32 hex digits.
    #[inline]
    pub fn hex16(&mut self, column: ColumnId, id: [u8; 16]) {
        if let Values::Hex16(v) = &mut self.slot(column, ColumnKind::Hex16).values {
            v.push(id);
        }
    }

    /// Sets an integer cell.
    #[inline]
    pub fn int(&mut self, column: ColumnId, value: i64) {
        if let Values::Int(v) = &mut self.slot(column, ColumnKind::Int).values {
            v.push(value);
        }
    }

    /// Sets a float cell; what is not finite leaves the cell missing.
    #[inline]
    pub fn float(&mut self, column: ColumnId, value: f64) {
        if !value.is_finite() {
            return self.unset(column);
        }
        if let Values::Float(v) = &mut self.slot(column, ColumnKind::Float).values {
            v.push(value);
        }
    }

    /// Sets a truth value.
    #[inline]
    pub fn bool(&mut self, column: ColumnId, value: bool) {
        if let Values::Bool(v) = &mut self.slot(column, ColumnKind::Bool).values {
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
        let cold = self.cold;
        let columns = self
            .physical
            .into_iter()
            .filter(|p| p.n > 0)
            .map(|p| BatchColumn {
                name: Arc::clone(&cold[p.logical as usize].name),
                rows: ((p.n as usize) < n_rows).then(|| p.rows.unwrap_or_else(|| (0..p.n).collect())),
                values: p.values,
            })
            .collect();
        Batch { n_rows, times: self.times, sample_rates: self.sample_rates, columns }
    }
}

#[cfg(test)]
mod tests;
