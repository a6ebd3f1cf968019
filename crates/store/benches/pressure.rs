//! Measures the store under pressure. Run: `cargo bench -p store --bench pressure -- append|start|full|open DIR [N]`.
//!
//! Owns: numbers for humans: throughput and latency of appends while seals and compactions run (N seconds), time to
//! open N segments, behaviour on a disk that is really full. Never does: judge them.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring tool")]

use model::{Batch, BatchBuilder};
use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use store::{Scope, Store, StoreError, StoreOptions, Write};

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

/// Rows of 40 columns: words, numbers, ids.
fn batch(rows: u64, seed: u64) -> Batch {
    let mut b = BatchBuilder::new();
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |n: u64| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x % n
    };
    for _ in 0..rows {
        b.begin();
        for c in 0..20 {
            let column = b.column(&format!("word.{c}"));
            b.str(column, &format!("value {}", next(10 << (c / 2))));
        }
        for c in 0..15 {
            let column = b.column(&format!("number.{c}"));
            if c % 2 == 0 { b.int(column, next(1 << (c + 4)) as i64) } else { b.float(column, next(100_000) as f64 / 7.0) }
        }
        for c in 0..5 {
            let column = b.column(&format!("id.{c}"));
            b.str(column, &format!("{:016x}", next(u64::MAX)));
        }
        b.end(now(), 1.0);
    }
    b.finish()
}

fn write(batch: Batch) -> Vec<Write> {
    vec![Write { dataset: "bench".into(), batch, fitted: false }]
}

fn rows(store: &Store) -> (usize, usize) {
    let snapshot = store.snapshot(&Scope::All, i64::MIN, i64::MAX).unwrap();
    (snapshot.segments.len(), snapshot.segments.iter().map(|s| s.n_rows()).sum())
}

/// Processor time of a thread of this process whose name starts so, in seconds.
fn thread_seconds(name: &str) -> f64 {
    let mut ticks = 0.0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().map(Result::unwrap) {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        if let Some((head, tail)) = stat.rsplit_once(") ")
            && head.contains(&format!("({name}"))
        {
            let fields: Vec<&str> = tail.split(' ').collect();
            ticks += fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        }
    }
    ticks / 100.0
}

fn append(dir: &Path, seconds: u64) {
    let batch_rows = std::env::var("ROWS").map_or(1_000, |r| r.parse().unwrap());
    let writers: u64 = std::env::var("WRITERS").map_or(4, |r| r.parse().unwrap());
    let store = Store::open(StoreOptions::new(dir, now)).unwrap();
    let (n, refused, slowest) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for w in 0..writers {
            let (store, n, refused, slowest) = (&store, &n, &refused, &slowest);
            std::thread::Builder::new()
                .name("sender".into())
                .spawn_scoped(scope, move || {
                    let made: Vec<Batch> = (0..8).map(|i| batch(batch_rows, w * 100 + i)).collect();
                    let mut i = 0;
                    while started.elapsed() < Duration::from_secs(seconds) {
                        i += 1;
                        let begun = Instant::now();
                        match store.append_blocking(write(made[i % made.len()].clone())) {
                            Ok(()) => drop(n.fetch_add(batch_rows, Relaxed)),
                            Err(_) => {
                                refused.fetch_add(1, Relaxed);
                                std::thread::sleep(Duration::from_millis(20));
                            }
                        }
                        slowest.fetch_max(begun.elapsed().as_micros() as u64, Relaxed);
                    }
                })
                .unwrap();
        }
        let (store, n) = (&store, &n);
        scope.spawn(move || {
            while started.elapsed() < Duration::from_secs(seconds) {
                std::thread::sleep(Duration::from_secs(2));
                let s = store.stats();
                println!(
                    "{:5.1}s {:9} events, {:4} pieces {:4} MiB, wal {:4} MiB, {:3} segments {:5} MiB, {} seals, {} compactions, {} coalesces; cpu s: wal {:.1} seal {:.1} coalesce {:.1} compact {:.1} senders {:.1} {}",
                    started.elapsed().as_secs_f64(), n.load(Relaxed), s.memtable_pieces, s.memtable_bytes >> 20, s.wal_bytes >> 20, s.n_segments,
                    s.segment_bytes >> 20, s.seals, s.compactions, s.coalesces, thread_seconds("wideye-wal"), thread_seconds("wideye-seal"),
                    thread_seconds("wideye-coalesc"), thread_seconds("wideye-compact"), thread_seconds("sender"), s.last_failure.unwrap_or_default()
                );
            }
        });
    });
    let took = started.elapsed().as_secs_f64();
    let s = store.stats();
    let n = n.load(Relaxed);
    println!(
        "{:.0} events/s; {} requests, {} refused, slowest {} ms; fsync mean {:.1} ms max {:.1} ms",
        n as f64 / took,
        s.appends,
        refused.load(Relaxed),
        slowest.load(Relaxed) / 1000,
        s.fsync_ns_total as f64 / s.fsyncs as f64 / 1e6,
        s.fsync_ns_max as f64 / 1e6
    );
    assert_eq!(rows(&store).1 as u64, n);
    let begun = Instant::now();
    drop(store);
    println!("dropped in {:?}", begun.elapsed());
    let begun = Instant::now();
    let store = Store::open(StoreOptions::new(dir, now)).unwrap();
    println!("opened (replay of {} events) in {:?}", store.stats().recovery.replayed_rows, begun.elapsed());
    assert_eq!(rows(&store).1 as u64, n);
    let begun = Instant::now();
    store.close().unwrap();
    println!("closed in {:?}; {:.1} bytes/event", begun.elapsed(), store.stats().segment_bytes as f64 / n as f64);
}

