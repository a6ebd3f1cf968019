//! The segment format as a property: what goes in comes out by every way of reading, merging keeps every row,
//! and damaged bytes give an error, never a panic and never another value.
//!
//! Seeds: `WIDEYE_SEGMENT_SEED` (the first one), `WIDEYE_SEGMENT_CASES` (how many).

mod damage;

use crate::events::{self, Event, Rng, Times};
use model::{ColumnKind, TimeNs, Value, bucket_of, hash128, parse_id};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use store::segment::{self, BLOCK_ROWS, Codes, Column, Layout, Scratch, Segment, SegmentError, Valid};

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Runs `case` for many seeds and says how to run the one that failed again.
fn for_seeds(test: &str, cases: u64, case: impl Fn(&mut Rng)) {
    let first = env("WIDEYE_SEGMENT_SEED", 1);
    for seed in first..first + env("WIDEYE_SEGMENT_CASES", cases) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&mut Rng::new(seed))));
        if let Err(panic) = outcome {
            eprintln!("again: WIDEYE_SEGMENT_SEED={seed} WIDEYE_SEGMENT_CASES=1 cargo test -p store --test it {test}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn open(bytes: Vec<u8>) -> Arc<Segment> {
    let segment = Segment::from_bytes(bytes).unwrap();
    segment.verify().unwrap();
    Arc::new(segment)
}

fn random_events(rng: &mut Rng, n_max: usize) -> Vec<Event> {
    let n_columns = 1 + rng.below(14);
    let columns = events::columns(rng, n_columns);
    let times = *rng.pick(&[Times::Usual, Times::Edges, Times::Same, Times::Epoch, Times::Decades, Times::Burst]);
    let n = match rng.below(10) {
        0 => 1,
        1 => 2,
        2..=5 => 1 + rng.below(40.min(n_max)),
        _ => 1 + rng.below(n_max),
    };
    let mut events = events::events(rng, &columns, times, n);
    if rng.chance(0.05) {
        // The ends of time.
        for event in &mut events {
            event.time_ns = *rng.pick(&[i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]);
        }
    }
    events
}

/// The rows as a segment holds them: by time, those of one time in the order in which they came.
fn in_time_order(events: &[Event]) -> Vec<Event> {
    let mut rows = events.to_vec();
    rows.sort_by_key(|e| e.time_ns);
    rows
}

/// The physical kind of a cell.
fn kind(value: &Value) -> ColumnKind {
    match value {
        Value::Null => unreachable!("events hold no nulls"),
        Value::Bool(_) => ColumnKind::Bool,
        Value::Int(_) => ColumnKind::Int,
        Value::Float(_) => ColumnKind::Float,
        Value::Str(text) => parse_id(text.as_bytes()).map_or(ColumnKind::Str, |(kind, _)| kind.into()),
    }
}

/// What `Segment::row` must visit: the same fields (no order is promised).
fn row(segment: &Segment, row: usize) -> Result<Event, SegmentError> {
    let mut fields = BTreeMap::new();
    let (time_ns, sample_rate) = segment.row(row, &mut |name, value| {
        assert!(fields.insert(name.to_owned(), value).is_none(), "row {row} has two cells in {name:?}");
    })?;
    Ok(Event { time_ns, sample_rate, fields })
}

/// All rows by way of the block readers, which questions use.
fn rows_by_block(segment: &Segment) -> Result<Vec<Event>, SegmentError> {
    let (mut scratch, mut scratch2) = (Scratch::default(), Scratch::default());
    let mut rows = Vec::new();
    for block in 0..segment.n_blocks() {
        let times = segment.read_times(block, &mut scratch)?;
        assert_eq!(times.len(), segment.block_rows(block), "times of block {block}");
        assert!(times.is_sorted(), "times of block {block} are not ascending");
        assert_eq!(segment.block_times(block), (times[0], times[times.len() - 1]), "time range of block {block}");
        let rates = segment.read_sample_rates(block, &mut scratch2)?;
        assert_eq!(rates.len(), times.len(), "sample rates of block {block}");
        let start = rows.len();
        rows.extend(times.iter().zip(rates).map(|(&time_ns, &sample_rate)| Event { time_ns, sample_rate, fields: BTreeMap::new() }));
        for column in segment.columns() {
            let cells = block_cells(segment, &column, block, &mut scratch)?;
            assert_eq!(cells.len(), rows.len() - start, "cells of {column:?} in block {block}");
            for (i, cell) in cells.into_iter().enumerate() {
                if cell != Value::Null {
                    let before = rows[start + i].fields.insert(column.name.to_owned(), cell);
                    assert!(before.is_none(), "row {} has two cells in {:?}", start + i, column.name);
                }
            }
        }
    }
    assert_eq!(rows.len(), segment.n_rows());
    Ok(rows)
}

fn is_valid(valid: &Valid<'_>, i: usize) -> bool {
    match valid {
        Valid::All => true,
        Valid::None => false,
        Valid::Bits(bits) => bits[i / 64] >> (i % 64) & 1 == 1,
    }
}

fn code(codes: &Codes<'_>, i: usize) -> u32 {
    match codes {
        Codes::Const(code) => *code,
        Codes::U8(codes) => u32::from(codes[i]),
        Codes::U16(codes) => u32::from(codes[i]),
        Codes::U32(codes) => codes[i],
    }
}

fn n_codes(codes: &Codes<'_>) -> Option<usize> {
    match codes {
        Codes::Const(_) => None,
        Codes::U8(codes) => Some(codes.len()),
        Codes::U16(codes) => Some(codes.len()),
        Codes::U32(codes) => Some(codes.len()),
    }
}

fn block_cells(segment: &Segment, column: &Column<'_>, block: usize, scratch: &mut Scratch) -> Result<Vec<Value>, SegmentError> {
    let n = segment.block_rows(block);
    match column.layout {
        Layout::Dict => {
            let dict = segment.dict(column)?;
            let codes = segment.read_codes(column, block, scratch)?;
            assert!(n_codes(&codes).is_none_or(|len| len == n), "codes of {column:?}");
            let mut text = String::new();
            Ok((0..n)
                .map(|i| match code(&codes, i) as usize {
                    c if c == dict.len() => Value::Null,
                    c => Value::Str(dict.text(c as u32, &mut text).to_owned()),
                })
                .collect())
        }
        Layout::Bools => {
            let codes = segment.read_codes(column, block, scratch)?;
            assert!(n_codes(&codes).is_none_or(|len| len == n), "codes of {column:?}");
            Ok((0..n)
                .map(|i| match code(&codes, i) {
                    0 => Value::Bool(false),
                    1 => Value::Bool(true),
                    2 => Value::Null,
                    c => panic!("code {c} for a truth value"),
                })
                .collect())
        }
        Layout::Ints => {
            let (ints, valid) = segment.read_ints(column, block, scratch)?;
            let cells: Vec<Value> =
                ints.iter().enumerate().map(|(i, &v)| if is_valid(&valid, i) { Value::Int(v) } else { Value::Null }).collect();
            assert!(ints.iter().enumerate().all(|(i, &v)| is_valid(&valid, i) || v == 0), "missing integers of {column:?} are not 0");
            let (floats, valid) = segment.read_floats(column, block, scratch)?;
            assert_eq!(floats.len(), n);
            for (i, (cell, &float)) in cells.iter().zip(floats).enumerate() {
                match cell {
                    Value::Int(int) => assert!(is_valid(&valid, i) && float == *int as f64, "{int} as float is {float}"),
                    _ => assert!(!is_valid(&valid, i) && float == 0.0, "missing integer as float is {float}"),
                }
            }
            Ok(cells)
        }
        Layout::Floats => {
            let (floats, valid) = segment.read_floats(column, block, scratch)?;
            assert!(floats.iter().enumerate().all(|(i, &v)| is_valid(&valid, i) || v == 0.0), "missing floats of {column:?} are not 0");
            Ok(floats.iter().enumerate().map(|(i, &v)| if is_valid(&valid, i) { Value::Float(v) } else { Value::Null }).collect())
        }
        Layout::Ids => {
            let id_kind = column.kind.id().expect("an id column");
            let (ids, valid) = segment.read_ids(column, block, scratch)?;
            assert!(ids.iter().enumerate().all(|(i, &v)| is_valid(&valid, i) || v == 0), "missing ids of {column:?} are not 0");
            Ok(ids
                .iter()
                .enumerate()
                .map(|(i, id)| {
                    if !is_valid(&valid, i) {
                        return Value::Null;
                    }
                    let mut text = String::new();
                    model::write_id(id_kind, &id.to_be_bytes()[16 - id_kind.width()..], &mut text);
                    Value::Str(text)
                })
                .collect())
        }
    }
}

/// The directory and the dictionaries agree with the rows.
fn check_directory(segment: &Segment, rows: &[Event]) {
    let mut expected: BTreeMap<(String, ColumnKind), Vec<&Value>> = BTreeMap::new();
    for (name, value) in rows.iter().flat_map(|row| &row.fields) {
        expected.entry((name.clone(), kind(value))).or_default().push(value);
    }
    assert_eq!(segment.times(), (rows[0].time_ns, rows[rows.len() - 1].time_ns), "time range");
    let uniform = rows.iter().all(|r| r.sample_rate == rows[0].sample_rate).then_some(rows[0].sample_rate);
    assert_eq!(segment.uniform_sample_rate(), uniform);
    let columns: Vec<(String, ColumnKind)> = segment.columns().map(|c| (c.name.to_owned(), c.kind)).collect();
    assert_eq!(columns, expected.keys().cloned().collect::<Vec<_>>(), "columns, ascending by name and kind");
    for column in segment.columns() {
        let cells = &expected[&(column.name.to_owned(), column.kind)];
        assert_eq!(column.n_present, cells.len(), "{column:?}");
        assert_eq!(segment.find(column.name).filter(|c| c.kind == column.kind).map(|c| c.index).collect::<Vec<_>>(), [column.index]);
        let numbers: Vec<f64> = cells.iter().filter_map(|v| v.number()).collect();
        if matches!(column.kind, ColumnKind::Int | ColumnKind::Float) {
            let (low, high) = column.range.expect("a range");
            let (min, max) = numbers.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
            assert!(low <= min && max <= high && low >= next_down(min) && high <= next_up(max), "range of {column:?} is not {min}..{max}");
        } else {
            assert_eq!(column.range, None);
        }
        if column.layout == Layout::Dict {
            check_dict(segment, &column, cells);
        }
        assert_eq!(segment.n_true(&column), cells.iter().filter(|v| ***v == Value::Bool(true)).count(), "{column:?}");
        check_histogram(segment, &column, &numbers);
    }
    for name in ["", "no such column", "zzz", "service.nam", "service.name2"] {
        if !expected.keys().any(|(n, _)| n == name) {
            assert_eq!(segment.find(name).count(), 0, "{name:?}");
        }
    }
}

/// If there is one, it holds every number. Zero may have lost its sign.
fn check_histogram(segment: &Segment, column: &Column<'_>, numbers: &[f64]) {
    let Some(histogram) = segment.histogram(column).unwrap() else { return };
    assert!(histogram.is_sorted_by(|a, b| a.0 < b.0), "buckets of {column:?} are not ascending");
    let unsigned = |bucket| if bucket == bucket_of(-0.0) { bucket_of(0.0) } else { bucket };
    let (mut got, mut wanted) = (BTreeMap::new(), BTreeMap::new());
    histogram.iter().for_each(|(bucket, n)| *got.entry(unsigned(*bucket)).or_insert(0) += n);
    numbers.iter().for_each(|v| *wanted.entry(unsigned(bucket_of(*v))).or_insert(0) += 1);
    assert_eq!(got, wanted, "histogram of {column:?}");
}

/// A bound may be off by the rounding of an integer to a float.
fn next_down(v: f64) -> f64 {
    v.next_down().next_down()
}

fn next_up(v: f64) -> f64 {
    v.next_up().next_up()
}

fn check_dict(segment: &Segment, column: &Column<'_>, cells: &[&Value]) {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for cell in cells {
        let Value::Str(text) = cell else { panic!("{cell:?} in a dictionary") };
        *counts.entry(text).or_default() += 1;
    }
    let dict = segment.dict(column).unwrap();
    assert_eq!((dict.len(), dict.is_empty()), (counts.len(), counts.is_empty()));
    let mut scratch = String::new();
    for (code, (text, count)) in counts.iter().enumerate() {
        let code = code as u32;
        assert_eq!(dict.text(code, &mut scratch), *text, "entries ascending by bytes");
        assert_eq!((dict.count(code), dict.hash(code), dict.find(text)), (*count, hash128(text.as_bytes()), Some(code)), "{text:?}");
    }
    for absent in ["", "no such text", "0123456789abcdef", "00000000-0000-0000-0000-000000000000", "\u{10ffff}"] {
        if !counts.contains_key(absent) {
            assert_eq!(dict.find(absent), None, "{absent:?}");
        }
    }
}

