//! What goes into the store and what comes out of it.
//!
//! Owns: the plain data types of the public interface. Never does: anything with them.

use crate::{
    Segment,
    disk::{Disk, RealDisk},
    live::SegmentFile,
};
use model::{Batch, ColumnKind, Limits, TimeNs};
use serde::{Deserialize, Serialize};
use std::{
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where everything is kept. One process at a time.
    pub data_dir: PathBuf,
    /// Limits; the store keeps those on columns, datasets and the memtable.
    pub limits: Limits,
    /// The time of day.
    pub clock: fn() -> TimeNs,
    /// CPU time of the calling thread in nanoseconds, for statistics; always 0 unless it is set.
    pub thread_cpu_ns: fn() -> u64,
    /// Seeds names of files and salts of write-ahead files.
    pub seed: u64,
    /// Bytes of images that the memtable collects before it is sealed.
    pub seal_bytes: usize,
    /// The memtable is sealed when its oldest event has waited this long.
    pub seal_age_seconds: u32,
    /// It is sealed sooner when no write came for this long and it holds at least `seal_idle_bytes`.
    pub seal_idle_ms: u32,
    /// See `seal_idle_ms`.
    pub seal_idle_bytes: usize,
    /// Rows of a segment; only a single larger write makes a larger one.
    pub segment_rows_max: usize,
    /// Bytes that the inputs of one merge may have once decoded.
    pub merge_bytes_max: u64,
    /// Bytes after which the write-ahead log goes on in a new file.
    pub wal_file_bytes: u64,
    /// Segment files kept open.
    pub open_segments_max: usize,
    /// Seal, coalesce, compact and apply retention in background threads. Without it only when asked.
    pub background: bool,
    /// The file system.
    pub disk: Arc<dyn Disk>,
}

impl StoreOptions {
    /// Defaults for a directory.
    #[must_use]
    pub fn new(data_dir: impl AsRef<Path>, clock: fn() -> TimeNs) -> StoreOptions {
        StoreOptions {
            data_dir: data_dir.as_ref().to_path_buf(),
            limits: Limits::default(),
            clock,
            thread_cpu_ns: || 0,
            seed: RandomState::new().hash_one(0u8),
            seal_bytes: 128 << 20,
            seal_age_seconds: 30,
            seal_idle_ms: 500,
            seal_idle_bytes: 8 << 20,
            segment_rows_max: 1 << 20,
            merge_bytes_max: 1 << 30,
            wal_file_bytes: 64 << 20,
            open_segments_max: 8_192,
            background: true,
            disk: Arc::new(RealDisk),
        }
    }
}

/// What the store spends CPU time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Batches become segment images.
    Encode,
    /// Images go to the write-ahead log and become visible.
    Log,
    /// Small images of the memtable are merged.
    Coalesce,
    /// The memtable becomes segments.
    Seal,
    /// Segments are merged.
    Compact,
}

impl Work {
    /// All of it.
    pub const ALL: [Work; 5] = [Work::Encode, Work::Log, Work::Coalesce, Work::Seal, Work::Compact];
}

/// Events for one dataset.
#[derive(Debug)]
pub struct Write {
    /// Display name of the dataset, case-insensitive. It is created if there is none.
    pub dataset: String,
    /// The events.
    pub batch: Batch,
    /// Whether [`crate::Store::fit_columns`] has seen them; else it is done now.
    pub fitted: bool,
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One dataset, by name or slug.
    Dataset(String),
    /// All of them.
    All,
}

/// The segments that a question reads, newest first. They stay readable as long as it holds them.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Files and memtable pieces that may hold events of the time range.
    pub segments: Vec<Arc<Segment>>,
    /// The dataset (display name) of each.
    pub datasets: Vec<String>,
    /// Keeps the files themselves.
    pub(crate) pins: Vec<Arc<SegmentFile>>,
}

/// How long events of a dataset are kept. Whole segments go at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Seconds since the event time.
    pub age_seconds: Option<u64>,
    /// Bytes on disk; the oldest go first.
    pub bytes: Option<u64>,
}

