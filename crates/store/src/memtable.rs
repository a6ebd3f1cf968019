//! The events of one dataset that are not sealed yet: a list of immutable images.
//!
//! Owns: which images are active and which are being sealed, and which small ones to merge. Never does: merge them.

use crate::Segment;
use std::sync::Arc;

/// Memory that an image takes besides its bytes, about; and for each of its columns.
const PIECE_OVERHEAD_BYTES: usize = 512;
const COLUMN_OVERHEAD_BYTES: usize = 48;
/// More images of a size class than this are merged.
const CLASS_PIECES_MAX: usize = 16;
/// Images merged at once, at most.
const MERGE_PIECES_MAX: usize = 256;
/// Larger images are left alone: sealing merges them soon enough.
const MERGE_PIECE_BYTES_MAX: usize = 1 << 20;

/// Unsealed events of a dataset.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    /// Takes new images.
    active: Vec<Arc<Segment>>,
    /// Being sealed.
    frozen: Vec<Arc<Segment>>,
}

/// What an image counts against the limit of memory.
pub(crate) fn cost(piece: &Segment) -> usize {
    piece.bytes().len() + PIECE_OVERHEAD_BYTES + COLUMN_OVERHEAD_BYTES * piece.n_columns()
}

fn costs(pieces: &[Arc<Segment>]) -> usize {
    pieces.iter().map(|p| cost(p)).sum()
}

/// Sizes within a factor of four.
fn size_class(bytes: usize) -> u32 {
    (bytes >> 10).checked_ilog2().map_or(0, |log| 1 + log / 2)
}

impl Memtable {
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.active.iter().chain(&self.frozen)
    }

    pub(crate) fn frozen(&self) -> &[Arc<Segment>] {
        &self.frozen
    }

    pub(crate) fn push(&mut self, piece: Arc<Segment>) {
        self.active.push(piece);
    }

    /// Turns what is active into what is being sealed. There must be nothing frozen.
    pub(crate) fn freeze(&mut self) {
        debug_assert!(self.frozen.is_empty(), "one seal at a time");
        self.frozen.append(&mut self.active);
    }

    /// Drops what was sealed; answers its cost.
    pub(crate) fn drop_frozen(&mut self) -> usize {
        costs(&std::mem::take(&mut self.frozen))
    }

    /// Drops everything; answers its cost.
    pub(crate) fn clear(&mut self) -> usize {
        costs(&std::mem::take(&mut self.active)) + self.drop_frozen()
    }

    /// Whether [`Memtable::crowd`] might find something, at next to no cost.
    pub(crate) fn is_crowded(&self) -> bool {
        self.active.len() > CLASS_PIECES_MAX
    }

    /// Small images of one size class, in order of arrival, if there are too many of them.
    pub(crate) fn crowd(&self) -> Option<Vec<Arc<Segment>>> {
        let mut counts = [0usize; 8];
        let small = |p: &&Arc<Segment>| p.bytes().len() < MERGE_PIECE_BYTES_MAX;
        for piece in self.active.iter().filter(small) {
            counts[size_class(piece.bytes().len()) as usize] += 1;
        }
        let class = counts.iter().position(|n| *n > CLASS_PIECES_MAX)? as u32;
        let members = self.active.iter().filter(small).filter(|p| size_class(p.bytes().len()) == class);
        Some(members.take(MERGE_PIECES_MAX).map(Arc::clone).collect())
    }

    /// Puts one image in the place of others. If some of those are no longer active (a seal took them), nothing
    /// changes and the answer is `None`; else it is (cost before, cost after).
    pub(crate) fn replace(&mut self, inputs: &[Arc<Segment>], output: Arc<Segment>) -> Option<(usize, usize)> {
        let ids: hashbrown::HashSet<u64> = inputs.iter().map(|p| p.id()).collect();
        let found = self.active.iter().filter(|p| ids.contains(&p.id())).count();
        if found != inputs.len() {
            return None;
        }
        let at = self.active.iter().position(|p| ids.contains(&p.id()))?;
        let change = (costs(inputs), cost(&output));
        self.active[at] = output;
        let mut idx = 0;
        self.active.retain(|p| {
            idx += 1;
            idx - 1 == at || !ids.contains(&p.id())
        });
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_grow_by_four() {
        let classes: Vec<u32> = [0, 1023, 1024, 2048, 4095, 4096, 16_384, (1 << 20) - 1].map(size_class).to_vec();
        assert_eq!(classes, [0, 0, 1, 1, 1, 2, 3, 5]);
    }
}
