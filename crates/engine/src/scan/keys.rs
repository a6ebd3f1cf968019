//! Group values of the rows of a block, as numbers.
//!
//! Owns: reading every layout of column as numbers (0 is "missing"). Never does: combine columns, hold groups.

use super::apply::some_missing;
use super::select::{Rows, is_valid};
use crate::EngineError;
use crate::intern::{CodeMap, ColumnIds, Key, UNSET};
use hashbrown::HashTable;
use std::sync::Arc;
use store::Segment;
use store::segment::{BLOCK_ROWS, Codes, Column, Dict, Layout, Scratch, Valid};

/// With at most this many rows, cells are fetched one by one.
pub(crate) const SINGLE_ROWS: usize = 96;

/// A column to group by, for all segments of a question.
#[derive(Debug)]
pub(crate) struct KeyColumn {
    pub(crate) ids: Arc<ColumnIds>,
    /// Numbers of this question are small: from them (less 1) to those of `ids`. `None`: they are those of `ids` plus 1.
    pub(crate) locals: Option<Vec<u32>>,
    /// Numbers are below this, or grow beyond it if there are no `locals`.
    pub(crate) bound: usize,
}

impl KeyColumn {
    /// The value of a number.
    pub(crate) fn value(&self, id: u32) -> crate::Cell {
        match (id.checked_sub(1), &self.locals) {
            (None, _) => crate::Cell::Null,
            (Some(id), None) => self.ids.interner.value(id),
            (Some(id), Some(locals)) => locals.get(id as usize).map_or(crate::Cell::Null, |id| self.ids.interner.value(*id)),
        }
    }
}

