//! What is in memory of every dataset: names, memtable, live segments, columns.
//!
//! Owns: that a reader sees each event exactly once. Never does: I/O.

use crate::{
    DatasetInfo, Scope, Segment, StoreError,
    catalog::DatasetRow,
    columns::Columns,
    live::SegmentFile,
    memtable::{self, Memtable},
    names::Names,
};
use model::TimeNs;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// One dataset.
#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) row: DatasetRow,
    pub(crate) memtable: Memtable,
    pub(crate) segments: Vec<Arc<SegmentFile>>,
    pub(crate) columns: Arc<Mutex<Columns>>,
}

/// All datasets, and what decides when to seal.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) datasets: BTreeMap<u64, Dataset>,
    pub(crate) names: Names,
    /// Records up to this number are in segments.
    pub(crate) flushed: u64,
    /// A seal is under way, or failed and will be tried again: records up to this number are frozen.
    pub(crate) frozen_upto: Option<u64>,
    /// Cost of what is active.
    pub(crate) active_bytes: usize,
    /// When the oldest of it came.
    pub(crate) active_since: Option<TimeNs>,
    /// When the youngest came.
    pub(crate) last_write: TimeNs,
}

/// A part of a snapshot, not opened yet.
#[derive(Debug)]
pub(crate) enum Part {
    Memory(Arc<Segment>),
    File(Arc<SegmentFile>),
}

impl State {
    pub(crate) fn insert(&mut self, row: DatasetRow) -> &mut Dataset {
        self.names.insert(&row.name, &row.slug, row.id);
        let id = row.id;
        let new = Dataset { row, memtable: Memtable::default(), segments: Vec::new(), columns: Arc::default() };
        self.datasets.entry(id).or_insert(new)
    }

    pub(crate) fn find(&self, name_or_slug: &str) -> Option<&Dataset> {
        self.names.find(name_or_slug).and_then(|id| self.datasets.get(&id))
    }

    pub(crate) fn find_slug(&self, slug_or_name: &str) -> Option<&Dataset> {
        self.names.find_slug(slug_or_name).and_then(|id| self.datasets.get(&id))
    }

    /// The datasets of a scope.
    pub(crate) fn scope(&self, scope: &Scope) -> Result<Vec<&Dataset>, StoreError> {
        match scope {
            Scope::All => Ok(self.datasets.values().collect()),
            Scope::Dataset(name) => self.find(name).map(|d| vec![d]).ok_or_else(|| StoreError::UnknownDataset { name: name.clone() }),
        }
    }

    /// Makes images visible. Those of a dataset that was deleted meanwhile are dropped; answers their cost, and the
    /// datasets that now have many images.
    pub(crate) fn publish(&mut self, pieces: &[(u64, Arc<Segment>)], now: TimeNs) -> (usize, Vec<u64>) {
        let mut dropped = 0;
        let mut crowded = Vec::new();
        for (id, piece) in pieces {
            let Some(dataset) = self.datasets.get_mut(id) else {
                dropped += memtable::cost(piece);
                continue;
            };
            dataset.memtable.push(Arc::clone(piece));
            dataset.row.last_written_at = dataset.row.last_written_at.max(Some(now));
            if dataset.memtable.is_crowded() {
                crowded.push(*id);
            }
            self.active_bytes += memtable::cost(piece);
            self.active_since.get_or_insert(now);
        }
        self.last_write = now;
        (dropped, crowded)
    }

    /// Freezes everything that is active.
    pub(crate) fn freeze(&mut self, upto: u64) {
        for dataset in self.datasets.values_mut() {
            dataset.memtable.freeze();
        }
        self.frozen_upto = Some(upto);
        self.active_bytes = 0;
        self.active_since = None;
    }

    /// Everything of a scope that may hold events of [start, end), newest first, with the dataset's name.
    pub(crate) fn parts(&self, scope: &Scope, start: TimeNs, end: TimeNs) -> Result<Vec<(String, Part)>, StoreError> {
        let mut found = Vec::new();
        for dataset in self.scope(scope)? {
            for piece in dataset.memtable.pieces() {
                let (min, max) = piece.times();
                if max >= start && min < end {
                    found.push((max, &dataset.row.name, Part::Memory(Arc::clone(piece))));
                }
            }
            for file in dataset.segments.iter().filter(|f| f.overlaps(start, end)) {
                found.push((file.row.max_time, &dataset.row.name, Part::File(Arc::clone(file))));
            }
        }
        found.sort_by_key(|(max, ..)| std::cmp::Reverse(*max));
        Ok(found.into_iter().map(|(_, name, part)| (name.clone(), part)).collect())
    }
}

impl Dataset {
    pub(crate) fn info(&self) -> DatasetInfo {
        let memory = self.memtable.pieces().fold((0, 0), |(rows, bytes), p| (rows + p.n_rows() as u64, bytes + p.bytes().len() as u64));
        let disk = self.segments.iter().fold((0, 0), |(rows, bytes), s| (rows + s.row.rows, bytes + s.row.bytes));
        let columns = self.columns.lock();
        DatasetInfo {
            id: self.row.id,
            name: self.row.name.clone(),
            slug: self.row.slug.clone(),
            description: self.row.description.clone(),
            expand_json_depth: self.row.expand_json_depth,
            retention: self.row.retention,
            created_at: self.row.created_at,
            last_written_at: self.row.last_written_at,
            n_rows: memory.0 + disk.0,
            bytes: memory.1 + disk.1,
            n_columns: columns.n_live(),
            overflow_events: columns.n_overflowed(),
            n_segments: self.segments.len(),
        }
    }
}
