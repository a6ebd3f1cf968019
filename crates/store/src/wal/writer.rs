//! Appends records: one write and one sync for all requests that wait.
//!
//! Owns: the open file, and taking back what failed, durably. Never does: acknowledge.

use super::{
    Replay, file_path,
    frame::{FileHeader, RecordHeader, encode_record},
};
use crate::disk::{Disk, DiskFile, is_full};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The buffer is not kept when it grew past this.
const BUFFER_KEEP_BYTES: usize = 32 << 20;

/// Why records were not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppendError {
    /// No room. Nothing was kept.
    #[error("disk is full")]
    Full,
    /// Another failure. Nothing was kept.
    #[error("{0}")]
    Io(String),
    /// What is on disk is not known: the process must end and recover.
    #[error("{0}")]
    Fatal(String),
}

#[derive(Debug)]
struct OpenFile {
    file: Box<dyn DiskFile>,
    number: u64,
    salt: u64,
    /// Bytes that are synced and acknowledged.
    len: u64,
    last_sequence: u64,
}

/// A file that gets no more records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClosedFile {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    /// Its last record; none if there is no valid one.
    pub(crate) last_sequence: Option<u64>,
    /// Damaged: put it aside instead of removing it.
    pub(crate) damaged: bool,
}

/// The write-ahead log in use.
#[derive(Debug)]
pub(crate) struct Wal {
    dir: PathBuf,
    /// Where damaged files go.
    aside: PathBuf,
    disk: Arc<dyn Disk>,
    seed: u64,
    file_bytes_max: u64,
    open: Option<OpenFile>,
    closed: Vec<ClosedFile>,
    next_number: u64,
    next_sequence: u64,
    buffer: Vec<u8>,
    broken: bool,
}

impl Wal {
    /// Goes on after a recovery. Writes nothing yet: a start must work on a full disk.
    pub(crate) fn new(dir: &Path, aside: &Path, disk: Arc<dyn Disk>, seed: u64, file_bytes_max: u64, replay: &Replay) -> Wal {
        Wal {
            dir: dir.to_path_buf(),
            aside: aside.to_path_buf(),
            disk,
            seed,
            file_bytes_max,
            open: None,
            closed: replay.files.clone(),
            next_number: replay.last_number + 1,
            next_sequence: replay.last_sequence + 1,
            buffer: Vec::new(),
            broken: false,
        }
    }

    /// The last sequence number used.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    /// Files and bytes on disk.
    pub(crate) fn size(&self) -> (usize, u64) {
        let open = self.open.as_ref();
        (self.closed.len() + usize::from(open.is_some()), self.closed.iter().map(|f| f.bytes).sum::<u64>() + open.map_or(0, |f| f.len))
    }

    /// Whether a damaged file waits to be put aside.
    pub(crate) fn has_damage(&self) -> bool {
        self.closed.iter().any(|f| f.damaged)
    }

    /// Writes one record per group and syncs. On any error but `Fatal` no byte of any group is left, durably.
    pub(crate) fn append<'a>(&mut self, groups: impl Iterator<Item = Vec<(u64, &'a [u8])>>, now: i64) -> Result<(), AppendError> {
        if self.broken {
            return Err(AppendError::Fatal("the write-ahead log failed before".into()));
        }
        let result = self.try_append(groups, now);
        self.broken = matches!(result, Err(AppendError::Fatal(_)));
        if self.buffer.capacity() > BUFFER_KEEP_BYTES {
            self.buffer = Vec::new();
        }
        result
    }

    fn try_append<'a>(&mut self, groups: impl Iterator<Item = Vec<(u64, &'a [u8])>>, now: i64) -> Result<(), AppendError> {
        if self.open.as_ref().is_some_and(|f| f.len >= self.file_bytes_max) {
            self.rotate();
        }
        let is_new = self.open.is_none();
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.create()?,
        };
        self.buffer.clear();
        if is_new {
            self.buffer.extend_from_slice(&FileHeader { salt: open.salt, first_sequence: self.next_sequence }.encode());
        }
        let batch_first = self.next_sequence;
        let mut sequence = batch_first;
        for images in groups {
            encode_record(RecordHeader { salt: open.salt, sequence, batch_first, written_at: now }, &images, &mut self.buffer);
            sequence += 1;
        }
        if let Err(e) = open.file.append(&self.buffer) {
            // A crash right after the refusal must not bring back what was refused: the cut has to be on disk first.
            open.file
                .truncate(open.len)
                .map_err(|cut| AppendError::Fatal(format!("cannot take back a failed write to the write-ahead log: {cut} (after: {e})")))?;
            if is_new {
                // Empty and durably so; if it cannot be removed either, recovery finds an empty file.
                let _gone = self.disk.remove(&file_path(&self.dir, open.number));
            } else {
                self.open = Some(open);
            }
            return Err(if is_full(&e) { AppendError::Full } else { AppendError::Io(e.to_string()) });
        }
        open.file.sync().map_err(|e| AppendError::Fatal(format!("cannot sync the write-ahead log: {e}")))?;
        if is_new {
            self.disk.sync_dir(&self.dir).map_err(|e| AppendError::Fatal(format!("cannot sync the write-ahead directory: {e}")))?;
        }
        open.len += self.buffer.len() as u64;
        open.last_sequence = sequence - 1;
        self.next_sequence = sequence;
        self.open = Some(open);
        Ok(())
    }

    fn create(&mut self) -> Result<OpenFile, AppendError> {
        let number = self.next_number;
        let path = file_path(&self.dir, number);
        let file = self.disk.create(&path).map_err(|e| if is_full(&e) { AppendError::Full } else { AppendError::Io(e.to_string()) })?;
        self.next_number += 1;
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..].copy_from_slice(&number.to_le_bytes());
        Ok(OpenFile { file, number, salt: model::hash64(&key), len: 0, last_sequence: self.next_sequence - 1 })
    }

    /// Closes the open file: the next record starts a new one. Answers the last sequence number before.
    pub(crate) fn rotate(&mut self) -> u64 {
        if let Some(open) = self.open.take() {
            self.closed.push(ClosedFile {
                path: file_path(&self.dir, open.number),
                bytes: open.len,
                last_sequence: Some(open.last_sequence),
                damaged: false,
            });
        }
        self.last_sequence()
    }

    /// Removes files whose records are all in segments. What cannot be removed now is tried again later.
    pub(crate) fn remove_flushed(&mut self, flushed: u64) {
        let (disk, aside) = (Arc::clone(&self.disk), self.aside.clone());
        self.closed.retain(|file| {
            if file.last_sequence.is_some_and(|last| last > flushed) {
                return true;
            }
            if file.damaged { put_aside(&*disk, &file.path, &aside).is_err() } else { disk.remove(&file.path).is_err() }
        });
    }
}

/// Moves a damaged file out of the way, under a name that is free.
fn put_aside(disk: &dyn Disk, path: &Path, aside: &Path) -> std::io::Result<()> {
    disk.create_dir(aside)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let target = (0u32..).map(|i| aside.join(if i == 0 { name.clone() } else { format!("{name}.{i}") })).find(|p| !p.exists());
    match target {
        Some(target) => disk.rename(path, &target),
        None => Ok(()),
    }
}
