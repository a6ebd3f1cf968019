//! Times and durations as agents give them.
//!
//! Owns: `now-2h` and its kin; the range of a question. Never does: read a clock (the time is passed in).

use crate::args::Args;
use crate::tools::ToolError;
use model::query::QuerySpec;
use serde_json::{Value as Json, json};

/// Seconds that a question covers unless it says otherwise.
const RANGE_DEFAULT_S: f64 = 7_200.0;

/// A duration: `90s`, `2h`, or seconds as a number.
pub(crate) fn duration(args: &Args, name: &str) -> Result<Option<f64>, ToolError> {
    let wrong = |given: &str| ToolError::arguments(format!("`{name}` is a duration such as 30s, 10m, 2h or 1d, not '{given}'"));
    match args.get(name) {
        None => Ok(None),
        Some(Json::String(text)) => {
            let seconds = question::duration_s(text.trim()).or_else(|| text.trim().parse().ok());
            seconds.filter(|s: &f64| s.is_finite()).map(Some).ok_or_else(|| wrong(text))
        }
        Some(other) => other.as_f64().map(Some).ok_or_else(|| wrong(&other.to_string())),
    }
}

/// An instant: RFC 3339, a date, Unix seconds, `now`, `now-2h` or `-2h`.
pub(crate) fn instant(args: &Args, name: &str, now_s: f64) -> Result<Option<Json>, ToolError> {
    let Some(given) = args.get(name) else { return Ok(None) };
    let found = match given {
        Json::Number(_) => Some(given.clone()),
        Json::String(text) => {
            let text = text.trim();
            let relative = text.strip_prefix("now").unwrap_or(text);
            match relative.strip_prefix('-') {
                _ if text == "now" => Some(json!(now_s)),
                Some(back) => question::duration_s(back.trim()).map(|s| json!(now_s - s)),
                None => question::instant(text),
            }
        }
        _ => None,
    };
    found.map(Some).ok_or_else(|| {
        ToolError::arguments(format!(
            "`{name}` is a time such as 2026-01-31T08:00:00Z, 2026-01-31, Unix seconds, now or now-2h, not {given}"
        ))
    })
}

/// Takes `last`, `from` and `to` over into a specification.
pub(crate) fn range(args: &Args, spec: &mut QuerySpec, now_s: f64) -> Result<(), ToolError> {
    if let Some(seconds) = duration(args, "last")? {
        spec.time_range = Some(seconds);
    }
    if let Some(from) = instant(args, "from", now_s)? {
        spec.start_time = Some(from);
    }
    if let Some(to) = instant(args, "to", now_s)? {
        spec.end_time = Some(to);
    }
    if spec.time_range.is_some() && spec.start_time.is_some() && spec.end_time.is_some() {
        return Err(ToolError::arguments("give two of `last`, `from` and `to`, not all three".to_owned()));
    }
    Ok(())
}

/// Unix seconds of a time in a specification.
pub(crate) fn seconds(time: &Json) -> Option<f64> {
    match time {
        Json::String(text) => question::epoch_s(text).or_else(|| text.parse().ok()),
        time => time.as_f64(),
    }
}

/// Makes the range of a specification an absolute one, so that others can be said relative to it.
pub(crate) fn fix(spec: &mut QuerySpec, now_s: f64) -> Result<(f64, f64), ToolError> {
    let read = |time: &Option<Json>| match time {
        None => Ok(None),
        Some(t) => {
            seconds(t).map(Some).ok_or_else(|| ToolError::arguments(format!("{t} is not a UTC time that others can be relative to")))
        }
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

/// Times of one answer, as short as they can be told apart.
#[derive(Debug)]
pub(crate) struct Labels {
    /// Characters that all have in common.
    same: usize,
}

impl Labels {
    /// For times between two, all RFC 3339 in UTC.
    pub(crate) fn between(start: &str, end: &str) -> Labels {
        let same = |n: usize| start.get(..n).is_some_and(|s| end.get(..n) == Some(s));
        Labels {
            same: if same(11) {
                11
            } else if same(5) {
                5
            } else {
                0
            },
        }
    }

    /// `2026-11-22T17:05:00Z` as `17:05`.
    pub(crate) fn label(&self, time: &str) -> String {
        let time = time.strip_suffix('Z').unwrap_or(time);
        let time = time.strip_suffix(":00").filter(|t| t.len() == 16).unwrap_or(time);
        time.get(self.same..).unwrap_or(time).replace('T', " ")
    }
}
