//! Kernels of segments: reading lanes of every width, dictionaries, encoding, merging.
//! `make bench-kernels` counts their instructions; `cargo bench -p store --bench kernels` times them.
//!
//! Owns: which kernels, and their inputs. Never does: judge (`bench/kernels.py` does).
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring tool")]

#[path = "../../../bench/kernel.rs"]
mod kernel;

use kernel::{COLUMNS, Kernels, Numbers, SPARSE_FIELDS, events, sparse_events};
use std::sync::Arc;
use store::segment::{BLOCK_ROWS, Codes, Layout, Scratch, Segment, encode, merge, merge_fast};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTS: usize = 4;

fn sum(codes: Codes<'_>) -> u64 {
    match codes {
        Codes::Const(c) => u64::from(c),
        Codes::U8(c) => u64::from(c[c.len() / 2]),
        Codes::U16(c) => u64::from(c[c.len() / 2]),
        Codes::U32(c) => u64::from(c[c.len() / 2]),
    }
}

/// A dataset of 10,000 columns, of which each event has one in a hundred.
fn sparse(kernels: &Kernels) {
    const ROWS: usize = 1000;
    const BATCHES: usize = 8;
    let batches: Vec<_> = (0..BATCHES).map(|i| sparse_events(i * ROWS, ROWS)).collect();
    kernels.run("store: encode a batch of 10,000 columns", (ROWS * SPARSE_FIELDS, "cell"), || encode(&batches[0]));
    let parts: Vec<_> = batches.iter().map(|b| Arc::new(Segment::from_bytes(encode(b)).unwrap())).collect();
    let cells = (BATCHES * ROWS * SPARSE_FIELDS, "cell");
    kernels.run("store: merge 8 segments of 10,000 columns", cells, || merge(&parts).unwrap());
    let image = merge(&parts).unwrap();
    let fresh = || image.clone();
    kernels.run_with("store: open a segment of 10,000 columns", (1, "segment"), fresh, |i| Segment::from_bytes(i).unwrap());
}

fn main() {
    let kernels = Kernels::from_args();
    let rows = (BLOCK_ROWS, "row");
    let part_rows = BLOCK_ROWS / PARTS;
    let batches: Vec<_> = (0..PARTS).map(|i| events(i * part_rows, part_rows)).collect();
    let cells = (part_rows * COLUMNS, "cell");

    kernels.run("store: encode a batch", cells, || encode(&batches[0]));
    let parts: Vec<_> = batches.iter().map(|b| Arc::new(Segment::from_bytes(encode(b)).unwrap())).collect();
    let cells = (BLOCK_ROWS * COLUMNS, "cell");
    kernels.run("store: merge 4 segments", cells, || merge(&parts).unwrap());
    kernels.run("store: merge 4 segments fast", cells, || merge_fast(&parts).unwrap());
    let image = merge(&parts).unwrap();
    let segment = Segment::from_bytes(image.clone()).unwrap();
    let column = |name: &str| segment.find(name).next().unwrap();

    let mut scratch = Scratch::default();
    for (name, about) in
        [("service", "12 values"), ("build", "2,000 values"), ("user", "40,000 values"), ("flag", "sparse"), ("error", "bools")]
    {
        let c = column(name);
        kernels.run(&format!("store: read codes, {about}"), rows, || sum(segment.read_codes(&c, 0, &mut scratch).unwrap()));
    }
    for (name, about) in [("status", "4 bits"), ("retries", "8 bits"), ("bytes", "16 bits"), ("offset", "30 bits"), ("id", "45 bits")] {
        let c = column(name);
        kernels.run(&format!("store: read integers of {about}"), rows, || segment.read_ints(&c, 0, &mut scratch).unwrap().0[7]);
    }
    let c = column("duration_ms");
    kernels.run("store: read decimals", rows, || segment.read_floats(&c, 0, &mut scratch).unwrap().0[7]);
    kernels.run("store: read times", rows, || segment.read_times(0, &mut scratch).unwrap()[7]);
    let c = column("trace.span_id");
    assert_eq!(c.layout, Layout::Ids);
    kernels.run("store: read ids", rows, || segment.read_ids(&c, 0, &mut scratch).unwrap().0[7]);

    let fresh = || Segment::from_bytes(image.clone()).unwrap();
    for (name, about) in [("build", "2,000 values"), ("user", "40,000 values")] {
        let n = segment.n_dict(&column(name));
        kernels.run_with(&format!("store: decode a dictionary, {about}"), (n, "entry"), fresh, |s| {
            let c = s.find(name).next().unwrap();
            let dict = s.dict(&c).unwrap();
            (dict.len(), s)
        });
    }
    kernels.run_with("store: open a segment of 14 columns", (1, "segment"), || image.clone(), |i| Segment::from_bytes(i).unwrap());
    kernels.run("store: verify a segment", cells, || segment.verify().unwrap());

    sparse(&kernels);

    let mut x = Numbers::new(7);
    let picked: Vec<usize> = (0..100).map(|_| x.below(BLOCK_ROWS as u64) as usize).collect();
    kernels.run("store: 100 whole rows", (picked.len() * COLUMNS, "cell"), || {
        let mut n = 0;
        for row in &picked {
            segment.row(*row, &mut |_, _| n += 1).unwrap();
        }
        n
    });
}
