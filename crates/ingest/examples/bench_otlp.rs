//! How fast OTLP spans become columns: `cargo run --release -p ingest --example bench_otlp`.
//!
//! Owns: a made-up request of spans with 30 attributes. Never does: compare encodings with each other's wire size.

#[path = "../tests/it/proto.rs"]
#[allow(dead_code, reason = "shared with tests")]
mod proto;

use ingest::{Context, otlp};
use model::Limits;
use proto::{Field, attr, bytes, double, fixed, int, msg, text};
use std::time::Instant;

const SPANS: u64 = 4_000;

fn request() -> Vec<u8> {
    let resource: Vec<Field> = (0..8).map(|i| text(1, &format!("resource.attribute.{i}"), &format!("value {i}"))).collect();
    let spans: Vec<Field> = (0..SPANS)
        .map(|i| {
            let mix = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut fields = vec![
                bytes(1, [mix.to_le_bytes(), i.to_le_bytes()].concat()),
                bytes(2, mix.to_be_bytes()),
                bytes(4, i.to_be_bytes()),
                bytes(5, format!("GET /route/{}", mix % 40)),
                int(6, 2),
                fixed(7, 1_700_000_000_000_000_000 + i),
                fixed(8, 1_700_000_000_000_000_000 + i + mix % 1_000_000),
            ];
            fields.extend((0..20).map(|k| text(9, &format!("attribute.text.{k}"), &format!("value-{}", (mix >> k) % (10 << (k / 2))))));
            fields.extend((0..7).map(|k| attr(9, &format!("attribute.int.{k}"), int(3, (mix >> k) as i64 & 0xffff))));
            fields.extend((0..3).map(|k| attr(9, &format!("attribute.float.{k}"), double(4, (mix >> k) as f64 / 1e3))));
            fields.push(msg(15, &[int(3, 1)]));
            msg(2, &fields)
        })
        .collect();
    let resource = [vec![text(1, "service.name", "shop")], resource].concat();
    msg(1, &[msg(1, &resource), msg(2, &[msg(1, &[bytes(1, "library")]), spans.concat()])])
}

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[allow(clippy::print_stdout, reason = "it is a benchmark")]
fn main() {
    let body = request();
    let limits = Limits::default();
    let context = Context::new(1_800_000_000_000_000_000, &limits);
    for _ in 0..8 {
        let (start, mut n) = (Instant::now(), 0);
        for _ in 0..20 {
            n += otlp::traces(&body, otlp::Encoding::Protobuf, otlp::Routing::default(), &context).map_or(0, |d| d.accepted);
        }
        let s = start.elapsed().as_secs_f64();
        println!(
            "{} bytes per span, {:.0} spans/s, {:.0} MB/s",
            body.len() as u64 / SPANS,
            n as f64 / s,
            20.0 * body.len() as f64 / 1e6 / s
        );
    }
}