/// Every way of reading gives these rows: with dictionaries undecoded first, then decoded.
fn check(segment: &Segment, rows: &[Event]) {
    assert_eq!(segment.n_rows(), rows.len());
    check_cells(segment, rows);
    check_directory(segment, rows);
    check_cells(segment, rows);
    let by_block = rows_by_block(segment).unwrap();
    for (i, (got, want)) in by_block.iter().zip(rows).enumerate() {
        assert_eq!(got, want, "row {i} by blocks");
    }
}

/// Reading cell by cell is slow; a big segment is checked in places, block edges among them.
fn check_cells(segment: &Segment, rows: &[Event]) {
    let step = (rows.len() / 300).max(1);
    let near_edge = |i: usize| i % BLOCK_ROWS < 3 || BLOCK_ROWS - i % BLOCK_ROWS < 3 || i + 3 > rows.len();
    let some: Vec<usize> = (0..rows.len()).filter(|i| i % step == 0 || near_edge(*i)).collect();
    let cell =
        |i: usize, column: &Column<'_>| rows[i].fields.get(column.name).filter(|v| kind(v) == column.kind).unwrap_or(&Value::Null).clone();
    for &i in &some {
        assert_eq!(row(segment, i).unwrap(), rows[i], "row {i}");
        assert_eq!(segment.row_time(i).unwrap(), (rows[i].time_ns, rows[i].sample_rate), "time of row {i}");
    }
    for column in segment.columns() {
        let wanted: Vec<Value> = some.iter().map(|i| cell(*i, &column)).collect();
        assert_eq!(segment.cells(&column, &some).unwrap(), wanted, "cells of {column:?}");
        for i in some.iter().step_by(7) {
            assert_eq!(segment.cell(&column, *i).unwrap(), cell(*i, &column), "row {i} of {column:?}");
        }
    }
}

