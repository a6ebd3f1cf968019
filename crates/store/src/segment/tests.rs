//! Round trips of the segment format: every layout, every presence, several blocks, merges, damage.

use super::*;
use model::{Batch, BatchBuilder, Value};
use std::{collections::BTreeMap, sync::Arc};

type Row = (i64, f64, BTreeMap<String, Value>);

/// Rows that between them use every layout and presence. Deterministic.
fn rows(n: usize, seed: u64) -> Vec<Row> {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    (0..n)
        .map(|i| {
            let mut f = BTreeMap::new();
            f.insert("service".into(), Value::Str(["web", "api", "db", "\u{e9}t\u{e9}"][next() as usize % 4].into()));
            f.insert("constant".into(), Value::Str("same".into()));
            f.insert("user".into(), Value::Str(format!("user-{:05}", next() % 3000)));
            f.insert("trace".into(), Value::Str(format!("{:032x}", (u128::from(next() % 500) << 70) + 7)));
            f.insert("span".into(), Value::Str(format!("{:08x}{:08x}", next() as u32, next() as u32)));
            f.insert("uuid".into(), Value::Str(format!("0123abcd-0000-4000-8000-{:012x}", next() % 300)));
            f.insert("status".into(), Value::Int(200 + (next() % 4 * 100) as i64));
            f.insert("big".into(), Value::Int((next() as i64) << (next() % 33) | i64::from(next() as u32 == 1)));
            let outlier = if next() % 50 == 0 { 1_000_000 } else { 1 };
            f.insert("skewed".into(), Value::Int((next() % 700 * outlier) as i64));
            f.insert("skewed_float".into(), Value::Float((next() % 700 * outlier) as f64 / 10.0 + 0.1));
            f.insert("duration".into(), Value::Float(next() as f64 % 100_000.0 / 1000.0));
            f.insert("pi".into(), Value::Float(std::f64::consts::PI * next() as f64));
            if next() % 3 > 0 {
                f.insert("maybe".into(), Value::Str(format!("m{}", next() % 300)));
                f.insert("maybe_int".into(), Value::Int(-(next() as i64 % 50)));
            }
            if next() % 40 == 0 {
                f.insert("rare".into(), Value::Str(format!("r{}", next() % 20)));
                f.insert("rare_float".into(), Value::Float(next() as f64 / 7.0));
                f.insert("rare_id".into(), Value::Str(format!("{:08x}{:08x}", next() as u32, next() as u32)));
                f.insert("flag".into(), Value::Bool(true));
            }
            f.insert(
                "mixed".into(),
                match next() % 4 {
                    0 => Value::Int(500),
                    1 => Value::Str("500".into()),
                    2 => Value::Bool(next() % 2 == 0),
                    _ => Value::Float(0.5),
                },
            );
            let rate = if seed.is_multiple_of(2) { 1.0 } else { [1.0, 4.0, 2.5][next() as usize % 3] };
            (1_700_000_000_000_000_000 + i as i64 * 1_000_000 + (next() % 3_000) as i64 * 1_000, rate, f)
        })
        .collect()
}

fn batch(rows: &[Row]) -> Batch {
    let mut b = BatchBuilder::new();
    for (time, rate, fields) in rows {
        b.begin();
        for (name, value) in fields {
            let c = b.column(name);
            b.value(c, value);
        }
        b.end(*time, *rate);
    }
    b.finish()
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|r| r.0);
    rows
}

fn read_back(s: &Segment) -> Vec<Row> {
    (0..s.n_rows())
        .map(|i| {
            let mut f = BTreeMap::new();
            let (time, rate) = s
                .row(i, &mut |name, v| {
                    assert!(f.insert(name.to_owned(), v).is_none(), "two cells of {name}");
                })
                .unwrap();
            (time, rate, f)
        })
        .collect()
}

