//! Events become durable columns here: write-ahead log, memtable, segments, catalog, compaction, retention.
//!
//! Owns: the data directory and the promise that an acknowledged event is on disk and visible.
//! Never does: know what a question is, decode wire formats, speak HTTP.

pub mod catalog;
mod check;
pub mod disk;
mod error;
mod live;
pub mod segment;
mod store;
mod types;

pub use check::{CheckFinding, CheckSummary, check};
pub use error::StoreError;
pub use segment::{Segment, SegmentError};
pub use store::Store;
pub use types::{
    ColumnInfo, DatasetInfo, DatasetUpdate, Document, RecoveryFinding, RecoveryReport, Retention, Scope, Snapshot, StoreOptions, StoreStats,
    Write,
};
