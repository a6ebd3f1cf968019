//! Group values of the rows of a block, as numbers.
//!
//! Owns: reading every layout of column as numbers (0 is "missing"). Never does: combine columns, hold groups.

use super::place::Place;
use super::select::{Rows, each_run, is_valid};
use crate::EngineError;
use crate::caches::{CodeMap, ColumnIds};
use crate::intern::{InternBuffers, Key};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use store::Segment;
use store::segment::{BLOCK_ROWS, Codes, Dict, Layout, Scratch, Valid};

/// With at most this many rows, cells are fetched one by one.
pub(crate) const SINGLE_ROWS: usize = 96;

/// What the numbers of a key column stand for. 0 is always "missing".
#[derive(Debug)]
pub(crate) enum Numbering {
    /// Numbers of this question only: the values of the interner at these positions.
    Local(Vec<u32>),
    /// Those of the interner, plus 1.
    Interned,
    /// Integers, counted from this one.
    Integers(i64),
}

/// A column to group by, for all segments of a question.
#[derive(Debug)]
pub(crate) struct KeyColumn {
    pub(crate) ids: Arc<ColumnIds>,
    pub(crate) numbering: Numbering,
    /// Numbers are below this; if they are interned they may grow beyond it.
    pub(crate) bound: u64,
    /// Of the values of local numbers, those that were asked for.
    hashes: OnceLock<Box<[AtomicU64]>>,
}

impl KeyColumn {
    pub(crate) fn new(ids: Arc<ColumnIds>, numbering: Numbering, bound: u64) -> KeyColumn {
        KeyColumn { ids, numbering, bound, hashes: OnceLock::new() }
    }

    /// Whether numbers may grow beyond the bound.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.numbering, Numbering::Interned)
    }

    /// The value of a number.
    pub(crate) fn value(&self, id: u64) -> crate::Cell {
        let Some(id) = id.checked_sub(1) else { return crate::Cell::Null };
        match &self.numbering {
            Numbering::Interned => self.ids.interner.value(id as u32),
            Numbering::Local(locals) => locals.get(id as usize).map_or(crate::Cell::Null, |id| self.ids.interner.value(*id)),
            Numbering::Integers(first) => crate::Cell::Int(first.wrapping_add(id as i64)),
        }
    }
}

impl KeyColumn {
    /// A hash that depends on nothing but the value.
    pub(crate) fn hash(&self, id: u64) -> u64 {
        let Some(id) = id.checked_sub(1) else { return 0 };
        match &self.numbering {
            Numbering::Interned => self.ids.interner.hash(id as u32),
            Numbering::Local(locals) => {
                let Some(number) = locals.get(id as usize) else { return 0 };
                // Many groups share the values of a small column.
                let hashes = self.hashes.get_or_init(|| locals.iter().map(|_| AtomicU64::new(0)).collect());
                match hashes[id as usize].load(Ordering::Relaxed) {
                    0 => {
                        let hash = self.ids.interner.hash(*number);
                        hashes[id as usize].store(hash, Ordering::Relaxed);
                        hash
                    }
                    hash => hash,
                }
            }
            Numbering::Integers(first) => Key::int(first.wrapping_add(id as i64)).hash(),
        }
    }
}

