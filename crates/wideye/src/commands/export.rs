//! `wideye export`: events in order of time, as NDJSON that `wideye import` takes back.
//!
//! Owns: cutting a range into pieces that one answer holds. Never does: read a data directory.

use super::ALL;
use crate::{cli::ExportArgs, client::Client, error::CliError, term::Out};
use model::query::QuerySpec;
use model::time::parse_rfc3339;
use serde_json::{Value as Json, json};

/// Events that one answer may hold.
const ROWS_MAX: u64 = 10_000;

/// A range is cut so that its pieces hold about so many: room for events that bunch up.
const ROWS_AIM: u64 = 5_000;

pub(super) fn run(args: &ExportArgs, out: &mut Out) -> Result<(), CliError> {
    let text = args.text.join(" ");
    let question = question::parse(&text).map_err(|wrong| CliError::Question(wrong.shown(&text)))?;
    let spec = &question.spec;
    if spec.calculations.is_some() || !spec.breakdowns.is_empty() || spec.limit.is_some() || !spec.orders.is_empty() {
        return Err(CliError::Usage(
            "export takes the clauses `in`, `where`, `last` and `from … to …`; for the rest there is `wideye query`".into(),
        ));
    }
    let dataset = args.dataset.clone().or(question.dataset);
    let dataset = dataset.ok_or_else(|| CliError::Usage("which dataset? --dataset NAME, or `in NAME` in the text".into()))?;
    let client = Client::new(&args.server.url, args.server.key.as_deref())?;
    let export = Export { client, dataset, spec };
    // The first count fixes the range: from here on `last 2h` does not move.
    let answer = export.ask(json!([{"op": "COUNT"}]), None)?;
    let bound = |name: &str| answer[name].as_str().and_then(parse_rfc3339).ok_or_else(|| export.strange("no time range"));
    let (start, end) = (bound("start_time")?, bound("end_time")?);
    export.range(start, end, out)
}

struct Export<'s> {
    client: Client,
    dataset: String,
    spec: &'s QuerySpec,
}

/// Seconds as a JSON number that keeps every nanosecond: text, since a JSON float does not.
fn seconds(ns: i64) -> Json {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    Json::String(format!("{sign}{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000))
}

impl Export<'_> {
    fn strange(&self, what: &str) -> CliError {
        CliError::Answer { path: "/api/v1/query".to_owned(), what: what.to_owned() }
    }

    fn ask(&self, calculations: Json, range: Option<(i64, i64)>) -> Result<Json, CliError> {
        let mut query = json!({
            "calculations": calculations,
            "filters": self.spec.filters,
            "usage_mode": true,
        });
        if let Some(combination) = self.spec.filter_combination {
            query["filter_combination"] = json!(combination);
        }
        if let Some((start, end)) = range {
            query["start_time"] = seconds(start);
            query["end_time"] = seconds(end);
        } else {
            for (name, value) in [("start_time", &self.spec.start_time), ("end_time", &self.spec.end_time)] {
                if let Some(value) = value {
                    query[name] = value.clone();
                }
            }
            if let Some(range) = self.spec.time_range {
                query["time_range"] = json!(range);
            }
        }
        if calculations_empty(&query) {
            query["limit"] = json!(ROWS_MAX);
        }
        let body = json!({"dataset": self.dataset, "query": query, "stream": false, "series": false, "cache": false});
        self.client.post_json("/api/v1/query", &body)
    }

    /// Writes the events of a range: as they come if few, else piece by piece.
    fn range(&self, start: i64, end: i64, out: &mut Out) -> Result<(), CliError> {
        let answer = self.ask(json!([{"op": "COUNT"}]), Some((start, end)))?;
        let n = answer["results"][0]["data"]["COUNT"].as_f64().unwrap_or(0.0) as u64;
        if n == 0 {
            return Ok(());
        }
        if n > ROWS_MAX {
            let length = end - start;
            let pieces = (n.div_ceil(ROWS_AIM) as i64).min(length);
            if pieces < 2 {
                return Err(CliError::Found(format!("{n} events share one nanosecond; no answer holds more than {ROWS_MAX}")));
            }
            let at = |i: i64| start + (i128::from(length) * i128::from(i) / i128::from(pieces)) as i64;
            return (0..pieces).try_for_each(|i| self.range(at(i), at(i + 1), out));
        }
        let mut answer = self.ask(json!([]), Some((start, end)))?;
        let Some(Json::Array(mut events)) = answer.get_mut("results").map(Json::take) else {
            return Err(self.strange("no results"));
        };
        events.sort_by_cached_key(|e| e["time"].as_str().and_then(parse_rfc3339));
        if self.dataset != ALL {
            // Every line would say the same.
            events.iter_mut().filter_map(Json::as_object_mut).for_each(|event| drop(event.shift_remove("dataset")));
        }
        events.iter().try_for_each(|event| out.line(format_args!("{event}")))
    }
}

fn calculations_empty(query: &Json) -> bool {
    query["calculations"].as_array().is_some_and(Vec::is_empty)
}
