//! Segments: immutable events of one dataset, column by column, sorted by event time (docs/file-format.md).
//! The same bytes are a record of the write-ahead log, a piece of the memtable and a file on disk.
//!
//! Owns: the format, its writer and its reader. Never does: decide when to write, delete or merge.

use model::{Batch, ColumnKind, TimeNs, Value};
use std::{path::Path, sync::Arc};

/// Rows of a block, the unit of encoding, checksum and parallel work. Only the last block of a segment has fewer.
pub const BLOCK_ROWS: usize = 65_536;

/// What can be wrong with a segment's bytes.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Reading the file failed.
    #[error("cannot read segment file path={path}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are not a segment, or were damaged.
    #[error("segment is damaged: {what}; restore the file from a backup or remove it with `wideye check --repair`")]
    Damaged {
        /// Which part.
        what: String,
    },
}

/// How a column's cells are laid out, and so which `read_…` function serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Codes into a dictionary (text, and ids that repeat): [`Segment::read_codes`], [`Segment::dict`].
    Dict,
    /// Integers: [`Segment::read_ints`].
    Ints,
    /// Floats: [`Segment::read_floats`].
    Floats,
    /// Truth values: [`Segment::read_codes`] with 0 = false, 1 = true, 2 = missing.
    Bools,
    /// Ids that rarely repeat: [`Segment::read_ids`].
    Ids,
}

/// A column of a segment. Cheap to copy; valid only with the segment it came from.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Name.
    pub name: &'a str,
    /// Kind of the cells.
    pub kind: ColumnKind,
    /// How they are laid out.
    pub layout: Layout,
    /// Cells present.
    pub n_present: usize,
    /// Smallest and largest number, if the column holds numbers.
    pub range: Option<(f64, f64)>,
    /// Position in the directory.
    pub index: u32,
}

/// The dictionary of a column, decoded. Entries are ascending by bytes, so a value is found by binary search.
#[derive(Debug)]
pub struct Dict {
    _private: (),
}