/// Every block read must agree with the rows.
fn check_blocks(s: &Segment, rows: &[Row]) {
    let mut scratch = Scratch::default();
    for block in 0..s.n_blocks() {
        let part = &rows[block * BLOCK_ROWS..block * BLOCK_ROWS + s.block_rows(block)];
        assert!(s.read_times(block, &mut scratch).unwrap().iter().eq(part.iter().map(|r| &r.0)));
        assert!(s.read_sample_rates(block, &mut scratch).unwrap().iter().eq(part.iter().map(|r| &r.1)));
        for c in s.columns() {
            let want = |r: &Row| r.2.get(c.name).filter(|v| kind_of(v) == c.kind).cloned().unwrap_or(Value::Null);
            let has = |valid: Valid<'_>, i: usize| match valid {
                Valid::All => true,
                Valid::None => false,
                Valid::Bits(b) => b[i / 64] >> (i % 64) & 1 == 1,
            };
            match c.layout {
                Layout::Dict | Layout::Bools => {
                    if c.layout == Layout::Bools {
                        let n_true = rows.iter().filter(|r| r.2.get(c.name) == Some(&Value::Bool(true))).count();
                        assert_eq!(s.n_true(&c), n_true, "{}", c.name);
                    }
                    let dict = (c.layout == Layout::Dict).then(|| s.dict(&c).unwrap());
                    let codes = s.read_codes(&c, block, &mut scratch).unwrap();
                    let mut text = String::new();
                    for (i, r) in part.iter().enumerate() {
                        let code = match codes {
                            Codes::Const(c) => c,
                            Codes::U8(v) => u32::from(v[i]),
                            Codes::U16(v) => u32::from(v[i]),
                            Codes::U32(v) => v[i],
                        };
                        let got = match &dict {
                            Some(d) if (code as usize) < d.len() => {
                                let t = d.text(code, &mut text).to_owned();
                                assert_eq!(d.find(&t), Some(code));
                                assert_eq!(d.hash(code), model::hash128(t.as_bytes()));
                                Value::Str(t)
                            }
                            None if code < 2 => Value::Bool(code == 1),
                            _ => Value::Null,
                        };
                        assert_eq!(got, want(r), "{} row {i}", c.name);
                    }
                }
                Layout::Ints => {
                    let (values, valid) = s.read_ints(&c, block, &mut scratch).unwrap();
                    for (i, r) in part.iter().enumerate() {
                        assert_eq!(if has(valid, i) { Value::Int(values[i]) } else { Value::Null }, want(r));
                    }
                }
                Layout::Floats => {
                    let (values, valid) = s.read_floats(&c, block, &mut scratch).unwrap();
                    for (i, r) in part.iter().enumerate() {
                        assert_eq!(if has(valid, i) { Value::Float(values[i]) } else { Value::Null }, want(r));
                        assert!(!has(valid, i) || (c.range.unwrap().0..=c.range.unwrap().1).contains(&values[i]));
                    }
                }
                Layout::Ids => {
                    let (values, valid) = s.read_ids(&c, block, &mut scratch).unwrap();
                    for (i, r) in part.iter().enumerate() {
                        let mut text = String::new();
                        let id = c.kind.id().unwrap();
                        model::write_id(id, &values[i].to_be_bytes()[16 - id.width()..], &mut text);
                        assert_eq!(if has(valid, i) { Value::Str(text) } else { Value::Null }, want(r));
                    }
                }
            }
        }
    }
}

/// Reads that lay out some rows only must agree with reads of all.
fn check_windows(s: &Segment) {
    let (mut all, mut some) = (Scratch::default(), Scratch::default());
    for block in 0..s.n_blocks() {
        let n = s.block_rows(block);
        let times = s.read_times(block, &mut all).unwrap().to_vec();
        for i in [0, n / 3, n - 1] {
            for time in [times[i] - 1, times[i], times[i] + 1] {
                assert_eq!(s.row_from(block, time).unwrap(), times.partition_point(|t| *t < time));
            }
        }
        for (from, to) in [(0, n), (0, n.min(1)), (n / 2, n), (n / 3, n / 2), (n.saturating_sub(1), n), (n, n), (n.min(1024), n.min(2048))]
        {
            some.want(from, to);
            for c in s.columns() {
                match c.layout {
                    Layout::Dict | Layout::Bools => {
                        let code = |codes: Codes<'_>, i: usize| match codes {
                            Codes::Const(c) => c,
                            Codes::U8(v) => u32::from(v[i]),
                            Codes::U16(v) => u32::from(v[i]),
                            Codes::U32(v) => v[i],
                        };
                        let (a, b) = (s.read_codes(&c, block, &mut all).unwrap(), s.read_codes(&c, block, &mut some).unwrap());
                        assert!((from..to).all(|i| code(a, i) == code(b, i)), "{} {from} {to} of {n}", c.name);
                    }
                    Layout::Ints => {
                        let (a, b) = (s.read_ints(&c, block, &mut all).unwrap(), s.read_ints(&c, block, &mut some).unwrap());
                        check_window(c.name, (from, to), a, b);
                    }
                    Layout::Floats => {
                        let (a, b) = (s.read_floats(&c, block, &mut all).unwrap(), s.read_floats(&c, block, &mut some).unwrap());
                        check_window(c.name, (from, to), a, b);
                    }
                    Layout::Ids => {
                        let (a, b) = (s.read_ids(&c, block, &mut all).unwrap(), s.read_ids(&c, block, &mut some).unwrap());
                        check_window(c.name, (from, to), a, b);
                    }
                }
            }
        }
    }
}