#[test]
fn what_goes_in_comes_out() {
    for_seeds("segment::what_goes_in_comes_out", 300, |rng| {
        let events = random_events(rng, 3_000);
        let image = segment::encode(&events::batch(&events));
        assert_eq!(image, segment::encode(&events::batch(&events)), "the same events give the same bytes");
        let segment = open(image.clone());
        assert_eq!(segment.bytes(), image);
        check(&segment, &in_time_order(&events));
    });
}

#[test]
fn a_segment_of_several_blocks_comes_out_whole() {
    for_seeds("segment::a_segment_of_several_blocks_comes_out_whole", 3, |rng| {
        let columns = events::columns(rng, 8);
        let n = *rng.pick(&[BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 2 * BLOCK_ROWS, 2 * BLOCK_ROWS + 777]);
        let mut events = events::events(rng, &columns, Times::Usual, n);
        // More distinct texts than 16 bits can number.
        for (i, event) in events.iter_mut().enumerate().filter(|(i, _)| i % 100 != 7) {
            event.fields.insert("text".into(), Value::Str(format!("text number {}", i.wrapping_mul(7_919) % 100_003)));
        }
        let segment = open(segment::encode(&events::batch(&events)));
        check(&segment, &in_time_order(&events));
        // The same rows again, from parts whose edges lie elsewhere.
        let parts: Vec<_> = events::split(rng, &events, 4).into_iter().map(|part| open(segment::encode(&events::batch(part)))).collect();
        check(&open(segment::merge(&parts).unwrap()), &in_time_order(&events));
    });
}

