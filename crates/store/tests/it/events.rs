//! Random events for property tests: mixed kinds under one name, missing cells, weights, ids, awkward numbers and times.
//! The engine's tests include this file too.
//!
//! Owns: the test events, their generator and its source of chance. Never does: know the segment format or a question.

use model::{Batch, BatchBuilder, TimeNs, Value};
use std::collections::BTreeMap;

/// SplitMix64: everything random in these tests follows from one seed.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A source of its own, so that a change in one part of a test does not reshuffle the others.
    pub(crate) fn fork(&mut self) -> Rng {
        Rng(self.next())
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Below `n`, which must not be 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Between both, inclusive.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low.wrapping_add((self.next() % (high.wrapping_sub(low) as u64 + 1)) as i64)
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i + 1);
            items.swap(i, j);
        }
    }
}

/// One event as a sender means it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) time_ns: TimeNs,
    pub(crate) sample_rate: f64,
    pub(crate) fields: BTreeMap<String, Value>,
}

/// What ingest would hand to the store for these events.
pub(crate) fn batch(events: &[Event]) -> Batch {
    let mut builder = BatchBuilder::new();
    for event in events {
        builder.begin();
        let mut previous = None;
        for (name, value) in &event.fields {
            let column = builder.column_after(previous, name);
            builder.value(column, value);
            previous = Some(column);
        }
        builder.end(event.time_ns, event.sample_rate);
    }
    builder.finish()
}

/// What the cells of a column look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    SmallInt,
    WideInt,
    Float,
    WholeFloat,
    AwkwardFloat,
    Bool,
    Word,
    NumberText,
    Text,
    Hex8,
    Hex16,
    Uuid,
}

impl Kind {
    pub(crate) const ALL: [Kind; 12] = [
        Kind::SmallInt,
        Kind::WideInt,
        Kind::Float,
        Kind::WholeFloat,
        Kind::AwkwardFloat,
        Kind::Bool,
        Kind::Word,
        Kind::NumberText,
        Kind::Text,
        Kind::Hex8,
        Kind::Hex16,
        Kind::Uuid,
    ];
}

const WORDS: [&str; 14] =
    ["", "a", "checkout", "GET", "get", "größe", "ключ", "日本語", "🦀", "a b", "true", "null", "\u{0}", "checkout/v2"];
const WIDE: [i64; 10] =
    [i64::MIN, i64::MAX, (1 << 53) + 1, (1 << 53) - 1, 1 << 53, -(1 << 53) - 1, i64::MAX - 1, 1 << 62, 1_700_000_000_000_000_001, 0];
const AWKWARD: [f64; 16] = [
    0.0,
    -0.0,
    1e-300,
    -1e-300,
    5e-324,
    1e-9,
    -1.5,
    1e15,
    9_007_199_254_740_992.0,
    -9_223_372_036_854_775_808.0,
    9_223_372_036_854_775_808.0,
    1.8e19,
    -1e200,
    1e200,
    0.1,
    0.30000000000000004,
];

/// A cell of this kind.
pub(crate) fn cell(rng: &mut Rng, kind: Kind) -> Value {
    match kind {
        Kind::SmallInt => Value::Int(rng.between(-3, 20)),
        Kind::WideInt if rng.chance(0.6) => Value::Int(*rng.pick(&WIDE)),
        Kind::WideInt => Value::Int(rng.next() as i64),
        // Latencies and the like: positive, a long tail.
        Kind::Float => Value::Float((rng.unit() * 8.0).exp() * if rng.chance(0.1) { -0.37 } else { 0.37 }),
        Kind::WholeFloat => Value::Float(rng.between(-3, 20) as f64),
        Kind::AwkwardFloat => Value::Float(*rng.pick(&AWKWARD)),
        Kind::Bool => Value::Bool(rng.chance(0.7)),
        Kind::Word => Value::Str((*rng.pick(&WORDS)).into()),
        Kind::NumberText => Value::Str(rng.between(-3, 20).to_string()),
        Kind::Text => {
            let n = rng.below(12);
            let mut text: String = (0..n).map(|_| *rng.pick(&['a', 'b', 'é', '7', ' ', '/', '語', '"', '\\', '\n'])).collect();
            if rng.chance(0.02) {
                text = text.repeat(300);
            }
            Value::Str(text)
        }
        Kind::Hex8 => Value::Str(format!("{:016x}", rng.next())),
        Kind::Hex16 if rng.chance(0.3) => Value::Str(format!("{:032x}", rng.next())),
        Kind::Hex16 => Value::Str(format!("{:016x}{:016x}", rng.next(), rng.next())),
        Kind::Uuid => {
            let (a, b) = (rng.next(), rng.next());
            Value::Str(format!(
                "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                a >> 32,
                (a >> 16) & 0xffff,
                a & 0xffff,
                b >> 48,
                b & 0xffff_ffff_ffff
            ))
        }
    }
}

/// How a column is filled.
#[derive(Clone, Debug)]
pub(crate) struct ColumnPlan {
    pub(crate) name: String,
    /// Share of events with a cell.
    presence: f64,
    kinds: Vec<Kind>,
    /// Values that repeat.
    pool: Vec<Value>,
    /// Share of cells that are made afresh.
    fresh: f64,
}

