//! A made-up day of a made-up service, with one planted fault: what comparisons are measured by.
//!
//! Owns: events, faults, and the two populations that a person would compare. Never does: compare.

use model::{BatchBuilder, Value};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use store::segment::{Segment, encode, merge};

/// First time of the day, in nanoseconds.
pub(crate) const START_NS: i64 = 1_700_000_000_000_000_000;
const DAY_S: f64 = 86_400.0;
/// The hour that questions about "now" select.
const WINDOW_S: (f64, f64) = (79_200.0, 82_800.0);

/// Random numbers from a seed (Marsaglia's xorshift, 2003).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..8).for_each(|_| {
            rng.next();
        });
        rng
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// A rank below `n`; small ones are frequent.
    fn skewed(&mut self, n: usize, power: f64) -> usize {
        ((n as f64).powf(self.unit().powf(power)) - 1.0) as usize % n
    }
}

/// What was planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OneValue,
    TwoConditions,
    ThreeConditions,
    Threshold,
    NewValue,
    VanishedField,
    RareValue,
    Id,
    Prefix,
    DriftOfTime,
    DriftOfTraffic,
}

impl Kind {
    /// First seed of its faults.
    fn seed(self) -> u64 {
        match self {
            // Planted later than the others, whose seeds stay.
            Kind::Prefix => 11_000,
            Kind::DriftOfTime => 9_000,
            Kind::DriftOfTraffic => 10_000,
            kind => 1_000 * (kind as u64 + 1),
        }
    }
}

pub(crate) const KINDS: [(Kind, usize); 11] = [
    (Kind::OneValue, 8),
    (Kind::TwoConditions, 8),
    (Kind::ThreeConditions, 8),
    (Kind::Threshold, 8),
    (Kind::NewValue, 6),
    (Kind::VanishedField, 6),
    (Kind::RareValue, 6),
    (Kind::Id, 4),
    (Kind::Prefix, 6),
    (Kind::DriftOfTime, 3),
    (Kind::DriftOfTraffic, 3),
];

/// A fault: conditions that cause it, and how to ask.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub kind: Kind,
    pub seed: u64,
    /// Column, operator, value.
    pub cause: Vec<(&'static str, &'static str, Json)>,
    /// Selection and baseline of a comparison.
    pub selection: Json,
}

/// The faults of the measurement: 66, the same every time.
pub(crate) fn faults() -> Vec<Fault> {
    let mut all = Vec::new();
    for (kind, n) in KINDS {
        all.extend((0..n).map(|i| fault(kind, kind.seed() + i as u64)));
    }
    all
}

const REGIONS: [&str; 6] = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-south-1", "sa-east-1"];
const PLATFORMS: [&str; 5] = ["ios17", "ios16", "android14", "android13", "web"];
/// Syllables of last names.
const NAMES: [&[&str]; 3] = [
    &["Mc", "Ma", "Mo", "Sm", "Jo", "Ja", "Wi", "Br", "Da", "Mi", "Wa", "Ta", "An", "Th", "Ha", "Le", "Cl", "Ro", "Ki", "Wr"],
    &["ar", "el", "in", "on", "und", "ast", "ill", "ock", "ey", "ith", "ob", "urd"],
    &["", "son", "er", "ley", "ton", "man", "s", "ford", "field"],
];
const FLAGS: [&str; 4] = ["flag.new_cart", "flag.fast_path", "flag.dark_mode", "flag.retry"];
const NOISE: [&str; 12] = ["n.a", "n.b", "n.c", "n.d", "n.e", "n.f", "n.g", "n.h", "n.i", "n.j", "n.k", "n.l"];
const WANDER: [&str; 6] = ["w.a", "w.b", "w.c", "w.d", "w.e", "w.f"];
const MEASURES: [&str; 6] = ["m.a", "m.b", "m.c", "m.d", "m.e", "m.f"];

