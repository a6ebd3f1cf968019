//! Merges small images of the memtable, so that snapshots stay short however small the requests are.
//!
//! Owns: the swap of many images for one. Never does: touch what a seal has frozen.

use crate::{Segment, StoreError, segment, shared::Shared};
use std::sync::{Arc, atomic::Ordering::Relaxed};

impl Shared {
    /// Merges what is crowded, until nothing is or the store stops.
    pub(crate) fn coalesce_all(&self) {
        loop {
            let next = self.crowded.lock().pop_first();
            let Some(dataset) = next else { return };
            let result = self.coalesce(dataset);
            self.note("coalesce", &result);
            if self.stopping() {
                return;
            }
        }
    }

    /// Merges the small images of one dataset.
    pub(crate) fn coalesce(&self, dataset: u64) -> Result<(), StoreError> {
        loop {
            let crowd = self.state.read().datasets.get(&dataset).and_then(|d| d.memtable.crowd());
            let Some(inputs) = crowd else { return Ok(()) };
            let damaged = |source| StoreError::Segment { path: "(memory)".into(), source };
            let image = segment::merge_fast(&inputs).map_err(damaged)?;
            let output = Segment::from_bytes(image).map_err(damaged)?.made_of(&inputs);
            let expected = inputs.iter().map(|p| p.n_rows()).sum();
            if output.n_rows() != expected {
                return Err(StoreError::RowsDiffer { expected, found: output.n_rows() });
            }
            let mut state = self.state.write();
            let Some(memtable) = state.datasets.get_mut(&dataset).map(|d| &mut d.memtable) else { return Ok(()) };
            let Some((before, after)) = memtable.replace(&inputs, Arc::new(output)) else { continue };
            // Within a lock, as a seal resets it.
            state.active_bytes = (state.active_bytes + after).saturating_sub(before);
            drop(state);
            self.budget.fetch_add(after, Relaxed);
            self.release(before);
            self.counters.coalesces.fetch_add(1, Relaxed);
        }
    }
}
