//! Which of some conditions the events meet: weights of both sides per pattern of conditions and slice of time, from the events
//! themselves. Every conjunction of the conditions can be answered from this table without reading events again.
//!
//! Owns: the one pass over the rows of both populations. Never does: judge.

use super::Part;
use super::candidate::Candidate;
use super::clock::Slices;
use super::count::Weights;
use super::stats::{Mass, Pair};
use crate::run::parallel;
use crate::scan::apply::FilterBuffers;
use crate::scan::filter::{self, CodeTest, Filter, Ready, Test};
use crate::scan::place::{Place, Source};
use crate::scan::select::Rows;
use crate::{EngineError, Run};
use hashbrown::HashMap;
use store::Segment;
use store::segment::{Codes, Layout, Scratch};

/// Conditions that fit in a pattern.
pub(super) const CONDITIONS_MAX: usize = 24;
/// Patterns of the events of a table.
const PATTERNS_MAX: usize = 1 << 20;

/// Events of one slice that meet the same conditions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pattern {
    pub(super) slice: u32,
    /// A bit per condition.
    pub(super) bits: u32,
    pub(super) mass: Pair,
    /// Segment and row of one event of the selection.
    pub(super) example: Option<(u32, u32)>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) patterns: Vec<Pattern>,
    /// Weights of all events, per slice.
    pub(super) all: Vec<Pair>,
}

impl Table {
    /// Weights of the events that meet one condition, per slice.
    pub(super) fn of_condition(&self, i: usize) -> Vec<Pair> {
        let mut slices = vec![Pair::default(); self.all.len()];
        for p in self.patterns.iter().filter(|p| p.bits >> i & 1 == 1) {
            slices[p.slice as usize] += p.mass;
        }
        slices
    }
}

type Patterns = HashMap<u64, (Pair, Option<(u32, u32)>)>;

#[derive(Default)]
struct Found {
    patterns: Patterns,
    recent: Recent,
}

/// Weights of patterns of the other side that were seen lately, by a place that the pattern says: most events find theirs
/// without a search.
struct Recent {
    keys: Vec<u64>,
    masses: Vec<Mass>,
}

/// Patterns that are kept at hand.
const RECENT_BITS: u32 = 12;

impl Default for Recent {
    fn default() -> Recent {
        Recent { keys: vec![u64::MAX; 1 << RECENT_BITS], masses: vec![Mass::default(); 1 << RECENT_BITS] }
    }
}

impl Recent {
    #[inline(always)]
    fn add(&mut self, key: u64, weight: f64, patterns: &mut Patterns) {
        let place = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - RECENT_BITS)) as usize;
        if self.keys[place] != key {
            self.replace(place, key, patterns);
        }
        self.masses[place].add(weight);
    }

    #[cold]
    fn replace(&mut self, place: usize, key: u64, patterns: &mut Patterns) {
        self.give(place, patterns);
        self.keys[place] = key;
    }

    fn give(&mut self, place: usize, patterns: &mut Patterns) {
        let mass = std::mem::take(&mut self.masses[place]);
        if mass.weight > 0.0 {
            patterns.entry(self.keys[place]).or_default().0.other += mass;
        }
    }

    fn flush(&mut self, patterns: &mut Patterns) {
        (0..self.keys.len()).for_each(|place| self.give(place, patterns));
    }
}

