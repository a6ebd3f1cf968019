//! The values of an expression on the rows of a segment.
//!
//! Owns: reading its columns block by block, and evaluating once per combination of values where all of them have
//! dictionaries. Never does: know what functions mean (`expr`).

use super::build::{ColumnBuilder, Encoded};
use super::{Fill, too_much};
use crate::EngineError;
use crate::intern::id_text;
use crate::plan::Field;
use crate::run::Run;
use crate::scan::place::{Place, Source};
use crate::scan::select::is_valid;
use expr::{Cell, Expr, Program, Row};
use model::columns::PARENT_ID;
use model::{IdKind, TimeNs};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use store::segment::{BLOCK_ROWS, Codes, Dict, Layout, Scratch, Valid};

/// Combinations of values for which results are remembered.
const COMBINATIONS_MAX: usize = 1 << 22;
/// Rows after which time and memory are looked at.
const CHECK_ROWS: usize = 1 << 12;

/// See [`crate::plan::Computation::Expression`].
#[derive(Debug)]
pub(crate) struct Expression<'p> {
    program: Program,
    inputs: &'p [Field],
}

/// What a column of the expression is in one segment.
enum Input<'s> {
    Const(String),
    Root(Vec<Column<'s>>),
    Columns(Vec<Column<'s>>),
}

/// A physical column, its dictionary, and the buffers into which its blocks are read.
struct Column<'s> {
    place: Place<'s>,
    dict: Option<Arc<Dict>>,
    scratch: Scratch,
}

/// The cells of one physical column in one block.
enum Block<'b> {
    Texts(Codes<'b>, &'b Dict),
    Bools(Codes<'b>),
    Ints(&'b [i64], Valid<'b>),
    Floats(&'b [f64], Valid<'b>),
    Ids(&'b [u128], Valid<'b>, IdKind),
}

/// The cells of a column of the expression in one block.
enum BlockInput<'b> {
    Const(&'b str),
    Root(Vec<Block<'b>>),
    Blocks(Vec<Block<'b>>),
}

fn code_at(codes: Codes<'_>, row: usize) -> u32 {
    match codes {
        Codes::Const(c) => c,
        Codes::U8(c) => u32::from(c[row]),
        Codes::U16(c) => u32::from(c[row]),
        Codes::U32(c) => c[row],
    }
}

/// All of them, ready to be read.
fn columns(places: Vec<Place<'_>>) -> Result<Vec<Column<'_>>, EngineError> {
    places.into_iter().map(Column::new).collect()
}

impl<'s> Column<'s> {
    fn new(place: Place<'s>) -> Result<Column<'s>, EngineError> {
        let dict = if place.layout == Layout::Dict { Some(place.dict()?) } else { None };
        Ok(Column { place, dict, scratch: Scratch::default() })
    }

    fn block(&mut self, block: usize) -> Result<Block<'_>, EngineError> {
        let Column { place, dict, scratch } = self;
        Ok(match (place.layout, dict) {
            (Layout::Dict, Some(dict)) => Block::Texts(place.codes(block, scratch)?, dict),
            (Layout::Ints, _) => {
                let (values, valid) = place.ints(block, scratch)?;
                Block::Ints(values, valid)
            }
            (Layout::Floats, _) => {
                let (values, valid) = place.floats(block, scratch)?;
                Block::Floats(values, valid)
            }
            (Layout::Ids, _) => {
                let Some(kind) = place.kind.id() else { return Err(EngineError::Internal { what: "ids of a column that holds none" }) };
                let (values, valid) = place.ids(block, scratch)?;
                Block::Ids(values, valid, kind)
            }
            (Layout::Dict | Layout::Bools, _) => Block::Bools(place.codes(block, scratch)?),
        })
    }

    /// Codes that a row may have, the one for "missing" included; none if cells have no codes.
    fn n_codes(&self) -> Option<usize> {
        match self.place.layout {
            Layout::Dict => Some(self.place.n_dict() + 1),
            Layout::Bools => Some(3),
            _ => None,
        }
    }
}

impl Block<'_> {
    fn cell(&self, row: usize) -> Cell<'_> {
        match self {
            Block::Texts(codes, dict) => {
                let code = code_at(*codes, row);
                if code as usize >= dict.len() {
                    return Cell::Null;
                }
                match dict.text_bytes(code) {
                    Some(bytes) => std::str::from_utf8(bytes).map_or(Cell::Null, |t| Cell::Text(Cow::Borrowed(t))),
                    None => {
                        let mut text = String::new();
                        Cell::Text(Cow::Owned(dict.text(code, &mut text).to_owned()))
                    }
                }
            }
            Block::Bools(codes) => match code_at(*codes, row) {
                0 => Cell::Bool(false),
                1 => Cell::Bool(true),
                _ => Cell::Null,
            },
            Block::Ints(values, valid) if is_valid(*valid, row) => Cell::Int(values[row]),
            Block::Floats(values, valid) if is_valid(*valid, row) => Cell::float(values[row]),
            Block::Ids(values, valid, kind) if is_valid(*valid, row) => {
                let mut text = String::new();
                id_text(*kind, values[row], &mut text);
                Cell::Text(Cow::Owned(text))
            }
            Block::Ints(..) | Block::Floats(..) | Block::Ids(..) => Cell::Null,
        }
    }

    fn code(&self, row: usize) -> usize {
        match self {
            Block::Texts(codes, _) | Block::Bools(codes) => code_at(*codes, row) as usize,
            _ => 0,
        }
    }
}

/// One row of a block.
struct BlockRow<'b> {
    inputs: &'b [BlockInput<'b>],
    times: &'b [TimeNs],
    row: usize,
}