/// A dataset as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetInfo {
    /// Never used twice.
    pub id: u64,
    /// First spelling.
    pub name: String,
    /// Lower-case name for URLs.
    pub slug: String,
    /// Free text.
    pub description: String,
    /// Levels of JSON text that senders want unfolded.
    pub expand_json_depth: u32,
    /// How long events are kept.
    pub retention: Retention,
    /// When it was made.
    pub created_at: TimeNs,
    /// When events last came.
    pub last_written_at: Option<TimeNs>,
    /// Events stored.
    pub n_rows: u64,
    /// Bytes of segments and memtable pieces.
    pub bytes: u64,
    /// Distinct column names.
    pub n_columns: usize,
    /// Events with fields in [`crate::OVERFLOW_COLUMN`].
    pub overflow_events: u64,
    /// Sealed segments.
    pub n_segments: usize,
}

/// Changes to a dataset; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct DatasetUpdate {
    /// Free text.
    pub description: Option<String>,
    /// Levels of JSON text to unfold.
    pub expand_json_depth: Option<u32>,
    /// How long events are kept.
    pub retention: Option<Retention>,
}

/// A column of a dataset, or of all datasets together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Name.
    pub name: String,
    /// Cells per kind, only kinds that occur.
    pub kinds: Vec<(ColumnKind, u64)>,
    /// When it was first written, by the clock of the server.
    pub first_seen: TimeNs,
    /// When it was last written.
    pub last_seen: TimeNs,
}

/// A small JSON document kept in the catalog.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Document {
    /// Slug of its dataset, or empty.
    pub dataset: String,
    /// Its id within (kind, dataset).
    pub id: String,
    /// When it was last put.
    pub updated_at: TimeNs,
    /// Contents.
    pub body: serde_json::Value,
}

/// Something that recovery met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryFinding {
    /// Whether acknowledged events are lost or cannot be read. Else it is what a crash leaves behind.
    pub damage: bool,
    /// The file.
    pub path: PathBuf,
    /// Bytes of the file, end exclusive.
    pub range: Option<(u64, u64)>,
    /// Write-ahead records that are missing, both inclusive.
    pub lost_records: Option<(u64, u64)>,
    /// What was found and what was done.
    pub message: String,
}

/// What happened when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecoveryReport {
    /// Records replayed from the write-ahead log.
    pub replayed_records: u64,
    /// Events in them.
    pub replayed_rows: u64,
    /// What was met, in order.
    pub findings: Vec<RecoveryFinding>,
}

/// Counters and gauges of the store.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StoreStats {
    /// Datasets.
    pub n_datasets: usize,
    /// Sealed segments.
    pub n_segments: usize,
    /// Events in them.
    pub segment_rows: u64,
    /// Bytes of them.
    pub segment_bytes: u64,
    /// Segments that wait for their last reader before they are deleted.
    pub doomed_segments: usize,
    /// Pieces of the memtable.
    pub memtable_pieces: usize,
    /// Events in them.
    pub memtable_rows: u64,
    /// Bytes that count against `memtable_bytes_max`: queue and memtable.
    pub memtable_bytes: usize,
    /// Requests that wait for the write-ahead log.
    pub queue_requests: usize,
    /// Write-ahead files.
    pub wal_files: usize,
    /// Bytes of them.
    pub wal_bytes: u64,
    /// Requests acknowledged.
    pub appends: u64,
    /// Events acknowledged.
    pub append_rows: u64,
    /// Requests that were not kept (disk full, overload).
    pub append_failures: u64,
    /// Whether the last write met a full disk.
    pub disk_full: bool,
    /// Syncs of the write-ahead log.
    pub fsyncs: u64,
    /// Their time, together.
    pub fsync_ns_total: u64,
    /// The slowest.
    pub fsync_ns_max: u64,
    /// Seals done.
    pub seals: u64,
    /// Seals that failed and will be tried again.
    pub seal_failures: u64,
    /// Merges of memtable pieces.
    pub coalesces: u64,
    /// Compactions done.
    pub compactions: u64,
    /// Events rewritten by them.
    pub compaction_rows: u64,
    /// Compactions that failed and will be tried again.
    pub compaction_failures: u64,
    /// Segments dropped by retention.
    pub retained_away: u64,
    /// Events of which fields went to [`crate::OVERFLOW_COLUMN`].
    pub overflow_events: u64,
    /// Those fields.
    pub overflow_fields: u64,
    /// CPU time by [`Work`], in nanoseconds, if [`StoreOptions::thread_cpu_ns`] is set.
    pub cpu_ns: [u64; Work::ALL.len()],
    /// The last failure of a background job, if it has not succeeded since.
    pub last_failure: Option<String>,
    /// What happened at start-up.
    pub recovery: RecoveryReport,
}