fn check_window<T: PartialEq>(name: &str, (from, to): (usize, usize), a: (&[T], Valid<'_>), b: (&[T], Valid<'_>)) {
    let has = |valid: Valid<'_>, i: usize| match valid {
        Valid::All => true,
        Valid::None => false,
        Valid::Bits(b) => b[i / 64] >> (i % 64) & 1 == 1,
    };
    for i in from..to {
        assert_eq!(has(a.1, i), has(b.1, i), "{name} row {i}, {from} to {to}");
        assert!(!has(a.1, i) || a.0[i] == b.0[i], "{name} row {i}, {from} to {to}");
    }
}

/// Reads of some rows must agree with reads of all.
fn check_gathers(s: &Segment) {
    let (mut scratch, mut buffers) = (Scratch::default(), GatherBuffers::default());
    for (block, step) in (0..s.n_blocks()).flat_map(|b| [1usize, 3, 37, 1000].map(|step| (b, step))) {
        let wanted: Vec<u32> = (0..s.block_rows(block)).filter(|i| (i * 7919) % (2 * step) < 2).map(|i| i as u32).collect();
        for c in s.columns() {
            match c.layout {
                Layout::Dict | Layout::Bools => {
                    let codes = s.read_codes(&c, block, &mut scratch).unwrap();
                    let at = |row: u32| match codes {
                        Codes::Const(c) => c,
                        Codes::U8(v) => u32::from(v[row as usize]),
                        Codes::U16(v) => u32::from(v[row as usize]),
                        Codes::U32(v) => v[row as usize],
                    };
                    let some = s.codes_at(&c, block, &wanted, &mut buffers).unwrap();
                    assert!(some.iter().copied().eq(wanted.iter().map(|r| at(*r))), "{} step {step}", c.name);
                }
                Layout::Ints | Layout::Floats => {
                    let (values, valid) = s.read_floats(&c, block, &mut scratch).unwrap();
                    let has = |row: u32| match valid {
                        Valid::All => true,
                        Valid::None => false,
                        Valid::Bits(b) => b[row as usize / 64] >> (row % 64) & 1 == 1,
                    };
                    let want = wanted.iter().enumerate().filter(|(_, r)| has(**r)).map(|(i, r)| (i as u32, values[*r as usize].to_bits()));
                    let (found, some) = s.floats_at(&c, block, &wanted, &mut buffers).unwrap();
                    assert!(found.iter().copied().zip(some.iter().map(|v| v.to_bits())).eq(want), "{} step {step}", c.name);
                    let all = (0..s.block_rows(block) as u32).filter(|r| has(*r)).map(|r| (r, values[r as usize].to_bits()));
                    let (rows, present) = s.present_floats(&c, block, &mut buffers).unwrap();
                    assert!(rows.iter().copied().zip(present.iter().map(|v| v.to_bits())).eq(all), "{}", c.name);
                }
                Layout::Ids => {}
            }
        }
    }
}

fn kind_of(v: &Value) -> ColumnKind {
    match v {
        Value::Null => unreachable!(),
        Value::Bool(_) => ColumnKind::Bool,
        Value::Int(_) => ColumnKind::Int,
        Value::Float(_) => ColumnKind::Float,
        Value::Str(s) => model::parse_id(s.as_bytes()).map_or(ColumnKind::Str, |(k, _)| k.into()),
    }
}

fn segment(bytes: Vec<u8>) -> Arc<Segment> {
    Arc::new(Segment::from_bytes(bytes).unwrap())
}

#[test]
fn a_batch_is_read_back_cell_by_cell() {
    for (n, seed) in [(0, 2), (1, 2), (2, 3), (100, 4), (1500, 5), (5000, 6), (70_000, 7)] {
        let want = rows(n, seed);
        let s = segment(encode(&batch(&want)));
        s.verify().unwrap();
        let want = sorted(want);
        if n <= 5000 {
            assert_eq!(read_back(&s), want, "{n} rows");
        }
        check_blocks(&s, &want);
        check_gathers(&s);
        check_windows(&s);
    }
}

