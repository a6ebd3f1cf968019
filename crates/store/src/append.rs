//! From a request to the acknowledgement: encode, queue, write, publish.
//!
//! Owns: that an acknowledged event is on disk and visible, and that of a refused request nothing is kept.
//! Never does: decide what to refuse, apart from the limit of memory.

use crate::{
    Segment, StoreError, Work, Write,
    catalog::DatasetRow,
    memtable,
    overflow::{self, Overflow},
    queue::Group,
    segment,
    shared::Shared,
    wal::{AppendError, BODY_BYTES_MAX},
};
use model::{Batch, TimeNs};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::sync::oneshot;

/// Bytes written and synced at once, unless a single request is larger.
const BATCH_BYTES: usize = 8 << 20;

pub(crate) type Ack = oneshot::Receiver<Result<(), StoreError>>;

impl Shared {
    /// Encodes and queues a request. `None`: there was nothing in it.
    pub(crate) fn submit(&self, writes: Vec<Write>) -> Result<Option<Ack>, StoreError> {
        let mut pieces = Vec::with_capacity(writes.len());
        let result = self.metered(Work::Encode, || self.try_submit(writes, &mut pieces));
        if result.is_err() {
            self.counters.append_failures.fetch_add(1, Relaxed);
            self.unadmit(&pieces);
        }
        result
    }

