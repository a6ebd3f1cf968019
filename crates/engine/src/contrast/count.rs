//! One column on both sides: weights of its values, distributions of its numbers.
//!
//! Owns: counting by code, stored counts, reading only selected rows where they are few. Never does: judge what it counts.

use super::Part;
use super::buckets::Buckets;
use super::plan::ContrastPlan;
use super::prefix::Prefixes;
use super::rows::Picked;
use super::stats::{Mass, Pair};
use crate::intern::{Key, id_text};
use crate::scan::filter::codes_of_prefix;
use crate::scan::select::{Rows, is_valid};
use crate::{Cell, EngineError};
use hashbrown::HashMap;
use model::{ColumnKind, bucket_of, hash128};
use store::Segment;
use store::segment::{Codes, Column, GatherBuffers, Layout, Scratch, is_sparse};

/// Dictionaries up to this size are counted whole; of larger ones, what the selection does not hold is looked up for the values
/// that are shown, and taken in if it is frequent.
const WHOLE_ENTRIES: usize = 4096;
/// Of one event in so many, a value of a large dictionary is frequent.
const FREQUENT: usize = 128;
/// Numbers of the selection are kept one by one up to so many.
const EXACT_MAX: usize = 4096;
/// Different numbers of the selection that are told apart.
const DISTINCT_MAX: usize = 50;

/// Both populations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) mass: Pair,
    /// Stored events.
    pub(super) selection_events: u64,
    pub(super) baseline_events: u64,
}

impl Totals {
    pub(super) fn of(parts: &[Part<'_>], plan: &ContrastPlan) -> Result<Totals, EngineError> {
        let mut totals = Totals::default();
        let mut scratch = Scratch::default();
        for part in parts {
            let sides = [
                (&part.selection, &mut totals.mass.selection, &mut totals.selection_events),
                (&part.other, &mut totals.mass.other, &mut totals.baseline_events),
            ];
            for (picked, mass, events) in sides {
                each_block(part.segment, picked, !plan.usage_mode, &mut scratch, &mut |_, rows, weights, _| {
                    *events += rows.len() as u64;
                    *mass += weights.sum(rows);
                    Ok(())
                })?;
            }
        }
        if plan.rest {
            totals.baseline_events -= totals.selection_events.min(totals.baseline_events);
            totals.mass.other = totals.mass.other.without(totals.mass.selection);
        }
        Ok(totals)
    }
}

/// What the rows of a block weigh.
#[derive(Clone, Copy)]
pub(super) enum Weights<'a> {
    Same(f64),
    Each(&'a [f64]),
}

impl Weights<'_> {
    #[inline(always)]
    pub(super) fn of(&self, row: usize) -> f64 {
        match self {
            Weights::Same(w) => *w,
            Weights::Each(w) => w[row],
        }
    }

    fn sum(&self, rows: Rows<'_>) -> Mass {
        match self {
            Weights::Same(w) => Mass::uniform(*w * rows.len() as f64, *w),
            Weights::Each(weights) => {
                let mut sum = Mass::default();
                rows.each_value(weights, |_, w| sum.add(w));
                sum
            }
        }
    }
}

type Visit<'a> = dyn FnMut(usize, Rows<'_>, Weights<'_>, &mut Scratch) -> Result<(), EngineError> + 'a;

pub(super) fn each_block(
    segment: &Segment,
    picked: &Picked,
    weighted: bool,
    scratch: &mut Scratch,
    visit: &mut Visit<'_>,
) -> Result<(), EngineError> {
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

/// Buffers of block reads.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    gather: GatherBuffers,
}

