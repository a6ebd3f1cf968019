//! Requests damaged at random are decoded or refused, and what is decoded is consistent.
//!
//! Owns: the damage, from a seed that is printed when it finds something (`WIDEYE_SEED`, `WIDEYE_ROUNDS`). Never does: judge values.

use crate::proto::{attr, bytes, double, fixed, int, msg, text};
use crate::rows::rows;
use ingest::{ContentEncoding, Context, decompress, honeycomb, otlp};
use model::Limits;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn otlp_seeds() -> Vec<Vec<u8>> {
    let resource = msg(1, &[text(1, "service.name", "shop"), attr(1, "sampleRate", int(3, 2))]);
    let scope = msg(1, &[bytes(1, "lib"), text(3, "a", "b")]);
    let list = msg(5, &[bytes(1, bytes(1, "x")), bytes(1, msg(6, &[text(1, "k", "v")]))]);
    let span = msg(
        2,
        &[
            bytes(1, [1; 16]),
            bytes(2, [2; 8]),
            bytes(3, "ot=th:c"),
            bytes(5, "name"),
            int(6, 2),
            fixed(7, 1 << 60),
            fixed(8, 1 << 61),
            attr(9, "m", msg(6, &[attr(1, "x", int(3, -1)), attr(1, "y", list.clone())])),
            attr(9, "f", double(4, 0.5)),
            msg(11, &[fixed(1, 5), bytes(2, "exception"), text(3, "exception.type", "E")]),
            msg(13, &[bytes(1, [3; 16])]),
            msg(15, &[int(3, 2)]),
        ],
    );
    let log = msg(2, &[fixed(1, 7), bytes(5, msg(6, &[attr(1, "l", list)])), int(2, 9), bytes(9, [4; 16])]);
    let point = [fixed(3, 9), fixed(4, 3), double(5, 1.0)];
    let histogram = msg(9, &[msg(1, &[point.concat(), bytes(6, [1; 24]), bytes(7, [64; 16]), msg(8, &[bytes(5, [1; 16])])]), int(2, 2)]);
    let exponential = msg(10, &[msg(1, &[point.concat(), int(6, 3), msg(8, &[int(1, 4), bytes(2, [1, 2, 3])])])]);
    let summary = msg(11, &[msg(1, &[point.concat(), msg(6, &[double(1, 0.5), double(2, 3.0)])])]);
    let metrics: Vec<_> = [histogram, exponential, summary].into_iter().map(|m| msg(2, &[bytes(1, "metric"), m])).collect();
    [span, log, metrics.concat()].into_iter().map(|items| msg(1, &[resource.clone(), msg(2, &[scope.clone(), items])])).collect()
}

const JSON_SEEDS: [&str; 4] = [
    r#"[{"time":"2024-01-01T00:00:00.5Z","samplerate":2,"data":{"a":1,"b":{"c":[1,"x",{"y":null}]},"d":-1.5e3,"e":true,"s":"esc \u00e9\ud83d\ude00\n"}},{"data":{"a":"0123456789abcdef"}},7]"#,
    "{\"a\":1,\"time\":1700000000123}\n{\"data\":{\"x\":\"y\"},\"timestamp\":\"2024-01-01\"}\n\n{\"k\":[1,2,{}]}\n",
    r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","name":"n","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1700000000000000000","attributes":[{"key":"l","value":{"arrayValue":{"values":[{"intValue":"1"},null]}}}]}]}]}]}"#,
    r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h","histogram":{"dataPoints":[{"count":"3","bucketCounts":["1","2"],"explicitBounds":[1.5]}]}}]}]}]}"#,
];

const MSGPACK_SEED: &[u8] = b"\x92\x83\xa4time\xd7\xff\0\0\0\0\x65\x53\xf1\x00\xaasamplerate\x02\xa4data\x83\xa1a\xd3\xff\xff\xff\xff\xff\xff\xff\xff\xa1m\x82\xa1x\x93\x01\xa1y\xc0\x02\xcb\x3f\xf8\0\0\0\0\0\0\xa1b\xc4\x03\x01\x02\xff\x81\xa4data\xde\x00\x01\xa1u\xcf\xff\xff\xff\xff\xff\xff\xff\xff";

