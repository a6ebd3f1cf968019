//! The time range of a question, made absolute.
//!
//! Owns: `time_range`, `start_time`, `end_time` and their combinations. Never does: read a clock.

use crate::EngineError;
use model::query::QuerySpec;
use model::time::{parse_time, seconds_to_ns};
use model::{NS_PER_SECOND, TimeNs};

const DEFAULT_NS: i64 = 7200 * NS_PER_SECOND;

/// Start (inclusive) and end (exclusive).
pub(crate) fn range(spec: &QuerySpec, now: TimeNs) -> Result<(TimeNs, TimeNs), EngineError> {
    let length = match spec.time_range {
        None => None,
        Some(s) => match seconds_to_ns(s) {
            Some(ns) if ns > 0 => Some(ns),
            _ => return Err(EngineError::invalid(format!("time_range must be a number of seconds above 0, not {s}"))),
        },
    };
    let start = time(spec.start_time.as_ref(), "start_time")?;
    let end = time(spec.end_time.as_ref(), "end_time")?;
    let (start, end) = match (start, end, length) {
        (Some(_), Some(_), Some(_)) => {
            return Err(EngineError::invalid("time_range, start_time and end_time cannot be given together; leave one of them out"));
        }
        (Some(start), Some(end), None) => (start, end),
        (Some(start), None, length) => (start, start.saturating_add(length.unwrap_or(DEFAULT_NS))),
        (None, end, length) => {
            let end = end.unwrap_or(now);
            (end.saturating_sub(length.unwrap_or(DEFAULT_NS)), end)
        }
    };
    if start > end {
        return Err(EngineError::invalid("start_time must not be after end_time"));
    }
    Ok((start, end))
}

fn time(json: Option<&serde_json::Value>, name: &str) -> Result<Option<TimeNs>, EngineError> {
    let parsed = match json {
        None | Some(serde_json::Value::Null) => return Ok(None),
        Some(serde_json::Value::Number(n)) => match n.as_i64() {
            Some(s) => s.checked_mul(NS_PER_SECOND),
            None => n.as_f64().and_then(seconds_to_ns),
        },
        Some(serde_json::Value::String(s)) => parse_time(s),
        Some(_) => None,
    };
    match parsed {
        Some(t) => Ok(Some(t)),
        None => Err(EngineError::invalid(format!("{name} must be seconds since 1970 (between the years 1678 and 2262) or RFC 3339 text"))),
    }
}
