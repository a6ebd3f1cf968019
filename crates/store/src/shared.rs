//! What all threads of a store share, and the small tools that they use.
//!
//! Owns: the locks and their order, the memory budget, counters. Never does: background work itself.
//!
//! Locks are taken in this order, and may be skipped: seal or compaction, catalog, write-ahead log, state, columns.

use crate::{
    StoreError, StoreOptions,
    catalog::{Catalog, CatalogError},
    disk::Disk,
    live::SegmentFile,
    queue::Queue,
    state::State,
    types::{RecoveryReport, Work},
    wal::Wal,
};
use hashbrown::HashSet;
use model::TimeNs;
use parking_lot::{Condvar, Mutex, RwLock};
use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// Where things are in a data directory.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) root: PathBuf,
    pub(crate) lock: PathBuf,
    pub(crate) catalog: PathBuf,
    pub(crate) wal: PathBuf,
    /// Damaged write-ahead files whose readable records are in segments.
    pub(crate) damaged: PathBuf,
    pub(crate) segments: PathBuf,
}

impl Paths {
    pub(crate) fn new(root: &Path) -> Paths {
        Paths {
            root: root.to_path_buf(),
            lock: root.join("LOCK"),
            catalog: root.join("catalog.sqlite"),
            wal: root.join("wal"),
            damaged: root.join("wal").join("damaged"),
            segments: root.join("segments"),
        }
    }
}

/// Wakes a background thread.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    wake: Condvar,
}

impl Bell {
    pub(crate) fn ring(&self) {
        *self.rung.lock() = true;
        self.wake.notify_all();
    }

    /// Waits until it rings, or for a time.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        let mut rung = self.rung.lock();
        if !*rung {
            match timeout {
                Some(timeout) => drop(self.wake.wait_for(&mut rung, timeout)),
                None => self.wake.wait(&mut rung),
            }
        }
        *rung = false;
    }
}

/// See [`crate::StoreStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appends: AtomicU64,
    pub(crate) append_rows: AtomicU64,
    pub(crate) append_failures: AtomicU64,
    pub(crate) disk_full: AtomicBool,
    pub(crate) fsyncs: AtomicU64,
    pub(crate) fsync_ns_total: AtomicU64,
    pub(crate) fsync_ns_max: AtomicU64,
    pub(crate) seals: AtomicU64,
    pub(crate) seal_failures: AtomicU64,
    pub(crate) coalesces: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) compaction_rows: AtomicU64,
    pub(crate) compaction_failures: AtomicU64,
    pub(crate) retained_away: AtomicU64,
    pub(crate) overflow_events: AtomicU64,
    pub(crate) overflow_fields: AtomicU64,
    /// By [`Work`].
    pub(crate) cpu_ns: [AtomicU64; Work::ALL.len()],
    /// Last failure per job; none once it succeeded again.
    pub(crate) failures: Mutex<std::collections::BTreeMap<&'static str, String>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: StoreOptions,
    pub(crate) paths: Paths,
    pub(crate) seal_turn: Mutex<()>,
    pub(crate) compact_turn: Mutex<CompactTurn>,
    /// None once closed.
    pub(crate) catalog: Mutex<Option<Box<dyn Catalog>>>,
    pub(crate) wal: Mutex<Wal>,
    pub(crate) state: RwLock<State>,
    pub(crate) queue: Queue,
    /// Bytes that queue and memtable take.
    pub(crate) budget: AtomicUsize,
    /// Bytes of write-ahead files.
    pub(crate) wal_bytes: AtomicU64,
    pub(crate) counters: Counters,
    pub(crate) recovery: RecoveryReport,
    /// Datasets whose directory is known to survive a crash.
    pub(crate) durable_dirs: Mutex<BTreeSet<u64>>,
    /// Segments that are no longer live, until nothing reads them.
    pub(crate) doomed: Mutex<Vec<Arc<SegmentFile>>>,
    /// Datasets with many small images.
    pub(crate) crowded: Mutex<BTreeSet<u64>>,
    pub(crate) seal_bell: Bell,
    pub(crate) coalesce_bell: Bell,
    pub(crate) compact_bell: Bell,
    /// Seal as soon as possible, whatever the size.
    pub(crate) seal_soon: AtomicBool,
    pub(crate) stop: AtomicBool,
    pub(crate) next_id: AtomicU64,
    /// Depends on the live segments, so that no name of theirs can come up again.
    pub(crate) id_seed: u64,
    /// Holds the directory; none once closed.
    pub(crate) lock: Mutex<Option<File>>,
}