/// Changes, drops, repeats or splices some bytes.
fn damage(dice: &mut Dice, body: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..1 + dice.below(4) {
        let (at, n) = (dice.below(body.len() + 1), 1 + dice.below(6));
        let end = (at + n).min(body.len());
        match dice.below(7) {
            0 => body.truncate(at),
            1 => drop(body.drain(at..end)),
            2 => body.get_mut(at).into_iter().for_each(|b| *b = dice.next() as u8),
            3 => body.get_mut(at).into_iter().for_each(|b| *b ^= 1 << dice.below(8)),
            4 => drop(body.splice(at..at, body[at..end].to_vec().repeat(1 + dice.below(20)))),
            5 => body.insert(at, *b"\"\\{}[],:0-\xff\x80\x00\n".get(dice.below(14)).unwrap()),
            _ => {
                let from = dice.below(other.len() + 1);
                let piece = &other[from..(from + dice.below(40)).min(other.len())];
                drop(body.splice(at..end, piece.to_vec()));
            }
        }
    }
}

/// Every decoder reads it. What they take must be consistent.
fn feed(body: &[u8]) {
    let limits = Limits {
        event_fields_max: 30,
        string_bytes_max: 20,
        event_bytes_max: 600,
        nesting_depth_max: 8,
        dataset_columns_max: 40,
        ..Limits::default()
    };
    let context = Context::new(1_800_000_000_000_000_000, &limits);
    use honeycomb::Format::{Json, Msgpack, Ndjson};
    for format in [Json, Msgpack, Ndjson] {
        if let Ok(decoded) = honeycomb::batch(body, format, "ds", &context) {
            let n: usize = decoded.writes.iter().map(|w| rows(&w.1).len()).sum();
            assert_eq!(n, decoded.statuses.iter().filter(|s| s.code() == 202).count());
            assert!(!honeycomb::reply(&decoded.statuses, format).is_empty());
        }
        if let Ok(decoded) = honeycomb::event(body, format, "ds", honeycomb::EventHeaders { time: Some("12"), sample_rate: None }, &context)
        {
            assert_eq!(rows(&decoded.writes[0].1).len(), 1);
        }
    }
    for signal in [otlp::Signal::Traces, otlp::Signal::Logs, otlp::Signal::Metrics] {
        for encoding in [otlp::Encoding::Protobuf, otlp::Encoding::Json] {
            if let Ok(decoded) = otlp::decode(signal, body, encoding, otlp::Routing::default(), &context) {
                decoded.writes.iter().for_each(|w| drop(rows(&w.1)));
                assert!(decoded.rejected == 0 || !decoded.message.is_empty());
            }
        }
    }
    for encoding in [ContentEncoding::Gzip, ContentEncoding::Zstd] {
        if let Ok(unpacked) = decompress(body, encoding, 10_000) {
            assert!(unpacked.len() <= 10_000);
        }
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn damaged_requests_never_panic() {
    let seed = number("WIDEYE_SEED", 42);
    let rounds = number("WIDEYE_ROUNDS", 20_000);
    let mut seeds = otlp_seeds();
    seeds.extend(JSON_SEEDS.map(|s| s.as_bytes().to_vec()));
    seeds.push(MSGPACK_SEED.to_vec());
    seeds.push(zstd::bulk::compress(&seeds[3], 1).unwrap());
    seeds.iter().for_each(|s| feed(s));
    for round in 0..rounds {
        let mut dice = Dice(seed.wrapping_add(round));
        let mut body = seeds[dice.below(seeds.len())].clone();
        let other = &seeds[dice.below(seeds.len())];
        damage(&mut dice, &mut body, other);
        let result = std::panic::catch_unwind(|| feed(&body));
        assert!(result.is_ok(), "run again with WIDEYE_SEED={} WIDEYE_ROUNDS=1, body={body:?}", seed.wrapping_add(round));
    }
}

#[test]
fn noise_never_panics() {
    let mut dice = Dice(number("WIDEYE_SEED", 7));
    for _ in 0..5_000 {
        let n = dice.below(60);
        let body: Vec<u8> = (0..n).map(|_| dice.next() as u8).collect();
        feed(&body);
    }
}
