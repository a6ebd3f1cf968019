//! Which columns a dataset has, with counts per kind, and the limit on how many.
//!
//! Owns: the registry in memory. Never does: I/O, changing batches (`overflow`).

use crate::{ColumnInfo, Segment, catalog::ColumnRow};
use hashbrown::HashMap;
use model::{Batch, ColumnKind, OVERFLOW_COLUMN, TimeNs};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, Default)]
struct Stat {
    counts: [u64; ColumnKind::ALL.len()],
    first_seen: TimeNs,
    last_seen: TimeNs,
}

impl Stat {
    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The columns of one dataset. A name without cells is reserved for events on their way.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    by_name: HashMap<Arc<str>, Stat>,
    /// Names that have cells.
    n_live: usize,
    /// Whether there was a name without room since the start.
    overflowed: bool,
}

impl Columns {
    /// Names that have cells.
    pub(crate) fn n_live(&self) -> usize {
        self.n_live
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|s| s.total() > 0)
    }

    /// Takes over what the catalog knows.
    pub(crate) fn load(&mut self, row: &ColumnRow) {
        self.count(&row.name, row.kind, row.count, row.first_seen, row.last_seen);
    }

    fn count(&mut self, name: &str, kind: ColumnKind, n: u64, first_seen: TimeNs, last_seen: TimeNs) {
        let stat = self.by_name.entry_ref(name).or_default();
        if stat.total() == 0 && n > 0 {
            self.n_live += 1;
            (stat.first_seen, stat.last_seen) = (first_seen, last_seen);
        }
        stat.counts[kind as usize] += n;
        stat.first_seen = stat.first_seen.min(first_seen);
        stat.last_seen = stat.last_seen.max(last_seen);
    }

    /// Counts the cells of new events.
    pub(crate) fn add(&mut self, segment: &Segment, now: TimeNs) {
        for c in segment.columns() {
            self.count(c.name, c.kind, c.n_present as u64, now, now);
        }
    }

    /// Forgets the cells of events that are gone; a name without cells is free again.
    pub(crate) fn remove(&mut self, name: &str, kind: ColumnKind, n: u64) {
        let Some(stat) = self.by_name.get_mut(name) else { return };
        let had = stat.total() > 0;
        let count = &mut stat.counts[kind as usize];
        *count = count.saturating_sub(n);
        if had && stat.total() == 0 {
            self.n_live -= 1;
            self.by_name.remove(name);
        }
    }

    /// Gives back names that events reserved which were then not kept.
    pub(crate) fn release<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            if self.by_name.get(name).is_some_and(|s| s.total() == 0) {
                self.by_name.remove(name);
            }
        }
    }

    /// The rows of a segment for the catalog.
    pub(crate) fn rows(&self, dataset: u64, segment: &Segment) -> Vec<ColumnRow> {
        let row = |c: crate::segment::Column<'_>| {
            let stat = self.by_name.get(c.name).copied().unwrap_or_default();
            let (first_seen, last_seen) = (stat.first_seen, stat.last_seen);
            ColumnRow { dataset, name: c.name.to_owned(), kind: c.kind, count: c.n_present as u64, first_seen, last_seen }
        };
        segment.columns().map(row).collect()
    }

    /// Adds what it knows to a list by name.
    pub(crate) fn collect(&self, into: &mut HashMap<Arc<str>, ColumnInfo>) {
        for (name, stat) in self.by_name.iter().filter(|(_, s)| s.total() > 0) {
            let info = into.entry(Arc::clone(name)).or_insert_with(|| ColumnInfo {
                name: name.to_string(),
                kinds: Vec::new(),
                first_seen: stat.first_seen,
                last_seen: stat.last_seen,
            });
            info.first_seen = info.first_seen.min(stat.first_seen);
            info.last_seen = info.last_seen.max(stat.last_seen);
            for kind in ColumnKind::ALL {
                let n = stat.counts[kind as usize];
                match info.kinds.iter_mut().find(|(k, _)| *k == kind) {
                    Some((_, total)) => *total += n,
                    None if n > 0 => info.kinds.push((kind, n)),
                    None => {}
                }
            }
        }
    }

    /// Reserves the columns of a batch. Answers the positions of those that there is no room for: of new names the first
    /// get what room there is. [`OVERFLOW_COLUMN`] takes no room.
    pub(crate) fn admit(&mut self, batch: &Batch, max: usize) -> Vec<usize> {
        let mut over = Vec::new();
        for (i, column) in batch.columns.iter().enumerate() {
            if self.by_name.contains_key(&column.name) {
                continue;
            }
            let n = self.by_name.len() - usize::from(self.by_name.contains_key(OVERFLOW_COLUMN));
            if n < max || &*column.name == OVERFLOW_COLUMN {
                self.by_name.insert(Arc::clone(&column.name), Stat::default());
            } else {
                over.push(i);
            }
        }
        if !over.is_empty() {
            self.by_name.entry_ref(OVERFLOW_COLUMN).or_default();
        }
        over
    }

    /// Whether this is the first time since the start that there is no room.
    pub(crate) fn first_overflow(&mut self) -> bool {
        !std::mem::replace(&mut self.overflowed, true)
    }

    /// Events that have fields without a column of their own.
    pub(crate) fn n_overflowed(&self) -> u64 {
        self.by_name.get(OVERFLOW_COLUMN).map_or(0, |s| s.counts[ColumnKind::Str as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::BatchBuilder;

    const NONE: [usize; 0] = [];

    fn batch(names: &[&str]) -> Batch {
        let mut b = BatchBuilder::new();
        b.begin();
        for name in names {
            let column = b.column(name);
            b.int(column, 1);
        }
        b.end(0, 1.0);
        b.finish()
    }

    #[test]
    fn new_names_get_what_room_there_is() {
        let mut columns = Columns::default();
        assert_eq!(columns.admit(&batch(&["a", "b"]), 4), NONE);
        assert_eq!(columns.admit(&batch(&["a", "c", "d", "e", "b", "f"]), 4), [3, 5]);
        // The same again changes nothing; the column of the overflow takes no room.
        assert_eq!(columns.admit(&batch(&["a", "c", "d", "e", "b", "f"]), 4), [3, 5]);
        assert_eq!(columns.admit(&batch(&[OVERFLOW_COLUMN, "e", "f"]), 5), [2]);
        assert!(columns.first_overflow() && !columns.first_overflow());
    }

    #[test]
    fn names_of_events_that_were_not_kept_are_free_again() {
        let mut columns = Columns::default();
        columns.count("live", ColumnKind::Int, 3, 1, 2);
        assert_eq!(columns.admit(&batch(&["f1", "f2"]), 3), NONE);
        assert_eq!(columns.admit(&batch(&["g"]), 3), [0]);
        columns.release(["f1", "f2", "live", OVERFLOW_COLUMN].into_iter());
        assert_eq!(columns.admit(&batch(&["g"]), 3), NONE);
        assert!(columns.has("live") && !columns.has("g"));
        columns.remove("live", ColumnKind::Int, 3);
        assert_eq!((columns.has("live"), columns.n_live()), (false, 0));
    }
}
