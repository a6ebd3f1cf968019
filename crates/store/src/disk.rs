//! The few file operations that durability rests on, behind a trait so that tests can inject faults.
//!
//! Owns: what "written" and "synced" mean here. Never does: decide what to write.

use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// The file system as the store uses it. Reading is not part of it.
pub trait Disk: Debug + Send + Sync {
    /// Creates an empty file; one that exists is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Makes a directory and its parents.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames a file within the data directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Asked before every catalog transaction, so that faults can be injected there too.
    fn before_catalog_write(&self) -> io::Result<()> {
        Ok(())
    }
    /// Bytes that still fit, if that can be known.
    fn free_bytes(&self, _path: &Path) -> Option<u64> {
        None
    }
    /// Ends the process: what is on disk is no longer known. Returns only in tests.
    fn fatal(&self, message: &str);
}

/// A file that is only appended to.
pub trait DiskFile: Debug + Send {
    /// Writes all bytes at the end, or fails having written some of them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes the contents durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file, durably.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // Append mode: after a truncation the next write goes to the new end.
        fs::remove_file(path).or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        Ok(Box::new(RealFile(OpenOptions::new().append(true).create_new(true).open(path)?)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        let found = rustix::fs::statvfs(path).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    #[expect(clippy::print_stderr, reason = "the last words of a process that has no logger here")]
    fn fatal(&self, message: &str) {
        eprintln!("wideye: fatal: {message}");
        std::process::abort();
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.sync_all()
    }
}

/// Whether an error means that there is no room (disk or quota).
pub(crate) fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
