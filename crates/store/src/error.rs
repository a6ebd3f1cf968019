//! What can go wrong in the store, in words that say what to do.
//!
//! Owns: the public error and its kind. Never does: logging or retrying.

use crate::{catalog::CatalogError, segment::SegmentError};
use model::ErrorKind;
use std::{io, path::PathBuf};

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the data directory.
    #[error("data directory is in use by another process: stop that process or name another directory path={}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot {action} path={}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The disk has no room for writes; questions go on.
    #[error("disk is full: free space and send again")]
    DiskFull,
    /// The write-ahead log could not take the events; none of them was kept.
    #[error("cannot write to the write-ahead log: send again later reason={reason}")]
    WriteFailed {
        /// What the system said.
        reason: String,
    },
    /// Unsealed events take all the memory they may.
    #[error("too many events wait to be sealed: send again later bytes={bytes} limit={limit}")]
    Overloaded {
        /// Bytes in memory.
        bytes: usize,
        /// `memtable_bytes_max`.
        limit: usize,
    },
    /// The store is closing or was closed.
    #[error("store is closed: send again after the restart")]
    Closed,
    /// Nothing has this name.
    #[error("no such dataset: name={name:?}")]
    UnknownDataset {
        /// The name or slug asked for.
        name: String,
    },
    /// Not a name that a dataset can have.
    #[error("dataset name must have 1 to {limit} bytes and not be __all__, which means all datasets: name={name:?}")]
    DatasetName {
        /// The name.
        name: String,
        /// `dataset_name_bytes_max`.
        limit: usize,
    },
    /// The store has all the datasets it may have.
    #[error("too many datasets: delete some or send to an existing one limit={limit}")]
    TooManyDatasets {
        /// `datasets_max`.
        limit: usize,
    },
    /// One request does not fit one record.
    #[error("too many events in one request: send smaller requests bytes={bytes} limit={limit}")]
    TooLarge {
        /// Encoded bytes.
        bytes: usize,
        /// What a record can hold.
        limit: usize,
    },
    /// Segments exist but the catalog is new: to go on would delete them.
    #[error("catalog is missing but there are segments: restore catalog.sqlite from a backup, or move the directory away to start afresh path={}", path.display())]
    CatalogMissing {
        /// Where segments were found.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error("{what} has format version {version}: start a version of wideye that knows it")]
    NewerFormat {
        /// Which file.
        what: String,
        /// Its version.
        version: u64,
    },
    /// The catalog failed.
    #[error("catalog failed")]
    Catalog(#[source] CatalogError),
    /// A segment cannot be read.
    #[error("segment cannot be read: run `wideye check` path={}", path.display())]
    Segment {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: SegmentError,
    },
    /// A segment does not hold what it was written from.
    #[error("segment has {found} rows instead of {expected}: report this defect")]
    RowsDiffer {
        /// Rows that went in.
        expected: usize,
        /// Rows that came out.
        found: usize,
    },
}

impl StoreError {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            StoreError::Locked { .. } => ErrorKind::Conflict,
            StoreError::Io { .. } | StoreError::DiskFull | StoreError::WriteFailed { .. } | StoreError::Closed => ErrorKind::Unavailable,
            StoreError::Overloaded { .. } => ErrorKind::Exhausted,
            StoreError::UnknownDataset { .. } => ErrorKind::NotFound,
            StoreError::DatasetName { .. } | StoreError::TooManyDatasets { .. } => ErrorKind::Invalid,
            StoreError::TooLarge { .. } => ErrorKind::TooLarge,
            StoreError::CatalogMissing { .. } | StoreError::NewerFormat { .. } | StoreError::Segment { .. } => ErrorKind::Data,
            StoreError::RowsDiffer { .. } => ErrorKind::Internal,
            StoreError::Catalog(e) => e.kind(),
        }
    }

    /// An I/O failure, with a full disk told apart.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> StoreError {
        if crate::disk::is_full(&source) { StoreError::DiskFull } else { StoreError::Io { action, path: path.into(), source } }
    }
}

impl From<CatalogError> for StoreError {
    fn from(e: CatalogError) -> Self {
        if e.is_full() { StoreError::DiskFull } else { StoreError::Catalog(e) }
    }
}