fn start(dir: &Path, n: u64) {
    let store = Store::open(StoreOptions { background: false, ..StoreOptions::new(dir, now) }).unwrap();
    for i in 0..n {
        store.append_blocking(write(batch(50, i))).unwrap();
        store.seal_now().unwrap();
    }
    drop(store);
    let begun = Instant::now();
    let store = Store::open(StoreOptions { background: false, ..StoreOptions::new(dir, now) }).unwrap();
    let opened = begun.elapsed();
    let begun = Instant::now();
    let found = rows(&store);
    println!("{n} segments: opened in {opened:?}, first snapshot {:?} {found:?}", begun.elapsed());
    let begun = Instant::now();
    println!("second snapshot {:?} {:?}", rows(&store), begun.elapsed());
    let begun = Instant::now();
    println!("{} compactions in {:?}", store.compact_now().unwrap(), begun.elapsed());
}

/// Fills the disk, restarts on it, makes room, goes on.
fn full(dir: &Path) {
    let options = || StoreOptions { seal_bytes: 4 << 20, ..StoreOptions::new(dir, now) };
    let mut store = Store::open(options()).unwrap();
    let mut kept = 0;
    let ballast = dir.join("ballast");
    for round in 0..3 {
        // What will be removed to make room.
        std::fs::write(&ballast, vec![0; 6 << 20]).unwrap();
        let mut refused = 0;
        while refused < 30 {
            match store.append_blocking(write(batch(200, kept))) {
                Ok(()) => kept += 200,
                Err(e) => {
                    refused += 1;
                    assert!(matches!(e, StoreError::DiskFull), "{e}");
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
        // Not a byte left.
        let mut filler = std::fs::OpenOptions::new().append(true).create(true).open(&ballast).unwrap();
        while std::io::Write::write(&mut filler, &[0; 512]).is_ok_and(|n| n > 0) {}
        drop(filler);
        let created = store.create_dataset(&format!("new {round}"));
        let document = store.put_document("k", "", "1", &serde_json::json!("x".repeat(100_000)));
        println!(
            "round {round}: {kept} events kept, full; new dataset {created:?}; document {document:?}; {:?}",
            store.stats().last_failure
        );
        assert_eq!(rows(&store).1 as u64, kept);
        if std::env::var_os("ABORT").is_some() {
            println!("{kept} events kept; died. Go on with `open DIR`");
            std::process::abort();
        }
        if round == 1 {
            store.close().unwrap();
        }
        drop(store);
        let begun = Instant::now();
        store = Store::open(options()).unwrap();
        println!("  restarted on the full disk in {:?}: {:?}", begun.elapsed(), store.stats().recovery);
        assert_eq!(rows(&store).1 as u64, kept);
        assert!(store.append_blocking(write(batch(200, kept))).is_err());
        std::fs::remove_file(&ballast).unwrap();
        let begun = Instant::now();
        let compacted = store.seal_now().and_then(|()| store.compact_now());
        println!("  room again: {compacted:?} {:?}", begun.elapsed());
        let filled = std::fs::metadata(dir).is_ok() && store.append_blocking(write(batch(200, kept))).map(|()| kept += 200).is_ok();
        println!("  writes again: {filled} after {:?}", begun.elapsed());
        assert_eq!(rows(&store).1 as u64, kept);
    }
    drop(store);
    let mut damage = 0;
    println!("{:?}", store::check(dir, &mut |f| damage += usize::from(f.damage)).unwrap());
    assert_eq!(damage, 0);
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let number = |default| args.get(2).map_or(default, |n| n.parse().unwrap());
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["append", dir, ..] => append(Path::new(dir), number(20)),
        ["start", dir, ..] => start(Path::new(dir), number(1000)),
        ["full", dir, ..] => full(Path::new(dir)),
        ["open", dir, ..] => {
            let begun = Instant::now();
            let store = Store::open(StoreOptions::new(dir, now)).unwrap();
            println!("opened in {:?}: {} events, {:?}", begun.elapsed(), rows(&store).1, store.stats().recovery);
        }
        _ => println!("append DIR [SECONDS] | start DIR [SEGMENTS] | full DIR (on a small file system; ABORT=1 dies there) | open DIR"),
    }
}
