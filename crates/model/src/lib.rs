//! The nouns that every other crate shares: values, batches of events, question specifications, limits, error kinds.
//!
//! Owns: types and their meaning. Never does: I/O, clocks, threads.

mod batch;
mod bucket;
pub mod columns;
pub mod contrast;
mod dict;
mod error;
mod ident;
mod limits;
pub mod query;
pub mod time;
mod value;

pub use batch::{
    Batch, BatchBuilder, BatchColumn, Cells, ColumnId, FEW_CELLS_MAX, FewCells, ManyCells, OVERFLOW_COLUMN, OVERFLOW_LEFT_OUT, Values,
};
pub use bucket::{bucket_middle, bucket_of, from_ordered_bits, heatmap_start, ordered_bits};
pub use dict::StrDict;
pub use error::ErrorKind;
pub use ident::{IdKind, parse_id, write_id};
pub use limits::Limits;
pub use value::{ColumnKind, Value};

/// Nanoseconds since the Unix epoch, UTC; may be negative.
pub type TimeNs = i64;

/// The name that stands for all datasets in questions; no dataset can have it.
pub const ALL_DATASETS: &str = "__all__";

/// Nanoseconds in a second.
pub const NS_PER_SECOND: i64 = 1_000_000_000;

/// 64-bit hash of bytes (XXH3), the same in every process.
#[must_use]
pub fn hash64(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// 128-bit hash of bytes (XXH3): wide enough to stand for the value itself.
#[must_use]
pub fn hash128(bytes: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(bytes)
}
