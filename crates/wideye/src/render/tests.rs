//! Drawing: shapes of bars, cut texts, times on the axis.

use super::{
    chart::{blocks, sparkline},
    clock, epoch_s, number,
    table::fit,
};

#[test]
fn bars_reach_from_low_to_high_and_gaps_stay_blank() {
    assert_eq!(sparkline(&[0.0, f64::NAN, 4.0, 8.0], 0.0, 8.0), "▁ ▅█");
    assert_eq!(sparkline(&[3.0, 3.0], 0.0, 3.0), "██");
    assert_eq!(sparkline(&[0.0], 0.0, 0.0), "▁");
    assert_eq!(blocks(&[0.0, 1.0, 2.0, f64::NAN], 0.0, 2.0, 2), ["  █ ", "▁██ "]);
}

#[test]
fn texts_are_cut_by_characters() {
    assert_eq!(fit("Łódź", 4), "Łódź");
    assert_eq!(fit("München", 4), "Mün…");
}

#[test]
fn times_of_answers_are_read_back() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2000-02-29T00:00:00Z", 951_782_400.0),
        ("2026-11-22T12:30:00.25Z", 1_795_350_600.25),
        ("1969-12-31T23:59:59Z", -1.0),
    ] {
        assert_eq!(epoch_s(text), Some(seconds), "{text}");
    }
    assert_eq!(epoch_s("soon"), None);
    assert_eq!((clock(1_795_350_600.0), clock(1_795_350_601.0)), ("12:30".to_owned(), "12:30:01".to_owned()));
}

#[test]
fn numbers_keep_the_digits_that_matter() {
    for (n, text) in
        [(1_234_567.0, "1,234,567"), (1234.56, "1,235"), (123.456, "123.5"), (1.23456, "1.235"), (0.00001, "1.00e-5"), (-12.5, "-12.50")]
    {
        assert_eq!(number(n), text);
    }
}
