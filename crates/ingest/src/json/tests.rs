//! Tests of the JSON reader.

use super::*;
use proptest::prelude::*;

fn copied(text: &str, depth_max: usize) -> Result<(String, bool), JsonError> {
    let (mut reader, mut out) = (Reader::new(text), String::new());
    let fits = reader.copy(&mut out, &mut String::new(), depth_max)?;
    reader.finish()?;
    Ok((out, fits))
}

#[test]
fn copies_are_compact_and_unescaped_where_possible() {
    let check = |text: &str, expect: &str| assert_eq!(copied(text, 9), Ok((expect.to_owned(), true)), "{text}");
    check(" [ 1 , -2.50 , 1e3, true ,false, null ] ", "[1,-2.50,1e3,true,false,null]");
    check("{ \"a\" : { } , \"b\\u00e9\" : [ ] }", "{\"a\":{},\"b\u{e9}\":[]}");
    check("[\"\\u0041\\ud83d\\ude00\\ud83d x \\udE00\\n\\/\\u0000\"]", "[\"A\u{1f600}\u{fffd} x \u{fffd}\\n/\\u0000\"]");
    check("[\"raw \t tab\", NaN, -Infinity]", "[\"raw \\t tab\",\"NaN\",\"-Infinity\"]");
    check("18446744073709551616", "18446744073709551616");
}

#[test]
fn depth_is_bounded_without_recursion() {
    assert_eq!(copied("[[[1]]]", 3), Ok(("[[[1]]]".to_owned(), true)));
    assert!(!copied("[[[1]]]", 2).unwrap().1);
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    assert!(!copied(&deep, 100).unwrap().1);
}

#[test]
fn malformed_text_is_told_with_its_position() {
    for (text, at) in [
        ("", 0),
        ("[", 1),
        ("[1", 2),
        ("[1,]", 3),
        ("[1 2]", 3),
        ("{", 1),
        ("{1}", 1),
        ("{\"a\"}", 4),
        ("{\"a\":}", 5),
        ("{\"a\":1,}", 7),
        ("\"abc", 0),
        ("\"a\\x\"", 2),
        ("\"\\u12g4\"", 1),
        ("01", 0),
        ("-", 0),
        ("1.", 0),
        ("1e", 0),
        ("1e+", 0),
        ("tru", 0),
        ("nul", 0),
        (".5", 0),
        ("+1", 0),
        ("[1]x", 3),
        ("\"abc\\", 4),
        ("[}", 1),
        ("{]", 1),
    ] {
        assert_eq!(copied(text, 9).unwrap_err().at, at, "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
    }
}

fn number_of(text: &str) -> Number<'_> {
    let mut reader = Reader::new(text);
    let number = reader.number().unwrap();
    reader.finish().unwrap();
    number
}

#[test]
fn numbers_keep_64_bits() {
    let check = |text: &str, expect: Number<'_>| assert_eq!(number_of(text), expect, "{text}");
    check("0", Number::Int(0));
    check("-0", Number::Int(0));
    check("9223372036854775807", Number::Int(i64::MAX));
    check("-9223372036854775808", Number::Int(i64::MIN));
    check("9223372036854775808", Number::Float(9_223_372_036_854_775_808.0));
    check("18446744073709551615", Number::Float(u64::MAX as f64));
    check("123456789012345678901234567890", Number::Float(1.234_567_890_123_456_8e29));
    check("5.0", Number::Float(5.0));
    check("1E5", Number::Float(1e5));
    check("0.1", Number::Float(0.1));
    check("9007199254740993.0", Number::Float(9_007_199_254_740_992.0));
    check("1e-400", Number::Float(0.0));
    check("1e99999999999999999999", Number::Huge("1e99999999999999999999"));
    check("2.2250738585072011e-308", Number::Float(2.225_073_858_507_201e-308));
}

#[test]
fn ends_of_strings_are_found_in_every_alignment() {
    for n in 0..40 {
        for (i, special) in [b'"', b'\\'].into_iter().enumerate() {
            let mut bytes = vec![b"\x23\xa2\xdc!"[n % 4]; n];
            bytes.push(special);
            bytes.extend([b'"'; 3]);
            for start in 0..=n {
                assert_eq!(scan::quote_or_backslash(&bytes, start), n, "{n} {start} {i}");
            }
            assert_eq!(scan::quote_or_backslash(&bytes[..n], 0), n);
        }
    }
}

proptest! {
    #[test]
    fn floats_are_those_of_the_standard_library(f in any::<f64>(), digits in 0usize..25) {
        let check = |text: String| {
            let expect: f64 = text.parse().unwrap();
            let got = match number_of(&text) {
                Number::Int(i) => i as f64,
                Number::Float(f) => f,
                Number::Huge(_) => f64::INFINITY,
            };
            prop_assert_eq!(got, if expect.is_finite() { expect } else { f64::INFINITY }, "{}", text);
            Ok(())
        };
        if f.is_finite() {
            check(format!("{f:?}"))?;
            check(format!("{f:e}"))?;
            check(format!("{:.digits$}", f % 1e15))?;
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}\",:\\\\ua01.eE+\\- ntf\u{e9}\n]{0,40}") {
        let ours = copied(&text, 64);
        // What serde_json takes, we take and write the same value.
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
            let (copy, _) = ours.unwrap();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&copy).unwrap(), value);
        }
    }
}
