//! The cells of an overlay on their way into a segment.
//!
//! Owns: one physical column per kind of value, as ingest would make them. Never does: compute values.

use crate::EngineError;
use expr::Cell;
use model::{Batch, BatchColumn, Cells, IdKind, ManyCells, StrDict, Values, parse_id};
use store::Segment;

/// A cell ready to be put anywhere in the column it was made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Encoded {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// Code of a text.
    Text(u32),
    Hex8([u8; 8]),
    Hex16([u8; 16]),
    Uuid([u8; 16]),
}

/// A dictionary counts its bytes in 32 bits.
const TEXT_BYTES_CEILING: usize = 2 << 30;
/// What a text takes in the dictionary beside its bytes.
const ENTRY_BYTES: usize = 20;

/// Cells of one kind with their rows.
#[derive(Debug)]
struct Part<T> {
    rows: Vec<u32>,
    values: Vec<T>,
}

impl<T> Default for Part<T> {
    fn default() -> Part<T> {
        Part { rows: Vec::new(), values: Vec::new() }
    }
}

impl<T> Part<T> {
    fn push(&mut self, row: u32, value: T) {
        self.rows.push(row);
        self.values.push(value);
    }

    fn column(self, n_rows: usize, values: impl FnOnce(Vec<T>) -> Values) -> Option<BatchColumn> {
        let rows = (self.rows.len() < n_rows).then_some(self.rows);
        (!self.values.is_empty()).then(|| {
            let cells = Cells::Many(Box::new(ManyCells { rows, values: values(self.values) }));
            BatchColumn { name: super::NAME.into(), cells }
        })
    }
}

/// A column under construction; rows come ascending, each at most once.
#[derive(Debug)]
pub(crate) struct ColumnBuilder {
    n_rows: usize,
    /// Bytes that texts may take together, and those that they do.
    text_bytes_max: usize,
    text_bytes: usize,
    bools: Part<bool>,
    ints: Part<i64>,
    floats: Part<f64>,
    texts: Part<u32>,
    dict: StrDict,
    hex8: Part<[u8; 8]>,
    hex16: Part<[u8; 16]>,
    uuids: Part<[u8; 16]>,
}

impl ColumnBuilder {
    pub(crate) fn new(n_rows: usize, text_bytes_max: usize) -> ColumnBuilder {
        ColumnBuilder {
            n_rows,
            text_bytes_max: text_bytes_max.min(TEXT_BYTES_CEILING),
            text_bytes: 0,
            bools: Part::default(),
            ints: Part::default(),
            floats: Part::default(),
            texts: Part::default(),
            dict: StrDict::default(),
            hex8: Part::default(),
            hex16: Part::default(),
            uuids: Part::default(),
        }
    }

    /// Makes a cell ready.
    pub(crate) fn encode(&mut self, cell: &Cell<'_>) -> Encoded {
        match cell {
            Cell::Null => Encoded::Null,
            Cell::Bool(b) => Encoded::Bool(*b),
            Cell::Int(i) => Encoded::Int(*i),
            Cell::Float(f) => Encoded::Float(*f),
            Cell::Text(s) => self.text(s),
        }
    }

    /// A text; ids are recognised, as everywhere.
    pub(crate) fn text(&mut self, text: &str) -> Encoded {
        if matches!(text.len(), 16 | 32 | 36)
            && let Some((kind, raw)) = parse_id(text.as_bytes())
        {
            return match kind {
                IdKind::Hex8 => {
                    let mut short = [0; 8];
                    short.copy_from_slice(&raw[..8]);
                    Encoded::Hex8(short)
                }
                IdKind::Hex16 => Encoded::Hex16(raw),
                IdKind::Uuid => Encoded::Uuid(raw),
            };
        }
        let before = self.dict.len();
        if self.is_full() {
            return Encoded::Null;
        }
        let code = self.dict.insert(text.as_bytes());
        if self.dict.len() > before {
            self.text_bytes += text.len() + ENTRY_BYTES;
        }
        Encoded::Text(code)
    }

    /// A text of another column.
    pub(crate) fn text_of(&mut self, other: &ColumnBuilder, code: u32) -> Encoded {
        std::str::from_utf8(other.dict.get(code)).map_or(Encoded::Null, |text| self.text(text))
    }

    /// Different texts so far.
    pub(crate) fn n_texts(&self) -> usize {
        self.dict.len()
    }

    /// Bytes of them.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Whether texts took more than they may; then none came since, and what was built is not to be used.
    pub(crate) fn is_full(&self) -> bool {
        self.text_bytes > self.text_bytes_max
    }

    /// Puts a cell at a row.
    #[inline]
    pub(crate) fn push(&mut self, row: u32, cell: Encoded) {
        match cell {
            Encoded::Null => {}
            Encoded::Bool(b) => self.bools.push(row, b),
            Encoded::Int(i) => self.ints.push(row, i),
            Encoded::Float(f) => self.floats.push(row, f),
            Encoded::Text(code) => self.texts.push(row, code),
            Encoded::Hex8(raw) => self.hex8.push(row, raw),
            Encoded::Hex16(raw) => self.hex16.push(row, raw),
            Encoded::Uuid(raw) => self.uuids.push(row, raw),
        }
    }

    /// The segment. Its times say nothing.
    pub(crate) fn finish(self) -> Result<Segment, EngineError> {
        let (n, dict) = (self.n_rows, self.dict);
        let columns = [
            self.texts.column(n, |codes| Values::Str { codes, dict }),
            self.ints.column(n, Values::Int),
            self.floats.column(n, Values::Float),
            self.bools.column(n, Values::Bool),
            self.hex8.column(n, Values::Hex8),
            self.hex16.column(n, Values::Hex16),
            self.uuids.column(n, Values::Uuid),
        ];
        let batch = Batch { n_rows: n, times: vec![0; n], sample_rates: Vec::new(), columns: columns.into_iter().flatten().collect() };
        Ok(Segment::from_bytes(store::segment::encode(&batch))?)
    }
}
