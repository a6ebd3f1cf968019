//! Merges small segments of a dataset into larger ones, tier by tier.
//!
//! Owns: which segments to merge, and the swap. Never does: delete files that someone reads (gc.rs waits for that).

use crate::{StoreError, catalog::CatalogError, catalog::SegmentRow, live::SegmentFile, segment, shared::Shared};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// Segments of one tier that are merged at least; also the factor between tiers. So an event is rewritten at most
/// log4(rows of the largest / rows of the smallest segment) times.
const FAN_IN_MIN: usize = 4;
/// Segments merged at once at most.
const FAN_IN_MAX: usize = 16;
/// Segments further apart in time than this are not merged if they were short, to keep pruning and retention sharp.
const SPREAD_NS: i128 = 86_400 * 1_000_000_000;
/// But with more than this in a tier they are.
const TIER_SEGMENTS_MAX: usize = 64;

fn tier(rows: u64) -> u32 {
    rows.max(1).ilog2() / 2
}

/// Chooses segments to merge: at least four of one tier, neighbours in time. Lowest tier first.
pub(crate) fn pick(segments: &[&SegmentRow], rows_max: u64, raw_bytes_max: u64) -> Option<Vec<String>> {
    let mut by_tier: Vec<Vec<&SegmentRow>> = vec![Vec::new(); 33];
    for s in segments {
        by_tier[tier(s.rows) as usize].push(s);
    }
    by_tier.into_iter().find_map(|mut members| {
        members.sort_by_key(|s| (s.min_time, s.max_time));
        let relaxed = members.len() > TIER_SEGMENTS_MAX;
        let mut best: Option<(i128, &[&SegmentRow])> = None;
        for start in 0..members.len().saturating_sub(FAN_IN_MIN - 1) {
            let Some((n, spread)) = run(&members[start..], rows_max, raw_bytes_max, relaxed) else { continue };
            // More inputs cost fewer rewrites; then the shorter in time wins.
            let better = best.is_none_or(|(s, b)| (n, -spread) > (b.len(), -s));
            if better {
                best = Some((spread, &members[start..start + n]));
            }
        }
        best.map(|(_, inputs)| inputs.iter().map(|s| s.id.clone()).collect())
    })
}

/// How many segments from the first of these can be merged, and the time from first to last.
fn run(members: &[&SegmentRow], rows_max: u64, raw_bytes_max: u64, relaxed: bool) -> Option<(usize, i128)> {
    let (mut rows, mut bytes, mut covered) = (0, 0, 0i128);
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    let mut found = None;
    for (i, s) in members.iter().take(FAN_IN_MAX).enumerate() {
        rows += s.rows;
        bytes += s.raw_bytes;
        covered += i128::from(s.max_time) - i128::from(s.min_time);
        (min, max) = (min.min(s.min_time), max.max(s.max_time));
        let spread = i128::from(max) - i128::from(min);
        if rows > rows_max || bytes > raw_bytes_max {
            break;
        }
        if i + 1 >= FAN_IN_MIN && (relaxed || spread <= SPREAD_NS.max(2 * covered)) {
            found = Some((i + 1, spread));
        }
    }
    found
}

impl Shared {
    /// Does one merge; answers whether there was one to do.
    pub(crate) fn compact(&self) -> Result<bool, StoreError> {
        let mut turn = self.compact_turn.lock();
        let Some((dataset, inputs)) = self.pick(turn.last_dataset, &turn.unreadable) else { return Ok(false) };
        turn.last_dataset = dataset;
        let bytes: u64 = inputs.iter().map(|i| i.row.bytes).sum();
        // The last bytes of a disk belong to senders.
        let fits = self.disk().free_bytes(&self.paths.segments).is_none_or(|free| free >= 2 * bytes);
        let result = if fits { self.compact_these(dataset, &inputs, &mut turn.unreadable) } else { Err(StoreError::DiskFull) };
        self.note("compaction", &result);
        if result.is_err() {
            self.counters.compaction_failures.fetch_add(1, Relaxed);
        }
        result.map(|()| true)
    }

    fn pick(&self, after: u64, skip: &hashbrown::HashSet<String>) -> Option<(u64, Vec<Arc<SegmentFile>>)> {
        let state = self.state.read();
        let order = state.datasets.range(after + 1..).chain(state.datasets.range(..=after));
        for (id, dataset) in order.filter(|(_, d)| d.segments.len() >= FAN_IN_MIN) {
            let rows: Vec<&SegmentRow> = dataset.segments.iter().map(|s| &s.row).filter(|r| !skip.contains(&r.id)).collect();
            if let Some(ids) = pick(&rows, self.options.segment_rows_max as u64, self.options.merge_bytes_max) {
                let mut inputs: Vec<_> = dataset.segments.iter().filter(|s| ids.contains(&s.row.id)).map(Arc::clone).collect();
                inputs.sort_by_key(|s| s.row.min_time);
                return Some((*id, inputs));
            }
        }
        None
    }

