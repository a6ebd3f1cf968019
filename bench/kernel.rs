//! What the kernel benchmarks of all crates share (`crates/*/benches/kernels.rs`): the measured call, and made-up events.
//!
//! Owns: the name that callgrind looks for, and inputs that are the same in every run. Never does: count instructions
//! (`bench/kernels.py` does, with callgrind) or judge them.

use model::{Batch, BatchBuilder};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// All that is counted happens inside this call, and in nothing else: `bench/kernels.py` tells callgrind its name.
#[inline(never)]
fn counted_kernel(kernel: &mut dyn FnMut()) {
    let after = black_box(0_u8);
    kernel();
    // A call in the last place would become a jump, which callgrind takes for the end.
    black_box(after);
}

/// The kernels of a crate. With `--count` each runs once to warm up and once counted, and its name and units are printed
/// in the order of callgrind's dumps; without, it is timed for people.
pub(crate) struct Kernels {
    count: bool,
    only: Option<String>,
}

impl Kernels {
    pub(crate) fn from_args() -> Kernels {
        let mut args = std::env::args().skip(1).filter(|a| a != "--bench").peekable();
        let count = args.next_if(|a| a == "--count").is_some();
        Kernels { count, only: args.next() }
    }

    /// A kernel that can be called again with the same inputs.
    pub(crate) fn run<T>(&self, name: &str, (n, unit): (usize, &str), mut kernel: impl FnMut() -> T) {
        self.run_with(name, (n, unit), || (), |()| kernel());
    }

    /// A kernel that needs something fresh each time, made outside of what is counted. So is the drop of its result.
    pub(crate) fn run_with<S, T>(
        &self,
        name: &str,
        (n, unit): (usize, &str),
        mut fresh: impl FnMut() -> S,
        mut kernel: impl FnMut(S) -> T,
    ) {
        if self.only.as_ref().is_some_and(|o| !name.contains(o.as_str())) {
            return;
        }
        let mut once = || {
            let (mut input, mut result) = (Some(fresh()), None);
            let began = Instant::now();
            counted_kernel(&mut || result = input.take().map(&mut kernel));
            let took = began.elapsed();
            drop(black_box(result));
            took
        };
        let first = once();
        if self.count {
            // The first call was dumped, too: the reader takes every second one.
            once();
            println!("{name}\t{n}\t{unit}");
            return;
        }
        let mut best = first;
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(200) {
            best = best.min(once());
        }
        println!("{:9.2} ns per {unit:7} {name}", best.as_secs_f64() * 1e9 / n as f64);
    }
}

/// Numbers that look random and are the same everywhere.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Numbers {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// Small ones more often.
    pub(crate) fn skewed(&mut self, n: u64) -> u64 {
        let limit = self.below(n) + 1;
        self.below(limit)
    }
}

/// Columns of [`events`].
pub(crate) const COLUMNS: usize = 14;
/// Time of the first event.
pub(crate) const START_NS: i64 = 1_790_000_000_000_000_000;
/// From one event to the next.
pub(crate) const STEP_NS: i64 = 50_000_000;

/// Wide-ish events: names of few and of many values, ids, integers of several widths, decimals, a sparse column.
/// `from` is the number of the first one.
pub(crate) fn events(from: usize, rows: usize) -> Batch {
    let mut b = BatchBuilder::new();
    let mut x = Numbers::new(from as u64 + 1);
    for i in from..from + rows {
        b.begin();
        let text = |b: &mut BatchBuilder, name: &str, text: &str| {
            let c = b.column(name);
            b.str(c, text);
        };
        text(&mut b, "service", &format!("service-{}", x.skewed(12)));
        text(&mut b, "route", &format!("/api/v1/things/{}/parts", x.skewed(200)));
        text(&mut b, "build", &format!("build-{:06}", x.skewed(2_000)));
        text(&mut b, "user", &format!("user-{:08}", x.skewed(40_000)));
        text(&mut b, "trace.trace_id", &format!("{:016x}{:016x}", (i / 8) as u64 * 0x9e37_79b9_7f4a_7c15, (i / 8) as u64));
        text(&mut b, "trace.span_id", &format!("{:016x}", (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        if x.below(20) == 0 {
            text(&mut b, "flag", &format!("variant {}", x.below(4)));
        }
        let error = b.column("error");
        b.bool(error, x.below(50) == 0);
        for (name, limit) in [("status", 13_u64), ("retries", 200), ("bytes", 60_000), ("offset", 1 << 30), ("id", 1 << 45)] {
            let c = b.column(name);
            b.int(c, x.below(limit) as i64);
        }
        let duration = b.column("duration_ms");
        let ms = (x.skewed(1_000) * x.skewed(1_000)) as f64 / 100.0;
        b.float(duration, ms);
        b.end(START_NS + i as i64 * STEP_NS, 1.0);
    }
    b.finish()
}

/// Columns that there are in [`sparse_event`], and how many of them each event has.
pub(crate) const SPARSE_COLUMNS: usize = 10_000;
pub(crate) const SPARSE_FIELDS: usize = 100;

/// What an event of a dataset of very many columns has: (name, kind 0 to 3 as text, integer, float, bool, a number to make its value of).
pub(crate) fn sparse_event(x: &mut Numbers, mut field: impl FnMut(&str, u64, u64)) {
    for _ in 0..SPARSE_FIELDS {
        let c = x.below(SPARSE_COLUMNS as u64);
        let kind = [0, 0, 0, 0, 1, 1, 2, 3][c as usize % 8];
        field(&format!("field.{c:05}"), kind, x.below(20 << (c % 4 * 3)));
    }
}

/// Events of which each has one of a hundred columns.
pub(crate) fn sparse_events(from: usize, rows: usize) -> Batch {
    let mut b = BatchBuilder::new();
    let mut x = Numbers::new(from as u64 + 1);
    for i in from..from + rows {
        b.begin();
        sparse_event(&mut x, |name, kind, value| {
            let c = b.column(name);
            match kind {
                0 => b.str(c, &format!("value-{value}")),
                1 => b.int(c, value as i64),
                2 => b.float(c, value as f64 / 8.0),
                _ => b.bool(c, value % 2 == 0),
            }
        });
        b.end(START_NS + i as i64 * STEP_NS, 1.0);
    }
    b.finish()
}
