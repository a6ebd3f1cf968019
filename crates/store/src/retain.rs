//! Retention: segments that a dataset no longer keeps are dropped, whole ones at a time.
//!
//! Owns: what is too old or too much. Never does: touch the memtable, or delete files (gc.rs does).

use crate::{
    Retention, StoreError,
    catalog::{CatalogError, ColumnRow, SegmentRow},
    live::SegmentFile,
    shared::Shared,
};
use hashbrown::HashMap;
use model::{ColumnKind, NS_PER_SECOND, TimeNs};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// The segments to drop: those that ended before the age, then the oldest until the rest fits.
fn expired<'a>(segments: impl Iterator<Item = &'a SegmentRow>, retention: Retention, now: TimeNs) -> Vec<String> {
    let mut by_age: Vec<&SegmentRow> = segments.collect();
    by_age.sort_by_key(|s| (s.max_time, s.min_time));
    let oldest = retention.age_seconds.map(|age| now.saturating_sub(i64::try_from(age).unwrap_or(i64::MAX).saturating_mul(NS_PER_SECOND)));
    let mut bytes: u64 = by_age.iter().map(|s| s.bytes).sum();
    let mut gone = Vec::new();
    for s in by_age {
        let too_old = oldest.is_some_and(|oldest| s.max_time < oldest);
        if !too_old && retention.bytes.is_none_or(|max| bytes <= max) {
            break;
        }
        bytes -= s.bytes;
        gone.push(s.id.clone());
    }
    gone
}

impl Shared {
    /// Drops what retention no longer keeps; answers the number of segments.
    pub(crate) fn retain(&self) -> Result<usize, StoreError> {
        let now = self.now();
        let work: Vec<(u64, Vec<Arc<SegmentFile>>)> = {
            let state = self.state.read();
            let of = |(id, d): (&u64, &crate::state::Dataset)| {
                if d.row.retention == Retention::default() {
                    return None;
                }
                let gone = expired(d.segments.iter().map(|s| &s.row), d.row.retention, now);
                let files: Vec<_> = d.segments.iter().filter(|s| gone.contains(&s.row.id)).map(Arc::clone).collect();
                (!files.is_empty()).then_some((*id, files))
            };
            state.datasets.iter().filter_map(of).collect()
        };
        let mut n = 0;
        for (dataset, files) in work {
            n += self.drop_segments(dataset, files)?;
        }
        self.counters.retained_away.fetch_add(n as u64, Relaxed);
        Ok(n)
    }

    fn drop_segments(&self, dataset: u64, files: Vec<Arc<SegmentFile>>) -> Result<usize, StoreError> {
        let mut cells: HashMap<(String, ColumnKind), u64> = HashMap::new();
        for file in &files {
            // The counts of a segment that cannot be read stay too high; that is no reason to keep it.
            if let Ok(segment) = file.get() {
                for c in segment.columns() {
                    *cells.entry((c.name.to_owned(), c.kind)).or_default() += c.n_present as u64;
                }
            }
        }
        let row = |((name, kind), count)| ColumnRow { dataset, name, kind, count, first_seen: 0, last_seen: 0 };
        let mut less: Vec<ColumnRow> = cells.into_iter().map(row).collect();
        less.sort_by(|a, b| (&a.name, a.kind).cmp(&(&b.name, b.kind)));
        let removed: Vec<String> = files.iter().map(|f| f.row.id.clone()).collect();

        let mut catalog = self.catalog.lock();
        match self.change(&mut catalog, |c| c.drop_segments(&removed, &less)) {
            // A compaction was faster: its output is looked at next time.
            Err(StoreError::Catalog(CatalogError::NotLive { .. })) => return Ok(0),
            other => other?,
        }
        let mut state = self.state.write();
        if let Some(d) = state.datasets.get_mut(&dataset) {
            d.segments.retain(|s| !removed.contains(&s.row.id));
            let mut columns = d.columns.lock();
            for c in &less {
                columns.remove(&c.name, c.kind, c.count);
            }
        }
        drop((state, catalog));
        self.doom(files.into_iter());
        Ok(removed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let row = |id: &str, bytes, max_s: i64| SegmentRow {
            id: id.into(),
            dataset: 1,
            rows: 1,
            bytes,
            raw_bytes: bytes,
            min_time: 0,
            max_time: max_s * NS_PER_SECOND,
        };
        let all = [row("c", 30, 300), row("a", 10, 100), row("b", 20, 200)];
        let check = |age_seconds, bytes, expected: &[&str]| {
            assert_eq!(expired(all.iter(), Retention { age_seconds, bytes }, 400 * NS_PER_SECOND), expected);
        };
        check(None, None, &[]);
        check(Some(300), None, &[]);
        check(Some(299), None, &["a"]);
        check(Some(0), None, &["a", "b", "c"]);
        check(Some(u64::MAX), None, &[]);
        check(None, Some(60), &[]);
        check(None, Some(59), &["a"]);
        check(None, Some(29), &["a", "b", "c"]);
        check(Some(199), Some(50), &["a", "b"]);
    }
}
