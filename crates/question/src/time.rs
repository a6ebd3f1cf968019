//! Durations and instants as people write them.
//!
//! Owns: `90s`, `2h30m`; bringing dates into the form that the API reads, and reading the form in which it writes them. Never does:
//! read a clock, know time zones.

use model::NS_PER_SECOND;
use model::query::QuerySpec;
use model::time::{read_rfc3339, rfc3339};
use serde_json::{Value as Json, json};

/// Seconds that a question covers unless it says otherwise.
const RANGE_DEFAULT_S: f64 = 7_200.0;

/// Units of durations, in seconds.
const UNITS: [(&str, f64); 6] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0), ("w", 604_800.0)];

/// Seconds of a duration such as `90s`, `1.5h` or `2h30m`. Only nothing needs no unit: `0`.
#[must_use]
pub fn duration_s(text: &str) -> Option<f64> {
    if text == "0" {
        return Some(0.0);
    }
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len() - digits);
        let unit = &rest[digits..digits + letters];
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum += number * seconds;
        rest = &rest[digits + letters..];
    }
    (!text.is_empty()).then_some(sum)
}

/// An instant for the API: Unix seconds as a number; a date, or date and time (UTC where no offset is given), as RFC 3339.
#[must_use]
pub fn instant(text: &str) -> Option<Json> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then(|| text.parse::<i64>().map_or(Json::from(seconds), Json::from));
    }
    let shape = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(t, p)| match p {
                b'0' => t.is_ascii_digit(),
                b'T' => matches!(t, b'T' | b't' | b' '),
                p => t == p,
            })
    };
    let full = match text.len() {
        10 if shape(text, "0000-00-00") => format!("{text}T00:00:00Z"),
        16 if shape(text, "0000-00-00T00:00") => format!("{text}:00Z"),
        _ if text.get(..19).is_some_and(|t| shape(t, "0000-00-00T00:00:00")) => {
            let zoned = text[19..].contains(['Z', 'z', '+', '-']);
            format!("{text}{}", if zoned { "" } else { "Z" })
        }
        _ => return None,
    };
    Some(Json::String(full.replacen([' ', 't'], "T", 1)))
}

/// Unix seconds of RFC 3339 such as `2026-01-31T08:00:00.5Z`, the form in which the API writes times.
#[must_use]
pub fn epoch_s(text: &str) -> Option<f64> {
    let (seconds, ns) = read_rfc3339(text)?;
    Some(seconds as f64 + ns as f64 / 1e9)
}

/// Unix seconds of a time in a specification.
#[must_use]
pub fn seconds(time: &Json) -> Option<f64> {
    match time {
        Json::String(text) => epoch_s(text).or_else(|| text.parse().ok()),
        time => time.as_f64(),
    }
}

/// Makes the range of a specification an absolute one, so that others can be said relative to it. An error says what is wrong.
pub fn fix_range(spec: &mut QuerySpec, now_s: f64) -> Result<(f64, f64), String> {
    let read = |time: &Option<Json>| match time {
        None => Ok(None),
        Some(t) => seconds(t).map(Some).ok_or_else(|| format!("{t} is not a time that others can be relative to")),
    };
    let range = spec.time_range.unwrap_or(RANGE_DEFAULT_S);
    let (start, end) = match (read(&spec.start_time)?, read(&spec.end_time)?) {
        (Some(start), Some(end)) => (start, end),
        (Some(start), None) => (start, spec.time_range.map_or(now_s, |r| start + r)),
        (None, Some(end)) => (end - range, end),
        (None, None) => (now_s - range, now_s),
    };
    spec.time_range = None;
    spec.start_time = Some(json!(start));
    spec.end_time = Some(json!(end));
    Ok((start, end))
}

/// Unix seconds as `2026-01-31T08:00:00Z`.
#[must_use]
pub fn utc(epoch_s: i64) -> String {
    rfc3339(epoch_s.saturating_mul(NS_PER_SECOND))
}