/// One physical column to group by, in one segment.
#[derive(Debug)]
pub(crate) enum KeyPart<'s> {
    /// Codes of text or truth values, by table.
    Codes { column: Column<'s>, ids: Box<[u32]> },
    /// Codes of a large dictionary, by the map that is kept between questions.
    Map { column: Column<'s>, map: Arc<CodeMap>, dict: Arc<Dict> },
    /// Integers of a small span, by table.
    Small { column: Column<'s>, base: i64, ids: Box<[u32]> },
    /// Numbers and ids of any kind, one by one.
    Raw { column: Column<'s> },
    /// The same for all rows.
    Const(u32),
    /// Whether none of these columns has a cell.
    Root { parents: Vec<Column<'s>>, root: u32, child: u32 },
}

/// Numbers that a thread has asked for already.
#[derive(Debug, Default)]
pub(crate) struct Known {
    table: HashTable<(Key, u32)>,
}

impl Known {
    fn id(&mut self, key: Key, ids: &ColumnIds) -> u32 {
        let hash = key.hash();
        if let Some((_, id)) = self.table.find(hash, |(k, _)| *k == key) {
            return *id;
        }
        let id = ids.interner.intern(key, || "") + 1;
        self.table.insert_unique(hash, (key, id), |(k, _)| k.hash());
        id
    }

    pub(crate) fn memory(&self) -> usize {
        self.table.capacity() * (size_of::<(Key, u32)>() + 1)
    }
}

/// The number of a code of a large dictionary.
#[inline(always)]
fn mapped(map: &CodeMap, dict: &Dict, ids: &ColumnIds, code: usize) -> u32 {
    if code >= map.len() {
        return 0;
    }
    match map.get(code) {
        UNSET => intern_code(map, dict, ids, code) + 1,
        id => id + 1,
    }
}

/// Numbers a code that no question has met before.
#[inline(never)]
pub(crate) fn intern_code(map: &CodeMap, dict: &Dict, ids: &ColumnIds, code: usize) -> u32 {
    let id = match dict.text_bytes(code as u32) {
        Some(bytes) => {
            let text = || std::str::from_utf8(bytes).unwrap_or_default();
            ids.interner.intern(Key::text_hash(dict.hash(code as u32)), text)
        }
        None => {
            let mut scratch = String::new();
            let key = Key::text(dict.text(code as u32, &mut scratch));
            ids.interner.intern(key, || "")
        }
    };
    map.set(code, id);
    id
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
        known: &mut Known,
        scratch: &mut Scratch,
        mut f: impl FnMut(usize, u32),
    ) -> Result<(), EngineError> {
        let BlockRef { segment, block } = at;
        let few = rows.len() <= SINGLE_ROWS;
        match self {
            KeyPart::Const(id) => rows.each(|i, _| f(i, *id)),
            KeyPart::Codes { column, ids } => {
                let id = |code: usize| ids.get(code).copied().unwrap_or(0);
                if few {
                    return each_code(segment, column, block, rows, |i, code| f(i, id(code)));
                }
                match segment.read_codes(column, block, scratch)? {
                    Codes::Const(c) => rows.each(|i, _| f(i, id(c as usize))),
                    Codes::U8(c) => rows.each_value(c, |i, c| f(i, id(c as usize))),
                    Codes::U16(c) => rows.each_value(c, |i, c| f(i, id(c as usize))),
                    Codes::U32(c) => rows.each_value(c, |i, c| f(i, id(c as usize))),
                }
            }
            KeyPart::Map { column, map, dict } => {
                let id = |code: usize| mapped(map, dict, column_ids, code);
                if few {
                    return each_code(segment, column, block, rows, |i, code| f(i, id(code)));
                }
                match segment.read_codes(column, block, scratch)? {
                    Codes::Const(c) => {
                        let id = id(c as usize);
                        rows.each(|i, _| f(i, id));
                    }
                    Codes::U8(c) => rows.each_value(c, |i, c| f(i, id(c as usize))),
                    Codes::U16(c) => rows.each_value(c, |i, c| f(i, id(c as usize))),
                    Codes::U32(c) => rows.each_value(c, |i, c| f(i, id(c as usize))),
                }
            }
            KeyPart::Small { column, base, ids } => {
                let id = |v: i64| ids.get(v.wrapping_sub(*base) as usize).copied().unwrap_or(0);
                let (values, valid) = segment.read_ints(column, block, scratch)?;
                match some_missing(valid, rows) {
                    false => rows.each_value(values, |i, v| f(i, id(v))),
                    true => rows.each(|i, row| {
                        if is_valid(valid, row) {
                            f(i, id(values[row]));
                        }
                    }),
                }
            }
            KeyPart::Raw { column } => {
                let mut last = (Key::bool(false), 0);
                each_key(column, at, rows, scratch, |i, key| {
                    if last.1 == 0 || last.0 != key {
                        last = (key, known.id(key, column_ids));
                    }
                    f(i, last.1);
                })?;
            }
            KeyPart::Root { parents, root, child } => {
                let mut has_parent = vec![false; rows.len()];
                for parent in parents {
                    each_present(parent, at, rows, scratch, |i| has_parent[i] = true)?;
                }
                has_parent.iter().enumerate().for_each(|(i, has)| f(i, if *has { *child } else { *root }));
            }
        }
        Ok(())
    }
}

/// Codes of few rows; a missing cell is left out.
fn each_code(segment: &Segment, column: &Column<'_>, block: usize, rows: Rows<'_>, mut f: impl FnMut(usize, usize)) -> Result<(), EngineError> {
    let mut failed = None;
    rows.each(|i, row| match segment.code(column, block * BLOCK_ROWS + row) {
        Ok(Some(code)) => f(i, code as usize),
        Ok(None) => {}
        Err(e) => failed = Some(e),
    });
    failed.map_or(Ok(()), |e| Err(e.into()))
}

/// Calls `f` with the position of every row that has a cell.
pub(crate) fn each_present(
    column: &Column<'_>,
    BlockRef { segment, block }: BlockRef<'_>,
    rows: Rows<'_>,
    scratch: &mut Scratch,
    mut f: impl FnMut(usize),
) -> Result<(), EngineError> {
    if column.n_present == segment.n_rows() {
        rows.each(|i, _| f(i));
        return Ok(());
    }
    let valid = match column.layout {
        Layout::Dict | Layout::Bools => {
            let missing = if column.layout == Layout::Bools { 2 } else { segment.n_dict(column) as u32 };
            let mut test = |i: usize, code: u32| {
                if code < missing {
                    f(i);
                }
            };
            match segment.read_codes(column, block, scratch)? {
                Codes::Const(c) => rows.each(|i, _| test(i, c)),
                Codes::U8(c) => rows.each_value(c, |i, c| test(i, u32::from(c))),
                Codes::U16(c) => rows.each_value(c, |i, c| test(i, u32::from(c))),
                Codes::U32(c) => rows.each_value(c, &mut test),
            }
            return Ok(());
        }
        Layout::Ints => segment.read_ints(column, block, scratch)?.1,
        Layout::Floats => segment.read_floats(column, block, scratch)?.1,
        Layout::Ids => segment.read_ids(column, block, scratch)?.1,
    };
    rows.each(|i, row| {
        if is_valid(valid, row) {
            f(i);
        }
    });
    Ok(())
}

/// Calls `f` with position and identity of every cell.
pub(crate) fn each_key(
    column: &Column<'_>,
    at: BlockRef<'_>,
    rows: Rows<'_>,
    scratch: &mut Scratch,
    mut f: impl FnMut(usize, Key),
) -> Result<(), EngineError> {
    fn each<T: Copy>(values: &[T], valid: Valid<'_>, rows: Rows<'_>, mut f: impl FnMut(usize, T)) {
        match valid {
            Valid::All => rows.each_value(values, f),
            Valid::None => {}
            Valid::Bits(_) => rows.each(|i, row| {
                if is_valid(valid, row) {
                    f(i, values[row]);
                }
            }),
        }
    }
    let BlockRef { segment, block } = at;
    match column.layout {
        Layout::Ints => {
            let (values, valid) = segment.read_ints(column, block, scratch)?;
            each(values, valid, rows, |i, v| f(i, Key::int(v)));
        }
        Layout::Floats => {
            let (values, valid) = segment.read_floats(column, block, scratch)?;
            each(values, valid, rows, |i, v| f(i, Key::float(v)));
        }
        Layout::Ids => {
            let kind = column.kind;
            let (values, valid) = segment.read_ids(column, block, scratch)?;
            each(values, valid, rows, |i, v| f(i, Key::id(kind, v)));
        }
        Layout::Bools => {
            let mut bool = |i: usize, code: u32| {
                if code < 2 {
                    f(i, Key::bool(code == 1));
                }
            };
            match segment.read_codes(column, block, scratch)? {
                Codes::Const(c) => rows.each(|i, _| bool(i, c)),
                Codes::U8(c) => rows.each_value(c, |i, c| bool(i, u32::from(c))),
                Codes::U16(c) => rows.each_value(c, |i, c| bool(i, u32::from(c))),
                Codes::U32(c) => rows.each_value(c, &mut bool),
            }
        }
        Layout::Dict => {
            let dict = segment.dict(column)?;
            let mut text = |i: usize, code: u32| {
                if (code as usize) < dict.len() {
                    let mut id = String::new();
                    let key = if column.kind.id().is_some() { Key::text(dict.text(code, &mut id)) } else { Key::text_hash(dict.hash(code)) };
                    f(i, key);
                }
            };
            match segment.read_codes(column, block, scratch)? {
                Codes::Const(c) => rows.each(|i, _| text(i, c)),
                Codes::U8(c) => rows.each_value(c, |i, c| text(i, u32::from(c))),
                Codes::U16(c) => rows.each_value(c, |i, c| text(i, u32::from(c))),
                Codes::U32(c) => rows.each_value(c, &mut text),
            }
        }
    }
    Ok(())
}
