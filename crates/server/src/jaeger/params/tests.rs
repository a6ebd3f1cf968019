//! Parameters as real clients send them, and what is wrong with others.

use super::*;

const NOW: TimeNs = 1_700_000_000_000_000_000;

fn query(text: &str) -> TraceQuery {
    Params::new(Some(text)).trace_query(NOW, 1_000).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

fn refused(text: &str) -> String {
    Params::new(Some(text)).trace_query(NOW, 1_000).unwrap_err().message
}

#[test]
fn defaults_are_those_of_jaeger() {
    let q = query("service=a+b%2Fc");
    assert_eq!((q.service.as_str(), q.operation, q.limit), ("a b/c", None, 100));
    assert_eq!(q.range, Some((NOW - 172_800_000_000_000, NOW + 1_000)));
    assert_eq!((q.min_ms, q.max_ms, q.tags.len(), q.trace_ids.len()), (None, None, 0, 0));
}

#[test]
fn times_are_microseconds_and_ends_inclusive() {
    assert_eq!(query("service=s&start=5&end=7").range, Some((5_000, 8_000)));
    assert_eq!(query("service=s&end=3600000000&lookback=1h").range, Some((0, 3_600_000_001_000)));
    assert_eq!(query("service=s&end=3600000000&lookback=custom&start=1").range, Some((1_000, 3_600_000_001_000)));
    assert_eq!(query("traceID=1").range, None);
    assert_eq!(query("traceID=1&start=5").range, Some((5_000, i64::MAX)));
    assert_eq!(Params::new(Some("endTs=5&lookback=2")).dependencies_range(NOW).unwrap(), (3_000_000, 6_000_000));
    assert_eq!(Params::new(None).dependencies_range(NOW).unwrap(), (NOW - 86_400_000_000_000, NOW + 1_000_000));
}

#[test]
fn durations_are_those_of_go() {
    let check = |text: &str, ns: Option<f64>| assert_eq!(duration_ns(text), ns, "{text}");
    check("1.2s", Some(1.2e9));
    check("100ms", Some(1e8));
    check("100us", Some(1e5));
    check("100\u{b5}s", Some(1e5));
    check("100\u{3bc}s", Some(1e5));
    check("1h2m3.5s", Some(3_723.5e9));
    check("7ns", Some(7.0));
    check("0", Some(0.0));
    check("-1s", Some(-1e9));
    for wrong in ["", "5", "s", "1x", "1s2", "1..2s", "-"] {
        check(wrong, None);
    }
    assert_eq!(query("service=s&minDuration=1.5ms&maxDuration=0").min_ms, Some(1.5));
}

#[test]
fn tags_come_in_two_forms() {
    let q = query(r#"service=s&tags={"a":"1","b.c":"x:y"}&tag=d:e:f&tags=%7B%22n%22%3A2%2C%22yes%22%3Atrue%7D"#);
    let tags: Vec<(&str, &str)> = q.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(tags, [("a", "1"), ("b.c", "x:y"), ("d", "e:f"), ("n", "2"), ("yes", "true")]);
}

#[test]
fn what_is_wrong_is_named() {
    for (text, part) in [
        ("", "'service' is required"),
        ("service=", "'service' is required"),
        ("service=s&start=x", "'start'"),
        ("service=s&end=1.5", "'end'"),
        ("service=s&limit=x", "'limit'"),
        ("service=s&limit=1001", "between 1 and 1000"),
        ("service=s&limit=-1", "between 1 and 1000"),
        ("service=s&minDuration=5", "'minDuration'"),
        ("service=s&minDuration=2s&maxDuration=1s", "'maxDuration'"),
        ("service=s&tag=x", "key:value"),
        ("service=s&tags=[]", "'tags'"),
        ("service=s&tags={\"a\":{}}", "'a'"),
    ] {
        let message = refused(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn ids_may_be_written_in_several_ways() {
    let check = |id: &str, expected: &[&str]| {
        let found = spellings(id);
        assert!(expected.iter().all(|e| found.iter().any(|f| f == e)), "{id}: {found:?}");
    };
    check("1f", &["1f", "000000000000001f", "0000000000000000000000000000001f"]);
    check("0000000000000000000000000000001F", &["000000000000001f", "0000000000000000000000000000001f"]);
    check("A000000000000000000000000000001f", &["a000000000000000000000000000001f"]);
    check("not-hex", &["not-hex", "NOT-HEX"]);
    assert_eq!(spellings("b00000000000000000"), ["00000000000000b00000000000000000", "B00000000000000000", "b00000000000000000"]);
}
