//! Bytes per column of the segments in a folder, as JSON, and how fast this machine reads memory:
//! `cargo run --release -p store --example columns -- DATA_DIR/segments/DATASET` or `… -- --bandwidth`.
//!
//! Owns: numbers for `bench/distance.py`. Never does: change anything.
#![allow(clippy::print_stdout, reason = "it is a benchmark")]

use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;
use store::segment::{BLOCK_ROWS, Layout, Segment};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Words that are read: 2 GiB, far more than any cache.
const WORDS: usize = 2 << 27;

/// What a column takes.
#[derive(Default)]
struct Bytes {
    /// Blocks, as stored.
    blocks: u64,
    /// Dictionaries, as stored.
    dict: u64,
    /// Blocks as the engine reads them: one code or number per row.
    decoded: u64,
    present: u64,
}

fn columns(dir: &Path) -> Outcome<()> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)?.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "seg"));
    let mut all: BTreeMap<String, Bytes> = BTreeMap::new();
    let (mut rows, mut bytes, mut counted) = (0, 0, 0);
    for path in &paths {
        let segment = Segment::open(path)?;
        let n = segment.n_rows() as u64;
        rows += n;
        bytes += segment.bytes().len() as u64;
        for column in segment.columns() {
            let (blocks, dict) = segment.column_bytes(&column);
            let width = match (column.layout, segment.n_dict(&column)) {
                (Layout::Bools, _) | (Layout::Dict, 0..=255) => 1,
                (Layout::Dict, 256..=65_535) => 2,
                (Layout::Dict, _) => 4,
                (Layout::Ints | Layout::Floats, _) => 8,
                (Layout::Ids, _) => 16,
            };
            let cells = if matches!(column.layout, Layout::Dict | Layout::Bools) { n } else { column.n_present as u64 };
            let of = all.entry(column.name.to_owned()).or_default();
            of.blocks += blocks;
            of.dict += dict;
            of.decoded += cells * width;
            of.present += column.n_present as u64;
            counted += blocks + dict;
        }
    }
    let columns: Map<_, _> = all
        .into_iter()
        .map(|(name, b)| (name, json!({"blocks": b.blocks, "dictionary": b.dict, "decoded": b.decoded, "present": b.present})))
        .collect();
    // Times, sample rates and the directories are what is left.
    println!(
        "{}",
        json!({"segments": paths.len(), "rows": rows, "bytes": bytes, "times": {"blocks": bytes - counted, "decoded": rows * 8},
               "block_rows": BLOCK_ROWS, "columns": columns})
    );
    Ok(())
}

/// The best of several rounds, in bytes per second, with so many threads.
fn bandwidth(words: &[u64], threads: usize) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..7 {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for part in words.chunks(words.len().div_ceil(threads)) {
                scope.spawn(|| black_box(part.iter().fold(0_u64, |a, w| a.wrapping_add(*w))));
            }
        });
        best = best.min(began.elapsed().as_secs_f64());
    }
    size_of_val(words) as f64 / best
}

fn main() -> Outcome<()> {
    match std::env::args().nth(1).as_deref() {
        Some("--bandwidth") => {
            let words: Vec<u64> = (0..WORDS as u64).collect();
            let all = std::thread::available_parallelism()?.get();
            println!("{}", json!({"one_thread": bandwidth(&words, 1), "all_threads": bandwidth(&words, all), "threads": all}));
        }
        Some(dir) => columns(Path::new(dir))?,
        None => println!("columns DIR | columns --bandwidth"),
    }
    Ok(())
}
