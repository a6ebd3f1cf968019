//! Damaged bytes give an error, never a panic, never another value, never memory without bounds.
//!
//! Owns: ways to damage a segment. Never does: know what a sound one holds (its parent does).

use super::{for_seeds, in_time_order, random_events, row, rows_by_block};
use crate::events::{self, Event};
use std::sync::Arc;
use store::segment::{self, BLOCK_ROWS, Scratch, Segment};

fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmPeak:"));
    line.and_then(|l| l.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) << 10
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

/// Makes the checksums fit again, as far as the offsets lead anywhere, so that the reader gets to see the damage
/// behind them (docs/file-format.md: trailer of 96 bytes, column entries of 64, block entries of 56).
fn seal(bytes: &mut [u8]) -> Option<()> {
    let trailer = bytes.len().checked_sub(96)?;
    let (n_rows, n_columns) = (u32_at(bytes, trailer)?, u32_at(bytes, trailer + 4)?);
    let n_blocks = n_rows.div_ceil(BLOCK_ROWS);
    let directory = u64_at(bytes, trailer + 8)?;
    let columns = (0..n_columns.min(100)).map(|i| u64_at(bytes, directory.checked_add(i * 64 + 16)?));
    let all: Vec<usize> = columns.chain([u64_at(bytes, trailer + 56), u64_at(bytes, trailer + 64)]).flatten().collect();
    for entries in all {
        for block in 0..n_blocks.min(100) {
            let entry = entries.checked_add(block * 56)?;
            let (Some(from), Some(n)) = (u64_at(bytes, entry), entry.checked_add(8).and_then(|at| u32_at(bytes, at))) else { continue };
            let Some(data) = from.checked_add(n).and_then(|to| bytes.get(from..to)) else { continue };
            let crc = crc32c::crc32c(data);
            bytes[entry + 12..entry + 16].copy_from_slice(&crc.to_le_bytes());
        }
        let end = entries.checked_add(n_blocks.checked_mul(56)?)?;
        if end.checked_add(4)? <= bytes.len() {
            let crc = crc32c::crc32c(&bytes[entries..end]);
            bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
        }
    }
    let names_end = u64_at(bytes, trailer + 16)?.checked_add(u64_at(bytes, trailer + 24)?)?;
    let crc = crc32c::crc32c(bytes.get(directory..names_end)?);
    bytes[trailer + 72..trailer + 76].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[trailer..trailer + 80]);
    bytes[trailer + 80..trailer + 84].copy_from_slice(&crc.to_le_bytes());
    Some(())
}

/// Damaged bytes give an error or, where nothing that matters was hit, the same `rows`. Without them it is only
/// asked that nothing panics.
fn check_damaged(bytes: Vec<u8>, rows: Option<&[Event]>, what: &str) {
    let Ok(segment) = Segment::from_bytes(bytes) else { return };
    let verified = segment.verify().is_ok();
    if let Some(rows) = rows
        && verified
    {
        if let Ok(read) = (0..segment.n_rows()).map(|i| row(&segment, i)).collect::<Result<Vec<_>, _>>() {
            assert!(read == rows, "{what}: not noticed, and other rows are read");
        }
        if let Ok(read) = rows_by_block(&segment) {
            assert!(read == rows, "{what}: not noticed, and other cells are read");
        }
    }
    // A reader that does not verify first may get an error or cells, but must not panic.
    let mut scratch = Scratch::default();
    for block in 0..segment.n_blocks().min(4) {
        for column in segment.columns() {
            segment.read_codes(&column, block, &mut scratch).ok();
            segment.read_ints(&column, block, &mut scratch).ok();
            segment.read_floats(&column, block, &mut scratch).ok();
            segment.read_ids(&column, block, &mut scratch).ok();
        }
        segment.read_times(block, &mut scratch).ok();
        segment.read_sample_rates(block, &mut scratch).ok();
    }
    for column in segment.columns() {
        let Ok(dict) = segment.dict(&column) else { continue };
        let mut text = String::new();
        for code in (0..dict.len() as u32).take(100) {
            let text = dict.text(code, &mut text).to_owned();
            let _ = (dict.hash(code), dict.count(code), dict.find(&text));
        }
    }
    for i in 0..segment.n_rows().min(20) {
        segment.row(i, &mut |_, _| {}).ok();
        for column in segment.columns() {
            segment.cell(&column, i).ok();
        }
    }
    segment::merge(&[Arc::new(segment)]).ok();
}

#[test]
fn damaged_bytes_are_an_error_and_never_a_panic() {
    let before = peak_bytes();
    for_seeds("segment::damage::damaged_bytes_are_an_error_and_never_a_panic", 150, |rng| {
        let events = random_events(rng, 300);
        let rows = in_time_order(&events);
        let image = segment::encode(&events::batch(&events));
        for _ in 0..60 {
            let mut bytes = image.clone();
            let what = match rng.below(6) {
                0 => {
                    bytes.truncate(rng.below(image.len()));
                    format!("cut to {} of {} bytes", bytes.len(), image.len())
                }
                1 => {
                    let (at, n) = (rng.below(image.len()), 1 + rng.below(64));
                    let end = (at + n).min(image.len());
                    bytes[at..end].fill(*rng.pick(&[0, 0xff]));
                    format!("bytes {at}..{end} overwritten")
                }
                2 => {
                    // A sector that went to the wrong place.
                    let n = 1 + rng.below(512).min(image.len() - 1);
                    let (from, to) = (rng.below(image.len() - n + 1), rng.below(image.len() - n + 1));
                    bytes.copy_within(from..from + n, to);
                    format!("{n} bytes copied from {from} to {to}")
                }
                3 => {
                    let at = rng.below(image.len());
                    bytes.drain(at..(at + 1 + rng.below(16)).min(image.len()));
                    format!("bytes lost at {at}")
                }
                _ => {
                    let at = rng.below(image.len());
                    let bit = rng.below(8);
                    bytes[at] ^= 1 << bit;
                    format!("bit {bit} of byte {at} of {} flipped", image.len())
                }
            };
            check_damaged(bytes, Some(&rows), &what);
        }
    });
    assert!(peak_bytes() - before < 8 << 30, "damaged bytes made the reader take memory without bounds");
}

#[test]
fn bytes_that_were_written_wrongly_are_no_panic() {
    let before = peak_bytes();
    for_seeds("segment::damage::bytes_that_were_written_wrongly_are_no_panic", 150, |rng| {
        let image = segment::encode(&events::batch(&random_events(rng, 300)));
        for _ in 0..60 {
            let mut bytes = image.clone();
            for _ in 0..1 + rng.below(3) {
                // Where numbers are that others depend on: directory and trailer.
                let from = if rng.chance(0.3) { 0 } else { u64_at(&image, image.len() - 88).unwrap() };
                let at = from + rng.below(image.len() - from);
                bytes[at] = match rng.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => bytes[at].wrapping_add(1),
                    _ => rng.next() as u8,
                };
            }
            let _ = seal(&mut bytes);
            check_damaged(bytes, None, "sealed again");
        }
    });
    assert!(peak_bytes() - before < 8 << 30, "damaged bytes made the reader take memory without bounds");
}

#[test]
fn bytes_of_anything_else_are_an_error() {
    for_seeds("segment::damage::bytes_of_anything_else_are_an_error", 2_000, |rng| {
        let n = rng.below(200);
        let bytes: Vec<u8> = (0..n).map(|_| rng.next() as u8).collect();
        assert!(Segment::from_bytes(bytes).is_err());
    });
}
