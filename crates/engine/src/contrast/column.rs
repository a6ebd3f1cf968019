//! One column on both sides: weights of values, distributions of numbers, and how far apart they are.
//!
//! Owns: counting by code, stored counts, quantiles from buckets, the score. Never does: pick rows.

use super::Part;
use super::answer::{ContrastColumn, ContrastValue, Quantiles};
use super::buckets::Buckets;
use super::plan::ContrastPlan;
use super::rows::Picked;
use crate::intern::{Key, id_text};
use crate::scan::select::{Rows, is_valid};
use crate::{Cell, EngineError};
use hashbrown::HashMap;
use model::{ColumnKind, bucket_middle, bucket_of, hash128};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Segment;
use store::segment::{Codes, Column, GatherBuffers, Layout, Scratch, is_sparse};

/// Dictionaries up to this size are counted whole; of larger ones, what the selection does not hold is looked up for the values that are shown.
const WHOLE_ENTRIES: usize = 4096;
/// Values in the answer of one column.
const VALUES_MAX: usize = 40;
/// Numbers of the selection are kept one by one up to so many.
const EXACT_MAX: usize = 4096;
/// Standard errors by which a difference of shares has to exceed zero, and the same for distributions
/// (Kolmogorov–Smirnov, two samples: 1 in 3,000 by chance).
const SHARE_ERRORS: f64 = 4.0;
const DISTRIBUTION_ERRORS: f64 = 2.0;
const QUANTILES: [(&str, f64); 5] = [("P05", 0.05), ("P25", 0.25), ("P50", 0.5), ("P75", 0.75), ("P95", 0.95)];

/// Events and weight of a population.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    pub(crate) events: u64,
    pub(crate) weight: f64,
}

/// Both populations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Totals {
    pub(crate) selection: Total,
    pub(crate) baseline: Total,
    weighted: bool,
}

impl Totals {
    pub(crate) fn of(parts: &[Part<'_>], plan: &ContrastPlan) -> Result<Totals, EngineError> {
        let (mut selection, mut other) = (Total::default(), Total::default());
        let mut scratch = Scratch::default();
        for part in parts {
            for (picked, total) in [(&part.selection, &mut selection), (&part.other, &mut other)] {
                each_block(part.segment, picked, !plan.usage_mode, &mut scratch, &mut |_, rows, weights, _| {
                    total.events += rows.len() as u64;
                    total.weight += weights.sum(rows);
                    Ok(())
                })?;
            }
        }
        let totals = Totals { selection, baseline: other, weighted: !plan.usage_mode };
        Ok(if plan.rest { totals.rest() } else { totals })
    }

    /// Takes the selection out of what was counted as all events.
    fn rest(mut self) -> Totals {
        self.baseline.events -= self.selection.events.min(self.baseline.events);
        self.baseline.weight -= self.selection.weight;
        self
    }
}

/// What the rows of a block weigh.
#[derive(Clone, Copy)]
enum Weights<'a> {
    Same(f64),
    Each(&'a [f64]),
}

impl Weights<'_> {
    #[inline(always)]
    fn of(&self, row: usize) -> f64 {
        match self {
            Weights::Same(w) => *w,
            Weights::Each(w) => w[row],
        }
    }

    fn sum(&self, rows: Rows<'_>) -> f64 {
        match self {
            Weights::Same(w) => *w * rows.len() as f64,
            Weights::Each(weights) => {
                let mut sum = 0.0;
                rows.each_value(weights, |_, w| sum += w);
                sum
            }
        }
    }
}

type Visit<'a> = dyn FnMut(usize, Rows<'_>, Weights<'_>, &mut Scratch) -> Result<(), EngineError> + 'a;

fn each_block(segment: &Segment, picked: &Picked, weighted: bool, scratch: &mut Scratch, visit: &mut Visit<'_>) -> Result<(), EngineError> {
    let mut rates = Scratch::default();
    let uniform = if weighted { segment.uniform_sample_rate() } else { Some(1.0) };
    for block in 0..segment.n_blocks() {
        let Some(rows) = picked.block(block, segment.block_rows(block)) else { continue };
        let weights = match uniform {
            Some(w) => Weights::Same(w),
            None => Weights::Each(segment.read_sample_rates(block, &mut rates)?),
        };
        visit(block, rows, weights, scratch)?;
    }
    Ok(())
}

