//! Events become durable columns here: write-ahead log, memtable, segments, catalog, compaction, retention.
//!
//! Owns: the data directory and the promise that an acknowledged event is on disk and visible.
//! Never does: know what a question is, decode wire formats, speak HTTP.

mod append;
mod background;
pub mod catalog;
mod check;
mod coalesce;
mod columns;
mod compact;
pub mod disk;
mod error;
mod gc;
mod live;
mod memtable;
mod names;
mod queue;
mod recover;
mod retain;
mod seal;
pub mod segment;
mod shared;
mod state;
mod store;
mod types;
mod wal;

pub use check::{CheckFinding, CheckSummary, check};
pub use error::StoreError;
pub use segment::{Segment, SegmentError};
pub use store::Store;
pub use types::{
    ColumnInfo, DatasetInfo, DatasetUpdate, Document, RecoveryFinding, RecoveryReport, Retention, Scope, Snapshot, StoreOptions, StoreStats,
    Write,
};
