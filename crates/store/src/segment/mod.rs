//! Segments: immutable events of one dataset, column by column, sorted by event time (docs/file-format.md).
//! The same bytes are a record of the write-ahead log, a piece of the memtable and a file on disk.
//!
//! Owns: the format, its writer and its reader. Never does: decide when to write, delete or merge.

mod cache;
mod cell;
mod dict;
mod divide;
mod encode;
mod few;
mod format;
mod gather;
mod ints;
mod map;
mod merge;
mod pack;
mod presence;
mod read;
mod scan;
mod write;

#[cfg(test)]
mod tests;

pub use cache::{DICT_CACHE_BYTES_DEFAULT, dict_cache_bytes, set_dict_cache_bytes};
pub use dict::{Dict, DictPages, Mark, Texts};
pub use encode::encode;
pub use gather::{GatherBuffers, is_sparse};
pub use merge::{merge, merge_fast};
pub use read::{Origin, Segment};

use model::ColumnKind;

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
    #[error("segment is damaged: {what}; run `wideye check` on the data directory and restore the file from a backup")]
    Damaged {
        /// Which part.
        what: String,
    },
    /// A merge would exceed what one segment can hold.
    #[error("cannot merge: {what} would not fit in one segment; merge fewer")]
    TooLarge {
        /// What is too much.
        what: &'static str,
    },
}

/// How a column's cells are laid out, and so which `read_…` function serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Layout {
    /// Codes into a dictionary (text, and ids that repeat): [`Segment::read_codes`], [`Segment::dict`].
    Dict = 0,
    /// Integers: [`Segment::read_ints`].
    Ints = 1,
    /// Floats: [`Segment::read_floats`].
    Floats = 2,
    /// Truth values: [`Segment::read_codes`] with 0 = false, 1 = true, 2 = missing.
    Bools = 3,
    /// Ids that rarely repeat: [`Segment::read_ids`].
    Ids = 4,
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
    /// Bounds of the numbers, if the column holds any: none is smaller than the first or larger than the second.
    pub range: Option<(f64, f64)>,
    /// Position in the directory.
    pub index: u32,
}

/// Dense codes of one block: one per row.
#[derive(Clone, Copy, Debug)]
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

/// Which rows of a block have a cell.
#[derive(Clone, Copy, Debug)]
pub enum Valid<'a> {
    /// Every row.
    All,
    /// No row.
    None,
    /// One bit per row, lowest first.
    Bits(&'a [u64]),
}

/// Buffers that block reads reuse. What a read answers lives here until the next read with the same scratch.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The rows of a block that are wanted, if not all are.
    window: Option<(usize, usize)>,
    u8: Vec<u8>,
    u16: Vec<u16>,
    u32: Vec<u32>,
    ints: Vec<i64>,
    floats: Vec<f64>,
    ids: Vec<u128>,
    bits: Vec<u64>,
    tmp8: Vec<u8>,
    tmp16: Vec<u16>,
    tmp32: Vec<u32>,
    tmp_ints: Vec<i64>,
    tmp_floats: Vec<f64>,
    tmp_ids: Vec<u128>,
}

impl Scratch {
    /// From now on codes, integers and floats are needed of these rows of a block only: what stands at other rows, and
    /// whether they have a cell, means nothing.
    pub fn want(&mut self, from: usize, to: usize) {
        self.window = Some((from, to));
    }

    /// The rows of a block of `n` to lay out: from the start of a packed chunk on.
    fn rows(&self, n: usize) -> std::ops::Range<usize> {
        let (from, to) = self.window.unwrap_or((0, n));
        let to = to.min(n);
        from.min(to) / pack::CHUNK * pack::CHUNK..to
    }
}
