//! Jaeger's questions, asked of the engine.
//!
//! Owns: which spans they mean, and in what steps whole traces are found. Never does: form of requests and answers.

use super::convert;
use super::params::{Range, TraceQuery, spellings};
use super::tags::condition;
use super::wire::{Dependency, Operation, Trace};
use crate::app::App;
use crate::error::Failure;
use engine::{Cell, EngineError, Plan, RawEvent, Run, SeriesMode, ServiceEdge, ServiceMapSpec};
use model::columns::{ANNOTATION_TYPE, DATASET, DURATION_MS, SERVICE, SPAN_ID, SPAN_KIND, TRACE_ID};
use model::query::{Calculation, Filter, FilterOp, QuerySpec};
use model::time::rfc3339;
use model::{Limits, NS_PER_SECOND, TimeNs, Value};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use store::Scope;

const HOUR_NS: i64 = 3_600 * NS_PER_SECOND;

/// All times.
const ALWAYS: Range = (TimeNs::MIN, TimeNs::MAX);

/// Reads on behalf of one request.
pub(super) struct Reader<'a> {
    app: &'a App,
    run: Run,
}

/// Traces that were found, and what is to be said about them.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) traces: Vec<Trace>,
    pub(super) remarks: Vec<String>,
    /// Events that they were made from.
    pub(super) n_rows: usize,
}

fn filter(column: &str, op: FilterOp, value: Value) -> Filter {
    Filter { column: column.to_owned(), op, value: Some(value.to_json()) }
}

fn presence(column: &str, op: FilterOp) -> Filter {
    Filter { column: column.to_owned(), op, value: None }
}

