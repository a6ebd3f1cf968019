//! The cells of a field where conditions hold: what a calculation with filters of its own calculates on.
//!
//! Owns: which cells are taken over. Never does: interpret conditions (`scan::filter`).

use super::build::{ColumnBuilder, Encoded};
use super::{Fill, too_much};
use crate::EngineError;
use crate::intern::id_text;
use crate::plan::{Condition, Field};
use crate::run::Run;
use crate::scan::apply::FilterBuffers;
use crate::scan::filter::Filter;
use crate::scan::keys::each_present;
use crate::scan::place::{Place, Source};
use crate::scan::select::{Rows, is_valid};
use model::columns::PARENT_ID;
use model::query::Combination;
use std::ops::Range;
use store::segment::{BLOCK_ROWS, Codes, Layout, Scratch};

/// See [`crate::plan::Computation::Where`].
#[derive(Debug)]
pub(crate) struct Masked<'p> {
    pub(crate) field: Option<&'p Field>,
    pub(crate) conditions: &'p [Condition],
    pub(crate) combination: Combination,
}

/// What is taken over.
pub(crate) enum Taken<'s> {
    /// The same from every event.
    Const(Encoded),
    /// Whether there is none of these.
    Root(Vec<Place<'s>>),
    /// The cells of these, with what has become of the codes of each.
    Places(Vec<(Place<'s>, Vec<Option<Encoded>>)>),
}

impl<'s> Taken<'s> {
    /// The cells of a field (or true) of a segment, for a column.
    pub(crate) fn new(field: Option<&Field>, source: Source<'s>, index: usize, out: &mut ColumnBuilder) -> Result<Taken<'s>, EngineError> {
        Ok(match field {
            None => Taken::Const(Encoded::Bool(true)),
            Some(Field::Dataset) => Taken::Const(out.text(source.dataset(index))),
            Some(Field::IsRoot) => Taken::Root(source.stored(index, PARENT_ID).collect()),
            Some(field) => {
                let places = source.places(index, field)?.into_iter();
                Taken::Places(places.map(|p| (p, vec![None; if p.layout == Layout::Dict { p.n_dict() } else { 0 }])).collect())
            }
        })
    }

    /// Adds the cells of some rows of a block, ready for the column.
    pub(crate) fn cells(
        &mut self,
        block: usize,
        rows: Rows<'_>,
        scratch: &mut Scratch,
        out: &mut ColumnBuilder,
        found: &mut Vec<(u32, Encoded)>,
    ) -> Result<(), EngineError> {
        match self {
            Taken::Const(cell) => rows.each(|_, row| found.push((row as u32, *cell))),
            Taken::Root(parents) => {
                let mut has_parent = vec![false; rows.len()];
                for parent in parents {
                    each_present(parent, block, rows, scratch, |i| has_parent[i] = true)?;
                }
                rows.each(|i, row| found.push((row as u32, Encoded::Bool(!has_parent[i]))));
            }
            Taken::Places(places) => {
                for (place, known) in places {
                    cells(place, known, block, rows, scratch, out, found)?;
                }
            }
        }
        Ok(())
    }
}

impl Fill for Masked<'_> {
    fn fill(&self, source: Source<'_>, index: usize, blocks: Range<usize>, run: &Run, out: &mut ColumnBuilder) -> Result<(), EngineError> {
        let any = self.combination == Combination::Or;
        let Some(filter) = Filter::compile(self.conditions, any, source, index)? else { return Ok(()) };
        let mut taken = Taken::new(self.field, source, index, out)?;
        let (mut buffers, mut scratch) = (FilterBuffers::default(), Scratch::default());
        // Collected first: a column under construction is needed to make texts ready.
        let mut found: Vec<(u32, Encoded)> = Vec::new();
        for block in blocks {
            run.check()?;
            let n = source.segments[index].block_rows(block);
            let rows = filter.select(n, block, (0, n), &mut buffers, &mut scratch)?;
            let base = (block * BLOCK_ROWS) as u32;
            found.clear();
            taken.cells(block, rows, &mut scratch, out, &mut found)?;
            for (row, cell) in &found {
                out.push(base + row, *cell);
            }
            if out.is_full() {
                return Err(too_much(run));
            }
        }
        Ok(())
    }
}

/// The cells of a physical column on some rows of a block.
fn cells(
    place: &Place<'_>,
    known: &mut [Option<Encoded>],
    block: usize,
    rows: Rows<'_>,
    scratch: &mut Scratch,
    out: &mut ColumnBuilder,
    found: &mut Vec<(u32, Encoded)>,
) -> Result<(), EngineError> {
    match place.layout {
        Layout::Ints => {
            let (values, valid) = place.ints(block, scratch)?;
            rows.each(|_, row| {
                if is_valid(valid, row) {
                    found.push((row as u32, Encoded::Int(values[row])));
                }
            });
        }
        Layout::Floats => {
            let (values, valid) = place.floats(block, scratch)?;
            rows.each(|_, row| {
                if is_valid(valid, row) {
                    found.push((row as u32, Encoded::Float(values[row])));
                }
            });
        }
        Layout::Ids => {
            let Some(kind) = place.kind.id() else { return Err(EngineError::Internal { what: "ids of a column that holds none" }) };
            let (values, valid) = place.ids(block, scratch)?;
            let mut text = String::new();
            rows.each(|_, row| {
                if is_valid(valid, row) {
                    text.clear();
                    id_text(kind, values[row], &mut text);
                    found.push((row as u32, out.text(&text)));
                }
            });
        }
        Layout::Bools => {
            let mut put = |row: usize, code: u32| {
                if code < 2 {
                    found.push((row as u32, Encoded::Bool(code == 1)));
                }
            };
            each_code(place.codes(block, scratch)?, rows, &mut put);
        }
        Layout::Dict => {
            let dict = place.dict()?;
            let mut text = String::new();
            let mut put = |row: usize, code: u32| {
                if let Some(slot) = known.get_mut(code as usize) {
                    let cell = *slot.get_or_insert_with(|| out.text(dict.text(code, &mut text)));
                    found.push((row as u32, cell));
                }
            };
            each_code(place.codes(block, scratch)?, rows, &mut put);
        }
    }
    Ok(())
}

/// Calls `f` with row and code.
fn each_code(codes: Codes<'_>, rows: Rows<'_>, f: &mut impl FnMut(usize, u32)) {
    match codes {
        Codes::Const(c) => rows.each(|_, row| f(row, c)),
        Codes::U8(c) => rows.each(|_, row| f(row, u32::from(c[row]))),
        Codes::U16(c) => rows.each(|_, row| f(row, u32::from(c[row]))),
        Codes::U32(c) => rows.each(|_, row| f(row, c[row])),
    }
}