impl Row for BlockRow<'_> {
    fn cell(&self, column: usize) -> Cell<'_> {
        match &self.inputs[column] {
            BlockInput::Const(text) => Cell::Text(Cow::Borrowed(text)),
            BlockInput::Root(parents) => Cell::Bool(parents.iter().all(|p| p.cell(self.row) == Cell::Null)),
            // A row has a cell in at most one of them.
            BlockInput::Blocks(blocks) => blocks.iter().map(|b| b.cell(self.row)).find(|c| *c != Cell::Null).unwrap_or(Cell::Null),
        }
    }

    fn time_ns(&self) -> TimeNs {
        self.times.get(self.row).copied().unwrap_or(0)
    }
}

impl<'p> Expression<'p> {
    pub(crate) fn new(expr: &Expr, inputs: &'p [Field]) -> Expression<'p> {
        Expression { program: Program::new(expr), inputs }
    }
}

impl Fill for Expression<'_> {
    fn fill(&self, source: Source<'_>, index: usize, blocks: Range<usize>, run: &Run, out: &mut ColumnBuilder) -> Result<(), EngineError> {
        let mut inputs = Vec::with_capacity(self.inputs.len());
        for field in self.inputs {
            inputs.push(match field {
                Field::Dataset => Input::Const(source.dataset(index).to_owned()),
                Field::IsRoot => Input::Root(columns(source.stored(index, PARENT_ID).collect())?),
                field => Input::Columns(columns(source.places(index, field)?)?),
            });
        }
        let mut memory = if self.program.uses_time() { None } else { Memory::new(&inputs) };
        let segment = &source.segments[index];
        let mut scratch = Scratch::default();
        for block in blocks {
            let n = segment.block_rows(block);
            let times = if self.program.uses_time() { segment.read_times(block, &mut scratch)? } else { &[] };
            let mut cells = Vec::with_capacity(inputs.len());
            for input in &mut inputs {
                cells.push(match input {
                    Input::Const(text) => BlockInput::Const(text),
                    Input::Root(columns) => BlockInput::Root(columns.iter_mut().map(|c| c.block(block)).collect::<Result<_, _>>()?),
                    Input::Columns(columns) => BlockInput::Blocks(columns.iter_mut().map(|c| c.block(block)).collect::<Result<_, _>>()?),
                });
            }
            let base = block * BLOCK_ROWS;
            for row in 0..n {
                if row % CHECK_ROWS == 0 {
                    run.check()?;
                    if out.is_full() {
                        return Err(too_much(run));
                    }
                }
                let at = BlockRow { inputs: &cells, times, row };
                let cell = match &mut memory {
                    Some(memory) => memory.recall(&cells, row, || out.encode(&self.program.eval(&at))),
                    None => out.encode(&self.program.eval(&at)),
                };
                out.push((base + row) as u32, cell);
            }
        }
        if out.is_full() { Err(too_much(run)) } else { Ok(()) }
    }
}

/// Results by the codes of all columns of a row: a dictionary is worked through once, not row by row.
struct Memory {
    /// How far apart neighbouring codes of each physical column are.
    strides: Vec<usize>,
    /// Position of the result plus 1, or 0.
    known: Vec<u32>,
    results: Vec<Encoded>,
}

impl Memory {
    /// None if some column has no codes, or there are too many combinations.
    fn new(inputs: &[Input<'_>]) -> Option<Memory> {
        let (mut strides, mut n) = (Vec::new(), 1usize);
        for input in inputs {
            if let Input::Root(columns) | Input::Columns(columns) = input {
                for column in columns {
                    strides.push(n);
                    n = n.checked_mul(column.n_codes()?).filter(|n| *n <= COMBINATIONS_MAX)?;
                }
            }
        }
        Some(Memory { strides, known: vec![0; n], results: Vec::new() })
    }

    #[inline]
    fn recall(&mut self, inputs: &[BlockInput<'_>], row: usize, eval: impl FnOnce() -> Encoded) -> Encoded {
        let mut strides = self.strides.iter();
        let mut at = 0;
        for input in inputs {
            if let BlockInput::Root(blocks) | BlockInput::Blocks(blocks) = input {
                for (block, stride) in blocks.iter().zip(&mut strides) {
                    at += block.code(row) * stride;
                }
            }
        }
        match self.known[at] {
            0 => {
                let result = eval();
                self.results.push(result);
                self.known[at] = self.results.len() as u32;
                result
            }
            i => self.results[i as usize - 1],
        }
    }
}
