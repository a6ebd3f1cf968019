//! The write-ahead log: one for all datasets, a sequence of append-only files (docs/file-format.md).
//!
//! Owns: what makes a record valid, group commit on disk, taking back what failed, recovery.
//! Never does: look into the images that records carry, or decide when events are sealed.

mod frame;
mod replay;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use frame::{BODY_BYTES_MAX, Record};
pub(crate) use replay::{Replay, replay};
pub(crate) use writer::{AppendError, Wal};

use std::{
    io,
    path::{Path, PathBuf},
};

/// The file with a number.
pub(crate) fn file_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.wal"))
}

/// Write-ahead files of a directory, by number. A directory that does not exist has none.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".wal")).and_then(|n| n.parse().ok());
        if let Some(number) = number {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}
