//! How well contrast finds planted faults, and how quiet it is where nothing differs:
//! `cargo run --release -p engine --example faults -- [faults | splits] [events or splits]`.
//!
//! Owns: the table. Never does: plant or find.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "it is a measurement")]

#[path = "../../tests/it/faults/measure.rs"]
mod measure;
mod sample;
#[path = "../../tests/it/faults/world.rs"]
mod world;

use measure::{ask, loud_splits, place};
use sample::{sample_names_a_part, sample_names_the_cause, sampled};
use world::{KINDS, faults, question, segments};

/// The allocator of the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let n: Option<usize> = args.next().and_then(|n| n.parse().ok());
    if what != "splits" {
        measure_faults(n.unwrap_or(60_000));
    }
    if what != "faults" {
        let n = n.filter(|_| what == "splits").unwrap_or(1_000);
        let (loud, said) = loud_splits(n, 10_000, 1);
        said.iter().for_each(|s| println!("{s}"));
        println!("random splits of one population: {loud} of {n} report anything");
    }
}

fn measure_faults(events: usize) {
    let all = faults();
    let (mut first, mut three, mut sample, mut sample_part) = (0, 0, 0, 0);
    println!("{:16} {:>6} {:>9} {:>9} {:>9} {:>9}", "kind", "faults", "first", "first 3", "sample", "its part");
    for (kind, n) in KINDS {
        let (mut a, mut b, mut c, mut d) = (0, 0, 0, 0);
        for fault in all.iter().filter(|f| f.kind == kind) {
            let day = segments(fault, events);
            let answer = ask(&day, question(fault));
            let at = place(fault, &answer);
            a += usize::from(at == Some(1));
            b += usize::from(at.is_some_and(|p| p <= 3));
            let shown = sampled(fault, &day);
            c += usize::from(sample_names_the_cause(fault, &shown));
            d += usize::from(sample_names_a_part(fault, &shown));
            if at != Some(1) {
                println!("  at {at:?}: {:?}", fault.cause);
                answer.findings.iter().take(4).for_each(|f| println!("    {}", f.sentence));
            }
        }
        println!("{:16} {n:>6} {a:>9} {b:>9} {c:>9} {d:>9}", format!("{kind:?}"));
        first += a;
        three += b;
        sample += c;
        sample_part += d;
    }
    println!("{:16} {:>6} {first:>9} {three:>9} {sample:>9} {sample_part:>9}", "all", all.len());
}