/// What compaction remembers between turns.
#[derive(Debug, Default)]
pub(crate) struct CompactTurn {
    /// The dataset that had the last turn.
    pub(crate) last_dataset: u64,
    /// Segments that could not be read.
    pub(crate) unreadable: HashSet<String>,
}

impl Shared {
    /// Does something, and counts its CPU time.
    pub(crate) fn metered<T>(&self, work: Work, job: impl FnOnce() -> T) -> T {
        let began = (self.options.thread_cpu_ns)();
        let done = job();
        self.counters.cpu_ns[work as usize].fetch_add((self.options.thread_cpu_ns)().saturating_sub(began), Relaxed);
        done
    }

    pub(crate) fn now(&self) -> TimeNs {
        (self.options.clock)()
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.options.disk
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// A new name for a file: sortable by time, unique.
    pub(crate) fn new_id(&self) -> String {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.id_seed.to_le_bytes());
        key[8..].copy_from_slice(&self.next_id.fetch_add(1, Relaxed).to_le_bytes());
        let ms = u64::try_from(self.now() / 1_000_000).unwrap_or(0);
        ulid::Ulid::from_parts(ms, model::hash128(&key)).to_string()
    }

    /// Reserves memory for events, or says that there is too much waiting.
    pub(crate) fn reserve(&self, cost: usize) -> Result<(), StoreError> {
        let limit = self.options.limits.memtable_bytes_max;
        // An empty store takes any request, or one above the limit could never be kept.
        let fits = |used: usize| (used == 0 || used + cost <= limit).then_some(used + cost);
        match self.budget.fetch_update(Relaxed, Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(bytes) => Err(StoreError::Overloaded { bytes, limit }),
        }
    }

    pub(crate) fn release(&self, cost: usize) {
        self.budget.fetch_sub(cost, Relaxed);
    }

    /// One change of the catalog, whose lock the caller holds so that memory can follow before anyone else looks.
    pub(crate) fn change<T>(
        &self,
        catalog: &mut Option<Box<dyn Catalog>>,
        change: impl FnOnce(&mut dyn Catalog) -> Result<T, CatalogError>,
    ) -> Result<T, StoreError> {
        let catalog = catalog.as_mut().ok_or(StoreError::Closed)?;
        self.disk().before_catalog_write().map_err(|e| StoreError::io("write the catalog", &self.paths.catalog, e))?;
        let result = change(&mut **catalog);
        if let Err(CatalogError::SyncFailed { source }) = &result {
            self.disk().fatal(&format!("cannot sync the catalog: {source}"));
        }
        Ok(result?)
    }

    /// One look into the catalog.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut dyn Catalog) -> Result<T, CatalogError>) -> Result<T, StoreError> {
        let mut catalog = self.catalog.lock();
        Ok(look(&mut **catalog.as_mut().ok_or(StoreError::Closed)?)?)
    }

    /// Remembers how a job went, for the statistics.
    pub(crate) fn note<T>(&self, job: &'static str, result: &Result<T, StoreError>) {
        let mut failures = self.counters.failures.lock();
        match result {
            Ok(_) => drop(failures.remove(job)),
            Err(e) => drop(failures.insert(job, format!("{job}: {}", chain(e)))),
        }
    }

    /// Ends the background threads; what waits in the queue is still written.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
        self.queue.close();
        self.seal_bell.ring();
        self.coalesce_bell.ring();
        self.compact_bell.ring();
    }
}

/// An error with its causes.
pub(crate) fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}