fn fault(kind: Kind, seed: u64) -> Fault {
    let mut r = Rng::new(seed);
    let choice = |r: &mut Rng, n: usize| -> (&'static str, &'static str, Json) {
        match n % 6 {
            0 => ("build", "=", json!(format!("b{}", 100 + r.below(6)))),
            1 => ("region", "=", json!(REGIONS[r.below(4)])),
            2 => ("platform", "=", json!(PLATFORMS[r.below(3)])),
            3 => ("route", "=", json!(format!("/r{}", r.below(6)))),
            4 => (FLAGS[r.below(4)], "=", json!(true)),
            _ => ("host", "=", json!(format!("h{:02}", r.below(20)))),
        }
    };
    let several = |r: &mut Rng, n: usize| {
        let mut kinds: Vec<usize> = (0..5).collect();
        (0..n)
            .map(|_| {
                let at = r.below(kinds.len());
                let k = kinds.swap_remove(at);
                choice(r, k)
            })
            .collect::<Vec<_>>()
    };
    let errors = json!({"filters": [{"column": "error", "op": "=", "value": true}]});
    let at = |s: f64| json!(START_NS / 1_000_000_000 + s as i64);
    let window = json!({"start_time": at(WINDOW_S.0), "end_time": at(WINDOW_S.1)});
    let (cause, selection) = match kind {
        Kind::OneValue => {
            let k = r.below(6);
            (vec![choice(&mut r, k)], errors)
        }
        Kind::TwoConditions => (several(&mut r, 2), errors),
        Kind::ThreeConditions => (several(&mut r, 3), errors),
        Kind::Threshold => {
            let (column, low) = [("payload_bytes", 20_000.0), ("queue_ms", 60.0), ("m.a", 1.5), ("items", 12.0)][r.below(4)];
            (vec![(column, ">=", json!(low * (1.0 + r.unit())))], errors)
        }
        Kind::NewValue => (vec![("exception.slug", "=", json!(format!("err-{}", r.below(1000))))], window),
        Kind::VanishedField => (vec![(["cache.key", "cart.id", "peer.service"][r.below(3)], "does-not-exist", Json::Null)], window),
        Kind::RareValue => (vec![("tenant", "=", json!("t-rare"))], errors),
        Kind::Id => (vec![("user.id", "=", json!("user-004242"))], errors),
        // Alone, and together with one or two other conditions.
        Kind::Prefix => {
            let mut cause = several(&mut r, seed as usize % 3);
            cause.push(("user.last_name", "starts-with", json!(NAMES[0][r.below(NAMES[0].len())])));
            (cause, errors)
        }
        Kind::DriftOfTime | Kind::DriftOfTraffic => {
            let k = [1, 2, 3, 5][r.below(4)];
            (vec![choice(&mut r, k)], errors)
        }
    };
    Fault { kind, seed, cause, selection }
}

/// How busy the service is, 0.4 to 1.6.
fn traffic(second: f64) -> f64 {
    1.0 + 0.6 * ((second / DAY_S - 0.6) * std::f64::consts::TAU).cos()
}

