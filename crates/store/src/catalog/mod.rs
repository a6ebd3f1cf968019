//! The catalog: all mutable metadata, behind one trait so that a cluster can keep it elsewhere.
//!
//! Owns: which changes happen together or not at all. Never does: keep events, or delete files.

mod sqlite;

#[cfg(test)]
mod tests;

pub use sqlite::SqliteCatalog;

use crate::{Document, Retention};
use model::{ColumnKind, ErrorKind, TimeNs};
use std::{collections::BTreeSet, fmt::Debug};

/// A failure of the catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No room to write; nothing changed.
    #[error("disk is full: free space and try again")]
    Full,
    /// SQLite failed; nothing changed.
    #[error("catalog database failed to {action}")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A sync failed: what is on disk is not known, the process must end.
    #[error("cannot sync the catalog")]
    SyncFailed {
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A segment that a change builds on is no longer live; nothing changed.
    #[error("segment is no longer live: id={id}")]
    NotLive {
        /// The segment.
        id: String,
    },
    /// What the catalog holds makes no sense.
    #[error("catalog is damaged: restore catalog.sqlite from a backup what={what}")]
    Damaged {
        /// Which part.
        what: String,
    },
    /// Written by a later version.
    #[error("catalog has format version {version}: start a version of wideye that knows it")]
    Newer {
        /// Its version.
        version: i64,
    },
}

impl CatalogError {
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, CatalogError::Full)
    }

    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            CatalogError::Full | CatalogError::Sqlite { .. } | CatalogError::SyncFailed { .. } => ErrorKind::Unavailable,
            CatalogError::NotLive { .. } => ErrorKind::Conflict,
            CatalogError::Damaged { .. } | CatalogError::Newer { .. } => ErrorKind::Data,
        }
    }
}

/// A dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetRow {
    /// Never used twice, also not after a deletion.
    pub id: u64,
    /// First spelling.
    pub name: String,
    /// Unique.
    pub slug: String,
    /// Free text.
    pub description: String,
    /// Levels of JSON text to unfold.
    pub expand_json_depth: u32,
    /// How long events are kept.
    pub retention: Retention,
    /// When it was made.
    pub created_at: TimeNs,
    /// When events last came, as of the last seal.
    pub last_written_at: Option<TimeNs>,
}

/// A live segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// ULID; also the name of the file.
    pub id: String,
    /// Its dataset.
    pub dataset: u64,
    /// Events.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes that merging it may take.
    pub raw_bytes: u64,
    /// First event time.
    pub min_time: TimeNs,
    /// Last event time, inclusive.
    pub max_time: TimeNs,
}

/// A column of a dataset, or how much one changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnRow {
    /// Its dataset.
    pub dataset: u64,
    /// Name.
    pub name: String,
    /// Kind of the cells.
    pub kind: ColumnKind,
    /// Cells in live segments (or cells more, or cells less).
    pub count: u64,
    /// When it was first written.
    pub first_seen: TimeNs,
    /// When it was last written.
    pub last_seen: TimeNs,
}

/// Everything but the documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Whether it was made just now.
    pub is_new: bool,
    /// Live datasets by id.
    pub datasets: Vec<DatasetRow>,
    /// Ids of deleted datasets: records of theirs in the write-ahead log are dropped.
    pub deleted: BTreeSet<u64>,
    /// Live segments.
    pub segments: Vec<SegmentRow>,
    /// Columns of live segments.
    pub columns: Vec<ColumnRow>,
    /// Write-ahead records up to this number are in segments.
    pub flushed_sequence: u64,
}

/// What a seal changes.
#[derive(Clone, Debug, Default)]
pub struct SealCommit {
    /// New segments.
    pub segments: Vec<SegmentRow>,
    /// Cells that they bring.
    pub columns: Vec<ColumnRow>,
    /// When events last came, per dataset.
    pub last_written_at: Vec<(u64, TimeNs)>,
    /// Write-ahead records up to this number are now in segments.
    pub flushed_sequence: u64,
}

/// Durable metadata. Every method is one transaction: it happened and is durable, or it did not.
pub trait Catalog: Debug + Send {
    /// Reads everything but the documents.
    fn load(&mut self) -> Result<Contents, CatalogError>;
    /// Adds a dataset; id 0 asks for the next one. Answers the id.
    fn create_dataset(&mut self, dataset: &DatasetRow) -> Result<u64, CatalogError>;
    /// Changes description, JSON depth and retention of a dataset.
    fn update_dataset(&mut self, dataset: &DatasetRow) -> Result<(), CatalogError>;
    /// Removes a dataset with its segments, columns and documents. Its id is remembered.
    fn delete_dataset(&mut self, id: u64, now: TimeNs) -> Result<(), CatalogError>;
    /// Adds sealed segments and the flushed sequence number.
    fn commit_seal(&mut self, commit: &SealCommit) -> Result<(), CatalogError>;
    /// Puts a segment in the place of others; fails if one of those is no longer live.
    fn replace_segments(&mut self, removed: &[String], added: &SegmentRow) -> Result<(), CatalogError>;
    /// Removes segments and the cells that they held; fails if one of them is no longer live.
    fn drop_segments(&mut self, removed: &[String], columns: &[ColumnRow]) -> Result<(), CatalogError>;
    /// Keeps a document instead of an earlier one with its kind, dataset and id.
    fn put_document(&mut self, kind: &str, document: &Document) -> Result<(), CatalogError>;
    /// Documents of a kind, of one dataset and with one id if given, by (dataset, id).
    fn documents(&mut self, kind: &str, dataset: Option<&str>, id: Option<&str>) -> Result<Vec<Document>, CatalogError>;
    /// Removes a document; answers whether there was one.
    fn delete_document(&mut self, kind: &str, dataset: &str, id: &str) -> Result<bool, CatalogError>;
}
