//! How fast JSON batches become columns: `cargo run --release -p ingest --example bench_json -- DIR [files] [rounds]`,
//! with a directory of `*.json.zst` batches.
//!
//! Owns: the measurement. Never does: store anything.

use ingest::{ContentEncoding, Context, decompress, honeycomb};
use model::Limits;
use std::time::{Duration, Instant};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "/work/bench-data/batches".to_owned());
    let files: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(50);
    let rounds: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(5);
    let mut paths: Vec<_> = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    let limits = Limits { request_bytes_max: 64 << 20, ..Limits::default() };
    let context = Context::new(1_790_000_000_000_000_000, &limits);
    let mut bodies = Vec::new();
    let start = Instant::now();
    for path in paths.iter().take(files) {
        let packed = std::fs::read(path)?;
        let body = decompress(&packed, ContentEncoding::Zstd, limits.request_bytes_max).map_err(std::io::Error::other)?;
        bodies.push(body.into_owned());
    }
    let n_bytes: usize = bodies.iter().map(Vec::len).sum();
    report("read + decompress", start.elapsed(), n_bytes, 0);
    let (mut best, mut n_events, mut n_cells) = (vec![Duration::MAX; bodies.len()], 0, 0);
    for round in 0..rounds {
        let mut busy = Duration::ZERO;
        for (i, body) in bodies.iter().enumerate() {
            let start = Instant::now();
            let decoded = honeycomb::batch(body, honeycomb::Format::Json, "bench", &context).map_err(std::io::Error::other)?;
            let time = start.elapsed();
            busy += time;
            best[i] = best[i].min(time);
            if round == 0 {
                n_events += decoded.statuses.len();
                n_cells += decoded.writes.iter().flat_map(|w| &w.1.columns).map(|c| c.cells.len()).sum::<usize>();
            }
        }
        report("decode", busy, n_bytes, n_events);
    }
    report(
        &format!("decode, best of each body, {:.1} cells per event", n_cells as f64 / n_events as f64),
        best.iter().sum(),
        n_bytes,
        n_events,
    );
    Ok(())
}

#[allow(clippy::print_stdout, reason = "it is a benchmark")]
fn report(what: &str, time: Duration, n_bytes: usize, n_events: usize) {
    let s = time.as_secs_f64();
    println!("{what}: {s:.3} s, {:.0} MB/s, {:.0} events/s", n_bytes as f64 / 1e6 / s, n_events as f64 / s);
}
