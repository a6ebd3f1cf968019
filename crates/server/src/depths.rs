//! To which depth nested objects become columns, per dataset.
//!
//! Owns: the few datasets that were told otherwise than the limits say. Never does: ask the store during ingest.

use parking_lot::RwLock;
use std::collections::HashMap;
use store::{DatasetInfo, Store};

/// Depths by lower-case name.
#[derive(Debug)]
pub(crate) struct Depths {
    default: usize,
    told: RwLock<HashMap<String, usize>>,
}

impl Depths {
    pub(crate) fn load(store: &Store, default: usize) -> Depths {
        let depths = Depths { default, told: RwLock::default() };
        for dataset in store.datasets() {
            depths.learn(&dataset);
        }
        depths
    }

    pub(crate) fn learn(&self, dataset: &DatasetInfo) {
        let mut told = self.told.write();
        match dataset.expand_json_depth {
            0 => drop(told.remove(&dataset.name.to_lowercase())),
            depth => drop(told.insert(dataset.name.to_lowercase(), depth as usize)),
        }
    }

    pub(crate) fn forget(&self, dataset: &DatasetInfo) {
        self.told.write().remove(&dataset.name.to_lowercase());
    }

    pub(crate) fn of(&self, dataset: &str) -> usize {
        let told = self.told.read();
        if told.is_empty() { self.default } else { told.get(&dataset.to_lowercase()).copied().unwrap_or(self.default) }
    }
}