#[test]
fn a_merge_holds_the_rows_of_all_in_the_order_of_time() {
    for_seeds("segment::a_merge_holds_the_rows_of_all_in_the_order_of_time", 200, |rng| {
        // Inputs with different columns, too.
        let mut events = Vec::new();
        let mut parts = Vec::new();
        for _ in 0..1 + rng.below(3) {
            let more = random_events(&mut rng.fork(), 1_000);
            parts.extend(events::split(rng, &more, 5).into_iter().map(|part| open(segment::encode(&events::batch(part)))));
            events.extend(more);
        }
        let merged = open(segment::merge(&parts).unwrap());
        check(&merged, &in_time_order(&events));
        check(&open(segment::merge_fast(&parts).unwrap()), &in_time_order(&events));
        // A merge of merges is the same.
        let cut = rng.below(parts.len() + 1);
        let halves: Vec<_> =
            [&parts[..cut], &parts[cut..]].into_iter().filter(|p| !p.is_empty()).map(|p| open(segment::merge(p).unwrap())).collect();
        check(&open(segment::merge(&halves).unwrap()), &in_time_order(&events));
    });
}

#[test]
fn a_file_reads_like_bytes_in_memory() {
    let events = random_events(&mut Rng::new(7), 2_000);
    let image = segment::encode(&events::batch(&events));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.seg");
    std::fs::write(&path, &image).unwrap();
    let segment = Segment::open(&path).unwrap();
    segment.verify().unwrap();
    assert_eq!(segment.bytes(), image);
    check(&segment, &in_time_order(&events));
    assert_ne!(segment.id(), Segment::open(&path).unwrap().id());
    std::fs::write(dir.path().join("empty.seg"), b"").unwrap();
    assert!(Segment::open(&dir.path().join("empty.seg")).is_err());
    assert!(matches!(Segment::open(&dir.path().join("none.seg")), Err(SegmentError::Io { .. })));
}

