//! Which columns a dataset has, with counts per kind, and the limit on how many.
//!
//! Owns: the registry in memory, and taking events out of a batch that would bring too many columns.
//! Never does: I/O.

use crate::{ColumnInfo, Segment, catalog::ColumnRow};
use hashbrown::HashMap;
use model::{Batch, BatchColumn, ColumnKind, StrDict, TimeNs, Values};
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

    /// Reserves the columns of a batch. Answers the rows whose columns there is no room for, ascending; the columns
    /// that only those have are not reserved.
    pub(crate) fn admit(&mut self, batch: &Batch, max: usize) -> Vec<u32> {
        let mut new: HashMap<&Arc<str>, u32> = HashMap::new();
        for column in &batch.columns {
            if !self.by_name.contains_key(&column.name) {
                let idx = new.len() as u32;
                new.entry(&column.name).or_insert(idx);
            }
        }
        let mut room = max.saturating_sub(self.by_name.len());
        if new.len() <= room {
            for column in &batch.columns {
                self.reserve(&column.name);
            }
            return Vec::new();
        }
        // Row by row in order of arrival: an event gets in if all columns that it would bring still fit.
        let mut wanted: Vec<(u32, u32)> = Vec::new();
        for column in &batch.columns {
            if let Some(&idx) = new.get(&column.name) {
                match &column.rows {
                    Some(rows) => wanted.extend(rows.iter().map(|r| (*r, idx))),
                    None => wanted.extend((0..batch.n_rows as u32).map(|r| (r, idx))),
                }
            }
        }
        wanted.sort_unstable();
        let mut admitted = vec![false; new.len()];
        let mut refused = Vec::new();
        for event in wanted.chunk_by(|a, b| a.0 == b.0) {
            let missing = event.iter().filter(|(_, idx)| !admitted[*idx as usize]).count();
            if missing > room {
                refused.push(event[0].0);
                continue;
            }
            room -= missing;
            for (_, idx) in event {
                admitted[*idx as usize] = true;
            }
        }
        for column in &batch.columns {
            if new.get(&column.name).is_some_and(|idx| admitted[*idx as usize]) {
                self.reserve(&column.name);
            }
        }
        refused
    }

    fn reserve(&mut self, name: &Arc<str>) {
        if !self.by_name.contains_key(name) {
            self.by_name.insert(Arc::clone(name), Stat::default());
        }
    }
}

/// The batch without some rows (ascending).
pub(crate) fn without_rows(batch: Batch, refused: &[u32]) -> Batch {
    if refused.is_empty() {
        return batch;
    }
    let mut keep = vec![true; batch.n_rows];
    for row in refused {
        keep[*row as usize] = false;
    }
    let mut next = 0;
    let new_row: Vec<u32> = keep
        .iter()
        .map(|k| {
            next += u32::from(*k);
            next.wrapping_sub(1)
        })
        .collect();
    let n_rows = next as usize;
    let columns = batch.columns.into_iter().filter_map(|c| {
        let rows = c.rows.unwrap_or_else(|| (0..keep.len() as u32).collect());
        let kept: Vec<bool> = rows.iter().map(|r| keep[*r as usize]).collect();
        let rows: Vec<u32> = rows.iter().filter(|r| keep[**r as usize]).map(|r| new_row[*r as usize]).collect();
        let column = BatchColumn { name: c.name, rows: (rows.len() < n_rows).then_some(rows), values: filter_values(c.values, &kept) };
        (!column.values.is_empty()).then_some(column)
    });
    Batch { n_rows, times: filter(batch.times, &keep), sample_rates: filter(batch.sample_rates, &keep), columns: columns.collect() }
}

fn filter<T>(mut values: Vec<T>, keep: &[bool]) -> Vec<T> {
    let mut flags = keep.iter();
    values.retain(|_| flags.next().copied().unwrap_or(false));
    values
}

fn filter_values(values: Values, keep: &[bool]) -> Values {
    match values {
        Values::Str { codes, dict } => {
            // A new dictionary: texts of refused events must not stay behind.
            let mut kept = StrDict::default();
            let codes = filter(codes, keep).into_iter().map(|code| kept.insert(dict.get(code))).collect();
            Values::Str { codes, dict: kept }
        }
        Values::Int(v) => Values::Int(filter(v, keep)),
        Values::Float(v) => Values::Float(filter(v, keep)),
        Values::Bool(v) => Values::Bool(filter(v, keep)),
        Values::Hex8(v) => Values::Hex8(filter(v, keep)),
        Values::Hex16(v) => Values::Hex16(filter(v, keep)),
        Values::Uuid(v) => Values::Uuid(filter(v, keep)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::BatchBuilder;

    const NONE: [u32; 0] = [];

    /// One event per list of column names; the cell is the row number, as text if the name starts with `t`.
    fn batch(events: &[&[&str]]) -> Batch {
        let mut b = BatchBuilder::new();
        for (i, names) in events.iter().enumerate() {
            b.begin();
            for name in *names {
                let column = b.column(name);
                if name.starts_with('t') { b.str(column, &format!("row {i}")) } else { b.int(column, i as i64) }
            }
            b.end(i as i64, 1.0 + i as f64);
        }
        b.finish()
    }

    #[test]
    fn an_event_is_refused_alone_and_its_neighbours_are_kept() {
        let mut columns = Columns::default();
        assert_eq!(columns.admit(&batch(&[&["a", "b"]]), 4), NONE);
        let events: [&[&str]; 6] = [&["a", "c"], &["d", "e"], &["t"], &["x"], &["a", "b", "c", "t"], &[]];
        let new = batch(&events);
        assert_eq!(columns.admit(&new, 4), [1, 3]);
        // Columns of refused events take no room: the same batch again changes nothing.
        assert_eq!(columns.admit(&new, 4), [1, 3]);
        assert_eq!(columns.admit(&new, 5), [1]);
        let rest = without_rows(new, &[1, 3]);
        let expected: [&[&str]; 4] = [&["a", "c"], &["t"], &["a", "b", "c", "t"], &[]];
        assert_eq!(rest.n_rows, 4);
        assert_eq!((rest.times, rest.sample_rates), (vec![0, 2, 4, 5], vec![1.0, 3.0, 5.0, 6.0]));
        for column in &rest.columns {
            let rows: Vec<u32> = (0..4).filter(|r| expected[*r as usize].contains(&&*column.name)).collect();
            assert_eq!(column.rows.as_ref(), Some(&rows), "{}", column.name);
            assert_eq!(column.values.len(), rows.len());
            if let Values::Str { codes, dict } = &column.values {
                assert_eq!(dict.len(), 2);
                assert_eq!((dict.get(codes[0]), dict.get(codes[1])), (&b"row 2"[..], &b"row 4"[..]));
            }
        }
    }

    #[test]
    fn names_of_events_that_were_not_kept_are_free_again() {
        let mut columns = Columns::default();
        columns.count("live", ColumnKind::Int, 3, 1, 2);
        let flood = batch(&[&["f1"], &["f2"]]);
        assert_eq!(columns.admit(&flood, 3), NONE);
        assert_eq!(columns.admit(&batch(&[&["g"]]), 3), [0]);
        columns.release(["f1", "f2", "live"].into_iter());
        assert_eq!(columns.admit(&batch(&[&["g"]]), 3), NONE);
        assert!(columns.has("live") && !columns.has("g"));
        columns.remove("live", ColumnKind::Int, 3);
        assert_eq!((columns.has("live"), columns.n_live()), (false, 0));
    }
}
