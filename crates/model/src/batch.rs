//! A batch: decoded events of one dataset, column by column, as ingest hands them to the store.
//!
//! Owns: what a batch is. Never does: sorting, compression, limits (the decoders keep those).

mod builder;
mod few;
mod key;
#[cfg(test)]
mod tests;

pub use builder::{BatchBuilder, ColumnId};
pub use few::{FEW_CELLS_MAX, FewCells};

use crate::{ColumnKind, StrDict, TimeNs, Value, write_id};
use std::sync::Arc;

/// The column of text that keeps, as a JSON object, the fields of an event that have no column of their own.
pub const OVERFLOW_COLUMN: &str = "meta.overflow";

/// In that object: how many fields did not fit in it.
pub const OVERFLOW_LEFT_OUT: &str = "meta.fields_left_out";

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

    /// A cell; ids as text.
    #[must_use]
    pub fn value(&self, i: usize) -> Value {
        let id = |raw: &[u8]| {
            let mut text = String::new();
            if let Some(kind) = self.kind().id() {
                write_id(kind, raw, &mut text);
            }
            Value::Str(text)
        };
        match self {
            Values::Str { codes, dict } => Value::Str(String::from_utf8_lossy(dict.get(codes[i])).into_owned()),
            Values::Int(v) => Value::Int(v[i]),
            Values::Float(v) => Value::Float(v[i]),
            Values::Bool(v) => Value::Bool(v[i]),
            Values::Hex8(v) => id(&v[i]),
            Values::Hex16(v) | Values::Uuid(v) => id(&v[i]),
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

/// Cells of a column, in memory of their own.
#[derive(Clone, Debug)]
pub struct ManyCells {
    /// Rows that have a cell, ascending; `None` if all do.
    pub rows: Option<Vec<u32>>,
    /// Their cells.
    pub values: Values,
}

/// The cells of a column.
#[derive(Clone, Debug)]
pub enum Cells {
    /// In memory of their own.
    Many(Box<ManyCells>),
    /// Together with those of other columns.
    Few(FewCells),
}

impl Cells {
    /// The kind of column.
    #[must_use]
    pub fn kind(&self) -> ColumnKind {
        match self {
            Cells::Many(many) => many.values.kind(),
            Cells::Few(few) => few.kind(),
        }
    }

    /// Number of present cells.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Cells::Many(many) => many.values.len(),
            Cells::Few(few) => few.len(),
        }
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In memory of their own, in a batch of `n_rows`.
    #[must_use]
    pub fn many(self, n_rows: usize) -> Box<ManyCells> {
        match self {
            Cells::Many(many) => many,
            Cells::Few(few) => Box::new(few.many(n_rows)),
        }
    }
}

/// A column of a batch: one (name, kind).
#[derive(Clone, Debug)]
pub struct BatchColumn {
    /// Name of the column.
    pub name: Arc<str>,
    /// Its cells.
    pub cells: Cells,
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