#[test]
fn thousands_of_columns_are_found_by_name() {
    let mut rng = Rng::new(11);
    let mut events = Vec::new();
    for i in 0..50 {
        let mut fields = BTreeMap::new();
        for _ in 0..1_000 {
            fields.insert(format!("attr.{}", rng.below(10_000)), Value::Int(i));
        }
        events.push(Event { time_ns: events::NOON + i, sample_rate: 1.0, fields });
    }
    check(&open(segment::encode(&events::batch(&events))), &in_time_order(&events));
}

/// The events of the golden fixture; never to be changed: `docs/file-format.md`, version 1.
fn golden_events() -> Vec<Event> {
    let mut rng = Rng::new(0x7769_6465_7965);
    let columns = events::columns(&mut rng, 20);
    let mut events = events::events(&mut rng, &columns, Times::Usual, 600);
    for (i, event) in events.iter_mut().enumerate() {
        event.sample_rate = [1.0, 1.0, 2.5, 10.0][i % 4];
    }
    events
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/format/v1").join(name)
}

/// One row per line, so that the fixture can be read without this program.
fn as_text(rows: &[Event]) -> String {
    let mut out = String::new();
    for row in rows {
        let fields: serde_json::Map<_, _> = row.fields.iter().map(|(name, value)| (name.clone(), kind_and_json(value))).collect();
        let line = serde_json::json!({"time_ns": row.time_ns, "sample_rate": row.sample_rate, "fields": fields});
        out.push_str(&line.to_string());
        out.push('\n');
    }
    out
}

/// JSON does not tell 5.0 from 5: a float is written as an object.
fn kind_and_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Float(f) => serde_json::json!({"float": format!("{f:?}")}),
        value => value.to_json(),
    }
}

#[test]
fn the_first_version_is_read_for_ever() {
    // As the log writes them, and as merging does.
    let (encoded, merged, text) = (fixture("encoded.seg"), fixture("merged.seg"), fixture("events.ndjson"));
    if std::env::var_os("WIDEYE_WRITE_FIXTURES").is_some() {
        let events = golden_events();
        let parts: Vec<_> = events.chunks(200).map(|part| open(segment::encode(&events::batch(part)))).collect();
        std::fs::create_dir_all(text.parent().unwrap()).unwrap();
        std::fs::write(&encoded, segment::encode(&events::batch(&events))).unwrap();
        std::fs::write(&merged, segment::merge(&parts).unwrap()).unwrap();
        std::fs::write(&text, as_text(&in_time_order(&events))).unwrap();
    }
    let text = std::fs::read_to_string(&text).unwrap();
    for image in [encoded, merged] {
        let segment = Segment::open(&image).unwrap();
        segment.verify().unwrap();
        let rows = rows_by_block(&segment).unwrap();
        assert_eq!(as_text(&rows), text, "{}", image.display());
        check(&segment, &rows);
    }
}

#[test]
fn the_end_of_time_is_not_wrapped() {
    let times: [TimeNs; 5] = [i64::MAX, i64::MIN, 0, i64::MAX, i64::MIN];
    let events: Vec<Event> = times
        .iter()
        .enumerate()
        .map(|(i, &time_ns)| Event { time_ns, sample_rate: 1.0, fields: [("i".to_owned(), Value::Int(i as i64))].into() })
        .collect();
    let segment = open(segment::encode(&events::batch(&events)));
    check(&segment, &in_time_order(&events));
    assert_eq!(segment.times(), (i64::MIN, i64::MAX));
}
