//! Events become durable columns here: write-ahead log, memtable, segments, catalog, compaction, retention.
//!
//! Owns: the data directory and the promise that an acknowledged event is on disk and visible.
//! Never does: know what a question is, decode wire formats, speak HTTP.
//!
//! # The way of an event
//!
//! `append` (encode on the caller's thread) → `queue` → `wal` (one write and sync for all that wait) → `state` (visible in
//! the memtable) → acknowledgement. Later `seal` turns the memtable into segments, `compact` merges those, `retain` drops
//! them, `gc` deletes files that nothing reads. `recover` puts everything back after a stop of any kind.
//!
//! # What holds
//!
//! - An acknowledged request is synced and visible; of a refused one nothing is kept, also not after a crash. A request
//!   that got no answer is kept as a whole or not at all. (`store::faults::death_at_any_moment_loses_nothing`)
//! - A snapshot never changes, and holds each acknowledged event exactly once: images leave the memtable in the same
//!   moment in which their segment comes. (`store::random`, `readers_and_writers_together_see_each_event_once`)
//! - The catalog knows a segment only when its file is synced; the write-ahead log lets go of a record only when the
//!   catalog has its segment. Files that the catalog does not know are leftovers.
//! - Files are written once and never changed; a file is deleted when no snapshot holds it.
//! - Damage is named (file, range, lost records), never skipped in silence, and costs nothing but itself. (`store::damage`)
//! - A full disk refuses writes and harms nothing; a start needs no room. (`store::faults`, `benches/pressure.rs full`)

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
mod overflow;
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
pub use model::OVERFLOW_COLUMN;
pub use overflow::Overflow;
pub use segment::{Segment, SegmentError};
pub use store::Store;
pub use types::{
    ColumnInfo, DatasetInfo, DatasetUpdate, Document, RecoveryFinding, RecoveryReport, Retention, Scope, Snapshot, StoreOptions,
    StoreStats, Work, Write,
};
