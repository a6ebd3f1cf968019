//! Which columns a dataset has, with counts per kind, and the limit on how many.
//!
//! Owns: the registry in memory. Never does: I/O, changing batches (`overflow`).

use crate::{ColumnInfo, Segment, catalog::ColumnRow};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable, hash_table};
use model::{Batch, ColumnKind, OVERFLOW_COLUMN, TimeNs};
use std::{hash::BuildHasher, sync::Arc};

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

const NONE: u32 = u32::MAX;

/// How far names are followed from one to the next before one is looked up.
const LOOK_AHEAD: usize = 4;

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    stat: Stat,
    /// Probably the entry of the next name, as segments have them.
    next: u32,
}

/// The columns of one dataset. A name without cells is reserved for events on their way.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Positions in `entries`.
    by_name: HashTable<u32>,
    hasher: DefaultHashBuilder,
    entries: Vec<Entry>,
    /// Entries that are no more.
    free: Vec<u32>,
    /// Probably the entry of the first name.
    first: u32,
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

    fn find(&self, name: &str) -> Option<u32> {
        self.by_name.find(self.hasher.hash_one(name), |at| *self.entries[*at as usize].name == *name).copied()
    }

    fn get(&self, name: &str) -> Option<&Stat> {
        self.find(name).map(|at| &self.entries[at as usize].stat)
    }

    /// The entry of a name, new or known.
    fn insert(&mut self, name: &str) -> u32 {
        let Columns { by_name, hasher, entries, free, .. } = self;
        let found = by_name.entry(
            hasher.hash_one(name),
            |at| *entries[*at as usize].name == *name,
            |at| hasher.hash_one(&*entries[*at as usize].name),
        );
        match found {
            hash_table::Entry::Occupied(known) => *known.get(),
            hash_table::Entry::Vacant(place) => {
                let entry = Entry { name: Arc::from(name), stat: Stat::default(), next: NONE };
                let at = free.pop().unwrap_or(entries.len() as u32);
                place.insert(at);
                match entries.get_mut(at as usize) {
                    Some(old) => *old = entry,
                    None => entries.push(entry),
                }
                at
            }
        }
    }

    /// The entry of a name, new or known, that comes after another one in order: mostly without looking it up.
    fn insert_after(&mut self, previous: Option<u32>, name: &str) -> u32 {
        if let Some(previous) = previous.filter(|p| *self.entries[*p as usize].name == *name) {
            return previous;
        }
        let mut at = previous.map_or(self.first, |p| self.entries[p as usize].next);
        let expected = at;
        for _ in 0..LOOK_AHEAD {
            match self.entries.get(at as usize) {
                Some(likely) if *likely.name < *name => at = likely.next,
                Some(likely) if *likely.name == *name => return at,
                _ => break,
            }
        }
        let found = self.insert(name);
        let follows = self.entries.get(expected as usize).is_some_and(|e| *e.name > *name);
        let next = &mut self.entries[found as usize].next;
        if follows && *next == NONE {
            *next = expected;
        }
        match previous {
            Some(previous) => self.entries[previous as usize].next = found,
            None => self.first = found,
        }
        found
    }

    /// Brings the entries from `first` on into the order in which they will be met, one after the other in memory.
    fn sort(&mut self, first: usize) {
        if self.entries.len() - first < 2 {
            return;
        }
        self.entries[first..].sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let Columns { by_name, hasher, entries, .. } = self;
        for entry in &mut entries[first..] {
            entry.name = Arc::from(&*entry.name);
        }
        by_name.retain(|at| (*at as usize) < first);
        for at in first..entries.len() {
            let hash = |at: &u32| hasher.hash_one(&*entries[*at as usize].name);
            by_name.insert_unique(hash(&(at as u32)), at as u32, hash);
        }
    }

    fn take_out(&mut self, name: &str) {
        let Columns { by_name, hasher, entries, free, .. } = self;
        if let Ok(known) = by_name.find_entry(hasher.hash_one(name), |at| *entries[*at as usize].name == *name) {
            let (at, _) = known.remove();
            entries[at as usize] = Entry { name: Arc::from(""), stat: Stat::default(), next: NONE };
            free.push(at);
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|s| s.total() > 0)
    }

    /// Takes over what the catalog knows.
    pub(crate) fn load(&mut self, row: &ColumnRow) {
        self.count(&row.name, row.kind, row.count, row.first_seen, row.last_seen);
    }

    fn count(&mut self, name: &str, kind: ColumnKind, n: u64, first_seen: TimeNs, last_seen: TimeNs) {
        let at = self.insert(name);
        self.count_at(at, kind, n, first_seen, last_seen);
    }

    fn count_at(&mut self, at: u32, kind: ColumnKind, n: u64, first_seen: TimeNs, last_seen: TimeNs) {
        let stat = &mut self.entries[at as usize].stat;
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
        let mut previous = None;
        for c in segment.columns() {
            let at = self.insert_after(previous, c.name);
            self.count_at(at, c.kind, c.n_present as u64, now, now);
            previous = Some(at);
        }
    }

    /// Forgets the cells of events that are gone; a name without cells is free again.
    pub(crate) fn remove(&mut self, name: &str, kind: ColumnKind, n: u64) {
        let Some(at) = self.find(name) else { return };
        let stat = &mut self.entries[at as usize].stat;
        let had = stat.total() > 0;
        let count = &mut stat.counts[kind as usize];
        *count = count.saturating_sub(n);
        if had && stat.total() == 0 {
            self.n_live -= 1;
            self.take_out(name);
        }
    }

    /// Gives back names that events reserved which were then not kept.
    pub(crate) fn release<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            if self.get(name).is_some_and(|s| s.total() == 0) {
                self.take_out(name);
            }
        }
    }

    /// The rows of a segment for the catalog.
    pub(crate) fn rows(&self, dataset: u64, segment: &Segment) -> Vec<ColumnRow> {
        let row = |c: crate::segment::Column<'_>| {
            let stat = self.get(c.name).copied().unwrap_or_default();
            let (first_seen, last_seen) = (stat.first_seen, stat.last_seen);
            ColumnRow { dataset, name: c.name.to_owned(), kind: c.kind, count: c.n_present as u64, first_seen, last_seen }
        };
        segment.columns().map(row).collect()
    }

    /// Adds what it knows to a list by name.
    pub(crate) fn collect(&self, into: &mut HashMap<Arc<str>, ColumnInfo>) {
        for Entry { name, stat, .. } in self.entries.iter().filter(|e| e.stat.total() > 0) {
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
        let known = self.entries.len();
        for (i, column) in batch.columns.iter().enumerate() {
            if self.find(&column.name).is_some() {
                continue;
            }
            let n = self.by_name.len() - usize::from(self.find(OVERFLOW_COLUMN).is_some());
            if n < max || &*column.name == OVERFLOW_COLUMN {
                self.insert(&column.name);
            } else {
                over.push(i);
            }
        }
        if !over.is_empty() {
            self.insert(OVERFLOW_COLUMN);
        }
        self.sort(known);
        over
    }

    /// Whether this is the first time since the start that there is no room.
    pub(crate) fn first_overflow(&mut self) -> bool {
        !std::mem::replace(&mut self.overflowed, true)
    }

    /// Events that have fields without a column of their own.
    pub(crate) fn n_overflowed(&self) -> u64 {
        self.get(OVERFLOW_COLUMN).map_or(0, |s| s.counts[ColumnKind::Str as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::BatchBuilder;

    const NOWHERE: [usize; 0] = [];

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
        assert_eq!(columns.admit(&batch(&["a", "b"]), 4), NOWHERE);
        assert_eq!(columns.admit(&batch(&["a", "c", "d", "e", "b", "f"]), 4), [3, 5]);
        // The same again changes nothing; the column of the overflow takes no room.
        assert_eq!(columns.admit(&batch(&["a", "c", "d", "e", "b", "f"]), 4), [3, 5]);
        assert_eq!(columns.admit(&batch(&[OVERFLOW_COLUMN, "e", "f"]), 5), [2]);
        assert!(columns.first_overflow() && !columns.first_overflow());
    }

    #[test]
    fn segments_are_counted_whatever_the_columns_of_those_before() {
        let mut columns = Columns::default();
        let mut expected = std::collections::BTreeMap::new();
        let mut x = 1_u64;
        for now in 0..60 {
            let mut b = BatchBuilder::new();
            b.begin();
            for c in 0..100 {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if x >> 60 < 1 + now % 16 {
                    let name = format!("c{:02}", (c * 37 + now) % 100);
                    let column = b.column(&name);
                    b.int(column, 1);
                    let (first, last, n) = expected.entry(name).or_insert((now as i64, 0, 0));
                    (*first, *last, *n) = (*first, now as i64, *n + 1);
                }
            }
            b.end(0, 1.0);
            let batch = b.finish();
            if now % 3 > 0 {
                columns.admit(&batch, 1000);
            }
            columns.add(&Segment::from_bytes(crate::segment::encode(&batch)).unwrap(), now as i64);
            if now % 5 == 4 {
                let gone = format!("c{:02}", x >> 33 & 63);
                let had = expected.remove(&gone).map_or(0, |e| e.2);
                columns.remove(&gone, ColumnKind::Int, had);
                columns.release([gone.as_str()].into_iter());
            }
            let mut found = HashMap::new();
            columns.collect(&mut found);
            let found: std::collections::BTreeMap<_, _> =
                found.into_iter().map(|(name, c)| (name.to_string(), (c.first_seen, c.last_seen, c.kinds[0].1))).collect();
            assert_eq!((columns.n_live(), &found), (expected.len(), &expected), "{now}");
        }
    }

    #[test]
    fn names_of_events_that_were_not_kept_are_free_again() {
        let mut columns = Columns::default();
        columns.count("live", ColumnKind::Int, 3, 1, 2);
        assert_eq!(columns.admit(&batch(&["f1", "f2"]), 3), NOWHERE);
        assert_eq!(columns.admit(&batch(&["g"]), 3), [0]);
        columns.release(["f1", "f2", "live", OVERFLOW_COLUMN].into_iter());
        assert_eq!(columns.admit(&batch(&["g"]), 3), NOWHERE);
        assert!(columns.has("live") && !columns.has("g"));
        columns.remove("live", ColumnKind::Int, 3);
        assert_eq!((columns.has("live"), columns.n_live()), (false, 0));
    }
}