    fn try_submit(&self, writes: Vec<Write>, pieces: &mut Vec<(u64, Arc<Segment>)>) -> Result<Option<Ack>, StoreError> {
        if self.stopping() {
            return Err(StoreError::Closed);
        }
        // Before any work is done for it.
        let (bytes, limit) = (self.budget.load(Relaxed), self.options.limits.memtable_bytes_max);
        if bytes >= limit {
            return Err(StoreError::Overloaded { bytes, limit });
        }
        for write in writes.into_iter().filter(|w| w.batch.n_rows > 0) {
            let id = self.ensure_dataset(&write.dataset)?;
            let batch = if write.fitted { write.batch } else { self.fit(id, write.batch).0 };
            let image = segment::encode(&batch);
            let piece = Segment::from_bytes(image).map_err(|source| StoreError::Segment { path: "(memory)".into(), source })?;
            pieces.push((id, Arc::new(piece)));
        }
        if pieces.is_empty() {
            return Ok(None);
        }
        let bytes = pieces.iter().map(|(_, p)| p.bytes().len() + 16).sum();
        if bytes > BODY_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes, limit: BODY_BYTES_MAX });
        }
        let cost = pieces.iter().map(|(_, p)| memtable::cost(p)).sum();
        self.reserve(cost)?;
        let (ack, done) = oneshot::channel();
        if self.queue.push(Group { pieces: pieces.clone(), cost, ack }).is_err() {
            self.release(cost);
            return Err(StoreError::Closed);
        }
        Ok(Some(done))
    }

    /// See [`crate::Store::fit_columns`].
    pub(crate) fn fit_columns(&self, dataset: &str, batch: Batch) -> Result<(Batch, Overflow), StoreError> {
        let id = self.ensure_dataset(dataset)?;
        Ok(self.fit(id, batch))
    }

    fn fit(&self, dataset: u64, batch: Batch) -> (Batch, Overflow) {
        let columns = self.state.read().datasets.get(&dataset).map(|d| Arc::clone(&d.columns));
        let Some(columns) = columns else { return (batch, Overflow::default()) };
        let mut columns = columns.lock();
        let over = columns.admit(&batch, self.options.limits.dataset_columns_max);
        if over.is_empty() {
            return (batch, Overflow::default());
        }
        let first = columns.first_overflow();
        drop(columns);
        let (batch, overflow) = overflow::fold(batch, &over);
        self.counters.overflow_events.fetch_add(overflow.events as u64, Relaxed);
        self.counters.overflow_fields.fetch_add(overflow.fields as u64, Relaxed);
        (batch, Overflow { first, ..overflow })
    }

    /// Gives back the columns that events reserved which were not kept.
    fn unadmit(&self, pieces: &[(u64, Arc<Segment>)]) {
        for (id, piece) in pieces {
            let columns = self.state.read().datasets.get(id).map(|d| Arc::clone(&d.columns));
            if let Some(columns) = columns {
                columns.lock().release(piece.columns().map(|c| c.name));
            }
        }
    }

    /// The dataset with this name, new or known.
    pub(crate) fn ensure_dataset(&self, name: &str) -> Result<u64, StoreError> {
        if let Some(id) = self.state.read().names.by_name(name) {
            return Ok(id);
        }
        Ok(self.create_dataset(name)?.0)
    }

    /// Creates a dataset unless there is one; answers its id and whether it is new.
    pub(crate) fn create_dataset(&self, name: &str) -> Result<(u64, bool), StoreError> {
        let limits = &self.options.limits;
        if name.trim().is_empty() || name.len() > limits.dataset_name_bytes_max || name.trim().eq_ignore_ascii_case(model::ALL_DATASETS) {
            return Err(StoreError::DatasetName { name: name.chars().take(64).collect(), limit: limits.dataset_name_bytes_max });
        }
        let mut catalog = self.catalog.lock();
        let state = self.state.read();
        if let Some(id) = state.names.by_name(name) {
            return Ok((id, false));
        }
        if state.datasets.len() >= limits.datasets_max {
            return Err(StoreError::TooManyDatasets { limit: limits.datasets_max });
        }
        let mut row = DatasetRow {
            id: 0,
            name: name.to_owned(),
            slug: state.names.free_slug(name),
            description: String::new(),
            expand_json_depth: 0,
            retention: crate::Retention::default(),
            created_at: self.now(),
            last_written_at: None,
        };
        drop(state);
        row.id = self.change(&mut catalog, |c| c.create_dataset(&row))?;
        let id = row.id;
        self.state.write().insert(row);
        Ok((id, true))
    }

    /// The writer thread: drains the queue until that is closed and empty.
    pub(crate) fn run_writer(&self) {
        while let Some(groups) = self.queue.take(BATCH_BYTES) {
            self.metered(Work::Log, || self.write(groups));
        }
    }

    fn write(&self, groups: Vec<Group>) {
        let now = self.now();
        let mut wal = self.wal.lock();
        let result = wal.append(groups.iter().map(|g| g.pieces.iter().map(|(id, p)| (*id, p.bytes())).collect()), now);
        self.wal_bytes.store(wal.size().1, Relaxed);
        self.count_fsync(now);
        match result {
            Ok(()) => {
                for group in &groups {
                    self.publish(&group.pieces, now);
                }
                drop(wal);
                self.counters.disk_full.store(false, Relaxed);
                self.acknowledge(groups);
            }
            Err(AppendError::Fatal(message)) => {
                drop(wal);
                // Whether these events are on disk is not known: no answer is right.
                self.disk().fatal(&message);
                self.queue.close();
            }
            Err(e) => {
                drop(wal);
                self.counters.disk_full.store(e == AppendError::Full, Relaxed);
                self.turn_away(groups, &e);
            }
        }
    }

    fn count_fsync(&self, started: TimeNs) {
        let ns = u64::try_from(self.now() - started).unwrap_or(0);
        self.counters.fsyncs.fetch_add(1, Relaxed);
        self.counters.fsync_ns_total.fetch_add(ns, Relaxed);
        self.counters.fsync_ns_max.fetch_max(ns, Relaxed);
    }

    fn acknowledge(&self, groups: Vec<Group>) {
        for group in groups {
            let rows: usize = group.pieces.iter().map(|(_, p)| p.n_rows()).sum();
            self.counters.appends.fetch_add(1, Relaxed);
            self.counters.append_rows.fetch_add(rows as u64, Relaxed);
            // Nobody may be waiting any more; the events are kept all the same.
            let _gone = group.ack.send(Ok(()));
        }
    }

    fn turn_away(&self, groups: Vec<Group>, why: &AppendError) {
        for group in groups {
            self.release(group.cost);
            self.unadmit(&group.pieces);
            self.counters.append_failures.fetch_add(1, Relaxed);
            let error = match why {
                AppendError::Full => StoreError::DiskFull,
                other => StoreError::WriteFailed { reason: other.to_string() },
            };
            let _gone = group.ack.send(Err(error));
        }
    }

    /// Makes events visible that are on disk.
    pub(crate) fn publish(&self, pieces: &[(u64, Arc<Segment>)], now: TimeNs) {
        for (id, piece) in pieces {
            let columns = self.state.read().datasets.get(id).map(|d| Arc::clone(&d.columns));
            if let Some(columns) = columns {
                columns.lock().add(piece, now);
            }
        }
        let mut state = self.state.write();
        let before = (state.active_since, state.active_bytes);
        let (dropped, crowded) = state.publish(pieces, now);
        let after = state.active_bytes;
        drop(state);
        self.release(dropped);
        if !crowded.is_empty() {
            self.crowded.lock().extend(crowded);
            self.coalesce_bell.ring();
        }
        let limit = self.options.seal_bytes;
        if before.0.is_none() || (before.1 < limit && after >= limit) {
            self.seal_bell.ring();
        }
    }
}