/// One physical column to group by, in one segment.
#[derive(Debug)]
pub(crate) enum KeyPart<'s> {
    /// Codes of text or truth values, by table.
    Codes { column: Place<'s>, ids: Box<[u32]> },
    /// Codes of a large dictionary, by the map that is kept between questions.
    Map { column: Place<'s>, map: Arc<CodeMap>, dict: LazyDict },
    /// Integers of a small span, by table.
    Small { column: Place<'s>, base: i64, ids: Box<[u32]> },
    /// Integers, counted from this one.
    Integers { column: Place<'s>, first: i64 },
    /// Numbers and ids of any kind, one by one.
    Raw { column: Place<'s> },
    /// The same for all rows.
    Const(u32),
    /// Whether none of these columns has a cell.
    Root { parents: Vec<Place<'s>>, root: u32, child: u32 },
}

/// Buffers of one thread for values that are numbered one by one.
#[derive(Debug, Default)]
pub(crate) struct KeyBuffers {
    keys: Vec<(u32, Key)>,
    ids: Vec<u32>,
    intern: InternBuffers,
}

impl KeyBuffers {
    /// Numbers the cells of a column without a dictionary.
    #[inline(never)]
    fn number(
        &mut self,
        column: &Place<'_>,
        column_ids: &ColumnIds,
        block: usize,
        rows: Rows<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), EngineError> {
        let KeyBuffers { keys, ids, intern } = self;
        keys.clear();
        each_key(column, block, rows, scratch, |i, key| keys.push((i as u32, key)))?;
        ids.clear();
        ids.resize(keys.len(), 0);
        column_ids.interner.intern_all(keys.len(), |i| keys[i].1, |_| &[], intern, |i, id| ids[i] = id);
        Ok(())
    }
}

/// A dictionary that is decoded when a value of it is asked for that has no number.
#[derive(Debug, Default)]
pub(crate) struct LazyDict(OnceLock<Arc<Dict>>);

impl LazyDict {
    fn get(&self, column: &Place<'_>) -> Result<&Arc<Dict>, EngineError> {
        if let Some(dict) = self.0.get() {
            return Ok(dict);
        }
        let dict = column.dict()?;
        Ok(self.0.get_or_init(|| dict))
    }
}

/// Numbers of the codes of a large dictionary.
struct Mapped<'a, 's> {
    column: &'a Place<'s>,
    map: &'a CodeMap,
    dict: &'a LazyDict,
    ids: &'a ColumnIds,
    failed: Option<EngineError>,
}

impl Mapped<'_, '_> {
    #[inline(always)]
    fn number(&mut self, code: usize) -> u64 {
        if code >= self.map.len() {
            return 0;
        }
        match self.map.get(code) {
            None => self.intern(code),
            Some(id) => u64::from(id) + 1,
        }
    }

    /// Numbers a code that no question has met before.
    #[inline(never)]
    fn intern(&mut self, code: usize) -> u64 {
        let dict = match self.dict.get(self.column) {
            Ok(dict) => dict,
            Err(e) => {
                self.failed = Some(e);
                return 0;
            }
        };
        let text = || dict.text_bytes(code as u32).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default();
        let id = self.ids.interner.intern(Key::of_entry(self.column.kind, dict.raw(code as u32)), text);
        self.map.set(code, id);
        u64::from(id) + 1
    }
}

/// Where a block is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRef<'s> {
    pub(crate) segment: &'s Segment,
    pub(crate) block: usize,
}

impl KeyPart<'_> {
    /// Calls `f` with position and number of the rows that have a cell, once each (and perhaps with 0 for others).
    pub(crate) fn each_id(
        &self,
        column_ids: &ColumnIds,
        at: BlockRef<'_>,
        rows: Rows<'_>,
        buffers: &mut KeyBuffers,
        scratch: &mut Scratch,
        mut f: impl FnMut(usize, u64),
    ) -> Result<(), EngineError> {
        let block = at.block;
        let few = rows.len() <= SINGLE_ROWS;
        match self {
            KeyPart::Const(id) => rows.each(|i, _| f(i, u64::from(*id))),
            KeyPart::Codes { column, ids } => {
                if few {
                    return each_code(column, block, rows, |i, code| f(i, by_table(ids, code)));
                }
                each_by_table(column.codes(block, scratch)?, ids, rows, f);
            }
            KeyPart::Map { column, map, dict } => {
                let mut mapped = Mapped { column, map, dict, ids: column_ids, failed: None };
                if few {
                    each_code(column, block, rows, |i, code| f(i, mapped.number(code)))?;
                } else {
                    rows.each_code(column.codes(block, scratch)?, |i, code| f(i, mapped.number(code)));
                }
                mapped.failed.map_or(Ok(()), Err)?;
            }
            KeyPart::Small { column, base, ids } => {
                let id = |v: i64| u64::from(ids.get(v.wrapping_sub(*base) as usize).copied().unwrap_or(0));
                let (values, valid) = column.ints(block, scratch)?;
                each_valid(values, valid, rows, |i, v| f(i, id(v)));
            }
            KeyPart::Integers { column, first } => {
                let (values, valid) = column.ints(block, scratch)?;
                each_valid(values, valid, rows, |i, v| f(i, (v.wrapping_sub(*first) as u64).wrapping_add(1)));
            }
            KeyPart::Raw { column } => {
                buffers.number(column, column_ids, block, rows, scratch)?;
                for ((i, _), id) in buffers.keys.iter().zip(&buffers.ids) {
                    f(*i as usize, u64::from(*id) + 1);
                }
            }
            KeyPart::Root { parents, root, child } => {
                let mut has_parent = vec![false; rows.len()];
                for parent in parents {
                    each_present(parent, block, rows, scratch, |i| has_parent[i] = true)?;
                }
                has_parent.iter().enumerate().for_each(|(i, has)| f(i, u64::from(if *has { *child } else { *root })));
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn by_table(ids: &[u32], code: usize) -> u64 {
    u64::from(ids.get(code).copied().unwrap_or(0))
}

/// Calls `f` with position and number of each row. On its own, so that its loops are compiled the same whatever is around them.
#[inline(never)]
fn each_by_table(codes: Codes<'_>, ids: &[u32], rows: Rows<'_>, mut f: impl FnMut(usize, u64)) {
    rows.each_code(codes, |i, code| f(i, by_table(ids, code)));
}

/// Codes of few rows; a missing cell is left out.
pub(super) fn each_code(column: &Place<'_>, block: usize, rows: Rows<'_>, mut f: impl FnMut(usize, usize)) -> Result<(), EngineError> {
    let mut failed = None;
    rows.each(|i, row| match column.code(block * BLOCK_ROWS + row) {
        Ok(Some(code)) => f(i, code as usize),
        Ok(None) => {}
        Err(e) => failed = Some(e),
    });
    failed.map_or(Ok(()), |e| Err(e.into()))
}

/// Calls `f` with the position of every row that has a cell.
pub(crate) fn each_present(
    column: &Place<'_>,
    block: usize,
    rows: Rows<'_>,
    scratch: &mut Scratch,
    mut f: impl FnMut(usize),
) -> Result<(), EngineError> {
    if column.is_full() {
        rows.each(|i, _| f(i));
        return Ok(());
    }
    let valid = match column.layout {
        Layout::Dict | Layout::Bools => {
            let missing = if column.layout == Layout::Bools { 2 } else { column.n_dict() };
            rows.each_code(column.codes(block, scratch)?, |i, code| {
                if code < missing {
                    f(i);
                }
            });
            return Ok(());
        }
        Layout::Ints | Layout::Floats | Layout::Ids => column.valid(block, scratch)?,
    };
    match (valid, rows) {
        (Valid::Bits(bits), Rows::Range(low, high)) => each_run(bits, low, high, |from, to| (from..to).for_each(|row| f(row - low))),
        _ => rows.each(|i, row| {
            if is_valid(valid, row) {
                f(i);
            }
        }),
    }
    Ok(())
}

/// Calls `f` with position and value of every row that has one.
fn each_valid<T: Copy>(values: &[T], valid: Valid<'_>, rows: Rows<'_>, mut f: impl FnMut(usize, T)) {
    match (valid, rows) {
        (Valid::All, _) => rows.each_value(values, f),
        (Valid::None, _) => {}
        (Valid::Bits(bits), Rows::Range(low, high)) => each_run(bits, low, high, |from, to| {
            for (row, v) in (from..to).zip(&values[from..to]) {
                f(row - low, *v);
            }
        }),
        (Valid::Bits(_), Rows::List(_)) => rows.each(|i, row| {
            if is_valid(valid, row) {
                f(i, values[row]);
            }
        }),
    }
}

/// Calls `f` with position and identity of every cell.
pub(crate) fn each_key(
    column: &Place<'_>,
    block: usize,
    rows: Rows<'_>,
    scratch: &mut Scratch,
    mut f: impl FnMut(usize, Key),
) -> Result<(), EngineError> {
    match column.layout {
        Layout::Ints => {
            let (values, valid) = column.ints(block, scratch)?;
            each_valid(values, valid, rows, |i, v| f(i, Key::int(v)));
        }
        Layout::Floats => {
            let (values, valid) = column.floats(block, scratch)?;
            each_valid(values, valid, rows, |i, v| f(i, Key::float(v)));
        }
        Layout::Ids => {
            let kind = column.kind;
            let (values, valid) = column.ids(block, scratch)?;
            each_valid(values, valid, rows, |i, v| f(i, Key::id(kind, v)));
        }
        Layout::Bools => rows.each_code(column.codes(block, scratch)?, |i, code| {
            if code < 2 {
                f(i, Key::bool(code == 1));
            }
        }),
        Layout::Dict => {
            let dict = column.dict()?;
            rows.each_code(column.codes(block, scratch)?, |i, code| {
                if code < dict.len() {
                    let code = code as u32;
                    f(i, dict.id(code).map_or_else(|| Key::text_hash(dict.hash(code)), |id| Key::id(column.kind, id)));
                }
            });
        }
    }
    Ok(())
}