impl ColumnPlan {
    fn random(rng: &mut Rng, name: &str) -> ColumnPlan {
        let kinds = match name {
            "trace.trace_id" => vec![Kind::Hex16],
            "trace.span_id" => vec![Kind::Hex8],
            "duration_ms" if rng.chance(0.7) => vec![Kind::Float],
            _ => {
                let n = if rng.chance(0.65) { 1 } else { 1 + rng.below(4) };
                (0..n).map(|_| *rng.pick(&Kind::ALL)).collect()
            }
        };
        let n_pool = *rng.pick(&[1, 1, 2, 3, 5, 5, 10, 10, 30, 100, 300]);
        let pool = (0..n_pool)
            .map(|_| {
                let kind = *rng.pick(&kinds);
                cell(rng, kind)
            })
            .collect();
        let fresh = *rng.pick(&[0.0, 0.0, 0.0, 0.0, 0.05, 0.5, 1.0]);
        let presence = *rng.pick(&[1.0, 1.0, 1.0, 0.95, 0.5, 0.1, 0.01]);
        ColumnPlan { name: name.into(), presence, kinds, pool, fresh }
    }

    /// The next cell, if there is one.
    pub(crate) fn next(&self, rng: &mut Rng) -> Option<Value> {
        if !rng.chance(self.presence) {
            return None;
        }
        if rng.chance(self.fresh) {
            let kind = *rng.pick(&self.kinds);
            return Some(cell(rng, kind));
        }
        // The square makes the first of the pool frequent and the last rare.
        let u = rng.unit();
        Some(self.pool[(u * u * self.pool.len() as f64) as usize].clone())
    }
}

const NAMES: [&str; 24] = [
    "service.name",
    "name",
    "status",
    "http.status_code",
    "duration_ms",
    "duration_ms",
    "trace.trace_id",
    "trace.span_id",
    "trace.parent_id",
    "user id",
    "größe",
    "キー",
    "a",
    "a.b",
    "a.b.c",
    "x",
    "X",
    "error",
    "app.cart.total",
    "build_id",
    "_",
    "region\"",
    "shard\\",
    "app.a_rather_long_name_of_a_field_that_somebody_wrote_out.in_full.with_dots",
];

/// Some columns with different names.
pub(crate) fn columns(rng: &mut Rng, n: usize) -> Vec<ColumnPlan> {
    let mut names = NAMES.to_vec();
    rng.shuffle(&mut names);
    names.truncate(n);
    names.sort_unstable();
    names.dedup();
    names.iter().map(|name| ColumnPlan::random(rng, name)).collect()
}

/// How times are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// Hours, to the nanosecond, in order but for stragglers.
    Usual,
    /// On whole seconds and their neighbours by a nanosecond.
    Edges,
    /// All the same.
    Same,
    /// Seconds before and after 1970.
    Epoch,
    /// Decades.
    Decades,
    /// Milliseconds.
    Burst,
}

/// A point that the random times lie around: 2025-07-13.
pub(crate) const NOON: TimeNs = 1_752_400_000_000_000_000;
const SECOND: i64 = model::NS_PER_SECOND;

fn time(rng: &mut Rng, times: Times, i: usize, n: usize) -> TimeNs {
    match times {
        Times::Usual => {
            let at = NOON + (2 * 3600 * SECOND as i128 * i as i128 / n as i128) as i64 + rng.between(0, SECOND);
            if rng.chance(0.02) { at - rng.between(0, 86_400 * SECOND) } else { at }
        }
        Times::Edges => NOON + rng.between(-100, 100) * 30 * SECOND + rng.between(-1, 1),
        Times::Same => NOON + 123_456_789,
        Times::Epoch => rng.between(-90 * SECOND, 90 * SECOND),
        Times::Decades => rng.between(-4_000_000_000, 4_000_000_000) * SECOND + rng.between(0, SECOND - 1),
        Times::Burst => NOON + rng.between(0, 20_000_000),
    }
}

/// How weights are spread.
fn sample_rate(rng: &mut Rng, style: usize) -> f64 {
    match style {
        0 | 1 => 1.0,
        2 => 4.0,
        3 => *rng.pick(&[1.0, 2.0, 10.0]),
        4 => *rng.pick(&[1.0, 0.5, 1.25, 2.5, 100.0]),
        _ => 1.0 + rng.unit() * 50.0,
    }
}

/// `n` events over these columns, in order of arrival.
pub(crate) fn events(rng: &mut Rng, columns: &[ColumnPlan], times: Times, n: usize) -> Vec<Event> {
    let style = rng.below(6);
    (0..n)
        .map(|i| {
            let mut fields = BTreeMap::new();
            for column in columns {
                if let Some(value) = column.next(rng) {
                    fields.insert(column.name.clone(), value);
                }
            }
            Event { time_ns: time(rng, times, i, n), sample_rate: sample_rate(rng, style), fields }
        })
        .collect()
}

/// Cuts into runs of random length, in order.
pub(crate) fn split<'a, T>(rng: &mut Rng, items: &'a [T], parts_max: usize) -> Vec<&'a [T]> {
    let parts = 1 + rng.below(parts_max);
    let mut cuts: Vec<usize> = (1..parts).map(|_| rng.below(items.len() + 1)).collect();
    cuts.extend([0, items.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|w| &items[w[0]..w[1]]).filter(|part| !part.is_empty()).collect()
}