impl Dict {
    /// Number of distinct values; also the code that stands for "missing".
    pub fn len(&self) -> usize {
        todo!()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The text of a code, for ids written into `scratch`.
    pub fn text<'a>(&'a self, code: u32, scratch: &'a mut String) -> &'a str {
        todo!()
    }
    /// 128-bit hash of the text of a code (the same for ids in whatever layout they are kept).
    pub fn hash(&self, code: u32) -> u128 {
        todo!()
    }
    /// Events with this value, unweighted.
    pub fn count(&self, code: u32) -> u32 {
        todo!()
    }
    /// The code of a text.
    pub fn find(&self, text: &str) -> Option<u32> {
        todo!()
    }
}

/// Dense codes of one block: one per row.
#[derive(Debug)]
pub enum Codes<'a> {
    /// All rows have this code.
    Const(u32),
    /// One byte each.
    U8(&'a [u8]),
    /// Two bytes each.
    U16(&'a [u16]),
    /// Four bytes each.
    U32(&'a [u32]),
}

/// Buffers that block reads reuse.
#[derive(Debug, Default)]
pub struct Scratch {
    _private: (),
}

/// Which rows of a block have a cell.
#[derive(Debug)]
pub enum Valid<'a> {
    /// Every row.
    All,
    /// No row.
    None,
    /// One bit per row, lowest first.
    Bits(&'a [u64]),
}

/// An open segment: mapped file or bytes in memory.
#[derive(Debug)]
pub struct Segment {
    _private: (),
}

/// Encodes a batch as a segment image (rows get sorted by time, stably).
pub fn encode(batch: &Batch) -> Vec<u8> {
    todo!()
}

/// Merges segments into one image. All rows of all inputs are kept.
pub fn merge(inputs: &[Arc<Segment>]) -> Result<Vec<u8>, SegmentError> {
    todo!()
}

impl Segment {
    /// Opens an image in memory; verifies the directory's checksum.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Segment, SegmentError> {
        todo!()
    }
    /// Maps a file; verifies the directory's checksum.
    pub fn open(path: &Path) -> Result<Segment, SegmentError> {
        todo!()
    }
    /// The image itself.
    pub fn bytes(&self) -> &[u8] {
        todo!()
    }
    /// Verifies every checksum.
    pub fn verify(&self) -> Result<(), SegmentError> {
        todo!()
    }
    /// Unique among all segments opened by this process; the key of caches.
    pub fn id(&self) -> u64 {
        todo!()
    }
    /// Rows.
    pub fn n_rows(&self) -> usize {
        todo!()
    }
    /// Blocks.
    pub fn n_blocks(&self) -> usize {
        self.n_rows().div_ceil(BLOCK_ROWS)
    }
    /// Rows of a block.
    pub fn block_rows(&self, block: usize) -> usize {
        (self.n_rows() - block * BLOCK_ROWS).min(BLOCK_ROWS)
    }
    /// First and last event time (inclusive).
    pub fn times(&self) -> (TimeNs, TimeNs) {
        todo!()
    }
    /// First and last event time of a block (inclusive).
    pub fn block_times(&self, block: usize) -> (TimeNs, TimeNs) {
        todo!()
    }
    /// The sample rate, if all rows have the same.
    pub fn uniform_sample_rate(&self) -> Option<f64> {
        todo!()
    }
    /// All columns, ascending by (name, kind). Time and sample rate are not among them.
    pub fn columns(&self) -> impl Iterator<Item = Column<'_>> {
        (0..0).map(|_| todo!())
    }
    /// The columns (one per kind) of a name; costs a binary search.
    pub fn find(&self, name: &str) -> impl Iterator<Item = Column<'_>> {
        (0..0).map(|_| todo!())
    }
    /// The dictionary of a `Dict` column: decoded on first use, then kept while the cache has room.
    pub fn dict(&self, column: &Column<'_>) -> Result<Arc<Dict>, SegmentError> {
        todo!()
    }
    /// Event times of a block, ascending.
    pub fn read_times<'s>(&self, block: usize, scratch: &'s mut Scratch) -> Result<&'s [TimeNs], SegmentError> {
        todo!()
    }
    /// Sample rates of a block (also when uniform).
    pub fn read_sample_rates<'s>(&self, block: usize, scratch: &'s mut Scratch) -> Result<&'s [f64], SegmentError> {
        todo!()
    }
    /// Codes of a `Dict` or `Bools` column; a missing cell has the code `dict.len()` (2 for bools).
    pub fn read_codes<'s>(&self, column: &Column<'_>, block: usize, scratch: &'s mut Scratch) -> Result<Codes<'s>, SegmentError> {
        todo!()
    }
    /// Integers of a block, one per row, 0 where missing.
    pub fn read_ints<'s>(&self, column: &Column<'_>, block: usize, scratch: &'s mut Scratch) -> Result<(&'s [i64], Valid<'s>), SegmentError> {
        todo!()
    }
    /// Floats of a block, one per row, 0 where missing. Also serves `Ints`, as floats.
    pub fn read_floats<'s>(&self, column: &Column<'_>, block: usize, scratch: &'s mut Scratch) -> Result<(&'s [f64], Valid<'s>), SegmentError> {
        todo!()
    }
    /// Raw ids of a block as numbers (`Hex8` in the low 64 bits, big-endian), one per row, 0 where missing.
    pub fn read_ids<'s>(&self, column: &Column<'_>, block: usize, scratch: &'s mut Scratch) -> Result<(&'s [u128], Valid<'s>), SegmentError> {
        todo!()
    }
    /// All cells of one row, for raw results: cheap for few rows (no block is decoded as a whole).
    pub fn row(&self, row: usize, visit: &mut dyn FnMut(&str, Value)) -> Result<(TimeNs, f64), SegmentError> {
        todo!()
    }
    /// One cell.
    pub fn cell(&self, column: &Column<'_>, row: usize) -> Result<Value, SegmentError> {
        todo!()
    }
}
