//! Builds a batch event by event.
//!
//! Owns: finding the column of a cell fast, and taking back what an event brought. Never does: limits, sorting.

use super::few::{self, FEW_CELLS_MAX, Few};
use super::key::{KEY_BYTES, Key, MASKS, key, name_bytes};
use super::{Batch, BatchColumn, Cells, ManyCells, Values};
use crate::{ColumnKind, StrDict, TimeNs, parse_id};
use std::{hash::BuildHasher, sync::Arc};

/// A column of a [`BatchBuilder`], by name only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColumnId(u32);

const NONE: u32 = u32::MAX;

/// After so many predictions that failed none is tried in the event: its fields come in no order.
const MISSES_MAX: u32 = 32;
/// Predictions that an event may fail after others failed too many.
const TRIES_PER_EVENT: u32 = 3;

/// With no more columns than this most of them will have many cells,
const NARROW_COLUMNS: usize = 512;
/// and leave the log early.
const FEW_IF_NARROW: u32 = 4;

/// How far a run of predicted columns is followed past those that the event lacks.
const LOOK_AHEAD: usize = 4;

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

/// A column by name and kind. Its cells are in the log of [`Few`] until they are too many or too long for it.
#[derive(Debug)]
struct Physical {
    /// Number of cells.
    n: u32,
    /// The last of them in the log.
    last: u32,
    logical: u32,
    kind: ColumnKind,
    /// Whether the last cell brought a new entry of the dictionary.
    fresh: bool,
    many: Option<Box<ManyCells>>,
}

impl ManyCells {
    /// Notes the row of the cell after the first `n`.
    #[inline(always)]
    fn push_row(&mut self, n: u32, row: u32) {
        match &mut self.rows {
            Some(rows) => rows.push(row),
            None if n == row => {}
            None => self.push_after_gap(n, row),
        }
    }

    #[cold]
    fn push_after_gap(&mut self, n: u32, row: u32) {
        let mut rows: Vec<u32> = Vec::with_capacity((n as usize + 1).next_power_of_two());
        rows.extend(0..n);
        rows.push(row);
        self.rows = Some(rows);
    }

