//! The store as its users see it.
//!
//! Owns: the public interface. Never does: the work itself, which sits in the modules beside it.

use crate::{
    ColumnInfo, DatasetInfo, DatasetUpdate, Document, Scope, Snapshot, StoreError, StoreOptions, StoreStats, Write,
};
use model::{Batch, TimeNs};

/// A data directory in use. Clones share it; when the last one goes without [`Store::close`], the effect is that of a
/// crash: nothing acknowledged is lost, the rest of the work is done after the next start.
#[derive(Clone, Debug)]
pub struct Store {}

#[allow(unused_variables, missing_docs, clippy::todo, clippy::unused_async)]
impl Store {
    /// Locks the directory, recovers what was written, starts background threads.
    pub fn open(options: StoreOptions) -> Result<Store, StoreError> {
        todo!()
    }

    /// Completes when all writes are synced to disk and visible to [`Store::snapshot`]; on an error none of them is
    /// kept. All or nothing, also across datasets. Encodes on the caller's thread.
    pub async fn append(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        todo!()
    }

    /// Like [`Store::append`], for threads outside an async runtime.
    pub fn append_blocking(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        todo!()
    }

    /// Takes out the events that would bring the dataset over `dataset_columns_max`, and reserves the columns of the
    /// others. Answers what is left and the rows (positions in the given batch) that were refused, ascending.
    /// Call before [`Store::append`], which refuses whole requests. Creates the dataset if there is none.
    pub fn refuse_columns(&self, dataset: &str, batch: Batch) -> Result<(Batch, Vec<u32>), StoreError> {
        todo!()
    }

    /// What a question over [start, end) has to read.
    pub fn snapshot(&self, scope: &Scope, start: TimeNs, end: TimeNs) -> Result<Snapshot, StoreError> {
        todo!()
    }

    /// All datasets, by name.
    #[must_use]
    pub fn datasets(&self) -> Vec<DatasetInfo> {
        todo!()
    }

    /// One dataset.
    #[must_use]
    pub fn dataset(&self, name_or_slug: &str) -> Option<DatasetInfo> {
        todo!()
    }

    /// Creates a dataset, or answers the one with this name and `false`.
    pub fn create_dataset(&self, name: &str) -> Result<(DatasetInfo, bool), StoreError> {
        todo!()
    }

    /// Changes a dataset.
    pub fn update_dataset(&self, name_or_slug: &str, update: DatasetUpdate) -> Result<DatasetInfo, StoreError> {
        todo!()
    }

    /// Deletes a dataset with all its events and documents.
    pub fn delete_dataset(&self, name_or_slug: &str) -> Result<(), StoreError> {
        todo!()
    }

    /// Columns, by name; events in the memtable included.
    pub fn columns(&self, scope: &Scope) -> Result<Vec<ColumnInfo>, StoreError> {
        todo!()
    }

    /// Whether any event of the scope ever had this column.
    #[must_use]
    pub fn has_column(&self, scope: &Scope, name: &str) -> bool {
        todo!()
    }

    /// Keeps a document durably, instead of an earlier one with this id. `dataset` is a name or slug, or empty.
    pub fn put_document(&self, kind: &str, dataset: &str, id: &str, body: &serde_json::Value) -> Result<(), StoreError> {
        todo!()
    }

    /// One document.
    pub fn document(&self, kind: &str, dataset: &str, id: &str) -> Result<Option<Document>, StoreError> {
        todo!()
    }

    /// The documents of a kind and dataset, by id.
    pub fn documents(&self, kind: &str, dataset: &str) -> Result<Vec<Document>, StoreError> {
        todo!()
    }

    /// The documents of a kind in all datasets and outside of any, by (dataset, id).
    pub fn documents_of_kind(&self, kind: &str) -> Result<Vec<Document>, StoreError> {
        todo!()
    }

    /// Removes a document; answers whether there was one.
    pub fn delete_document(&self, kind: &str, dataset: &str, id: &str) -> Result<bool, StoreError> {
        todo!()
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        todo!()
    }

    /// Turns the memtable into segments now.
    pub fn seal_now(&self) -> Result<(), StoreError> {
        todo!()
    }

    /// Compacts until there is nothing left to compact; answers the number of merges.
    pub fn compact_now(&self) -> Result<usize, StoreError> {
        todo!()
    }

    /// Drops segments that retention no longer keeps; answers how many.
    pub fn retain_now(&self) -> Result<usize, StoreError> {
        todo!()
    }

    /// Ends writing: what is queued is written, the memtable is sealed if there is room, threads end, the directory is
    /// unlocked. Questions still work; writes answer [`StoreError::Closed`].
    pub fn close(&self) -> Result<(), StoreError> {
        todo!()
    }
}
