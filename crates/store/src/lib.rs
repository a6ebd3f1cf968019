//! Events become durable columns here: write-ahead log, memtable, segments, catalog, compaction, retention.
//!
//! Owns: the data directory and the promise that an acknowledged event is on disk and visible.
//! Never does: know what a question is, decode wire formats, speak HTTP.

pub mod segment;

pub use segment::{Segment, SegmentError};