    fn compact_these(
        &self,
        dataset: u64,
        inputs: &[Arc<SegmentFile>],
        unreadable: &mut hashbrown::HashSet<String>,
    ) -> Result<(), StoreError> {
        let mut open = Vec::new();
        for input in inputs {
            open.push(input.get().inspect_err(|_| {
                unreadable.insert(input.row.id.clone());
            })?);
        }
        let merged = segment::merge(&open).map_err(|source| {
            // Which of them is damaged is not known here; `check` tells. None is tried again before the next start.
            unreadable.extend(inputs.iter().map(|i| i.row.id.clone()));
            StoreError::Segment { path: inputs[0].path.clone(), source }
        })?;
        let rows = inputs.iter().map(|i| i.row.rows as usize).sum();
        let written = self.write_segment(dataset, &merged, rows, &open)?;
        drop(open);
        drop(merged);
        let removed: Vec<String> = inputs.iter().map(|i| i.row.id.clone()).collect();

        let mut catalog = self.catalog.lock();
        let result = self.change(&mut catalog, |c| c.replace_segments(&removed, &written.row));
        if let Err(e) = result {
            self.remove_unused(&written.row);
            // Retention or a deletion was faster: nothing is wrong.
            return if matches!(e, StoreError::Catalog(CatalogError::NotLive { .. })) { Ok(()) } else { Err(e) };
        }
        let mut state = self.state.write();
        if let Some(d) = state.datasets.get_mut(&dataset) {
            d.segments.retain(|s| !removed.contains(&s.row.id));
            d.segments.push(Arc::new(SegmentFile::new(&self.paths.segments, written.row, Some(written.segment))));
        }
        drop((state, catalog));
        self.counters.compactions.fetch_add(1, Relaxed);
        self.counters.compaction_rows.fetch_add(rows as u64, Relaxed);
        self.doom(inputs.iter().map(Arc::clone));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: usize, rows: u64, min_time: i64, max_time: i64) -> SegmentRow {
        SegmentRow { id: id.to_string(), dataset: 1, rows, bytes: rows * 30, raw_bytes: rows * 100, min_time, max_time }
    }

    fn check(segments: &[SegmentRow], expected: Option<&[usize]>) {
        let picked = pick(&segments.iter().collect::<Vec<_>>(), 1 << 20, 256 << 20).map(|mut ids| {
            ids.sort();
            ids
        });
        assert_eq!(picked, expected.map(|ids| ids.iter().map(ToString::to_string).collect()));
    }

    #[test]
    fn four_neighbours_of_one_tier_are_merged() {
        let hour = 3_600_000_000_000;
        let each = |rows: &[u64]| -> Vec<SegmentRow> {
            rows.iter().enumerate().map(|(i, r)| row(i, *r, i as i64 * hour, (i as i64 + 1) * hour)).collect()
        };
        check(&each(&[1000, 1000, 1000]), None);
        check(&each(&[1000, 900, 800, 1000]), Some(&[0, 1, 2, 3]));
        // Tiers do not mix, and the low one goes first.
        check(&each(&[1000, 300, 70, 5000]), None);
        check(&each(&[5000, 5000, 5000, 5000, 300, 300, 300, 300]), Some(&[4, 5, 6, 7]));
        // Full ones stay as they are.
        check(&each(&[300_000, 300_000, 300_000, 300_000]), None);
        check(&each(&[200_000; 6]), Some(&[0, 1, 2, 3, 4]));
    }

    #[test]
    fn what_lies_far_apart_in_time_stays_apart_unless_there_is_too_much_of_it() {
        let day = 86_400_000_000_000;
        let apart = |n: i64| -> Vec<SegmentRow> { (0..n).map(|i| row(i as usize, 10, i * 30 * day, i * 30 * day + 1)).collect() };
        check(&apart(5), None);
        assert!(pick(&apart(70).iter().collect::<Vec<_>>(), 1 << 20, 256 << 20).is_some());
        // One stray event from long ago does not stop the others.
        let mut stray = vec![row(0, 10, -900 * day, -900 * day)];
        stray.extend((1..5).map(|i| row(i, 10, i as i64, i as i64 + 5)));
        check(&stray, Some(&[1, 2, 3, 4]));
        // All as wide as history: merging them loses nothing.
        check(&(0..4).map(|i| row(i, 10, -900 * day, 900 * day)).collect::<Vec<_>>(), Some(&[0, 1, 2, 3]));
    }
}