#[test]
fn merged_segments_hold_all_rows_in_order() {
    let parts: Vec<Vec<Row>> = vec![rows(900, 10), rows(1, 11), rows(2500, 12), vec![], rows(1200, 13)];
    let inputs: Vec<_> = parts.iter().map(|p| segment(encode(&batch(p)))).collect();
    let want = sorted(parts.into_iter().flatten().collect());
    for merged in [merge(&inputs).unwrap(), merge_fast(&inputs).unwrap()] {
        let s = segment(merged);
        s.verify().unwrap();
        assert_eq!(read_back(&s), want);
        check_blocks(&s, &want);
        check_gathers(&s);
        check_windows(&s);
        let again = segment(merge(&[Arc::clone(&s)]).unwrap());
        assert_eq!(read_back(&again), want);
    }
}

#[test]
fn histograms_count_every_number() {
    let s = segment(merge(&[segment(encode(&batch(&rows(9000, 31))))]).unwrap());
    let mut scratch = Scratch::default();
    let mut seen = 0;
    for c in s.columns() {
        let Some(histogram) = s.histogram(&c).unwrap() else { continue };
        seen += 1;
        let (values, valid) = s.read_floats(&c, 0, &mut scratch).unwrap();
        let mut want = BTreeMap::new();
        for (i, v) in values.iter().enumerate() {
            if match valid {
                Valid::Bits(b) => b[i / 64] >> (i % 64) & 1 == 1,
                Valid::All => true,
                Valid::None => false,
            } {
                *want.entry(model::bucket_of(*v)).or_insert(0u32) += 1;
            }
        }
        assert!(histogram.iter().copied().eq(want), "{}", c.name);
    }
    assert!(seen >= 6);
}

#[test]
fn extreme_numbers_survive() {
    let mut b = BatchBuilder::new();
    let (i, f) = (b.column("i"), b.column("f"));
    let ints = [i64::MIN, i64::MAX, 0, -1, (1 << 53) + 1];
    let floats = [f64::MIN, f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.1 + 0.2];
    let times = [i64::MIN, i64::MAX, 0, 1_700_000_000_123_456_789, -5];
    for k in 0..5 {
        b.begin();
        b.int(i, ints[k]);
        b.float(f, floats[k]);
        b.end(times[k], 1.0);
    }
    let s = segment(encode(&b.finish()));
    let mut order: Vec<usize> = (0..5).collect();
    order.sort_by_key(|k| times[*k]);
    for (row, k) in order.into_iter().enumerate() {
        let mut got = BTreeMap::new();
        assert_eq!(s.row(row, &mut |n, v| drop(got.insert(n.to_owned(), v))).unwrap().0, times[k]);
        assert_eq!(got["i"], Value::Int(ints[k]));
        assert_eq!(got["f"], Value::Float(floats[k]));
    }
}

#[test]
fn damage_is_named_and_never_a_panic() {
    let s = segment(encode(&batch(&rows(700, 21))));
    let bytes = merge(&[s]).unwrap();
    let mut state = 99u64;
    for _ in 0..3000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut bad = bytes.clone();
        let at = (state >> 20) as usize % bad.len();
        bad[at] ^= 1 << (state >> 60 & 7);
        if state >> 50 & 15 == 0 {
            bad.truncate(at);
        }
        let Ok(s) = Segment::from_bytes(bad) else { continue };
        // Padding and unused bytes may change unnoticed; then every cell is still as it was.
        if s.verify().is_ok() {
            assert_eq!(read_back(&s), read_back(&Segment::from_bytes(bytes.clone()).unwrap()), "byte {at}");
        }
        let mut scratch = Scratch::default();
        for c in s.columns() {
            for row in [0, 350, 699] {
                s.cell(&c, row).ok();
            }
            s.read_codes(&c, 0, &mut scratch).ok();
        }
    }
}

#[test]
fn a_thousand_columns_open_without_reading_them() {
    let mut b = BatchBuilder::new();
    for row in 0..50i64 {
        b.begin();
        for k in 0..20 {
            let c = b.column(&format!("column-{:04}", (row * 20 + k) % 1000));
            b.int(c, row);
        }
        b.end(row, 1.0);
    }
    let s = segment(encode(&b.finish()));
    assert_eq!(s.columns().count(), 1000);
    let c = s.find("column-0777").next().unwrap();
    assert_eq!(s.cell(&c, 38).unwrap(), Value::Int(38));
    assert!(s.find("column-9").next().is_none());
}
