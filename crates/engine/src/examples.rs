//! The slowest examples of a question: of the events that it is about, those with the largest value of a column, one per
//! trace.
//!
//! Owns: finding them without ordering all events. Never does: run questions by itself (engine).

use crate::plan::{Computation, Computed, OrderKey};
use crate::{Answer, Calc, CalcOp, Cell, Condition, EngineError, Field, Plan, RawEvent};
use hashbrown::HashSet;
use model::columns::{SERVICES, SPAN_ID, TRACE_ID};
use model::query::{Calculation, Combination, Direction, Filter, FilterOp, Order, QuerySpec};
use model::{TimeNs, Value, heatmap_start};
use std::sync::Arc;

/// Events that are read for each example, at first: several of them may be of one trace.
const EVENTS_PER_EXAMPLE: usize = 8;
/// So much more the next time, if that were too few; and at most so many.
const GROWTH: usize = 8;
const EVENTS_MAX: usize = 20_000;

/// What to look for.
#[derive(Clone, Debug)]
pub struct ExamplesRequest {
    /// Filters, time and calculated fields; nothing else of it is used.
    pub query: QuerySpec,
    /// Values of the group's breakdowns; null: the column is missing.
    pub group: Vec<(String, serde_json::Value)>,
    /// What is to be large.
    pub column: String,
    /// Examples at most.
    pub limit: usize,
}

/// An event with a large value.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowExample {
    /// The column's value.
    pub value: f64,
    /// When it was.
    pub time: TimeNs,
    /// Its dataset.
    pub dataset: Option<Arc<str>>,
    /// Trace, span, name and service, as far as it has them.
    pub trace_id: Value,
    /// See `trace_id`.
    pub span_id: Value,
    /// See `trace_id`.
    pub name: Value,
    /// See `trace_id`.
    pub service: Value,
}

/// The questions for raw events: with the question's own filters, and with those of the group.
pub(crate) fn questions(request: &ExamplesRequest) -> [QuerySpec; 2] {
    let order = Order { op: None, column: Some(request.column.clone()), order: Some(Direction::Descending) };
    let own = QuerySpec {
        calculations: Some(Vec::<Calculation>::new()),
        breakdowns: Vec::new(),
        orders: vec![order],
        havings: Vec::new(),
        formulas: Vec::new(),
        limit: Some(1),
        granularity: None,
        compare_time_offset_seconds: None,
        ..request.query.clone()
    };
    let filter = |(column, value): &(String, serde_json::Value)| match value {
        serde_json::Value::Null => Filter { column: column.clone(), op: FilterOp::DoesNotExist, value: None },
        value => Filter { column: column.clone(), op: FilterOp::Equal, value: Some(value.clone()) },
    };
    let group = QuerySpec { filters: request.group.iter().map(filter).collect(), filter_combination: None, ..own.clone() };
    [own, group]
}

/// A plan for raw events being narrowed to the largest values.
pub(crate) struct Search {
    plan: Plan,
    field: Field,
    wanted: usize,
}

impl Search {
    /// From the checked plans of [`questions`].
    pub(crate) fn new(own: Plan, group: Plan, wanted: usize) -> Result<Search, EngineError> {
        let Some(OrderKey::Field(field)) = own.orders.first().map(|o| o.key.clone()) else {
            return Err(EngineError::invalid("examples need a column whose values can be large, such as duration_ms"));
        };
        let mut plan = own;
        if plan.combination == Combination::Or && plan.conditions.len() > 1 {
            let how = Computation::Where { field: None, conditions: std::mem::take(&mut plan.conditions), combination: Combination::Or };
            let either = Field::Computed(Arc::new(Computed::new("filters", how)));
            plan.conditions.push(Condition::exists(either));
        }
        plan.combination = Combination::And;
        plan.conditions.extend(group.conditions);
        Ok(Search { plan, field, wanted })
    }

    /// How many events have which value, roughly.
    pub(crate) fn distribution(&self) -> Plan {
        let calc = Calc { op: CalcOp::Heatmap, field: Some(self.field.clone()), key: "values".into(), exact: false };
        Plan { calculations: vec![calc], orders: Vec::new(), shown: Vec::new(), usage_mode: true, ..self.plan.clone() }
    }

    /// The largest `n` events; `answer` is that to the distribution.
    pub(crate) fn largest(&self, answer: &Answer, n: usize) -> Plan {
        let mut plan = Plan { limit: n, ..self.plan.clone() };
        let scale = answer.meta.heatmaps.first().map(|(_, scale)| *scale);
        if let (Some(Cell::Heatmap(map)), Some(scale)) = (answer.results.first().and_then(|r| r.first()), scale) {
            let (mut above, mut bucket) = (0.0, map.from + map.counts.len() as i32);
            for count in map.counts.iter().rev() {
                bucket -= 1;
                above += count;
                if above >= n as f64 {
                    break;
                }
            }
            if above >= n as f64 && bucket > 0 {
                let least = vec![Value::Float(heatmap_start(bucket.into(), scale.buckets_per_octave.into(), scale.zero_below))];
                plan.conditions.push(Condition::new(self.field.clone(), FilterOp::GreaterEqual, least));
            }
        }
        // What has no number is no example.
        plan.conditions.push(Condition::exists(self.field.clone()));
        plan
    }

    /// How many events to read at first, and how many after that were too few.
    pub(crate) fn first(&self) -> usize {
        (self.wanted * EVENTS_PER_EXAMPLE).min(EVENTS_MAX)
    }

    /// See `first`.
    pub(crate) fn more_than(n: usize) -> Option<usize> {
        (n < EVENTS_MAX).then(|| (n * GROWTH).min(EVENTS_MAX))
    }

    /// The examples among events in order of their value: the first of each trace.
    pub(crate) fn pick(&self, events: &[RawEvent]) -> Vec<SlowExample> {
        let mut met: HashSet<&str> = HashSet::new();
        let mut out = Vec::new();
        for event in events {
            let get = |name: &str| event.fields.iter().find(|(n, _)| **n == *name).map(|(_, v)| v);
            let value = match get(self.field.name()) {
                Some(Value::Int(i)) => *i as f64,
                Some(Value::Float(f)) => *f,
                _ => continue,
            };
            let trace = get(TRACE_ID);
            if let Some(Value::Str(id)) = trace
                && !met.insert(id)
            {
                continue;
            }
            let copy = |value: Option<&Value>| value.cloned().unwrap_or(Value::Null);
            out.push(SlowExample {
                value,
                time: event.time,
                dataset: event.dataset.clone(),
                trace_id: copy(trace),
                span_id: copy(get(SPAN_ID)),
                name: copy(get("name")),
                service: copy(SERVICES.into_iter().find_map(get)),
            });
            if out.len() == self.wanted {
                break;
            }
        }
        out
    }
}
