//! Which span is the parent of which, within each trace.
//!
//! Owns: the join of `trace.parent_id` with `trace.span_id`, spans that were sent more than once included. Never does: know
//! conditions.

use super::reach::NONE;
use super::traces::Traces;
use crate::EngineError;
use crate::intern::mix;
use crate::run::{Run, parallel};
use hashbrown::HashMap;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Rows that a thread deals with at a time.
const ROWS_AT_ONCE: usize = 1 << 15;

/// See above.
#[derive(Debug)]
pub(crate) struct Links {
    /// The parent of each row: of several spans with its id the first.
    pub(crate) parent: Vec<u32>,
    /// Spans of a trace with the same id, in order of time.
    pub(crate) twins: Vec<Box<[u32]>>,
    /// Which of these a row is among.
    twins_of: HashMap<u32, u32>,
}

impl Links {
    /// `spans` and `parents`: the ids of spans and of their parents; 0: none.
    pub(crate) fn join(traces: &Traces, spans: &[u64], parents: &[u64], run: &Run) -> Result<Links, EngineError> {
        let members = Members::of(traces, run)?;
        let parent: Vec<AtomicU32> = (0..spans.len()).map(|_| AtomicU32::new(NONE)).collect();
        // Traces that a thread deals with at a time.
        let mut cuts = vec![1];
        for trace in 1..traces.bound {
            if members.ends[trace] as usize - members.start(cuts[cuts.len() - 1]) >= ROWS_AT_ONCE {
                cuts.push(trace + 1);
            }
        }
        cuts.push(traces.bound.max(1));
        let found = parallel(run.threads, cuts.len() - 1, |i| {
            run.check()?;
            let mut table = Table::default();
            let mut twins = Vec::new();
            for trace in cuts[i]..cuts[i + 1] {
                let rows = members.of_trace(trace);
                if rows.len() > 1 || rows.iter().any(|r| spans[*r as usize] == parents[*r as usize]) {
                    table.join(rows, (spans, parents), &traces.times, &parent, &mut twins);
                }
            }
            Ok::<_, EngineError>(twins)
        });
        let mut links = Links { parent: Vec::new(), twins: Vec::new(), twins_of: HashMap::new() };
        for twins in found {
            links.twins.extend(twins?);
        }
        links.parent = parent.into_iter().map(AtomicU32::into_inner).collect();
        for (i, twins) in links.twins.iter().enumerate() {
            links.twins_of.extend(twins.iter().map(|row| (*row, i as u32)));
        }
        Ok(links)
    }

    /// The twins of a row and the row itself, if it has any.
    pub(crate) fn twins(&self, row: u32) -> Option<usize> {
        if self.twins.is_empty() { None } else { self.twins_of.get(&row).map(|i| *i as usize) }
    }

    /// The first row with the same id in the same trace.
    pub(crate) fn head(&self, row: u32) -> u32 {
        self.twins(row).map_or(row, |i| self.twins[i][0])
    }

    /// Of each set of twins the first that passes.
    pub(crate) fn first_twins(&self, passes: impl Fn(u32) -> bool) -> Vec<u32> {
        self.twins.iter().map(|twins| twins.iter().copied().find(|row| passes(*row)).unwrap_or(NONE)).collect()
    }

    /// Bytes that joining takes per row, and that stay.
    pub(crate) const BYTES_PER_ROW: (usize, usize) = (16, 4);
}

/// The rows of each trace.
struct Members {
    /// Ends of the rows of each trace.
    ends: Vec<u32>,
    rows: Vec<u32>,
}

impl Members {
    fn of(traces: &Traces, run: &Run) -> Result<Members, EngineError> {
        let ends: Vec<AtomicU32> = (0..traces.bound).map(|_| AtomicU32::new(0)).collect();
        let chunks: Vec<&[u32]> = traces.of_row.chunks(ROWS_AT_ONCE).collect();
        let each = |work: &(dyn Fn(usize, &AtomicU32) + Sync)| {
            let done = parallel(run.threads, chunks.len(), |i| {
                run.check()?;
                for (j, trace) in chunks[i].iter().enumerate().filter(|(_, t)| **t != 0) {
                    work(i * ROWS_AT_ONCE + j, &ends[*trace as usize]);
                }
                Ok(())
            });
            done.into_iter().collect::<Result<(), EngineError>>()
        };
        each(&|_, count| {
            count.fetch_add(1, Relaxed);
        })?;
        let mut sum = 0;
        for end in &ends {
            // From a count to where the rows start; filling moves it to where they end.
            sum += end.swap(sum, Relaxed);
        }
        let rows: Vec<AtomicU32> = (0..sum).map(|_| AtomicU32::new(0)).collect();
        each(&|row, at| rows[at.fetch_add(1, Relaxed) as usize].store(row as u32, Relaxed))?;
        let ends = ends.into_iter().map(AtomicU32::into_inner).collect();
        Ok(Members { ends, rows: rows.into_iter().map(AtomicU32::into_inner).collect() })
    }

    fn start(&self, trace: usize) -> usize {
        trace.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    fn of_trace(&self, trace: usize) -> &[u32] {
        &self.rows[self.start(trace)..self.ends[trace] as usize]
    }
}

/// The spans of one trace by id; used again for every trace.
#[derive(Default)]
struct Table {
    /// Row plus 1, or 0.
    slots: Vec<u32>,
    /// Rows whose id another row had before.
    again: Vec<u32>,
}

impl Table {
    fn join(&mut self, rows: &[u32], (spans, parents): (&[u64], &[u64]), times: &[i64], parent: &[AtomicU32], twins: &mut Vec<Box<[u32]>>) {
        let size = (rows.len() * 2).next_power_of_two();
        let mask = size - 1;
        self.slots.clear();
        self.slots.resize(size, 0);
        self.again.clear();
        let slots = &mut self.slots;
        let find = |slots: &[u32], id: u64| {
            let mut at = mix(id) as usize & mask;
            while slots[at] != 0 && spans[slots[at] as usize - 1] != id {
                at = (at + 1) & mask;
            }
            at
        };
        for row in rows {
            let id = spans[*row as usize];
            if id == 0 {
                continue;
            }
            let at = find(slots, id);
            if slots[at] == 0 {
                slots[at] = row + 1;
            } else {
                self.again.push(*row);
            }
        }
        if !self.again.is_empty() {
            let firsts: Vec<u32> = self.again.iter().map(|row| slots[find(slots, spans[*row as usize])] - 1).collect();
            self.again.extend(firsts);
            self.again.sort_unstable_by_key(|row| (spans[*row as usize], times[*row as usize], *row));
            self.again.dedup();
            for same in self.again.chunk_by(|a, b| spans[*a as usize] == spans[*b as usize]) {
                let at = find(slots, spans[same[0] as usize]);
                slots[at] = same[0] + 1;
                twins.push(same.into());
            }
        }
        for row in rows {
            let id = parents[*row as usize];
            if id != 0 {
                let found = slots[find(slots, id)];
                if found != 0 {
                    parent[*row as usize].store(found - 1, Relaxed);
                }
            }
        }
    }
}
