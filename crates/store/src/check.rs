//! Verifies a data directory that no server uses.
//!
//! Owns: reading everything once and naming what is wrong. Never does: change or repair anything.

use crate::StoreError;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Something that a check met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckFinding {
    /// Whether events are damaged or lost. Else it is what the next start tidies away.
    pub damage: bool,
    /// The file.
    pub path: PathBuf,
    /// Bytes of the file, end exclusive.
    pub range: Option<(u64, u64)>,
    /// What is wrong.
    pub message: String,
}

/// What a check read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckSummary {
    /// Datasets in the catalog.
    pub n_datasets: usize,
    /// Segments verified.
    pub n_segments: usize,
    /// Events in them.
    pub segment_rows: u64,
    /// Bytes of them.
    pub segment_bytes: u64,
    /// Write-ahead files read.
    pub wal_files: usize,
    /// Valid records in them.
    pub wal_records: u64,
    /// Events that the next start will replay.
    pub wal_rows: u64,
    /// Findings that are damage.
    pub n_damaged: usize,
}

/// Reads every byte of a data directory and reports what is wrong. Works read-only.
#[allow(unused_variables, clippy::todo)]
pub fn check(data_dir: &Path, report: &mut dyn FnMut(CheckFinding)) -> Result<CheckSummary, StoreError> {
    todo!()
}