fn text(cell: Option<&Cell>) -> Option<String> {
    match cell? {
        Cell::Str(s) => Some(s.to_string()),
        Cell::Bool(b) => Some(b.to_string()),
        Cell::Int(i) => Some(i.to_string()),
        Cell::Float(f) => Some(f.to_string()),
        Cell::Null | Cell::Heatmap(_) => None,
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(app: &'a App, run: Run) -> Reader<'a> {
        let max_rows = app.settings.limits.result_rows_max.max(Limits::JAEGER_EVENTS_CEILING + 1);
        Reader { app, run: Run { max_rows, series: SeriesMode::Never, ..run } }
    }

    fn has(&self, column: &str) -> bool {
        self.app.store.has_column(&Scope::All, column)
    }

    /// A checked question over a range; none if a column that it needs was never seen, so that nothing can match.
    fn check(&self, spec: &QuerySpec, range: Range) -> Result<Option<Plan>, Failure> {
        match self.app.engine.check(&Scope::All, spec, &self.run) {
            Ok(plan) => Ok(Some(Plan { start_ns: range.0, end_ns: range.1, ..plan })),
            Err(EngineError::UnknownColumn { .. }) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// What tells spans from other events.
    fn spans(&self) -> Vec<Filter> {
        let mut filters = vec![presence(TRACE_ID, FilterOp::Exists), presence(SPAN_ID, FilterOp::Exists)];
        if self.has(ANNOTATION_TYPE) {
            filters.push(presence(ANNOTATION_TYPE, FilterOp::DoesNotExist));
        }
        filters
    }

    /// The ways in which a span may be of a service: it says so; or it names no service, and its dataset is called so.
    fn of_service(&self, service: &str) -> Vec<Vec<Filter>> {
        let mut ways = Vec::new();
        let named = self.has(SERVICE);
        if named {
            ways.push(vec![filter(SERVICE, FilterOp::Equal, Value::Str(service.to_owned()))]);
        }
        if self.app.store.dataset(service).is_some_and(|d| d.name == service) {
            let mut way = vec![filter(DATASET, FilterOp::Equal, Value::Str(service.to_owned()))];
            if named {
                way.push(presence(SERVICE, FilterOp::DoesNotExist));
            }
            ways.push(way);
        }
        ways
    }

    /// Groups of spans in the window in which services and operations are looked for; if nothing is in it, of all times.
    fn groups(&self, filters: Vec<Filter>, breakdowns: Vec<String>) -> Result<Vec<Vec<Cell>>, Failure> {
        let limit = i64::try_from(self.app.settings.limits.result_rows_max).ok();
        let count =
            Calculation { op: "COUNT".into(), column: None, name: None, filters: Vec::new(), filter_combination: None, exact: None };
        let spec =
            QuerySpec { calculations: Some(vec![count]), filters, breakdowns, limit, usage_mode: Some(true), ..QuerySpec::default() };
        // On the hour, so that what is kept of one answer serves the next.
        let start = self.run.now.saturating_sub(Limits::JAEGER_SERVICES_SECONDS * NS_PER_SECOND).div_euclid(HOUR_NS) * HOUR_NS;
        for range in [(start, TimeNs::MAX), ALWAYS] {
            let Some(plan) = self.check(&spec, range)? else { return Ok(Vec::new()) };
            let answer = self.app.engine.answer(&Scope::All, &plan, &self.run)?;
            if !answer.results.is_empty() {
                return Ok(answer.results);
            }
        }
        Ok(Vec::new())
    }

    /// Names of all services, sorted.
    pub(super) fn services(&self) -> Result<Vec<String>, Failure> {
        let named = self.has(SERVICE);
        let breakdowns = if named { vec![SERVICE.to_owned(), DATASET.to_owned()] } else { vec![DATASET.to_owned()] };
        let groups = self.groups(self.spans(), breakdowns)?;
        let names = groups.iter().filter_map(|row| text(row.first()).or_else(|| text(row.get(1).filter(|_| named))));
        Ok(names.filter(|n| !n.is_empty()).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Names and kinds of a service's spans, sorted; of one kind only, if it is given.
    pub(super) fn operations(&self, service: &str, kind: Option<&str>) -> Result<Vec<Operation>, Failure> {
        let kinds = self.has(SPAN_KIND);
        if kind.is_some() && !kinds {
            return Ok(Vec::new());
        }
        let mut found = BTreeSet::new();
        for way in self.of_service(service) {
            let mut filters = self.spans();
            filters.extend(way);
            filters.extend(kind.map(|kind| filter(SPAN_KIND, FilterOp::Equal, Value::Str(kind.to_ascii_lowercase()))));
            let mut breakdowns = vec!["name".to_owned()];
            breakdowns.extend(kinds.then(|| SPAN_KIND.to_owned()));
            for row in self.groups(filters, breakdowns)? {
                let Some(name) = text(row.first()) else { continue };
                let span_kind = text(row.get(1).filter(|_| kinds)).filter(|k| k != "unspecified").unwrap_or_default();
                found.insert(Operation { name, span_kind });
            }
        }
        Ok(found.into_iter().collect())
    }

    /// How often services call each other, most often first.
    pub(super) fn dependencies(self, range: Range, service: Option<String>) -> Result<Vec<Dependency>, Failure> {
        let limit = i64::try_from(self.app.settings.limits.map_edges_max).ok();
        let (start_time, end_time) = (Some(rfc3339(range.0).into()), Some(rfc3339(range.1).into()));
        let query = QuerySpec { start_time, end_time, ..QuerySpec::default() };
        let services = service.into_iter().collect();
        let spec = ServiceMapSpec { query, services, calls_only: true, limit, ..ServiceMapSpec::default() };
        let map = self.app.engine.service_map(&Scope::All, &spec, self.run)?;
        let call = |e: ServiceEdge| Dependency { parent: e.caller, child: e.callee, call_count: e.numbers.count.round() as u64 };
        Ok(map.edges.into_iter().map(call).collect())
    }

    /// The newest traces with a span as asked for, the newest first, each with all its spans.
    pub(super) fn find(&self, query: &TraceQuery) -> Result<Found, Failure> {
        let range = query.range.unwrap_or(ALWAYS);
        let mut wanted = self.spans();
        wanted.extend(query.operation.iter().map(|name| filter("name", FilterOp::Equal, Value::Str(name.clone()))));
        wanted.extend(query.min_ms.map(|ms| filter(DURATION_MS, FilterOp::GreaterEqual, Value::Float(ms))));
        wanted.extend(query.max_ms.map(|ms| filter(DURATION_MS, FilterOp::LessEqual, Value::Float(ms))));
        for (tag, value) in &query.tags {
            let Some((column, op, value)) = condition(tag, value) else { return Ok(Found::default()) };
            // What no event has, none has with this value.
            if op != FilterOp::NotEqual || self.has(&column) {
                wanted.push(filter(&column, op, value));
            }
        }
        let (mut newest, mut complete): (HashMap<String, TimeNs>, bool) = (HashMap::new(), true);
        for way in self.of_service(&query.service) {
            let filters = wanted.iter().cloned().chain(way).collect();
            let spec = QuerySpec { calculations: Some(Vec::new()), filters, ..QuerySpec::default() };
            let Some(plan) = self.check(&spec, range)? else { continue };
            let found = self.app.engine.newest_traces(&Scope::All, &plan, query.limit, &self.run)?;
            complete &= found.complete;
            for (id, time) in found.traces {
                let known = newest.entry(id).or_insert(time);
                *known = time.max(*known);
            }
        }
        let mut newest: Vec<(String, TimeNs)> = newest.into_iter().collect();
        newest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        newest.truncate(query.limit);
        let (Some(last), Some(first)) = (newest.first(), newest.last()) else { return Ok(Found::default()) };
        let around = widened((first.1, last.1));
        let ids: Vec<String> = newest.into_iter().map(|(id, _)| id).collect();
        let mut found = self.whole(&ids, around)?;
        if !complete {
            found.remarks.push("time ran out before all spans were read; older traces may be missing".to_owned());
        }
        Ok(found)
    }

    /// Traces by their ids, in this order, those that there are; looked for in a range first, if one is given.
    pub(super) fn by_ids(&self, ids: &[String], hints: Option<Range>) -> Result<Found, Failure> {
        let all: Vec<String> = ids.iter().flat_map(|id| spellings(id)).collect();
        let mut found = Found::default();
        for range in hints.map(widened).into_iter().chain([ALWAYS]) {
            let left: Vec<String> = all.iter().filter(|id| !found.traces.iter().any(|t| same(&t.trace_id, id))).cloned().collect();
            if left.is_empty() {
                break;
            }
            let more = self.whole(&left, range)?;
            found.traces.extend(more.traces);
            found.remarks.extend(more.remarks);
            found.n_rows += more.n_rows;
        }
        let place = |trace: &Trace| all.iter().position(|id| *id == trace.trace_id).unwrap_or(all.len());
        found.traces.sort_by_key(place);
        Ok(found)
    }

    /// All of these traces that have a span in a range, in this order, with all their events in it.
    fn whole(&self, ids: &[String], range: Range) -> Result<Found, Failure> {
        let (mut ids, mut remarks) = (ids.to_vec(), Vec::new());
        let mut events = self.events(&ids, range)?;
        if events.len() > Limits::JAEGER_EVENTS_CEILING {
            let sizes = self.sizes(&ids, range)?;
            let asked = sizes.len();
            ids = within(&ids, &sizes, Limits::JAEGER_EVENTS_CEILING);
            remarks.push(if asked == 1 {
                format!("the trace is too large for one answer; its newest {} events are shown", Limits::JAEGER_EVENTS_CEILING)
            } else {
                format!("the traces are too large for one answer; the first {} of {asked} are shown; ask for fewer", ids.len())
            });
            events = self.events(&ids, range)?;
            events.truncate(Limits::JAEGER_EVENTS_CEILING);
        }
        let n_rows = events.len();
        let mut by_id: BTreeMap<String, Vec<RawEvent>> = BTreeMap::new();
        for event in events.into_iter().rev() {
            if let Some(id) = convert::text(&event, TRACE_ID) {
                by_id.entry(id).or_default().push(event);
            }
        }
        let traces = ids.iter().filter_map(|id| convert::trace(id, by_id.remove(id)?)).collect();
        Ok(Found { traces, remarks, n_rows })
    }

    fn of_traces(ids: &[String]) -> Filter {
        let ids = ids.iter().map(|id| Json::String(id.clone())).collect();
        Filter { column: TRACE_ID.to_owned(), op: FilterOp::In, value: Some(Json::Array(ids)) }
    }

    /// The events of traces, newest first, at most one more than an answer may have.
    fn events(&self, ids: &[String], range: Range) -> Result<Vec<RawEvent>, Failure> {
        let limit = i64::try_from(Limits::JAEGER_EVENTS_CEILING + 1).ok();
        let spec = QuerySpec { calculations: Some(Vec::new()), filters: vec![Self::of_traces(ids)], limit, ..QuerySpec::default() };
        let Some(plan) = self.check(&spec, range)? else { return Ok(Vec::new()) };
        Ok(self.app.engine.answer(&Scope::All, &plan, &self.run)?.raw.unwrap_or_default())
    }

    /// How many events each trace has.
    fn sizes(&self, ids: &[String], range: Range) -> Result<HashMap<String, usize>, Failure> {
        let limit = i64::try_from(ids.len()).ok();
        let spec = QuerySpec {
            filters: vec![Self::of_traces(ids)],
            breakdowns: vec![TRACE_ID.to_owned()],
            limit,
            usage_mode: Some(true),
            ..QuerySpec::default()
        };
        let Some(plan) = self.check(&spec, range)? else { return Ok(HashMap::new()) };
        let answer = self.app.engine.answer(&Scope::All, &plan, &self.run)?;
        let size = |row: &Vec<Cell>| Some(row.get(1)?.as_f64()? as usize);
        Ok(answer.results.iter().filter_map(|row| Some((text(row.first())?, size(row)?))).collect())
    }
}

/// The range in which the other spans of traces are looked for.
fn widened(range: Range) -> Range {
    let margin = Limits::JAEGER_MARGIN_SECONDS * NS_PER_SECOND;
    (range.0.saturating_sub(margin), range.1.saturating_add(margin))
}

/// Whether two spellings are of one trace id.
fn same(a: &str, b: &str) -> bool {
    a == b || spellings(a).iter().any(|s| s == b)
}

/// The first traces that together have at most so many events; at least one.
fn within(ids: &[String], sizes: &HashMap<String, usize>, max: usize) -> Vec<String> {
    let mut total = 0;
    let mut kept = Vec::new();
    for id in ids {
        let Some(size) = sizes.get(id) else { continue };
        total += size;
        if total > max && !kept.is_empty() {
            break;
        }
        kept.push(id.clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_traces_fill_an_answer_up_to_its_limit() {
        let ids: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let sizes = |n: [usize; 3]| ids.iter().cloned().zip(n).collect::<HashMap<_, _>>();
        assert_eq!(within(&ids, &sizes([3, 3, 3]), 6), ["a", "b"]);
        assert_eq!(within(&ids, &sizes([7, 1, 1]), 6), ["a"]);
        assert_eq!(within(&ids, &sizes([1, 9, 1]), 6), ["a"]);
        assert_eq!(within(&ids, &sizes([2, 2, 2]), 6), ids);
    }
}