/// What was counted of one column. With a baseline that is the rest, `other` is still everything.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) values: Vec<(Cell, Pair)>,
    pub(super) numbers: Buckets,
    /// Numbers of the selection with their weight, while there are few.
    pub(super) exact: Option<Vec<(f64, f64)>>,
    /// Different numbers of the selection, while there are few.
    pub(super) distinct: Option<Vec<(f64, Mass)>>,
    /// Events that have the column.
    pub(super) present: Pair,
    pub(super) whole_numbers: bool,
    pub(super) texts: bool,
    pub(super) bools: bool,
    pub(super) ids: bool,
    /// Different values of the selection that are no numbers.
    pub(super) selection_values: usize,
    /// Beginnings of texts that many events of the selection share.
    pub(super) prefixes: Vec<(String, Pair)>,
    by_key: HashMap<Key, (Cell, Pair)>,
}

/// Large dictionaries whose counts are known: asked at the end, for the values that matter.
struct Known<'a> {
    segment: &'a Segment,
    column: Column<'a>,
    rate: f64,
    /// A bit per code that was counted already.
    counted: Vec<u64>,
}

/// Counts a column. Of values, the `most` most frequent of each side are kept.
pub(super) fn count(name: &str, parts: &[Part<'_>], weighted: bool, most: usize) -> Result<Counted, EngineError> {
    let mut counted = Counted { exact: Some(Vec::new()), distinct: Some(Vec::new()), whole_numbers: true, ..Counted::default() };
    let mut buffers = Buffers::default();
    let (mut known, mut of_ids) = (Vec::new(), Vec::new());
    for part in parts {
        for column in part.segment.find(name) {
            match column.layout {
                Layout::Dict => codes(part, column, weighted, &mut counted, &mut known, &mut buffers)?,
                Layout::Bools => bools(part, column, weighted, &mut counted, &mut buffers)?,
                Layout::Ints | Layout::Floats => numbers(part, column, weighted, &mut counted, &mut buffers)?,
                Layout::Ids => {
                    selected_ids(part, column, weighted, &mut counted, &mut buffers)?;
                    of_ids.push((part, column));
                }
            }
        }
    }
    other_ids(&of_ids, weighted, &mut counted, &mut buffers)?;
    keep_most(&mut counted, known, most)?;
    Ok(counted)
}

/// The weight of all rows of a segment, if it is the same for each and all rows are meant.
fn whole(part: &Part<'_>, weighted: bool) -> Option<f64> {
    let rate = if weighted { part.segment.uniform_sample_rate() } else { Some(1.0) };
    rate.filter(|_| matches!(part.other, Picked::All))
}

/// Adds the weight of each row to the slot of its code; the last slot is for missing cells. Squares are added only where weights
/// differ.
fn add_codes(codes: Codes<'_>, rows: Rows<'_>, weights: Weights<'_>, slots: &mut [Mass]) {
    let missing = slots.len() - 1;
    fn add<T: Copy + Into<u32>>(values: &[T], rows: Rows<'_>, weights: Weights<'_>, slots: &mut [Mass], missing: usize) {
        match (rows, weights) {
            (Rows::Range(low, high), Weights::Same(w)) => {
                for v in &values[low..high] {
                    slots[((*v).into() as usize).min(missing)].weight += w;
                }
            }
            (rows, Weights::Same(w)) => rows.each(|_, row| slots[(values[row].into() as usize).min(missing)].weight += w),
            (rows, Weights::Each(w)) => rows.each(|_, row| slots[(values[row].into() as usize).min(missing)].add(w[row])),
        }
    }
    match codes {
        Codes::Const(c) => {
            let sum = weights.sum(rows);
            let slot = &mut slots[(c as usize).min(missing)];
            slot.weight += sum.weight;
            if matches!(weights, Weights::Each(_)) {
                slot.squares += sum.squares;
            }
        }
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

/// Weights per code of the picked rows, the missing ones last; empty if no row is picked.
fn slots(
    part: &Part<'_>,
    column: Column<'_>,
    picked: &Picked,
    n: usize,
    weighted: bool,
    buffers: &mut Buffers,
) -> Result<Vec<Mass>, EngineError> {
    let mut slots = Vec::new();
    each_code(part, column, picked, weighted, buffers, &mut |codes, rows, weights| {
        if slots.is_empty() {
            slots = vec![Mass::default(); n + 1];
        }
        add_codes(codes, rows, weights, &mut slots);
    })?;
    if let Some(rate) = if weighted { part.segment.uniform_sample_rate() } else { Some(1.0) } {
        for slot in &mut slots {
            slot.squares = slot.weight * rate;
        }
    }
    Ok(slots)
}

fn codes<'a>(
    part: &Part<'a>,
    column: Column<'a>,
    weighted: bool,
    counted: &mut Counted,
    known: &mut Vec<Known<'a>>,
    buffers: &mut Buffers,
) -> Result<(), EngineError> {
    let dict = part.segment.dict(&column)?;
    let n = dict.len();
    let selection = slots(part, column, &part.selection, n, weighted, buffers)?;
    let stored = whole(part, weighted);
    let other = if stored.is_some() { Vec::new() } else { slots(part, column, &part.other, n, weighted, buffers)? };
    counted.texts |= column.kind == ColumnKind::Str;
    counted.ids |= column.kind != ColumnKind::Str;
    selection.iter().take(n).for_each(|m| counted.present.selection += *m);
    match stored {
        Some(rate) => counted.present.other += Mass::uniform(rate * column.n_present as f64, rate),
        None => other.iter().take(n).for_each(|m| counted.present.other += *m),
    }
    let look_up = stored.is_some() && n > WHOLE_ENTRIES;
    let mut seen_bits = vec![0u64; if look_up { n.div_ceil(64) } else { 0 }];
    let frequent = (part.segment.n_rows() / FREQUENT).max(1) as u32;
    let mut text = String::new();
    for code in 0..n {
        let pair = Pair {
            selection: selection.get(code).copied().unwrap_or_default(),
            other: match stored {
                Some(rate) => Mass::uniform(rate * f64::from(dict.count(code as u32)), rate),
                None => other.get(code).copied().unwrap_or_default(),
            },
        };
        if look_up {
            if pair.selection.weight == 0.0 && dict.count(code as u32) < frequent {
                continue;
            }
            seen_bits[code / 64] |= 1 << (code % 64);
        } else if pair.selection.weight == 0.0 && pair.other.weight == 0.0 {
            continue;
        }
        let key = match dict.text_bytes(code as u32) {
            Some(bytes) => Key::text_hash(hash128(bytes)),
            None => Key::text(dict.text(code as u32, &mut text)),
        };
        let (_, sum) = counted.by_key.entry(key).or_insert_with(|| (Cell::Str(dict.text(code as u32, &mut text).into()), Pair::default()));
        *sum += pair;
    }
    if let Some(rate) = stored.filter(|_| look_up) {
        known.push(Known { segment: part.segment, column, rate, counted: seen_bits });
    }
    Ok(())
}

fn bools(part: &Part<'_>, column: Column<'_>, weighted: bool, counted: &mut Counted, buffers: &mut Buffers) -> Result<(), EngineError> {
    counted.bools = true;
    let selection = slots(part, column, &part.selection, 2, weighted, buffers)?;
    let other = match whole(part, weighted) {
        Some(rate) => {
            let n_true = part.segment.n_true(&column);
            let mass = |n: usize| Mass::uniform(rate * n as f64, rate);
            vec![mass(column.n_present - n_true), mass(n_true)]
        }
        None => slots(part, column, &part.other, 2, weighted, buffers)?,
    };
    for value in [false, true] {
        let of = |masses: &[Mass]| masses.get(usize::from(value)).copied().unwrap_or_default();
        let pair = Pair { selection: of(&selection), other: of(&other) };
        counted.present += pair;
        if pair.selection.weight > 0.0 || pair.other.weight > 0.0 {
            counted.by_key.entry(Key::bool(value)).or_insert((Cell::Bool(value), Pair::default())).1 += pair;
        }
    }
    Ok(())
}

/// Ids that rarely repeat: those of the selection.
fn selected_ids(
    part: &Part<'_>,
    column: Column<'_>,
    weighted: bool,
    counted: &mut Counted,
    buffers: &mut Buffers,
) -> Result<(), EngineError> {
    counted.ids = true;
    let Some(kind) = column.kind.id() else { return Ok(()) };
    let mut seen: HashMap<u128, Mass> = HashMap::new();
    each_block(part.segment, &part.selection, weighted, &mut buffers.scratch, &mut |block, rows, weights, scratch| {
        let (values, valid) = part.segment.read_ids(&column, block, scratch)?;
        rows.each(|_, row| {
            if is_valid(valid, row) {
                seen.entry(values[row]).or_default().add(weights.of(row));
            }
        });
        Ok(())
    })?;
    let mut text = String::new();
    let mut seen: Vec<(u128, Mass)> = seen.into_iter().collect();
    seen.sort_unstable_by_key(|(id, _)| *id);
    for (id, mass) in seen {
        counted.present.selection += mass;
        let (_, sum) = counted.by_key.entry(Key::id(column.kind, id)).or_insert_with(|| {
            text.clear();
            id_text(kind, id, &mut text);
            (Cell::Str(text.as_str().into()), Pair::default())
        });
        sum.selection += mass;
    }
    Ok(())
}

/// The same on the other side: how many events have one, and those of the values that are counted by now. A value may be an id
/// among many here and one of few in another segment, so all the others come first.
fn other_ids(parts: &[(&Part<'_>, Column<'_>)], weighted: bool, counted: &mut Counted, buffers: &mut Buffers) -> Result<(), EngineError> {
    if parts.is_empty() {
        return Ok(());
    }
    let sieve = Sieve::of(counted.by_key.keys());
    let Counted { by_key, present, .. } = counted;
    for (part, column) in parts {
        each_block(part.segment, &part.other, weighted, &mut buffers.scratch, &mut |block, rows, weights, scratch| {
            let (values, valid) = part.segment.read_ids(column, block, scratch)?;
            rows.each(|_, row| {
                if is_valid(valid, row) {
                    let (key, weight) = (Key::id(column.kind, values[row]), weights.of(row));
                    present.other.add(weight);
                    if sieve.lets_through(key)
                        && let Some((_, pair)) = by_key.get_mut(&key)
                    {
                        pair.other.add(weight);
                    }
                }
            });
            Ok(())
        })?;
    }
    Ok(())
}

/// Holds back most of what is not among some keys, before their map is looked into.
struct Sieve(Vec<u64>);

impl Sieve {
    /// One word of bits per key: of others, at most one in 64 is let through.
    fn of<'k>(keys: impl ExactSizeIterator<Item = &'k Key>) -> Sieve {
        let mut sieve = Sieve(vec![0; keys.len().next_power_of_two()]);
        for key in keys {
            let (word, bit) = sieve.place(*key);
            sieve.0[word] |= bit;
        }
        sieve
    }

    fn place(&self, key: Key) -> (usize, u64) {
        let hash = key.hash();
        ((hash >> 6) as usize & (self.0.len() - 1), 1 << (hash & 63))
    }

    fn lets_through(&self, key: Key) -> bool {
        let (word, bit) = self.place(key);
        self.0[word] & bit != 0
    }
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
    let Counted { numbers, exact, distinct, present, whole_numbers, .. } = counted;
    *whole_numbers &= column.layout == Layout::Ints;
    if column.range.is_none() {
        return Ok(());
    }
    each_number(part, column, &part.selection, weighted, buffers, |v, w| {
        numbers.slot(bucket_of(v)).selection.add(w);
        present.selection.add(w);
        if let Some(values) = exact {
            values.push((v, w));
            if values.len() > EXACT_MAX {
                *exact = None;
            }
        }
        if let Some(values) = distinct {
            match values.iter().position(|(known, _)| *known == v) {
                Some(at) => values[at].1.add(w),
                None if values.len() < DISTINCT_MAX => values.push((v, Mass { weight: w, squares: w * w })),
                None => *distinct = None,
            }
        }
    })?;
    let stored = match whole(part, weighted) {
        Some(rate) => part.segment.histogram(&column)?.map(|h| (rate, h)),
        None => None,
    };
    match stored {
        Some((rate, histogram)) => {
            for (bucket, n) in histogram {
                let mass = Mass::uniform(rate * f64::from(n), rate);
                numbers.slot(bucket).other += mass;
                present.other += mass;
            }
        }
        None => each_number(part, column, &part.other, weighted, buffers, |v, w| {
            numbers.slot(bucket_of(v)).other.add(w);
            present.other.add(w);
        })?,
    }
    Ok(())
}

/// Keeps the values that are most frequent on each side, and completes their counts.
fn keep_most(counted: &mut Counted, known: Vec<Known<'_>>, most: usize) -> Result<(), EngineError> {
    let mut values: Vec<(Cell, Pair)> = std::mem::take(&mut counted.by_key).into_values().collect();
    counted.selection_values = values.iter().filter(|(_, p)| p.selection.weight > 0.0).count();
    values.sort_unstable_by(|(a, x), (b, y)| {
        y.selection.weight.total_cmp(&x.selection.weight).then_with(|| y.other.weight.total_cmp(&x.other.weight)).then_with(|| a.compare(b))
    });
    let in_selection = values.partition_point(|(_, p)| p.selection.weight > 0.0);
    if counted.texts {
        counted.prefixes = count_prefixes(&values, in_selection, counted.present.selection, &known)?;
    }
    let mut rest = values.split_off(most.min(in_selection));
    rest.sort_unstable_by(|(a, x), (b, y)| y.other.weight.total_cmp(&x.other.weight).then_with(|| a.compare(b)));
    rest.truncate(most);
    values.extend(rest);
    for Known { segment, column, rate, counted } in &known {
        let dict = segment.dict(column)?;
        for (cell, pair) in &mut values {
            if let Cell::Str(text) = cell
                && let Some(code) = dict.find(text)
                && counted[code as usize / 64] >> (code % 64) & 1 == 0
            {
                pair.other += Mass::uniform(rate * f64::from(dict.count(code)), *rate);
            }
        }
    }
    counted.values = values;
    Ok(())
}

/// What the beginnings that many events of the selection share weigh on both sides. The values come by weight in the selection,
/// those that it does not have last.
fn count_prefixes(
    values: &[(Cell, Pair)],
    in_selection: usize,
    selection: Mass,
    known: &[Known<'_>],
) -> Result<Vec<(String, Pair)>, EngineError> {
    let (selected, others) = values.split_at(in_selection);
    let mut prefixes = Prefixes::of(selected.iter().map(|(cell, pair)| (cell, *pair)), selection);
    if prefixes.is_empty() {
        return Ok(Vec::new());
    }
    for (cell, pair) in others {
        if let Cell::Str(text) = cell {
            prefixes.add(text, *pair);
        }
    }
    let texts: Vec<String> = prefixes.texts().map(str::to_owned).collect();
    for Known { segment, column, rate, counted } in known {
        let dict = segment.dict(column)?;
        for (at, text) in texts.iter().enumerate() {
            let codes = codes_of_prefix(&dict, text);
            let uncounted = codes.filter(|code| counted[*code as usize / 64] >> (code % 64) & 1 == 0);
            let n: u64 = uncounted.map(|code| u64::from(dict.count(code))).sum();
            prefixes.add_other(at, Mass::uniform(rate * n as f64, *rate));
        }
    }
    Ok(prefixes.into_counts())
}
