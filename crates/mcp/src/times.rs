//! Times and durations as agents give them.
//!
//! Owns: `now-2h` and its kin; the range of a question. Never does: read a clock (the time is passed in).

use crate::args::Args;
use crate::tools::ToolError;
use model::query::QuerySpec;
use serde_json::{Value as Json, json};

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

/// Makes the range of a specification an absolute one.
pub(crate) fn fix(spec: &mut QuerySpec, now_s: f64) -> Result<(f64, f64), ToolError> {
    question::fix_range(spec, now_s).map_err(ToolError::arguments)
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
