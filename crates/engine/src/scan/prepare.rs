//! What has to be read: segments that may hold something, with filters, group columns and numbers made ready.
//!
//! Owns: pruning, reading ahead, ranges of numbers. Never does: read blocks, number values (`numbering`).

use super::filter::{self, Filter};
use super::keys::{KeyColumn, KeyPart};
use super::numbering::{Draft, Part, integers, number, number_integers, number_values, part};
use super::place::{Place, Source};
use crate::caches::{Caches, ColumnIds};
use crate::intern::Key;
use crate::plan::Plan;
use crate::run::{Run, parallel};
use crate::{EngineError, Field};
use model::TimeNs;
use model::columns::{DURATION_MS, PARENT_ID};
use model::query::Combination;
use std::sync::Arc;
use store::Segment;
use store::segment::{BLOCK_ROWS, Layout};

/// Values of a column in all segments together, up to which they get small numbers of their own per question.
const COMPACT_VALUES: usize = 1 << 16;
/// Values of a dictionary per row of the range up to which all are numbered at once, not one by one as rows have them.
const VALUES_PER_ROW: usize = 2;
/// Dictionaries up to this size are numbered as a whole even if few rows may be asked for.
const EAGER_VALUES: usize = 4096;
/// Rows of a block that are expected to be asked for, from which on it is read from disk as a whole, beforehand.
const LIKELY_ROWS: f64 = 32.0;
/// A further thread makes segments ready for so many rows to be read: it has to be started.
const ROWS_PER_THREAD: usize = 1 << 17;

/// A segment made ready.
#[derive(Debug)]
pub(crate) struct Ready<'s> {
    pub(crate) segment: &'s Arc<Segment>,
    /// Position in the source.
    pub(crate) index: usize,
    pub(crate) filter: Filter<'s>,
    /// Parts of each key column.
    pub(crate) keys: Vec<Vec<KeyPart<'s>>>,
    /// Physical columns of each calculated field.
    pub(crate) fields: Vec<Vec<Place<'s>>>,
    /// Of `duration_ms`, if spans are laid over time.
    pub(crate) durations: Vec<Place<'s>>,
    /// Spans that began from here on may still be under way at the start of the range.
    pub(crate) lead_ns: TimeNs,
}

/// What the numbers of a field are like, over all segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldRange {
    pub(crate) range: (f64, f64),
    /// All are integers.
    pub(crate) whole: bool,
    /// None was found.
    pub(crate) empty: bool,
}

/// All that is known before blocks are read.
#[derive(Debug)]
pub(crate) struct Prepared<'s> {
    pub(crate) segments: Vec<Ready<'s>>,
    /// Group columns, then columns whose values are counted by number.
    pub(crate) keys: Vec<KeyColumn>,
    /// For each field: the key column by which its values are counted.
    pub(crate) distinct_keys: Vec<Option<usize>>,
    /// Blocks to read, newest first: segment, block.
    pub(crate) units: Vec<(u32, u32)>,
    pub(crate) rows_planned: u64,
    /// First and last time of the events in the range, as far as known.
    pub(crate) times: Option<(TimeNs, TimeNs)>,
}

impl Prepared<'_> {
    /// The blocks that reach into a part of the range, and about how many of their rows lie in it; parts next to each
    /// other together have every row once.
    pub(crate) fn units_between(&self, start_ns: TimeNs, end_ns: TimeNs) -> (Vec<(u32, u32)>, u64) {
        let (mut units, mut rows) = (Vec::new(), 0);
        for unit in &self.units {
            let (segment, block) = (self.segments[unit.0 as usize].segment, unit.1 as usize);
            let (first, last) = segment.block_times(block);
            if first < end_ns && last >= start_ns {
                units.push(*unit);
                rows += rows_between(segment, block, start_ns, end_ns);
            }
        }
        (units, rows)
    }
}

/// What is known of the numbers that a question will meet before filters are looked at: the form of states depends on
/// nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Of each calculated field.
    pub(crate) ranges: Vec<FieldRange>,
    /// Sample rates differ from 1, or there are more events than small counters hold.
    pub(crate) weighted: bool,
    pub(crate) rows: u64,
}