struct Event {
    second: f64,
    fields: Vec<(&'static str, Value)>,
}

fn event(second: f64, r: &mut Rng, walks: &[Vec<f64>]) -> Event {
    let mut f: Vec<(&'static str, Value)> = Vec::with_capacity(48);
    let text = |s: String| Value::Str(s);
    let hour = (second / DAY_S * 96.0) as usize;
    let busy = traffic(second);
    let host = r.skewed(30, 0.9);
    f.push(("service", text(["web", "api", "cart", "search"][r.skewed(4, 0.8)].into())));
    f.push(("route", text(format!("/r{}", r.skewed(24, 0.8)))));
    f.push(("region", text(REGIONS[r.skewed(6, 0.7)].into())));
    f.push(("platform", text(PLATFORMS[r.skewed(5, 0.6)].into())));
    f.push(("build", text(format!("b{}", 100 + r.skewed(12, 0.7)))));
    f.push(("host", text(format!("h{host:02}"))));
    f.push(("k8s.pod", text(format!("pod-{:02}-x{}", host, host * 7 % 30))));
    f.push(("tenant", text(if r.unit() < 0.002 { "t-rare".into() } else { format!("t{}", r.skewed(3_000, 0.6)) })));
    let user = if r.unit() < 0.002 { 4242 } else { r.below(20_000) };
    f.push(("user.id", text(format!("user-{user:06}"))));
    let name: String = NAMES.iter().fold((user * 7919, String::new()), |(n, name), some| (n / some.len(), name + some[n % some.len()])).1;
    f.push(("user.last_name", text(name)));
    f.push(("request.id", text(format!("req-{:012}", r.next() % 1_000_000_000_000))));
    f.push(("trace.trace_id", text(format!("{:016x}{:016x}", r.next(), r.next()))));
    f.push(("trace.span_id", text(format!("{:016x}", r.next()))));
    for flag in FLAGS {
        f.push((flag, Value::Bool(r.unit() < 0.3)));
    }
    f.push(("status", Value::Int([200, 200, 200, 204, 301, 404][r.below(6)])));
    f.push(("items", Value::Int(1 + r.skewed(40, 0.7) as i64)));
    f.push(("payload_bytes", Value::Int((r.normal() * 1.4 + 8.5).exp() as i64)));
    f.push(("queue_ms", Value::Float((r.normal() * 1.2 + 2.5).exp() * busy)));
    f.push(("duration_ms", Value::Float((r.normal() * 0.8 + 4.0).exp() * busy.sqrt())));
    for (present, name) in [(0.6, "cache.key"), (0.9, "cart.id"), (0.8, "peer.service")] {
        if r.unit() < present {
            f.push((name, text(format!("{name}-{}", r.skewed(500, 0.6)))));
        }
    }
    if r.unit() < 0.01 {
        f.push(("exception.slug", text(format!("err-known-{}", r.below(5)))));
    }
    // What follows the time of day, the traffic, and what wanders by itself.
    f.push(("rollout", text(if r.unit() < second / DAY_S { "next" } else { "current" }.into())));
    f.push(("traffic.class", text(if r.unit() < (busy - 0.3) / 1.5 { "bulk" } else { "interactive" }.into())));
    for (name, walk) in WANDER.iter().zip(walks) {
        f.push((name, text(if r.unit() < walk[hour.min(95)] { "on" } else { "off" }.into())));
    }
    for (i, name) in NOISE.iter().enumerate() {
        f.push((name, text(format!("v{}", r.skewed(3 + i * 7, 0.7)))));
    }
    for (i, name) in MEASURES.iter().enumerate() {
        f.push((name, Value::Float(if i % 2 == 0 { r.normal() } else { r.unit() * 100.0 })));
    }
    Event { second, fields: f }
}

fn holds(event: &Event, (column, op, want): &(&str, &str, Json)) -> bool {
    let got = event.fields.iter().find(|(name, _)| name == column).map(|(_, v)| v.to_json());
    match (*op, got) {
        ("=", Some(got)) => got == *want,
        ("starts-with", Some(got)) => got.as_str().zip(want.as_str()).is_some_and(|(got, want)| got.starts_with(want)),
        (">=", Some(got)) => got.as_f64() >= want.as_f64(),
        _ => false,
    }
}

/// The events of a day with a fault in it.
pub(crate) fn segments(fault: &Fault, n: usize) -> Vec<Arc<Segment>> {
    let mut r = Rng::new(fault.seed ^ 0x5eed);
    let walks: Vec<Vec<f64>> = WANDER
        .iter()
        .map(|_| {
            let mut at = 0.2 + 0.6 * r.unit();
            (0..96)
                .map(|_| {
                    at = (at + r.normal() * 0.025).clamp(0.03, 0.97);
                    at
                })
                .collect()
        })
        .collect();
    let mut seconds: Vec<f64> = Vec::with_capacity(n);
    while seconds.len() < n {
        let second = r.unit() * DAY_S;
        if r.unit() * 1.6 < traffic(second) {
            seconds.push(second);
        }
    }
    seconds.sort_by(f64::total_cmp);
    // How often the cause leads to the fault, and how often it comes without.
    let strength = 0.35 + 0.65 * r.unit();
    let noise = 0.003 + 0.004 * r.unit();
    let share = 0.04 + 0.1 * r.unit();
    let vanished = 0.3 + 0.6 * r.unit();
    let mut images = Vec::new();
    for part in seconds.chunks(8_192) {
        let mut b = BatchBuilder::new();
        for second in part {
            let mut e = event(*second, &mut r, &walks);
            let now = (WINDOW_S.0..WINDOW_S.1).contains(second);
            let active = match fault.kind {
                // Only late, while the roll-out is far on; only as far as the service is busy.
                Kind::DriftOfTime => *second > DAY_S * 0.7,
                Kind::DriftOfTraffic => r.unit() < ((traffic(*second) - 0.7) / 0.9).clamp(0.0, 1.0),
                _ => true,
            };
            let mut failed = r.unit() < noise;
            match fault.kind {
                Kind::NewValue => {
                    if now && r.unit() < share {
                        e.fields.retain(|(name, _)| *name != "exception.slug");
                        e.fields.push(("exception.slug", Value::Str(fault.cause[0].2.as_str().unwrap_or_default().into())));
                    }
                }
                Kind::VanishedField => {
                    if now && r.unit() < vanished {
                        e.fields.retain(|(name, _)| *name != fault.cause[0].0);
                    }
                }
                _ => failed |= active && fault.cause.iter().all(|c| holds(&e, c)) && r.unit() < strength,
            }
            e.fields.push(("error", Value::Bool(failed)));
            b.begin();
            for (name, value) in &e.fields {
                let c = b.column(name);
                b.value(c, value);
            }
            b.end(START_NS + (e.second * 1e9) as i64, 1.0);
        }
        images.push(Arc::new(Segment::from_bytes(encode(&b.finish())).expect("an image of a batch opens")));
    }
    images.chunks(4).map(|some| Arc::new(Segment::from_bytes(merge(some).expect("images merge")).expect("and open"))).collect()
}

/// The question about a day.
pub(crate) fn question(fault: &Fault) -> Json {
    let start = START_NS / 1_000_000_000;
    // What came after the window is not known while it lasts.
    let end = if matches!(fault.kind, Kind::NewValue | Kind::VanishedField) { WINDOW_S.1 } else { DAY_S };
    json!({"query": {"start_time": start, "end_time": start + end as i64}, "selection": fault.selection})
}

/// Whether conditions are the planted cause, no more and no less. A threshold may be off by a fifth.
pub(crate) fn is_cause(fault: &Fault, conditions: &[Json]) -> bool {
    let same = |c: &Json, (column, op, value): &(&str, &str, Json)| {
        let near = |a: &Json, b: &Json| matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if (a - b).abs() <= 0.2 * b.abs());
        c["column"] == **column
            && c["op"] == **op
            && (*op == "does-not-exist" || c["value"] == *value || *op == ">=" && near(&c["value"], value))
    };
    conditions.len() == fault.cause.len() && fault.cause.iter().all(|cause| conditions.iter().any(|c| same(c, cause)))
}
