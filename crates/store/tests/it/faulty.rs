//! A disk that fills up, fails, or stops dead at a chosen operation, and then forgets what was not synced.
//!
//! Owns: faults of tests. Shared by the unit tests of the write-ahead log and the integration tests, which import
//! the disk traits into their module root. Never does: chance of its own; callers choose.
#![allow(dead_code, reason = "shared by two test binaries that each use a part")]

use super::{Disk, DiskFile, RealDisk};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Bytes that still fit.
    pub(crate) room: Option<u64>,
    /// Operations until the machine dies.
    pub(crate) operations: Option<u64>,
    /// Operations done.
    pub(crate) n_operations: u64,
    pub(crate) dead: bool,
    pub(crate) fail_sync: bool,
    pub(crate) fail_truncate: bool,
    pub(crate) fail_write: bool,
    /// What was said last.
    pub(crate) fatal: Vec<String>,
    /// Files written and bytes of them that are synced.
    synced: BTreeMap<PathBuf, u64>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<Faults>>);

impl FaultyDisk {
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().unwrap()
    }

    /// Counts an operation; past the last one everything fails.
    fn step(&self) -> io::Result<()> {
        let mut f = self.faults();
        f.n_operations += 1;
        if let Some(left) = f.operations {
            f.dead |= left == 0;
            f.operations = Some(left.saturating_sub(1));
        }
        if f.dead { Err(io::Error::other("the machine is dead")) } else { Ok(()) }
    }

    fn full() -> io::Error {
        ErrorKind::StorageFull.into()
    }

    /// Cuts each file somewhere between what is synced and its end, and overwrites some of what is left of that part.
    /// `choose(n)` answers a number below `n`.
    pub(crate) fn lose_power(&self, choose: &mut dyn FnMut(u64) -> u64) {
        for (path, synced) in &self.faults().synced {
            let Ok(mut bytes) = fs::read(path) else { continue };
            let synced = (*synced).min(bytes.len() as u64);
            let unsynced = bytes.len() as u64 - synced;
            if unsynced == 0 {
                continue;
            }
            bytes.truncate((synced + choose(unsynced + 1)) as usize);
            if choose(2) == 0 {
                for b in &mut bytes[synced as usize..] {
                    *b = if choose(8) == 0 { 0 } else { *b };
                }
            }
            fs::write(path, bytes).unwrap();
        }
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.step()?;
        let inner = RealDisk.create(path)?;
        self.faults().synced.insert(path.to_path_buf(), 0);
        Ok(Box::new(FaultyFile { disk: self.clone(), path: path.to_path_buf(), inner, len: 0 }))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.rename(from, to)?;
        let mut f = self.faults();
        if let Some(synced) = f.synced.remove(from) {
            f.synced.insert(to.to_path_buf(), synced);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.faults().synced.remove(path);
        RealDisk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.sync_dir(path)
    }

    fn before_catalog_write(&self) -> io::Result<()> {
        self.step()?;
        let full = self.faults().room.is_some_and(|room| room < 4096);
        if full { Err(Self::full()) } else { Ok(()) }
    }

    fn fatal(&self, message: &str) {
        let mut f = self.faults();
        f.fatal.push(message.to_owned());
        f.dead = true;
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    inner: Box<dyn DiskFile>,
    len: u64,
}

impl FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.len += bytes.len() as u64;
        self.inner.append(bytes)
    }
}

impl DiskFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let was_dead = self.disk.faults().dead;
        if let Err(e) = self.disk.step() {
            if !was_dead {
                // Died in the middle of it.
                self.write(&bytes[..bytes.len() / 2])?;
            }
            return Err(e);
        }
        let room = self.disk.faults().room;
        let fail = self.disk.faults().fail_write;
        if fail {
            self.write(&bytes[..bytes.len() / 3])?;
            return Err(io::Error::other("input/output error"));
        }
        if let Some(room) = room {
            let fits = (bytes.len() as u64).min(room);
            self.disk.faults().room = Some(room - fits);
            self.write(&bytes[..fits as usize])?;
            return if fits < bytes.len() as u64 { Err(FaultyDisk::full()) } else { Ok(()) };
        }
        self.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.step()?;
        if self.disk.faults().fail_sync {
            return Err(io::Error::other("input/output error"));
        }
        self.inner.sync()?;
        self.disk.faults().synced.insert(self.path.clone(), self.len);
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.step()?;
        if self.disk.faults().fail_truncate {
            return Err(io::Error::other("input/output error"));
        }
        self.inner.truncate(len)?;
        let freed = self.len - len;
        self.len = len;
        let mut f = self.disk.faults();
        f.room = f.room.map(|room| room + freed);
        f.synced.insert(self.path.clone(), len);
        Ok(())
    }
}