impl Shape {
    pub(crate) fn of(source: Source<'_>, wanted: &Wanted<'_>, run: &Run) -> Result<Shape, EngineError> {
        let all: Vec<usize> = (0..source.segments.len()).filter(|i| overlaps(&source.segments[*i], wanted)).collect();
        let segments = || all.iter().map(|i| &source.segments[*i]);
        let rows = segments().map(|s| s.n_rows() as u64).sum();
        let uneven = !wanted.plan.usage_mode && segments().any(|s| s.uniform_sample_rate() != Some(1.0));
        let mut ranges = Vec::with_capacity(wanted.fields.len());
        for (field, _) in &wanted.fields {
            // Computed values may have to be computed now.
            let computed = matches!(field, Field::Computed(_));
            let places = parallel(if computed { run.threads } else { 1 }, all.len(), |i| {
                if computed {
                    run.check()?;
                }
                source.places(all[i], field)
            });
            let places: Vec<Vec<Place<'_>>> = places.into_iter().collect::<Result<_, EngineError>>()?;
            ranges.push(range(places.iter().flatten()));
        }
        Ok(Shape { ranges, weighted: uneven || rows >= u64::from(u32::MAX), rows })
    }
}

fn overlaps(segment: &Segment, wanted: &Wanted<'_>) -> bool {
    let (first, last) = segment.times();
    segment.n_rows() > 0 && first < wanted.plan.end_ns && (wanted.concurrency || last >= wanted.plan.start_ns)
}

/// About how many rows lie in the range.
fn rows_within(segment: &Segment, wanted: &Wanted<'_>) -> u64 {
    let start_ns = if wanted.concurrency { TimeNs::MIN } else { wanted.plan.start_ns };
    (0..segment.n_blocks()).map(|block| rows_between(segment, block, start_ns, wanted.plan.end_ns)).sum()
}

/// About how many rows of a block lie between two times.
fn rows_between(segment: &Segment, block: usize, start_ns: TimeNs, end_ns: TimeNs) -> u64 {
    let (first, last) = segment.block_times(block);
    let before = |t: TimeNs| {
        let (t, length) = (i128::from(t) - i128::from(first), i128::from(last) - i128::from(first) + 1);
        (segment.block_rows(block) as i128 * t.clamp(0, length) / length) as u64
    };
    before(end_ns) - before(start_ns)
}

/// What is wanted of the segments.
#[derive(Debug)]
pub(crate) struct Wanted<'p> {
    pub(crate) plan: &'p Plan,
    /// Calculated fields, and whether their distinct values are counted.
    pub(crate) fields: Vec<(Field, bool)>,
    /// Spans are laid over time.
    pub(crate) concurrency: bool,
}