/// The conditions on one segment.
#[derive(Default)]
struct Prepared<'s> {
    /// Bits of conditions that hold unless a table says otherwise.
    always: u32,
    /// Bits that each code of a column turns over; the last is for missing cells.
    tables: Vec<(Place<'s>, Vec<u32>)>,
    /// Conditions that are evaluated by themselves.
    filters: Vec<(u32, Filter<'s>)>,
}

impl<'s> Prepared<'s> {
    fn new(candidates: &[&Candidate], source: Source<'s>, index: usize) -> Result<Prepared<'s>, EngineError> {
        let mut prepared = Prepared::default();
        for (i, candidate) in candidates.iter().enumerate() {
            let Some(filter) = Filter::compile(&candidate.conditions(), false, source, index)? else { continue };
            if filter.is_all() {
                prepared.always |= 1 << i;
            } else if !prepared.by_code(1 << i, &filter) {
                prepared.filters.push((1 << i, filter));
            }
        }
        Ok(prepared)
    }

    /// Takes a condition into the tables, if all that it looks at are codes.
    fn by_code(&mut self, bit: u32, filter: &Filter<'s>) -> bool {
        let [Ready::Parts { parts, negate, .. }] = filter.conditions.as_slice() else { return false };
        let coded = |p: &filter::Part<'_>| {
            matches!(p.place.layout, Layout::Dict | Layout::Bools)
                && matches!(p.test, Test::Present | Test::Codes(CodeTest::Range { .. } | CodeTest::Table(_)))
        };
        if !parts.iter().all(coded) {
            return false;
        }
        if *negate {
            self.always |= bit;
        }
        for part in parts {
            let n = if part.place.layout == Layout::Bools { 2 } else { part.place.n_dict() };
            let at = self.tables.iter().position(|(c, _)| c.index == part.place.index).unwrap_or_else(|| {
                self.tables.push((part.place, vec![0; n + 1]));
                self.tables.len() - 1
            });
            for (code, bits) in self.tables[at].1.iter_mut().enumerate().take(n) {
                let holds = match &part.test {
                    Test::Present => true,
                    Test::Codes(CodeTest::Range { low, span }) => (code as u32).wrapping_sub(*low) <= *span,
                    Test::Codes(CodeTest::Table(table)) => table.get(code) == Some(&1),
                    _ => false,
                };
                // A row has a cell in one physical column at most, so a condition is turned over once.
                *bits ^= if holds { bit } else { 0 };
            }
        }
        true
    }

    /// Which conditions the rows of a block meet.
    fn masks(&self, n: usize, block: usize, (low, high): (usize, usize), buffers: &mut MaskBuffers) -> Result<(), EngineError> {
        let MaskBuffers { filter, scratch, masks } = buffers;
        masks.clear();
        masks.resize(n, self.always);
        fn turn<T: Copy + Into<u32>>(masks: &mut [u32], codes: &[T], table: &[u32]) {
            let missing = table.len() - 1;
            for (mask, code) in masks.iter_mut().zip(codes) {
                *mask ^= table[((*code).into() as usize).min(missing)];
            }
        }
        for (column, table) in &self.tables {
            match column.codes(block, scratch)? {
                Codes::Const(c) => {
                    let bits = table[(c as usize).min(table.len() - 1)];
                    masks.iter_mut().for_each(|m| *m ^= bits);
                }
                Codes::U8(codes) => turn(masks, codes, table),
                Codes::U16(codes) => turn(masks, codes, table),
                Codes::U32(codes) => turn(masks, codes, table),
            }
        }
        for (bit, compiled) in &self.filters {
            match compiled.select(n, block, (low, high), filter, scratch)? {
                Rows::Range(from, to) => masks[from..to].iter_mut().for_each(|m| *m |= bit),
                Rows::List(rows) => rows.iter().for_each(|row| masks[*row as usize] |= bit),
            }
        }
        Ok(())
    }
}

struct Job<'a> {
    part: usize,
    block: usize,
    prepared: &'a Prepared<'a>,
}

#[derive(Default)]
struct MaskBuffers {
    filter: FilterBuffers,
    scratch: Scratch,
    masks: Vec<u32>,
}

#[derive(Default)]
struct Buffers {
    of_masks: MaskBuffers,
    scratch: Scratch,
    rates: Scratch,
}