    fn pop(&mut self, fresh: bool) {
        if let Some(rows) = &mut self.rows {
            rows.pop();
        }
        match &mut self.values {
            Values::Str { codes, dict } => {
                codes.pop();
                if fresh {
                    dict.truncate(dict.len() - 1);
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
    few: Few,
    /// Cells of a column that stay in the log.
    few_max: u32,
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
    /// The log before the current row.
    few_mark: few::Mark,
    /// Predictions that failed since one came true.
    n_missed: u32,
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
            few: Few::default(),
            few_max: FEW_IF_NARROW,
            times: Vec::new(),
            sample_rates: Vec::new(),
            row: 0,
            first: NONE,
            touched: Vec::new(),
            n_unset: 0,
            n_logical: 0,
            n_physical: 0,
            few_mark: few::Mark::default(),
            n_missed: 0,
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
    pub fn predict(&mut self, previous: Option<ColumnId>, is_it: impl FnMut(&[u8]) -> bool) -> Option<ColumnId> {
        if self.n_missed >= MISSES_MAX {
            return None;
        }
        let found = self.predicted(previous, is_it);
        self.judge(found.is_some());
        found
    }

    /// Notes whether a prediction came true.
    #[inline(always)]
    fn judge(&mut self, hit: bool) {
        self.n_missed = if hit { 0 } else { self.n_missed + 1 };
    }

    #[inline]
    fn predicted(&self, previous: Option<ColumnId>, mut is_it: impl FnMut(&[u8]) -> bool) -> Option<ColumnId> {
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
    pub fn predict_key(&mut self, previous: Option<ColumnId>, json: &[u8]) -> Option<(ColumnId, usize)> {
        if self.n_missed >= MISSES_MAX {
            return None;
        }
        let found = self.predicted_key(previous, json);
        self.judge(found.is_some());
        found
    }

    #[inline]
    fn predicted_key(&self, previous: Option<ColumnId>, json: &[u8]) -> Option<(ColumnId, usize)> {
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

    /// The column whose name `json` starts with, as [`Self::predict_key`] has it, but found by the hash of the name: for fields
    /// that come in no order.
    #[inline]
    #[must_use]
    pub fn find_key(&self, json: &[u8]) -> Option<(ColumnId, usize)> {
        let head = json.first_chunk::<KEY_BYTES>()?;
        let wanted = key(head);
        let n = name_bytes(&wanted)?;
        let mask = &MASKS[n + 3];
        let column = self.names.find_by(&head[1..=n], |code| {
            let l = &self.logical[code as usize];
            // What stands in the cache line of the cell to come.
            l.key_bytes as usize == n + 3 && (wanted[0] ^ l.key[0]) & mask[0] | (wanted[1] ^ l.key[1]) & mask[1] == 0
        })?;
        Some((ColumnId(column), n + 3))
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
        self.few.begin(self.row);
        self.few_mark = self.few.mark();
        if self.logical.len() > NARROW_COLUMNS {
            self.few_max = FEW_CELLS_MAX as u32;
        }
        self.n_missed = self.n_missed.min(MISSES_MAX - TRIES_PER_EVENT);
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

    /// Takes the columns after the first `n` away from the event under construction, which must have brought them: their names
    /// and values, in the order of the event.
    pub fn take_columns_after(&mut self, n: usize) -> Vec<(Arc<str>, crate::Value)> {
        let n = n.max(self.n_logical);
        let mut taken = Vec::new();
        if n >= self.logical.len() {
            return taken;
        }
        for i in self.touched.clone().into_iter().filter(|i| *i as usize >= n) {
            if self.logical[i as usize].last_row == self.row {
                taken.push((Arc::clone(&self.cold[i as usize].name), self.last_value(i)));
                self.unset(ColumnId(i));
            }
        }
        // Other columns may have got a kind in between.
        for (at, p) in self.physical.split_off(self.n_physical).into_iter().enumerate() {
            if (p.logical as usize) < n {
                // Its cells, if they are in the log: one, or none.
                if p.many.is_none() && p.n > 0 {
                    self.few.rename(p.last, self.physical.len() as u32);
                }
                let (old, new) = ((self.n_physical + at) as u32, self.physical.len() as u32);
                let l = &mut self.logical[p.logical as usize];
                if l.last_physical == old {
                    l.last_physical = new;
                }
                self.cold[p.logical as usize].physical[p.kind as usize] = new;
                self.physical.push(p);
            }
        }
        let n_taken = self.touched.iter().filter(|i| **i as usize >= n).count();
        self.touched.retain(|i| (*i as usize) < n);
        self.n_unset -= n_taken;
        self.logical.truncate(n);
        self.cold.truncate(n);
        self.names.truncate(n);
        taken
    }

    /// The value of a column in the event under construction; ids as text.
    #[must_use]
    pub fn value_of(&self, column: ColumnId) -> Option<crate::Value> {
        self.is_set(column).then(|| self.last_value(column.0))
    }

    fn last_value(&self, column: u32) -> crate::Value {
        let p = &self.physical[self.logical[column as usize].last_physical as usize];
        let short;
        let values = match &p.many {
            Some(many) => &many.values,
            None => {
                short = self.few.column(p.last, 1, p.kind, self.seed).values;
                &short
            }
        };
        values.value(values.len() - 1)
    }

    /// Drops the event under construction with all its cells, and the columns that it brought.
    pub fn abort(&mut self) {
        for i in std::mem::take(&mut self.touched) {
            let l = &mut self.logical[i as usize];
            if l.last_row == self.row {
                l.last_row = NONE;
                let at = l.last_physical;
                self.pop(at);
            }
        }
        self.few.truncate(self.few_mark);
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
            l.last_row = NONE;
            self.n_unset += 1;
            let at = l.last_physical;
            self.pop(at);
        }
    }

    /// Takes back the last cell of a physical column.
    fn pop(&mut self, at: u32) {
        let p = &mut self.physical[at as usize];
        p.n -= 1;
        match &mut p.many {
            Some(many) => many.pop(std::mem::take(&mut p.fresh)),
            None => p.last = self.few.take_back(p.last),
        }
    }

    /// Whether the event under construction has a cell in this column.
    #[must_use]
    pub fn is_set(&self, column: ColumnId) -> bool {
        self.logical[column.0 as usize].last_row == self.row
    }

    /// The physical column for a cell.
    #[inline(always)]
    fn slot(&mut self, column: ColumnId, kind: ColumnKind) -> u32 {
        let row = self.row;
        let l = &mut self.logical[column.0 as usize];
        let mut at = l.last_physical;
        let again = l.last_row == row;
        l.last_row = row;
        if again || self.physical.get(at as usize).is_none_or(|p| p.kind != kind) {
            at = self.slow_slot(column, kind, again);
        }
        self.touched.push(column.0);
        at
    }

    /// Puts a cell into the log, or answers the column of many that it belongs to, with its row noted already.
    #[inline(always)]
    fn put(
        &mut self,
        column: ColumnId,
        kind: ColumnKind,
        word: impl FnOnce(&mut Few) -> Option<u64>,
    ) -> Option<(&mut ManyCells, &mut bool)> {
        let at = self.slot(column, kind);
        if self.physical[at as usize].many.is_none() {
            let word = word(&mut self.few);
            if self.log(at, word) {
                return None;
            }
        }
        let p = &mut self.physical[at as usize];
        let many = p.many.as_deref_mut()?;
        many.push_row(p.n, self.row);
        p.n += 1;
        Some((many, &mut p.fresh))
    }

    /// Puts a cell into the log. If it must not be there any more: takes the others out, and answers false.
    #[inline(never)]
    fn log(&mut self, at: u32, word: Option<u64>) -> bool {
        let p = &mut self.physical[at as usize];
        match word {
            Some(word) if p.n < self.few_max => {
                p.last = self.few.push(p.last, at, word);
                p.n += 1;
                true
            }
            _ => {
                self.promote(at);
                false
            }
        }
    }

    /// Takes the cells of a column out of the log.
    #[cold]
    #[inline(never)]
    fn promote(&mut self, at: u32) {
        let p = &mut self.physical[at as usize];
        p.many = Some(Box::new(self.few.column(p.last, p.n, p.kind, self.seed)));
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
            self.physical.push(Physical { n: 0, last: NONE, logical: column.0, kind, fresh: false, many: None });
        }
        *slot
    }

    /// Sets a text cell; a later cell of the same column in the event replaces it. Ids are recognised.
    #[inline]
    pub fn str(&mut self, column: ColumnId, text: &str) {
        if matches!(text.len(), 16 | 32 | 36)
            && let Some((kind, raw)) = parse_id(text.as_bytes())
        {
            return match kind {
                crate::IdKind::Hex8 => {
                    let mut short = [0; 8];
                    short.copy_from_slice(&raw[..8]);
                    self.hex8(column, short);
                }
                crate::IdKind::Hex16 => self.hex16(column, raw),
                crate::IdKind::Uuid => self.id16(column, ColumnKind::Uuid, raw),
            };
        }
        if let Some((ManyCells { values: Values::Str { codes, dict }, .. }, fresh)) =
            self.put(column, ColumnKind::Str, |few| few.text(text))
        {
            let before = dict.len();
            let code = dict.insert(text.as_bytes());
            *fresh = code as usize == before;
            codes.push(code);
        }
    }

    /// Sets an id of 8 bytes, written as 16 hex digits.
    #[inline]
    pub fn hex8(&mut self, column: ColumnId, id: [u8; 8]) {
        let word = u64::from_be_bytes(id);
        if let Some((ManyCells { values: Values::Hex8(v), .. }, _)) = self.put(column, ColumnKind::Hex8, |_| Some(word)) {
            v.push(id);
        }
    }

    /// Sets an id of 16 bytes, written as 32 hex digits.
    #[inline]
    pub fn hex16(&mut self, column: ColumnId, id: [u8; 16]) {
        self.id16(column, ColumnKind::Hex16, id);
    }

    #[inline]
    fn id16(&mut self, column: ColumnId, kind: ColumnKind, id: [u8; 16]) {
        if let Some((ManyCells { values: Values::Hex16(v) | Values::Uuid(v), .. }, _)) = self.put(column, kind, |few| few.id(id)) {
            v.push(id);
        }
    }

    /// Sets an integer cell.
    #[inline]
    pub fn int(&mut self, column: ColumnId, value: i64) {
        if let Some((ManyCells { values: Values::Int(v), .. }, _)) = self.put(column, ColumnKind::Int, |_| Some(value as u64)) {
            v.push(value);
        }
    }

    /// Sets a float cell; what is not finite leaves the cell missing.
    #[inline]
    pub fn float(&mut self, column: ColumnId, value: f64) {
        if !value.is_finite() {
            return self.unset(column);
        }
        if let Some((ManyCells { values: Values::Float(v), .. }, _)) = self.put(column, ColumnKind::Float, |_| Some(value.to_bits())) {
            v.push(value);
        }
    }

    /// Sets a truth value.
    #[inline]
    pub fn bool(&mut self, column: ColumnId, value: bool) {
        if let Some((ManyCells { values: Values::Bool(v), .. }, _)) = self.put(column, ColumnKind::Bool, |_| Some(u64::from(value))) {
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
        let BatchBuilder { cold, physical, few, times, sample_rates, .. } = self;
        let mut n_few = 0;
        let mut ends: Vec<u32> = Vec::with_capacity(physical.len());
        ends.extend(physical.iter().map(|p| {
            let start = if p.many.is_some() { NONE } else { n_few };
            n_few += if p.many.is_some() { 0 } else { p.n };
            start
        }));
        let few = few.sorted(&mut ends, n_few as usize);
        let columns = physical
            .into_iter()
            .zip(ends)
            .filter(|(p, _)| p.n > 0)
            .map(|(p, end)| {
                let cells = match p.many {
                    Some(mut many) => {
                        let sparse = (p.n as usize) < n_rows;
                        many.rows = sparse.then(|| many.rows.take().unwrap_or_else(|| (0..p.n).collect()));
                        Cells::Many(many)
                    }
                    None => Cells::Few(few(end - p.n..end, p.kind)),
                };
                BatchColumn { name: Arc::clone(&cold[p.logical as usize].name), cells }
            })
            .collect();
        Batch { n_rows, times, sample_rates, columns }
    }
}
