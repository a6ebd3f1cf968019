//! The store as its users see it.
//!
//! Owns: the public interface. Never does: the work itself, which sits in the modules beside it.

use crate::{
    ColumnInfo, DatasetInfo, DatasetUpdate, Document, Overflow, Scope, Snapshot, StoreError, StoreOptions, StoreStats, Work, Write,
    append::Ack, background, recover, shared::Shared, state::Part,
};
use hashbrown::HashMap;
use model::{Batch, TimeNs};
use parking_lot::Mutex;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
};

/// A data directory in use. Clones share it; when the last one goes without [`Store::close`], the effect is that of a
/// crash: nothing acknowledged is lost, the rest of the work is done after the next start.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.shared.stop();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            // A thread that panicked has said so itself.
            let _ended = thread.join();
        }
    }
}

fn answer(ack: Result<Result<(), StoreError>, tokio::sync::oneshot::error::RecvError>) -> Result<(), StoreError> {
    // The writer went away without an answer: whether the events were kept is not known.
    ack.unwrap_or(Err(StoreError::Closed))
}

impl Store {
    /// Locks the directory, recovers what was written, starts background threads.
    pub fn open(options: StoreOptions) -> Result<Store, StoreError> {
        let shared = Arc::new(recover::open(options)?);
        let inner = Arc::new(Inner { shared: Arc::clone(&shared), threads: Mutex::default() });
        *inner.threads.lock() = background::start(&shared)?;
        Ok(Store { inner })
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// Completes when all writes are synced to disk and visible to [`Store::snapshot`]; on an error none of them is
    /// kept. All or nothing, also across datasets. Encodes on the caller's thread. If the future is dropped, the
    /// events may be kept.
    pub async fn append(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let ack: Option<Ack> = self.shared().submit(writes)?;
        match ack {
            Some(ack) => answer(ack.await),
            None => Ok(()),
        }
    }

    /// Like [`Store::append`], for threads outside an async runtime.
    pub fn append_blocking(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        match self.shared().submit(writes)? {
            Some(ack) => answer(ack.blocking_recv()),
            None => Ok(()),
        }
    }

    /// Reserves the columns of a batch. Fields that would bring the dataset over `dataset_columns_max` are moved to
    /// [`crate::OVERFLOW_COLUMN`]. [`Store::append`] does the same and does not tell. Creates the dataset if there is none.
    pub fn fit_columns(&self, dataset: &str, batch: Batch) -> Result<(Batch, Overflow), StoreError> {
        self.shared().fit_columns(dataset, batch)
    }

    /// What a question over [start, end) has to read.
    pub fn snapshot(&self, scope: &Scope, start: TimeNs, end: TimeNs) -> Result<Snapshot, StoreError> {
        let parts = self.shared().state.read().parts(scope, start, end)?;
        let mut snapshot = Snapshot::default();
        for (dataset, part) in parts {
            // Opened outside of the lock; the handle keeps the file from being deleted meanwhile.
            match part {
                Part::Memory(piece) => snapshot.segments.push(piece),
                Part::File(file) => {
                    snapshot.segments.push(file.get()?);
                    snapshot.pins.push(file);
                }
            }
            snapshot.datasets.push(dataset);
        }
        Ok(snapshot)
    }

    /// All datasets, by name.
    #[must_use]
    pub fn datasets(&self) -> Vec<DatasetInfo> {
        let mut all: Vec<DatasetInfo> = self.shared().state.read().datasets.values().map(crate::state::Dataset::info).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// One dataset.
    #[must_use]
    pub fn dataset(&self, name_or_slug: &str) -> Option<DatasetInfo> {
        self.shared().state.read().find(name_or_slug).map(crate::state::Dataset::info)
    }

    /// One dataset: that of this slug before one of this name.
    #[must_use]
    pub fn dataset_by_slug(&self, slug_or_name: &str) -> Option<DatasetInfo> {
        let state = self.shared().state.read();
        state.find_slug(slug_or_name).map(crate::state::Dataset::info)
    }

    /// Creates a dataset, or answers the one with this name and `false`.
    pub fn create_dataset(&self, name: &str) -> Result<(DatasetInfo, bool), StoreError> {
        let (id, new) = self.shared().create_dataset(name)?;
        let info = self.shared().state.read().datasets.get(&id).map(crate::state::Dataset::info);
        info.map(|info| (info, new)).ok_or_else(|| StoreError::UnknownDataset { name: name.to_owned() })
    }

    /// Changes a dataset: that of this slug before one of this name.
    pub fn update_dataset(&self, slug_or_name: &str, update: DatasetUpdate) -> Result<DatasetInfo, StoreError> {
        let shared = self.shared();
        let unknown = || StoreError::UnknownDataset { name: slug_or_name.to_owned() };
        let mut catalog = shared.catalog.lock();
        let mut row = shared.state.read().find_slug(slug_or_name).map(|d| d.row.clone()).ok_or_else(unknown)?;
        row.description = update.description.unwrap_or(row.description);
        row.expand_json_depth = update.expand_json_depth.unwrap_or(row.expand_json_depth);
        row.retention = update.retention.unwrap_or(row.retention);
        shared.change(&mut catalog, |c| c.update_dataset(&row))?;
        let mut state = shared.state.write();
        let dataset = state.datasets.get_mut(&row.id).ok_or_else(unknown)?;
        // The time of the last write may have moved on.
        row.last_written_at = dataset.row.last_written_at;
        dataset.row = row;
        let info = dataset.info();
        drop((state, catalog));
        shared.compact_bell.ring();
        Ok(info)
    }

    /// Deletes a dataset (that of this slug before one of this name) with all its events and documents.
    pub fn delete_dataset(&self, slug_or_name: &str) -> Result<(), StoreError> {
        let shared = self.shared();
        let mut catalog = shared.catalog.lock();
        let found = shared.state.read().find_slug(slug_or_name).map(|d| d.row.id);
        let id = found.ok_or_else(|| StoreError::UnknownDataset { name: slug_or_name.to_owned() })?;
        let now = shared.now();
        shared.change(&mut catalog, |c| c.delete_dataset(id, now))?;
        let mut state = shared.state.write();
        if let Some(mut dataset) = state.datasets.remove(&id) {
            state.names.remove(&dataset.row.name, &dataset.row.slug);
            let frozen = dataset.memtable.drop_frozen();
            let active = dataset.memtable.clear();
            state.active_bytes = state.active_bytes.saturating_sub(active);
            drop((state, catalog));
            shared.release(frozen + active);
            shared.doom(dataset.segments.into_iter());
        }
        Ok(())
    }

    /// Columns, by name; events in the memtable included.
    pub fn columns(&self, scope: &Scope) -> Result<Vec<ColumnInfo>, StoreError> {
        let lists: Vec<_> = self.shared().state.read().scope(scope)?.iter().map(|d| Arc::clone(&d.columns)).collect();
        let mut by_name = HashMap::new();
        for list in lists {
            list.lock().collect(&mut by_name);
        }
        let mut all: Vec<ColumnInfo> = by_name.into_values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        for column in &mut all {
            column.kinds.sort_unstable();
        }
        Ok(all)
    }

    /// Whether events of the scope have this column. `false` for a dataset that does not exist.
    #[must_use]
    pub fn has_column(&self, scope: &Scope, name: &str) -> bool {
        self.shared().state.read().scope(scope).is_ok_and(|list| list.iter().any(|d| d.columns.lock().has(name)))
    }

    /// The key under which documents of a dataset are kept.
    fn document_key(&self, dataset: &str) -> String {
        let found = self.shared().state.read().find_slug(dataset).map(|d| d.row.slug.clone());
        found.unwrap_or_else(|| dataset.to_lowercase())
    }

    /// Keeps a document durably, instead of an earlier one with this id. `dataset` is a slug (or a name that is no slug), or empty.
    pub fn put_document(&self, kind: &str, dataset: &str, id: &str, body: &serde_json::Value) -> Result<(), StoreError> {
        let shared = self.shared();
        let dataset = self.document_key(dataset);
        let document = Document { dataset, id: id.to_owned(), updated_at: shared.now(), body: body.clone() };
        let mut catalog = shared.catalog.lock();
        shared.change(&mut catalog, |c| c.put_document(kind, &document))
    }

    /// One document.
    pub fn document(&self, kind: &str, dataset: &str, id: &str) -> Result<Option<Document>, StoreError> {
        let dataset = self.document_key(dataset);
        Ok(self.shared().look(|c| c.documents(kind, Some(&dataset), Some(id)))?.pop())
    }

    /// The documents of a kind and dataset, by id.
    pub fn documents(&self, kind: &str, dataset: &str) -> Result<Vec<Document>, StoreError> {
        let dataset = self.document_key(dataset);
        self.shared().look(|c| c.documents(kind, Some(&dataset), None))
    }

    /// The documents of a kind in all datasets and outside of any, by (dataset, id).
    pub fn documents_of_kind(&self, kind: &str) -> Result<Vec<Document>, StoreError> {
        self.shared().look(|c| c.documents(kind, None, None))
    }

    /// The documents of a kind with this id, in whichever datasets they are, by dataset.
    pub fn documents_by_id(&self, kind: &str, id: &str) -> Result<Vec<Document>, StoreError> {
        self.shared().look(|c| c.documents(kind, None, Some(id)))
    }

    /// Removes a document; answers whether there was one.
    pub fn delete_document(&self, kind: &str, dataset: &str, id: &str) -> Result<bool, StoreError> {
        let dataset = self.document_key(dataset);
        let mut catalog = self.shared().catalog.lock();
        self.shared().change(&mut catalog, |c| c.delete_document(kind, &dataset, id))
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let shared = self.shared();
        let c = &shared.counters;
        let mut stats = StoreStats {
            doomed_segments: shared.doomed.lock().len(),
            memtable_bytes: shared.budget.load(Relaxed),
            queue_requests: shared.queue.len(),
            appends: c.appends.load(Relaxed),
            append_rows: c.append_rows.load(Relaxed),
            append_failures: c.append_failures.load(Relaxed),
            disk_full: c.disk_full.load(Relaxed),
            fsyncs: c.fsyncs.load(Relaxed),
            fsync_ns_total: c.fsync_ns_total.load(Relaxed),
            fsync_ns_max: c.fsync_ns_max.load(Relaxed),
            seals: c.seals.load(Relaxed),
            seal_failures: c.seal_failures.load(Relaxed),
            coalesces: c.coalesces.load(Relaxed),
            compactions: c.compactions.load(Relaxed),
            compaction_rows: c.compaction_rows.load(Relaxed),
            compaction_failures: c.compaction_failures.load(Relaxed),
            retained_away: c.retained_away.load(Relaxed),
            overflow_events: c.overflow_events.load(Relaxed),
            overflow_fields: c.overflow_fields.load(Relaxed),
            cpu_ns: Work::ALL.map(|work| c.cpu_ns[work as usize].load(Relaxed)),
            last_failure: c.failures.lock().values().next().cloned(),
            recovery: shared.recovery.clone(),
            ..StoreStats::default()
        };
        (stats.wal_files, stats.wal_bytes) = shared.wal.lock().size();
        let state = shared.state.read();
        stats.n_datasets = state.datasets.len();
        for dataset in state.datasets.values() {
            for piece in dataset.memtable.pieces() {
                stats.memtable_pieces += 1;
                stats.memtable_rows += piece.n_rows() as u64;
            }
            for segment in &dataset.segments {
                stats.n_segments += 1;
                stats.segment_rows += segment.row.rows;
                stats.segment_bytes += segment.row.bytes;
            }
        }
        stats
    }

    /// Turns the memtable into segments now.
    pub fn seal_now(&self) -> Result<(), StoreError> {
        // The first round may only finish what an earlier seal left.
        while self.shared().seal()? {}
        Ok(())
    }

    /// Compacts until there is nothing left to compact; answers the number of merges.
    pub fn compact_now(&self) -> Result<usize, StoreError> {
        let mut n = 0;
        while self.shared().compact()? {
            n += 1;
        }
        self.shared().collect_garbage();
        Ok(n)
    }

    /// Drops segments that retention no longer keeps; answers how many.
    pub fn retain_now(&self) -> Result<usize, StoreError> {
        let dropped = self.shared().retain();
        self.shared().collect_garbage();
        dropped
    }

    /// Ends writing: what is queued is written, the memtable is sealed if there is room, threads end, the directory is
    /// unlocked. Questions still work; writes answer [`StoreError::Closed`]. Without room for the seal the events
    /// stay in the write-ahead log, which the next start reads.
    pub fn close(&self) -> Result<(), StoreError> {
        self.inner.stop();
        let shared = self.shared();
        if shared.catalog.lock().is_none() {
            return Ok(());
        }
        let sealed = self.seal_now();
        shared.collect_garbage();
        *shared.catalog.lock() = None;
        *shared.lock.lock() = None;
        match sealed {
            Err(StoreError::DiskFull) => Ok(()),
            other => other,
        }
    }
}
