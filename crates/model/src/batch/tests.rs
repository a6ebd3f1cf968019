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
    let names: Vec<_> = batch.columns.iter().map(|c| (&*c.name, c.values.kind(), c.rows.clone())).collect();
    assert_eq!(names, [("x", ColumnKind::Str, None), ("z", ColumnKind::Float, Some(vec![1]))]);
    let Values::Str { codes, dict } = &batch.columns[0].values else { panic!("not text") };
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
        for other in [json[1..].to_owned(), json.replace(':', " :"), json.replace("n\"", "nn\""), json.replace('a', "b")] {
            if other != json {
                assert_eq!(b.predict_key(None, other.as_bytes()), None, "{other}");
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
    let kinds: Vec<_> = batch.columns.iter().map(|c| (c.values.kind(), c.rows.clone())).collect();
    assert_eq!(kinds, [(ColumnKind::Int, Some(vec![1])), (ColumnKind::Str, Some(vec![0]))]);
}
