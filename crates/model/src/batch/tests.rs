//! Tests of batch building.

use super::*;

#[test]
fn an_aborted_event_leaves_nothing_behind() {
    let mut b = BatchBuilder::new();
    let (x, y) = (b.column("x"), b.column("y"));
    b.begin();
    b.int(x, 1);
    b.end(10, 1.0);
    b.begin();
    b.int(x, 2);
    b.str(y, "gone");
    b.abort();
    b.begin();
    b.str(y, "kept");
    b.end(20, 4.0);
    let batch = b.finish();
    assert_eq!((batch.n_rows, batch.times.as_slice(), batch.sample_rates.as_slice()), (2, &[10, 20][..], &[1.0, 4.0][..]));
    let text = batch.columns.iter().find(|c| *c.name == *"y").unwrap();
    let text = text.cells.clone().many(2);
    assert_eq!(text.rows.as_deref(), Some(&[1][..]));
    let Values::Str { codes, dict } = &text.values else { panic!("not text") };
    assert_eq!(dict.get(codes[0]), b"kept");
}

#[test]
fn columns_of_an_aborted_event_are_forgotten() {
    let mut b = BatchBuilder::new();
    let x = b.column("x");
    b.begin();
    b.str(x, "kept");
    b.end(1, 1.0);
    b.begin();
    b.int(x, 2);
    b.str(x, "gone");
    let y = b.column_after(Some(x), "y");
    b.int(y, 3);
    b.abort();
    assert_eq!((b.n_columns(), b.find("y")), (1, None));
    b.begin();
    let z = b.column_after(Some(x), "z");
    b.float(z, 0.5);
    b.str(x, "later");
    b.end(2, 1.0);
    let batch = b.finish();
    let names: Vec<_> = batch.columns.iter().map(|c| (&*c.name, c.cells.kind(), c.cells.clone().many(2).rows)).collect();
    assert_eq!(names, [("x", ColumnKind::Str, None), ("z", ColumnKind::Float, Some(vec![1]))]);
    let Values::Str { codes, dict } = &batch.columns[0].cells.clone().many(2).values else { panic!("not text") };
    assert_eq!((codes.as_slice(), dict.len()), (&[0, 1][..], 2), "the dictionary holds what cells need");
}

#[test]
fn columns_are_predicted_past_missing_ones() {
    let mut b = BatchBuilder::new();
    let mut previous = None;
    let names = ["a", "b", "c", "d"];
    let ids: Vec<_> = names
        .iter()
        .map(|n| {
            previous = Some(b.column_after(previous, n));
            previous
        })
        .collect();
    for (from, to) in [(None, 0), (ids[0], 1), (ids[0], 2), (ids[0], 3), (ids[1], 3)] {
        assert_eq!(b.predict(from, |name| name == names[to].as_bytes()), ids[to]);
        let json = format!("\"{}\":{}", names[to], "1".repeat(40));
        assert_eq!(b.predict_key(from, json.as_bytes()), ids[to].map(|c| (c, 4)));
    }
    assert_eq!(b.predict(ids[0], |name| name == b"a"), None);
}

#[test]
fn keys_of_json_are_compared_whole() {
    let mut b = BatchBuilder::new();
    let long = "n".repeat(30);
    let names = ["a", "quote\"d", &long[..29], &long, "tab\t"];
    for name in names {
        let id = b.column(name);
        b.follow(None, id);
        let json = format!("\"{name}\":{}", "1".repeat(40));
        let found = b.predict_key(None, json.as_bytes());
        assert_eq!(found.map(|f| f.1), matches!(name.len(), 1 | 29).then_some(name.len() + 3), "{name}");
        assert_eq!(found, b.find_key(json.as_bytes()), "{name}");
        for other in [json[1..].to_owned(), json.replace(':', " :"), json.replace("n\"", "nn\""), json.replace('a', "b")] {
            if other != json {
                assert_eq!(b.predict_key(None, other.as_bytes()), None, "{other}");
                assert_eq!(b.find_key(other.as_bytes()), None, "{other}");
            }
        }
        assert_eq!(b.predict_key(None, b"\"a\":1"), None, "too near the end");
    }
}

#[test]
fn the_last_of_two_cells_wins_and_kinds_live_side_by_side() {
    let mut b = BatchBuilder::new();
    let x = b.column("x");
    b.begin();
    b.int(x, 1);
    b.str(x, "one");
    assert_eq!(b.fields(), 1);
    b.end(0, 1.0);
    b.begin();
    b.int(x, 2);
    b.end(0, 0.0);
    let batch = b.finish();
    assert!(batch.sample_rates.is_empty());
    let kinds: Vec<_> = batch.columns.iter().map(|c| (c.cells.kind(), c.cells.clone().many(2).rows)).collect();
    assert_eq!(kinds, [(ColumnKind::Int, Some(vec![1])), (ColumnKind::Str, Some(vec![0]))]);
}

#[test]
fn names_of_all_lengths_are_found_by_their_key() {
    let mut b = BatchBuilder::new();
    let names: Vec<String> = (0..40).flat_map(|n| ["x".repeat(n), format!("{}é", "y".repeat(n))]).collect();
    let ids: Vec<_> = names.iter().map(|n| b.column(n)).collect();
    for (name, id) in names.iter().zip(&ids) {
        let json = format!("\"{name}\":{}", "\"".repeat(40));
        assert_eq!(b.find_key(json.as_bytes()), (name.len() <= 29).then_some((*id, name.len() + 3)), "{name}");
        assert_eq!(b.find_key(json.replace("\":", "z\":").as_bytes()), None, "{name}");
    }
}

#[test]
fn columns_of_few_and_of_many_cells_come_out_alike() {
    let mut b = BatchBuilder::new();
    let names: Vec<String> = (0..600).map(|i| format!("c{i}")).collect();
    let mut expected: Vec<Vec<(u32, i64)>> = vec![Vec::new(); names.len()];
    let mut row = 0;
    for i in 0..300_usize {
        b.begin();
        let refused = i % 7 == 3;
        for k in 0..40 {
            // Column 0 to 19 are in every event; some cells are taken back, and some of these set again.
            let c = if k < 20 { k } else { (i * 31 + k * 17) % names.len() };
            let column = b.column(&names[c]);
            let value = (i * 100 + k) as i64;
            b.int(column, value);
            let gone = (i + k) % 11 == 0;
            if gone {
                b.unset(column);
            }
            if !refused {
                expected[c].retain(|(r, _)| *r != row);
                if !gone {
                    expected[c].push((row, value));
                }
            }
        }
        if refused {
            b.abort();
        } else {
            b.end(i as i64, 1.0);
            row += 1;
        }
    }
    let batch = b.finish();
    let mut n_cells = 0;
    for column in &batch.columns {
        let ManyCells { rows, values } = *column.cells.clone().many(batch.n_rows);
        let Values::Int(values) = values else { panic!("not integers") };
        let rows: Vec<u32> = rows.unwrap_or_else(|| (0..batch.n_rows as u32).collect());
        let cells: Vec<_> = rows.into_iter().zip(values).collect();
        assert_eq!(cells, expected[column.name[1..].parse::<usize>().unwrap()], "{}", column.name);
        n_cells += cells.len();
    }
    assert_eq!(n_cells, expected.iter().map(Vec::len).sum::<usize>());
}