/// Weight on both sides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    pub(super) selection: f64,
    pub(super) other: f64,
}

/// Buffers of block reads.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    gather: GatherBuffers,
}

/// What was counted of one column.
#[derive(Default)]
struct Counted {
    values: HashMap<Key, (Cell, Pair)>,
    numbers: Buckets,
    /// Numbers of the selection with their weight, while there are few.
    exact: Option<Vec<(f64, f64)>>,
    present: Pair,
    whole_numbers: bool,
    texts: bool,
    bools: bool,
    ids: bool,
}

/// Compares one column.
pub(crate) fn compare(name: &Arc<str>, parts: &[Part<'_>], totals: &Totals, plan: &ContrastPlan) -> Result<ContrastColumn, EngineError> {
    let mut counted = Counted { exact: Some(Vec::new()), whole_numbers: true, ..Counted::default() };
    let mut buffers = Buffers::default();
    // Large dictionaries whose counts are known: asked at the end, for the values that matter.
    let mut known: Vec<(&Segment, Column<'_>, f64)> = Vec::new();
    for part in parts {
        for column in part.segment.find(name) {
            match column.layout {
                Layout::Dict => codes(part, column, totals.weighted, &mut counted, &mut known, &mut buffers)?,
                Layout::Bools => bools(part, column, totals.weighted, &mut counted, &mut buffers)?,
                Layout::Ints | Layout::Floats => numbers(part, column, totals.weighted, &mut counted, &mut buffers)?,
                Layout::Ids => ids(part, column, totals.weighted, &mut counted, &mut buffers)?,
            }
        }
    }
    finish(name, counted, known, *totals, plan)
}

/// The weight of all rows of a segment, if it is the same for each and all rows are meant.
fn whole(part: &Part<'_>, weighted: bool) -> Option<f64> {
    let rate = if weighted { part.segment.uniform_sample_rate() } else { Some(1.0) };
    rate.filter(|_| matches!(part.other, Picked::All))
}

/// Adds the weight of each row to the slot of its code; the last slot is for missing cells.
fn add_codes(codes: Codes<'_>, rows: Rows<'_>, weights: Weights<'_>, slots: &mut [f64]) {
    let missing = slots.len() - 1;
    fn add<T: Copy + Into<u32>>(values: &[T], rows: Rows<'_>, weights: Weights<'_>, slots: &mut [f64], missing: usize) {
        match (rows, weights) {
            (Rows::Range(low, high), Weights::Same(w)) => {
                for v in &values[low..high] {
                    slots[((*v).into() as usize).min(missing)] += w;
                }
            }
            (rows, weights) => rows.each(|_, row| slots[(values[row].into() as usize).min(missing)] += weights.of(row)),
        }
    }
    match codes {
        Codes::Const(c) => slots[(c as usize).min(missing)] += weights.sum(rows),
        Codes::U8(v) => add(v, rows, weights, slots, missing),
        Codes::U16(v) => add(v, rows, weights, slots, missing),
        Codes::U32(v) => add(v, rows, weights, slots, missing),
    }
}

/// Calls `f` with the codes of the picked rows, block by block. The rows are those of the codes, not of the block.
fn each_code(
    part: &Part<'_>,
    column: Column<'_>,
    picked: &Picked,
    weighted: bool,
    buffers: &mut Buffers,
    f: &mut dyn FnMut(Codes<'_>, Rows<'_>, Weights<'_>),
) -> Result<(), EngineError> {
    let Buffers { scratch, gather } = buffers;
    let mut own: Vec<f64> = Vec::new();
    each_block(part.segment, picked, weighted, scratch, &mut |block, rows, weights, scratch| {
        match rows {
            Rows::List(list) if is_sparse(list.len(), part.segment.block_rows(block)) => {
                let codes = part.segment.codes_at(&column, block, list, gather)?;
                let weights = match weights {
                    Weights::Same(w) => Weights::Same(w),
                    Weights::Each(weights) => {
                        own.clear();
                        own.extend(list.iter().map(|row| weights[*row as usize]));
                        Weights::Each(&own)
                    }
                };
                f(Codes::U32(codes), Rows::Range(0, list.len()), weights);
            }
            rows => f(part.segment.read_codes(&column, block, scratch)?, rows, weights),
        }
        Ok(())
    })
}

fn codes<'a>(
    part: &Part<'a>,
    column: Column<'a>,
    weighted: bool,
    counted: &mut Counted,
    known: &mut Vec<(&'a Segment, Column<'a>, f64)>,
    buffers: &mut Buffers,
) -> Result<(), EngineError> {
    let dict = part.segment.dict(&column)?;
    let n = dict.len();
    let mut count = |picked: &Picked| -> Result<Vec<f64>, EngineError> {
        let mut slots = Vec::new();
        each_code(part, column, picked, weighted, buffers, &mut |codes, rows, weights| {
            if slots.is_empty() {
                slots = vec![0.0; n + 1];
            }
            add_codes(codes, rows, weights, &mut slots);
        })?;
        Ok(slots)
    };
    let selection = count(&part.selection)?;
    let stored = whole(part, weighted);
    let other = if stored.is_some() { Vec::new() } else { count(&part.other)? };
    counted.texts |= column.kind == ColumnKind::Str;
    counted.ids |= column.kind != ColumnKind::Str;
    counted.present.selection += selection.iter().take(n).sum::<f64>();
    counted.present.other += match stored {
        Some(rate) => rate * column.n_present as f64,
        None => other.iter().take(n).sum(),
    };
    let look_up = stored.filter(|_| n > WHOLE_ENTRIES);
    if let Some(rate) = look_up {
        known.push((part.segment, column, rate));
        if selection.is_empty() {
            return Ok(());
        }
    }
    let mut text = String::new();
    for code in 0..n {
        let pair = Pair {
            selection: selection.get(code).copied().unwrap_or(0.0),
            other: match stored {
                Some(_) if look_up.is_some() => 0.0,
                Some(rate) => rate * f64::from(dict.count(code as u32)),
                None => other.get(code).copied().unwrap_or(0.0),
            },
        };
        if pair.selection == 0.0 && pair.other == 0.0 {
            continue;
        }
        let key = match dict.text_bytes(code as u32) {
            Some(bytes) => Key::text_hash(hash128(bytes)),
            None => Key::text(dict.text(code as u32, &mut text)),
        };
        let (_, sum) = counted.values.entry(key).or_insert_with(|| (Cell::Str(dict.text(code as u32, &mut text).into()), Pair::default()));
        sum.selection += pair.selection;
        sum.other += pair.other;
    }
    Ok(())
}

fn bools(part: &Part<'_>, column: Column<'_>, weighted: bool, counted: &mut Counted, buffers: &mut Buffers) -> Result<(), EngineError> {
    counted.bools = true;
    let mut slots = [[0.0; 3]; 2];
    let stored = whole(part, weighted);
    if let Some(rate) = stored {
        let n_true = part.segment.n_true(&column);
        slots[1] = [rate * (column.n_present - n_true) as f64, rate * n_true as f64, 0.0];
    }
    for (picked, slots) in [&part.selection, &part.other].into_iter().zip(&mut slots).take(if stored.is_some() { 1 } else { 2 }) {
        each_code(part, column, picked, weighted, buffers, &mut |codes, rows, weights| add_codes(codes, rows, weights, slots))?;
    }
    for value in [false, true] {
        let i = usize::from(value);
        let (selection, other) = (slots[0][i], slots[1][i]);
        counted.present.selection += selection;
        counted.present.other += other;
        if selection > 0.0 || other > 0.0 {
            let (_, sum) = counted.values.entry(Key::bool(value)).or_insert((Cell::Bool(value), Pair::default()));
            sum.selection += selection;
            sum.other += other;
        }
    }
    Ok(())
}

/// Ids that rarely repeat: those of the selection are counted; on the other side only how many events have one.
fn ids(part: &Part<'_>, column: Column<'_>, weighted: bool, counted: &mut Counted, buffers: &mut Buffers) -> Result<(), EngineError> {
    let scratch = &mut buffers.scratch;
    counted.ids = true;
    let Some(kind) = column.kind.id() else { return Ok(()) };
    let mut seen: HashMap<u128, Pair> = HashMap::new();
    each_block(part.segment, &part.selection, weighted, scratch, &mut |block, rows, weights, scratch| {
        let (values, valid) = part.segment.read_ids(&column, block, scratch)?;
        rows.each(|_, row| {
            if is_valid(valid, row) {
                seen.entry(values[row]).or_default().selection += weights.of(row);
            }
        });
        Ok(())
    })?;
    let mut total = 0.0;
    each_block(part.segment, &part.other, weighted, scratch, &mut |block, rows, weights, scratch| {
        let (values, valid) = part.segment.read_ids(&column, block, scratch)?;
        rows.each(|_, row| {
            if is_valid(valid, row) {
                total += weights.of(row);
                if let Some(pair) = seen.get_mut(&values[row]) {
                    pair.other += weights.of(row);
                }
            }
        });
        Ok(())
    })?;
    counted.present.other += total;
    let mut text = String::new();
    let mut seen: Vec<(u128, Pair)> = seen.into_iter().collect();
    seen.sort_unstable_by_key(|(id, _)| *id);
    for (id, pair) in seen {
        counted.present.selection += pair.selection;
        let (_, sum) = counted.values.entry(Key::id(column.kind, id)).or_insert_with(|| {
            text.clear();
            id_text(kind, id, &mut text);
            (Cell::Str(text.as_str().into()), Pair::default())
        });
        sum.selection += pair.selection;
        sum.other += pair.other;
    }
    Ok(())
}

/// Calls `f` with each number of the picked rows and its weight.
fn each_number(
    part: &Part<'_>,
    column: Column<'_>,
    picked: &Picked,
    weighted: bool,
    buffers: &mut Buffers,
    mut f: impl FnMut(f64, f64),
) -> Result<(), EngineError> {
    let Buffers { scratch, gather } = buffers;
    let rare = is_sparse(column.n_present, part.segment.n_rows());
    each_block(part.segment, picked, weighted, scratch, &mut |block, rows, weights, scratch| {
        match rows {
            // Few numbers, as integers among floats are: no histogram is kept of them.
            Rows::Range(low, high) if rare => {
                let (found, values) = part.segment.present_floats(&column, block, gather)?;
                let from = found.partition_point(|row| (*row as usize) < low);
                for (row, v) in found.iter().zip(values).skip(from).take_while(|(row, _)| (**row as usize) < high) {
                    f(*v, weights.of(*row as usize));
                }
            }
            Rows::List(list) if is_sparse(list.len(), part.segment.block_rows(block)) => {
                let (found, values) = part.segment.floats_at(&column, block, list, gather)?;
                for (at, v) in found.iter().zip(values) {
                    f(*v, weights.of(list[*at as usize] as usize));
                }
            }
            rows => {
                let (values, valid) = part.segment.read_floats(&column, block, scratch)?;
                rows.each(|_, row| {
                    if is_valid(valid, row) {
                        f(values[row], weights.of(row));
                    }
                });
            }
        }
        Ok(())
    })
}

fn numbers(part: &Part<'_>, column: Column<'_>, weighted: bool, counted: &mut Counted, buffers: &mut Buffers) -> Result<(), EngineError> {
    let Counted { numbers, exact, present, whole_numbers, .. } = counted;
    *whole_numbers &= column.layout == Layout::Ints;
    if column.range.is_none() {
        return Ok(());
    }
    each_number(part, column, &part.selection, weighted, buffers, |v, w| {
        numbers.slot(bucket_of(v)).selection += w;
        present.selection += w;
        if let Some(exact) = exact
            && exact.len() <= EXACT_MAX
        {
            exact.push((v, w));
        }
    })?;
    if exact.as_ref().is_some_and(|e| e.len() > EXACT_MAX) {
        *exact = None;
    }
    let stored = match whole(part, weighted) {
        Some(rate) => part.segment.histogram(&column)?.map(|h| (rate, h)),
        None => None,
    };
    match stored {
        Some((rate, histogram)) => {
            for (bucket, n) in histogram {
                numbers.slot(bucket).other += rate * f64::from(n);
                present.other += rate * f64::from(n);
            }
        }
        None => each_number(part, column, &part.other, weighted, buffers, |v, w| {
            numbers.slot(bucket_of(v)).other += w;
            present.other += w;
        })?,
    }
    Ok(())
}

fn finish(
    name: &Arc<str>,
    mut counted: Counted,
    known: Vec<(&Segment, Column<'_>, f64)>,
    totals: Totals,
    plan: &ContrastPlan,
) -> Result<ContrastColumn, EngineError> {
    let mut values: Vec<(Cell, Pair)> = std::mem::take(&mut counted.values).into_values().collect();
    // The most frequent in the selection, then those that the other side has and the selection lacks.
    values.sort_unstable_by(|(a, x), (b, y)| {
        y.selection.total_cmp(&x.selection).then_with(|| y.other.total_cmp(&x.other)).then_with(|| a.compare(b))
    });
    let mut shown: Vec<(Cell, Pair)> = if values.len() > 2 * VALUES_MAX {
        let mut rest = values.split_off(VALUES_MAX);
        rest.sort_unstable_by(|(a, x), (b, y)| y.other.total_cmp(&x.other).then_with(|| a.compare(b)));
        rest.truncate(VALUES_MAX);
        values.extend(rest);
        values
    } else {
        values
    };
    for (segment, column, rate) in known {
        let dict = segment.dict(&column)?;
        for (cell, pair) in &mut shown {
            if let Cell::Str(text) = cell
                && let Some(code) = dict.find(text)
            {
                pair.other += rate * f64::from(dict.count(code));
            }
        }
    }
    let base =
        |pair: Pair| Pair { selection: pair.selection, other: if plan.rest { (pair.other - pair.selection).max(0.0) } else { pair.other } };
    let present = base(counted.present);
    let missing = Pair {
        selection: clean(totals.selection.weight - present.selection, totals.selection.weight),
        other: clean(totals.baseline.weight - present.other, totals.baseline.weight),
    };
    let mut values: Vec<(Cell, Pair)> = shown.into_iter().map(|(c, p)| (c, base(p))).collect();
    let has_numbers = !counted.numbers.is_empty();
    if missing.selection > 0.0 || missing.other > 0.0 {
        values.push((Cell::Null, missing));
    }
    let mut score = f64::NEG_INFINITY;
    let mut scored: Vec<(f64, ContrastValue)> = values
        .into_iter()
        .map(|(value, p)| {
            let bound = share_bound(p, &totals);
            score = score.max(bound);
            (bound, ContrastValue { value, selection: p.selection, baseline: p.other })
        })
        .collect();
    scored
        .sort_by(|(a, x), (b, y)| b.total_cmp(a).then_with(|| y.selection.total_cmp(&x.selection)).then_with(|| x.value.compare(&y.value)));
    let quantiles = has_numbers.then(|| {
        let numbers: Vec<(u32, Pair)> = counted.numbers.iter().map(|(b, p)| (b, base(p))).collect();
        score = score.max(distribution_bound(&numbers, &totals));
        Quantiles {
            selection: match &mut counted.exact {
                Some(exact) => exact_quantiles(exact),
                None => bucket_quantiles(&numbers, |p| p.selection, counted.whole_numbers),
            },
            baseline: bucket_quantiles(&numbers, |p| p.other, counted.whole_numbers),
        }
    });
    let kinds = [(has_numbers, "number"), (counted.texts, "text"), (counted.bools, "boolean"), (counted.ids && !counted.texts, "id")];
    let mut kind = kinds.iter().filter(|(has, _)| *has).map(|(_, k)| *k);
    let kind = match (kind.next(), kind.next()) {
        (Some(k), None) => k,
        (None, _) => "text",
        _ => "mixed",
    };
    let significant = score > 0.0;
    Ok(ContrastColumn {
        column: Arc::clone(name),
        kind,
        score: if significant { score } else { 0.0 },
        significant,
        values: scored.into_iter().map(|(_, v)| v).collect(),
        quantiles,
    })
}

/// A difference of sums that should be zero may be off by rounding.
fn clean(v: f64, of: f64) -> f64 {
    if v <= of * 1e-9 { 0.0 } else { v }
}

/// How far two shares are apart at least: the difference less some standard errors (of two independent binomial shares).
fn share_bound(p: Pair, totals: &Totals) -> f64 {
    let (n, m) = (totals.selection.events as f64, totals.baseline.events as f64);
    if n == 0.0 || m == 0.0 {
        return 0.0;
    }
    let a = (p.selection / totals.selection.weight).clamp(0.0, 1.0);
    let b = (p.other / totals.baseline.weight).clamp(0.0, 1.0);
    // A share of 0 or 1 in a small population is less certain than its variance says (Agresti and Coull, 1998).
    let variance = |p: f64, n: f64| {
        let p = (p * n + 2.0) / (n + 4.0);
        p * (1.0 - p) / (n + 4.0)
    };
    (a - b).abs() - SHARE_ERRORS * (variance(a, n) + variance(b, m)).sqrt()
}

/// How far two distributions are apart at least: the largest difference of their cumulative shares, less what chance makes.
fn distribution_bound(numbers: &[(u32, Pair)], totals: &Totals) -> f64 {
    let sum = |f: fn(&Pair) -> f64| numbers.iter().map(|(_, p)| f(p)).sum::<f64>();
    let (all_s, all_o) = (sum(|p| p.selection), sum(|p| p.other));
    if all_s <= 0.0 || all_o <= 0.0 {
        return 0.0;
    }
    let (mut s, mut o, mut widest) = (0.0, 0.0, 0.0f64);
    for (_, p) in numbers {
        s += p.selection;
        o += p.other;
        widest = widest.max((s / all_s - o / all_o).abs());
    }
    let n = totals.selection.events as f64 * (all_s / totals.selection.weight).min(1.0);
    let m = totals.baseline.events as f64 * (all_o / totals.baseline.weight).min(1.0);
    widest - DISTRIBUTION_ERRORS * ((n + m) / (n * m)).sqrt()
}

fn exact_quantiles(values: &mut [(f64, f64)]) -> BTreeMap<&'static str, Cell> {
    values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|(_, w)| w).sum();
    QUANTILES
        .iter()
        .map(|(name, share)| {
            let mut left = share * total;
            let found = values.iter().find(|(_, w)| {
                left -= w;
                left < 0.0
            });
            (*name, found.or(values.last()).map_or(Cell::Null, |(v, _)| Cell::number(*v)))
        })
        .collect()
}

fn bucket_quantiles(numbers: &[(u32, Pair)], weight: fn(&Pair) -> f64, whole: bool) -> BTreeMap<&'static str, Cell> {
    let total: f64 = numbers.iter().map(|(_, p)| weight(p)).sum();
    QUANTILES
        .iter()
        .map(|(name, share)| {
            let mut left = share * total;
            let found = numbers.iter().find(|(_, p)| {
                left -= weight(p);
                left < 0.0
            });
            let value = found.filter(|_| total > 0.0).map(|(b, _)| {
                let middle = bucket_middle(*b);
                // Below 128 a bucket holds one integer; above, the cut stays within it.
                if whole { middle.trunc() } else { middle }
            });
            (*name, value.map_or(Cell::Null, Cell::number))
        })
        .collect()
}
