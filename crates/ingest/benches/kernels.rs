//! Kernels of decoding: JSON and msgpack events, OTLP spans, decompression.
//! `make bench-kernels` counts their instructions; `cargo bench -p ingest --bench kernels` times them.
//!
//! Owns: which kernels, and their inputs. Never does: judge (`bench/kernels.py` does).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring tool")]

#[path = "../../../bench/kernel.rs"]
#[allow(dead_code, reason = "shared with the other crates")]
mod kernel;
#[path = "../tests/it/proto.rs"]
mod proto;

use ingest::{ContentEncoding, Context, decompress, honeycomb, otlp};
use kernel::{Kernels, Numbers, SPARSE_FIELDS, sparse_event};
use model::Limits;
use proto::{Field, attr, bytes, double, fixed, int, msg, text};
use serde_json::{Map, Value, json};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EVENTS: usize = 100;
/// Of each event; a third of 150 columns is absent.
const FIELDS: u64 = 100;

fn wide_events() -> Value {
    let mut x = Numbers::new(3);
    (0..EVENTS)
        .map(|i| {
            let mut data = Map::new();
            for c in 0..FIELDS * 3 / 2 {
                if x.below(3) == 0 {
                    continue;
                }
                let value = match c % 5 {
                    0 => json!(format!("value {}", x.skewed(10 << (c % 12)))),
                    1 => json!(format!("{:016x}", x.below(u64::MAX))),
                    2 => json!(x.below(1 << (c % 40))),
                    3 => json!(x.below(100_000) as f64 / 100.0),
                    _ => json!(x.below(9) == 0),
                };
                data.insert(format!("app.field.{c}"), value);
            }
            json!({"time": format!("2026-09-21T10:00:{:02}.{:06}Z", i % 60, i), "samplerate": 1, "data": data})
        })
        .collect()
}

/// Events with 100 of 10,000 fields each, in no order.
fn sparse_body(n: usize) -> String {
    let mut x = Numbers::new(9);
    let events: Vec<String> = (0..n)
        .map(|i| {
            let mut fields = Vec::new();
            sparse_event(&mut x, |name, kind, value| {
                fields.push(match kind {
                    0 => format!("\"{name}\":\"value-{value}\""),
                    1 => format!("\"{name}\":{value}"),
                    2 => format!("\"{name}\":{:.3}", value as f64 / 8.0),
                    _ => format!("\"{name}\":{}", value % 2 == 0),
                });
            });
            format!("{{\"time\":{},\"data\":{{{}}}}}", 1_700_000_000 + i, fields.join(","))
        })
        .collect();
    format!("[{}]", events.join(","))
}

fn spans() -> Vec<u8> {
    let mut x = Numbers::new(5);
    let resource: Vec<Field> = (0..8).map(|i| text(1, &format!("resource.attribute.{i}"), &format!("value {i}"))).collect();
    let spans: Vec<Field> = (0..EVENTS as u64)
        .map(|i| {
            let mut fields = vec![
                bytes(1, [(i / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes(), i.to_le_bytes()].concat()),
                bytes(2, i.to_be_bytes()),
                bytes(4, (i / 2).to_be_bytes()),
                bytes(5, format!("GET /route/{}", x.below(40))),
                int(6, 2),
                fixed(7, 1_700_000_000_000_000_000 + i),
                fixed(8, 1_700_000_000_000_000_000 + i + x.below(1_000_000)),
            ];
            fields.extend((0..20).map(|k| text(9, &format!("attribute.text.{k}"), &format!("value-{}", x.below(10 << (k / 2))))));
            fields.extend((0..7).map(|k| attr(9, &format!("attribute.int.{k}"), int(3, x.below(65_536) as i64))));
            fields.extend((0..3).map(|k| attr(9, &format!("attribute.float.{k}"), double(4, x.below(65_536) as f64 / 1e3))));
            fields.push(msg(15, &[int(3, 1)]));
            msg(2, &fields)
        })
        .collect();
    let resource = [vec![text(1, "service.name", "shop")], resource].concat();
    msg(1, &[msg(1, &resource), msg(2, &[msg(1, &[bytes(1, "library")]), spans.concat()])])
}

fn main() {
    let kernels = Kernels::from_args();
    let limits = Limits::default();
    let context = Context::new(1_800_000_000_000_000_000, &limits);
    let events = (EVENTS, "event");

    let value = wide_events();
    let body = serde_json::to_vec(&value).unwrap();
    let decoded = |body: &[u8], format| {
        let d = honeycomb::batch(body, format, "bench", &context).unwrap();
        assert_eq!(d.writes[0].1.times.len(), EVENTS);
        d
    };
    kernels.run("ingest: decode JSON, 100 events of 100 fields", events, || decoded(&body, honeycomb::Format::Json));
    let sparse = sparse_body(10 * EVENTS);
    kernels.run("ingest: decode JSON, 1,000 events of 100 of 10,000 fields", (10 * EVENTS * SPARSE_FIELDS, "cell"), || {
        honeycomb::batch(sparse.as_bytes(), honeycomb::Format::Json, "bench", &context).unwrap()
    });
    let lines: Vec<u8> = value.as_array().unwrap().iter().flat_map(|e| format!("{e}\n").into_bytes()).collect();
    kernels.run("ingest: decode NDJSON, 100 events of 100 fields", events, || decoded(&lines, honeycomb::Format::Ndjson));
    let packed = zstd::encode_all(&body[..], 1).unwrap();
    kernels.run("ingest: decompress zstd, 100 events of 100 fields", events, || {
        decompress(&packed, ContentEncoding::Zstd, limits.request_bytes_max).unwrap().len()
    });

    let body = spans();
    let decode = |body: &[u8]| {
        let d = otlp::traces(body, otlp::Encoding::Protobuf, otlp::Routing::default(), &context).unwrap();
        assert_eq!(d.accepted, EVENTS);
        d
    };
    kernels.run("ingest: decode OTLP protobuf, 100 spans of 30 attributes", (EVENTS, "span"), || decode(&body));
}