pub(crate) fn prepare<'s>(source: Source<'s>, wanted: &Wanted<'_>, caches: &Caches, run: &Run) -> Result<Prepared<'s>, EngineError> {
    let plan = wanted.plan;
    let key_fields: Vec<&Field> = plan.breakdowns.iter().chain(wanted.fields.iter().filter(|(_, d)| *d).map(|(f, _)| f)).collect();
    let cached: Vec<Arc<ColumnIds>> = key_fields.iter().map(|f| caches.column(f.name())).collect();
    let overlapping: Vec<usize> = (0..source.segments.len()).filter(|i| overlaps(&source.segments[*i], wanted)).collect();
    let rows = overlapping.iter().map(|i| rows_within(&source.segments[*i], wanted)).sum::<u64>() as usize;
    let threads = run.threads.min(rows / ROWS_PER_THREAD + 1);
    // Which dictionaries will be needed is certain: those of conditions, or, without any, those of group columns.
    let conditions = plan.conditions.iter().map(|c| &c.field);
    let first: Vec<&Field> = if plan.conditions.is_empty() { key_fields.clone() } else { conditions.collect() };
    for index in &overlapping {
        for field in &first {
            if let Field::Column(name) = field {
                source.stored(*index, name).for_each(|place| place.dict_ahead());
            }
        }
    }
    // Filters first, in all segments: what the others will read is on its way from disk while they are made ready.
    let filtered = !plan.conditions.is_empty();
    let chosen = parallel(if filtered { threads } else { 1 }, overlapping.len(), |i| {
        if filtered {
            run.check()?;
        }
        choose(source, overlapping[i], wanted, &key_fields)
    });
    let mut ready = Vec::new();
    for chosen in chosen {
        ready.extend(chosen?);
    }
    let parts = parallel(threads, ready.len(), |i| {
        run.check()?;
        parts(source, &ready[i], wanted, &key_fields, &cached)
    });
    let mut kept = Vec::with_capacity(ready.len());
    for (ready, parts) in ready.into_iter().zip(parts) {
        kept.push(Draft { ready, parts: parts? });
    }
    let n_groups = plan.breakdowns.len();
    // Giving small numbers to all values must not cost more than the rows do; buckets need them.
    let compact_max = if plan.series { COMPACT_VALUES } else { rows.clamp(EAGER_VALUES, COMPACT_VALUES) };
    let compact = |k: usize| {
        let parts = || kept.iter().flat_map(|d| &d.parts[k]);
        !parts().any(|p| matches!(p, Part::Raw(_))) && parts().map(Part::n_values).sum::<usize>() <= compact_max
    };
    let compact: Vec<bool> = (0..cached.len()).map(compact).collect();
    number_values(&kept, &cached, &compact, (plan.end_ns, threads), caches, run)?;
    let mut keys: Vec<KeyColumn> = Vec::new();
    let mut distinct_keys = vec![None; wanted.fields.len()];
    let mut field_of_key = wanted.fields.iter().enumerate().filter(|(_, (_, d))| *d).map(|(i, _)| i);
    for (k, ids) in cached.into_iter().enumerate() {
        let raw = kept.iter().any(|d| d.parts[k].iter().any(|p| matches!(p, Part::Raw(_))));
        let integers = if raw { integers(&kept, k) } else { None };
        // Only one column may have numbers of more than 32 bits, and only to group by.
        let narrow = integers.is_some_and(|(_, bound)| bound <= u64::from(u32::MAX));
        let wide_is_free = k < n_groups && keys.iter().all(|k| k.bound <= u64::from(u32::MAX));
        let integers = integers.filter(|_| narrow || wide_is_free);
        if k >= n_groups {
            let field = field_of_key.next();
            if raw && integers.is_none() {
                // Values without numbers are counted by identity.
                continue;
            }
            if let Some(field) = field {
                distinct_keys[field] = Some(keys.len());
            }
        }
        let place = keys.len();
        keys.push(match integers {
            Some((first, bound)) => number_integers(&mut kept, (k, place), first, bound),
            None => number(&mut kept, (k, place), if raw { Arc::default() } else { ids }, (raw, compact[k])),
        });
    }
    let segments: Vec<Ready<'s>> = kept.into_iter().map(|d| d.ready).collect();
    let (mut units, mut rows_planned, mut times) = (Vec::new(), 0, None::<(TimeNs, TimeNs)>);
    for (i, ready) in segments.iter().enumerate() {
        for block in 0..ready.segment.n_blocks() {
            let (first, last) = ready.segment.block_times(block);
            if first >= plan.end_ns || last < ready.lead_ns {
                continue;
            }
            units.push((last, i as u32, block as u32));
            rows_planned += ready.segment.block_rows(block) as u64;
            let (a, b) = (first.max(plan.start_ns), last.min(plan.end_ns - 1));
            times = Some(times.map_or((a, b), |(x, y)| (x.min(a), y.max(b))));
        }
    }
    units.sort_by_key(|(last, ..)| std::cmp::Reverse(*last));
    let units = units.into_iter().map(|(_, s, b)| (s, b)).collect();
    Ok(Prepared { segments, keys, distinct_keys, units, rows_planned, times })
}

