//! Where cells are read: a physical column together with the segment that holds it, which is the segment of the events or
//! an overlay of computed values whose rows are the same (`overlay`).
//!
//! Owns: the way from segments and fields to columns. Never does: decode.

use crate::EngineError;
use crate::overlay::{self, Overlays};
use crate::plan::Field;
use model::{TimeNs, Value};
use std::ops::Deref;
use std::sync::Arc;
use store::segment::{Codes, Column, Dict, DictPages, Scratch, Valid};
use store::{Segment, SegmentError};

/// Where events come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'s> {
    /// Newest first.
    pub(crate) segments: &'s [Arc<Segment>],
    /// Names of their datasets; empty if there are none.
    pub(crate) datasets: &'s [Arc<str>],
    /// Columns that are computed.
    pub(crate) overlays: &'s Overlays<'s>,
}

impl<'s> Source<'s> {
    pub(crate) fn dataset(&self, segment: usize) -> &'s str {
        self.datasets.get(segment).map_or("", |d| d)
    }

    /// The physical columns of a field in a segment; those of a computed one are made now if they are not there yet.
    pub(crate) fn places(self, index: usize, field: &Field) -> Result<Vec<Place<'s>>, EngineError> {
        Ok(match field {
            Field::Column(name) => Place::find(&self.segments[index], name).collect(),
            Field::Computed(computed) => Place::find(self.overlays.get(self, index, computed)?, overlay::NAME).collect(),
            Field::IsRoot | Field::Dataset => Vec::new(),
        })
    }

    /// The physical columns of a stored column.
    pub(crate) fn stored(self, index: usize, name: &str) -> impl Iterator<Item = Place<'s>> + use<'s> {
        Place::find(&self.segments[index], name)
    }
}

/// A physical column and what it is read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'s> {
    pub(crate) segment: &'s Arc<Segment>,
    column: Column<'s>,
}

impl<'s> Deref for Place<'s> {
    type Target = Column<'s>;
    fn deref(&self) -> &Column<'s> {
        &self.column
    }
}

impl<'s> Place<'s> {
    /// The columns (one per kind) of a name.
    pub(crate) fn find(segment: &'s Arc<Segment>, name: &str) -> impl Iterator<Item = Place<'s>> + use<'s> {
        segment.find(name).map(move |column| Place { segment, column })
    }

    /// Whether every row has a cell.
    pub(crate) fn is_full(&self) -> bool {
        self.n_present == self.segment.n_rows()
    }

    pub(crate) fn codes<'b>(&self, block: usize, scratch: &'b mut Scratch) -> Result<Codes<'b>, SegmentError> {
        self.segment.read_codes(&self.column, block, scratch)
    }

    pub(crate) fn ints<'b>(&self, block: usize, scratch: &'b mut Scratch) -> Result<(&'b [i64], Valid<'b>), SegmentError> {
        self.segment.read_ints(&self.column, block, scratch)
    }

    pub(crate) fn floats<'b>(&self, block: usize, scratch: &'b mut Scratch) -> Result<(&'b [f64], Valid<'b>), SegmentError> {
        self.segment.read_floats(&self.column, block, scratch)
    }

    pub(crate) fn ids<'b>(&self, block: usize, scratch: &'b mut Scratch) -> Result<(&'b [u128], Valid<'b>), SegmentError> {
        self.segment.read_ids(&self.column, block, scratch)
    }

    /// Which rows of a block have a cell, for columns without codes.
    pub(crate) fn valid<'b>(&self, block: usize, scratch: &'b mut Scratch) -> Result<Valid<'b>, SegmentError> {
        self.segment.read_valid(&self.column, block, scratch)
    }

    pub(crate) fn dict(&self) -> Result<Arc<Dict>, SegmentError> {
        self.segment.dict(&self.column)
    }

    /// The dictionary if it is decoded already.
    pub(crate) fn known_dict(&self) -> Option<Arc<Dict>> {
        self.segment.known_dict(&self.column)
    }

    pub(crate) fn dict_pages(&self) -> Result<DictPages<'s>, SegmentError> {
        self.segment.dict_pages(&self.column)
    }

    /// Has the dictionary read from disk, without waiting for it.
    pub(crate) fn dict_ahead(&self) {
        self.segment.dict_ahead(&self.column);
    }

    /// Has blocks read from disk, without waiting for them.
    pub(crate) fn blocks_ahead(&self, start_ns: TimeNs, end_ns: TimeNs) {
        self.segment.blocks_ahead(&self.column, start_ns, end_ns);
    }

    pub(crate) fn n_dict(&self) -> usize {
        self.segment.n_dict(&self.column)
    }

    pub(crate) fn code(&self, row: usize) -> Result<Option<u32>, SegmentError> {
        self.segment.code(&self.column, row)
    }

    pub(crate) fn cell(&self, row: usize) -> Result<Value, SegmentError> {
        self.segment.cell(&self.column, row)
    }

    pub(crate) fn cells(&self, rows: &[usize]) -> Result<Vec<Value>, SegmentError> {
        self.segment.cells(&self.column, rows)
    }
}
