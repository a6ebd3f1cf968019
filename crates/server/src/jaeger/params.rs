//! The parameters of Jaeger's requests: times, durations, tags, trace ids.
//!
//! Owns: reading them, with the defaults that Jaeger has. Never does: look at data.

use crate::error::Failure;
use crate::route::decode;
use model::{NS_PER_SECOND, TimeNs};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Traces that are answered if the request names no limit.
const TRACES_DEFAULT: usize = 100;
/// Seconds before the end in which traces are looked for if the request names no start.
const LOOKBACK_SECONDS: i64 = 2 * 86_400;
const NS_PER_US: i64 = 1_000;
const NS_PER_MS: i64 = 1_000_000;

/// First time that counts, and first after it that does not.
pub(super) type Range = (TimeNs, TimeNs);

/// The parameters of a request, in order.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

/// What traces are looked for.
#[derive(Debug, PartialEq)]
pub(super) struct TraceQuery {
    /// Of a span: its service; empty only if traces are named by their ids.
    pub(super) service: String,
    pub(super) operation: Option<String>,
    /// Tags that it must have, with their values as text.
    pub(super) tags: BTreeMap<String, String>,
    pub(super) min_ms: Option<f64>,
    pub(super) max_ms: Option<f64>,
    /// When it began; for traces named by their ids, if the request says.
    pub(super) range: Option<Range>,
    pub(super) limit: usize,
    pub(super) trace_ids: Vec<String>,
}

impl Params {
    pub(super) fn new(query: Option<&str>) -> Params {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        };
        Params(query.unwrap_or("").split('&').filter(|p| !p.is_empty()).map(pair).collect())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The first parameter of a name, if it says anything.
    pub(super) fn first(&self, name: &str) -> Option<String> {
        self.all(name).next().filter(|v| !v.is_empty()).map(str::to_owned)
    }

    pub(super) fn service(&self) -> Result<String, Failure> {
        self.first("service").ok_or_else(|| Failure::invalid("parameter 'service' is required"))
    }

    fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        let number = |text: String| text.parse().map_err(|_| unparsed(name, &text, "a whole number"));
        self.first(name).map(number).transpose()
    }

    /// A time in microseconds, as nanoseconds.
    fn time(&self, name: &str) -> Result<Option<TimeNs>, Failure> {
        Ok(self.integer(name)?.map(|us| us.saturating_mul(NS_PER_US)))
    }

    fn duration_ms(&self, name: &str) -> Result<Option<f64>, Failure> {
        let Some(text) = self.first(name) else { return Ok(None) };
        match duration_ns(&text) {
            Some(0.0) => Ok(None),
            Some(ns) => Ok(Some(ns / NS_PER_MS as f64)),
            None => Err(unparsed(name, &text, "a duration like 1.2s, 100ms or 500us")),
        }
    }

    /// Where a trace that is named by its id may be.
    pub(super) fn hints(&self) -> Result<Option<Range>, Failure> {
        let (start, end) = (self.time("start")?, self.time("end")?);
        Ok((start.is_some() || end.is_some()).then(|| (start.unwrap_or(TimeNs::MIN), after(end.unwrap_or(TimeNs::MAX)))))
    }

    /// What `/api/traces` is asked for.
    pub(super) fn trace_query(&self, now: TimeNs, traces_max: usize) -> Result<TraceQuery, Failure> {
        let trace_ids: Vec<String> = self.all("traceID").filter(|id| !id.is_empty()).map(str::to_owned).collect();
        let service = if trace_ids.is_empty() { self.service()? } else { self.first("service").unwrap_or_default() };
        if trace_ids.len() > traces_max {
            return Err(Failure::invalid(format!("at most {traces_max} traces can be asked for at once, not {}", trace_ids.len())));
        }
        let range = if trace_ids.is_empty() {
            let end = self.time("end")?.unwrap_or(now);
            let lookback = self.first("lookback").and_then(|text| lookback_ns(&text)).unwrap_or(LOOKBACK_SECONDS * NS_PER_SECOND);
            Some((self.time("start")?.unwrap_or(end.saturating_sub(lookback)), after(end)))
        } else {
            self.hints()?
        };
        let limit = match self.integer("limit")? {
            None | Some(0) => TRACES_DEFAULT.min(traces_max),
            Some(n) => usize::try_from(n)
                .ok()
                .filter(|n| *n <= traces_max)
                .ok_or_else(|| Failure::invalid(format!("limit must be between 1 and {traces_max} (result_rows_max), not {n}")))?,
        };
        let (min_ms, max_ms) = (self.duration_ms("minDuration")?, self.duration_ms("maxDuration")?);
        if let (Some(min), Some(max)) = (min_ms, max_ms)
            && max < min
        {
            return Err(Failure::invalid("'maxDuration' should be greater than 'minDuration'"));
        }
        Ok(TraceQuery { service, operation: self.first("operation"), tags: self.tags()?, min_ms, max_ms, range, limit, trace_ids })
    }

    /// The older `tag=key:value`, and `tags={"key": "value"}`; both may be repeated.
    fn tags(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut tags = BTreeMap::new();
        for tag in self.all("tag") {
            let Some((key, value)) = tag.split_once(':') else {
                return Err(Failure::invalid(format!("malformed 'tag' parameter, expecting key:value, received: {tag}")));
            };
            tags.insert(key.to_owned(), value.to_owned());
        }
        for text in self.all("tags").filter(|t| !t.is_empty()) {
            let malformed = |what: &str| Failure::invalid(format!("malformed 'tags' parameter, expecting a JSON object of texts: {what}"));
            let Ok(Json::Object(map)) = serde_json::from_str(text) else { return Err(malformed(text)) };
            for (key, value) in map {
                let value = match value {
                    Json::String(text) => text,
                    // Jaeger takes texts only; what else has one plain way of being written says the same.
                    Json::Number(_) | Json::Bool(_) => value.to_string(),
                    _ => return Err(malformed(&format!("the value of '{key}' is {value}"))),
                };
                tags.insert(key, value);
            }
        }
        Ok(tags)
    }

    /// The range that `/api/dependencies` is asked for, in milliseconds, and by default the last day.
    pub(super) fn dependencies_range(&self, now: TimeNs) -> Result<Range, Failure> {
        let end = self.integer("endTs")?.map_or(now, |ms| ms.saturating_mul(NS_PER_MS));
        let lookback = self.integer("lookback")?.map_or(86_400 * NS_PER_SECOND, |ms| ms.saturating_mul(NS_PER_MS));
        if lookback < 0 {
            return Err(Failure::invalid("lookback must not be negative"));
        }
        Ok((end.saturating_sub(lookback), end.saturating_add(NS_PER_MS)))
    }
}

/// Ends are inclusive, and no finer than microseconds.
fn after(end: TimeNs) -> TimeNs {
    end.saturating_add(NS_PER_US)
}

fn unparsed(name: &str, text: &str, expected: &str) -> Failure {
    Failure::invalid(format!("unable to parse param '{name}': '{text}' is not {expected}"))
}

/// A duration as Go writes them: numbers, each with its unit.
fn duration_ns(text: &str) -> Option<f64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0.0);
    }
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..letters] {
                "ns" => 1.0,
                "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3_600e9,
                _ => return None,
            };
        rest = &rest[letters..];
    }
    Some(if negative { -total } else { total })
}

/// A look-back as Jaeger's front end names them: `1h`, `2d`. Others (`custom`) say nothing.
fn lookback_ns(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let n: i64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    Some(n.checked_mul(seconds)?.saturating_mul(NS_PER_SECOND)).filter(|ns| *ns > 0)
}

/// The ways in which a trace id may be kept that is asked for like this: Jaeger takes hex digits of either case, and leading
/// zeros may be there or not. What are no hex digits is looked for as it is written.
pub(super) fn spellings(id: &str) -> Vec<String> {
    let id = id.trim();
    let mut all = vec![id.to_owned()];
    if !id.is_empty() && id.len() <= 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        let digits = id.to_ascii_lowercase();
        let digits = digits.trim_start_matches('0');
        if digits.len() <= 16 {
            all.push(format!("{digits:0>16}"));
        }
        all.push(format!("{digits:0>32}"));
    }
    all.extend([id.to_ascii_lowercase(), id.to_ascii_uppercase()]);
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests;