/// A segment with its filter; `None` if it holds nothing that is asked for.
fn choose<'s>(source: Source<'s>, index: usize, wanted: &Wanted<'_>, key_fields: &[&Field]) -> Result<Option<Ready<'s>>, EngineError> {
    let segment = &source.segments[index];
    let plan = wanted.plan;
    let (mut durations, mut lead_ns) = (Vec::new(), plan.start_ns);
    if wanted.concurrency {
        durations = source.stored(index, DURATION_MS).filter(|c| matches!(c.layout, Layout::Ints | Layout::Floats)).collect();
        let longest_ms = durations.iter().filter_map(|c| c.range).fold(0.0, |m: f64, r| m.max(r.1));
        lead_ns = plan.start_ns.saturating_sub((longest_ms * 1e6).ceil() as i64);
        if segment.times().1 < lead_ns {
            return Ok(None);
        }
    }
    let any = plan.combination == Combination::Or;
    let Some(filter) = Filter::compile(&plan.conditions, any, source, index)? else { return Ok(None) };
    let fields = wanted.fields.iter().map(|(f, _)| source.places(index, f)).collect::<Result<_, _>>()?;
    let ready = Ready { segment, index, filter, keys: Vec::new(), fields, durations, lead_ns };
    read_ahead(source, &ready, plan, key_fields);
    Ok(Some(ready))
}

/// Has read from disk what is likely to be needed of a segment.
fn read_ahead(source: Source<'_>, ready: &Ready<'_>, plan: &Plan, key_fields: &[&Field]) {
    let (mut share, n_rows) = (1.0, ready.segment.n_rows() as f64);
    let is_likely = |share: f64| share * n_rows.min(BLOCK_ROWS as f64) >= LIKELY_ROWS;
    for condition in &ready.filter.conditions {
        let filter::Ready::Parts { parts, expected, .. } = condition else { continue };
        if is_likely(share) {
            parts.iter().for_each(|part| part.place.blocks_ahead(ready.lead_ns, plan.end_ns));
        }
        share *= if ready.filter.any { 1.0 } else { expected.0 };
    }
    let of_key = |field: &&Field| match field {
        Field::Column(name) => Some(source.stored(ready.index, name)),
        _ => None,
    };
    for place in key_fields.iter().filter_map(of_key).flatten() {
        // Without conditions all dictionaries are on their way already.
        if !plan.conditions.is_empty() && share * n_rows >= 1.0 {
            place.dict_ahead();
        }
        if is_likely(share) {
            place.blocks_ahead(ready.lead_ns, plan.end_ns);
        }
    }
    if is_likely(share) {
        ready.fields.iter().flatten().for_each(|place| place.blocks_ahead(ready.lead_ns, plan.end_ns));
    }
}

/// The parts of each key column of a segment.
fn parts<'s>(
    source: Source<'s>,
    ready: &Ready<'s>,
    wanted: &Wanted<'_>,
    key_fields: &[&Field],
    cached: &[Arc<ColumnIds>],
) -> Result<Vec<Vec<Part<'s>>>, EngineError> {
    let index = ready.index;
    // Of a merged segment a range may need little; groups in buckets need small numbers, and so all.
    let is_all = ready.filter.is_all();
    let by_rows = if is_all { rows_within(ready.segment, wanted) as usize * VALUES_PER_ROW } else { 0 };
    let of_field = |(k, (field, ids)): (usize, (&&Field, &Arc<ColumnIds>))| {
        let is_group = k < wanted.plan.breakdowns.len();
        let values_max = if is_all && is_group && wanted.plan.series { usize::MAX } else { by_rows.max(EAGER_VALUES) };
        Ok(match field {
            Field::Dataset => vec![Part::Const(Key::text(source.dataset(index)), source.dataset(index).to_owned())],
            Field::IsRoot => vec![Part::Root(source.stored(index, PARENT_ID).collect())],
            Field::Column(_) | Field::Computed(_) => {
                source.places(index, field)?.into_iter().map(|c| part(c, ids, values_max)).collect::<Result<_, EngineError>>()?
            }
        })
    };
    key_fields.iter().zip(cached).enumerate().map(of_field).collect()
}

fn range<'a, 's: 'a>(columns: impl Iterator<Item = &'a Place<'s>>) -> FieldRange {
    let mut out = FieldRange { range: (f64::INFINITY, f64::NEG_INFINITY), whole: true, empty: true };
    for column in columns {
        if let (Layout::Ints | Layout::Floats, Some((min, max))) = (column.layout, column.range) {
            out.range = (out.range.0.min(min), out.range.1.max(max));
            out.whole &= column.layout == Layout::Ints;
            out.empty = false;
        }
    }
    if out.empty {
        out.range = (0.0, 0.0);
    }
    out
}
