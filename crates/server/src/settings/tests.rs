//! Precedence, units, unknown keys, and the reference page against the definitions.

use super::units::{bytes_text, parse_bytes, parse_seconds, seconds_text};
use super::{Settings, flags, reference};
use model::Limits;
use std::path::Path;

fn pair(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let file =
        "listen = \"a:1\"\nthreads = 3\nself_telemetry = false\n[limits]\nrequest_bytes_max = \"1MiB\"\nquestion_seconds_max = 2.5\n";
    let (s, unknown) = Settings::load(
        &[pair("listen", "c:3"), pair("limits.in-values-max", "7")],
        [
            pair("WIDEYE_LISTEN", "b:2"),
            pair("WIDEYE_THREADS", "5"),
            pair("WIDEYE_LIMITS_BUCKETS_MAX", "9"),
            pair("WIDEYE_TYPO", "1"),
            pair("PATH", "x"),
        ],
        Some((Path::new("w.toml"), file)),
    )
    .unwrap();
    assert_eq!((s.listen.as_str(), s.threads, s.self_telemetry), ("c:3", 5, false));
    assert_eq!((s.limits.request_bytes_max, s.limits.question_seconds_max), (1 << 20, 2.5));
    assert_eq!((s.limits.in_values_max, s.limits.buckets_max), (7, 9));
    assert_eq!(s.otlp_grpc_listen, Settings::default().otlp_grpc_listen);
    assert_eq!(unknown, ["WIDEYE_TYPO"]);
}

#[test]
fn wrong_settings_say_where_and_why() {
    let check = |flags: &[(String, String)], file: &str, expect: &str| {
        let error = Settings::load(flags, [], Some((Path::new("w.toml"), file))).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(&[pair("lisen", "x")], "", "did you mean 'listen'?");
    check(&[pair("listen-on-that-port", "x")], "", "docs/reference/config.md");
    check(&[], "[limits]\nbuckets = 1", "setting 'limits.buckets' from w.toml");
    check(&[], "[limts]\nbuckets_max = 1", "limits.buckets_max");
    check(&[], "threads = \"many\"", "not a whole number");
    check(&[], "ingest_bytes_max = \"lots\"", "64MiB");
    check(&[], "drain_seconds_max = \"-1s\"", "not a time");
    check(&[], "self_telemetry = \"maybe\"", "neither true nor false");
    check(&[], "listen = ", "w.toml");
    check(&[pair("limits.string-bytes-max", "2MiB")], "", "at most 1MiB");
}

#[test]
fn units_read_and_write() {
    for (text, n) in [("64MiB", 64 << 20), ("1_000", 1000), ("1.5kB", 1500), ("0", 0), ("7 B", 7), ("2GB", 2_000_000_000)] {
        assert_eq!(parse_bytes(text), Ok(n), "{text}");
    }
    for (text, s) in [("100ms", 0.1), ("30s", 30.0), ("2m", 120.0), ("1h", 3600.0), ("7d", 604_800.0), ("1.5", 1.5)] {
        assert!((parse_seconds(text).unwrap() - s).abs() < 1e-12, "{text}");
    }
    assert_eq!([bytes_text(3 << 20), bytes_text(1000), bytes_text(0)], ["3MiB", "1000", "0"]);
    assert_eq!([seconds_text(0.25), seconds_text(60.0), seconds_text(172_800.0)], ["250ms", "60s", "2d"]);
}

#[test]
fn the_defaults_can_be_written_and_read_back() {
    let mut s = Settings::default();
    let defaults = Settings::default();
    for key in super::KEYS {
        (key.set)(&mut s, &(key.get)(&defaults)).unwrap();
    }
    for (name, value) in super::limits_json(&Limits::default()) {
        super::set_limit(&mut s.limits, &name, &super::limit_text(&name, &value)).unwrap();
    }
    assert_eq!(s, defaults);
    assert!(flags().iter().any(|f| f.name == "limits.event-fields-max" && !f.text.is_empty()));
}

#[test]
fn the_reference_page_is_up_to_date() {
    crate::docs::check("docs/reference/config.md", &reference());
}

#[test]
fn the_limits_page_names_every_limit_with_its_default() {
    let page = crate::docs::read("docs/limits.md");
    for (name, value) in super::limits_json(&Limits::default()) {
        let row = format!("| `{name}` | {} |", super::limit_text(&name, &value));
        assert!(page.contains(&row), "docs/limits.md lacks the row that starts with: {row}");
    }
}