/// Reads the events of both sides. With `rest`, what is counted as the other side includes the selection and is left without it.
pub(super) fn tally(
    parts: &[Part<'_>],
    source: Source<'_>,
    candidates: &[&Candidate],
    slices: &Slices,
    (weighted, rest): (bool, bool),
    run: &Run,
) -> Result<Table, EngineError> {
    let threads = run.threads;
    let candidates = &candidates[..candidates.len().min(CONDITIONS_MAX)];
    let compiled = parallel(threads, parts.len(), |i| {
        run.check()?;
        Prepared::new(candidates, source, i)
    });
    let compiled: Vec<Prepared<'_>> = compiled.into_iter().collect::<Result<_, EngineError>>()?;
    let mut jobs = Vec::new();
    for (part, prepared) in compiled.iter().enumerate() {
        jobs.extend((0..parts[part].segment.n_blocks()).map(|block| Job { part, block, prepared }));
    }
    // A thread takes a run of blocks, and keeps one table for all of them.
    let chunk = jobs.len().div_ceil(threads.max(1) * 4).max(1);
    let chunks: Vec<&[Job<'_>]> = jobs.chunks(chunk).collect();
    let found = parallel(threads, chunks.len(), |i| {
        let mut found = Found::default();
        let mut buffers = Buffers::default();
        for job in chunks[i] {
            run.check()?;
            read_block(parts, job, slices, weighted, &mut buffers, &mut found)?;
            if found.patterns.len() > PATTERNS_MAX {
                return Err(EngineError::Memory {
                    limit: PATTERNS_MAX,
                    what: "the combinations of conditions",
                    hint: "name the columns to compare, or narrow the time range",
                });
            }
        }
        found.recent.flush(&mut found.patterns);
        Ok(found)
    });
    let mut merged: HashMap<u64, (Pair, Option<(u32, u32)>)> = HashMap::new();
    for found in found {
        for (key, (mass, example)) in found?.patterns {
            let entry = merged.entry(key).or_default();
            entry.0 += mass;
            entry.1 = entry.1.or(example);
        }
    }
    let mut all = vec![Pair::default(); slices.len()];
    let mut patterns: Vec<Pattern> = merged
        .into_iter()
        .map(|(key, (mut mass, example))| {
            if rest {
                mass.other = mass.other.without(mass.selection);
            }
            Pattern { slice: (key >> 32) as u32, bits: key as u32, mass, example }
        })
        .collect();
    patterns.sort_unstable_by_key(|p| (p.slice, p.bits));
    for p in &patterns {
        all[p.slice as usize] += p.mass;
    }
    Ok(Table { patterns, all })
}

fn read_block(
    parts: &[Part<'_>],
    job: &Job<'_>,
    slices: &Slices,
    weighted: bool,
    buffers: &mut Buffers,
    found: &mut Found,
) -> Result<(), EngineError> {
    let part = &parts[job.part];
    let segment: &Segment = part.segment;
    let n = segment.block_rows(job.block);
    let (selection, other) = (part.selection.block(job.block, n), part.other.block(job.block, n));
    let ends = |rows: &Rows<'_>| Some((rows.first()?, rows.last()? + 1));
    let (Some(low), Some(high)) = (
        [&selection, &other].into_iter().flatten().filter_map(|r| ends(r).map(|e| e.0)).min(),
        [&selection, &other].into_iter().flatten().filter_map(|r| ends(r).map(|e| e.1)).max(),
    ) else {
        return Ok(());
    };
    let Buffers { of_masks, scratch, rates } = buffers;
    job.prepared.masks(n, job.block, (low, high), of_masks)?;
    let masks = &of_masks.masks;
    let Found { patterns, recent } = found;
    let uniform = if weighted { segment.uniform_sample_rate() } else { Some(1.0) };
    let weights = match uniform {
        Some(w) => Weights::Same(w),
        None => Weights::Each(segment.read_sample_rates(job.block, rates)?),
    };
    let (first, last) = segment.block_times(job.block);
    let mut cuts: Vec<(usize, usize, u32)> = Vec::new();
    if slices.of(first) == slices.of(last) {
        cuts.push((low, high, slices.of(first) as u32));
    } else {
        let times = segment.read_times(job.block, scratch)?;
        let mut from = low;
        while from < high {
            let slice = slices.of(times[from]);
            let end = slices.end(slice);
            let to = from + times[from..high].partition_point(|t| *t < end);
            let to = to.max(from + 1);
            cuts.push((from, to, slice as u32));
            from = to;
        }
    }
    let base = (job.block * store::segment::BLOCK_ROWS) as u32;
    for (from, to, slice) in cuts {
        let key = |bits: u32| u64::from(slice) << 32 | u64::from(bits);
        if let Some(rows) = &other {
            let mut none = Mass::default();
            rows.between(from, to).each(|_, row| {
                let (bits, w) = (masks[row], weights.of(row));
                if bits == 0 { none.add(w) } else { recent.add(key(bits), w, patterns) }
            });
            if none.weight > 0.0 {
                patterns.entry(key(0)).or_default().0.other += none;
            }
        }
        if let Some(rows) = &selection {
            rows.between(from, to).each(|_, row| {
                let entry = patterns.entry(key(masks[row])).or_default();
                entry.0.selection.add(weights.of(row));
                entry.1 = entry.1.or(Some((job.part as u32, base + row as u32)));
            });
        }
    }
    Ok(())
}
