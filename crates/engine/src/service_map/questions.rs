//! The questions behind a map, in the words of the columns that there are.
//!
//! Owns: what counts as a call, a request, an error and the name of a peer. Never does: ask.

use super::ServiceMapSpec;
use super::{COUNT, ERRORS, ORPHANS, P50, P95, ROWS_MAX};
use crate::plan::{Computation, Computed, Field, Plan, Relation};
use crate::{Columns, Condition, EngineError};
use model::columns::{ANNOTATION_TYPE, DURATION_MS, ERROR, PARENT_ID, SERVICES, SPAN_ID, SPAN_KIND, TRACE_ID};
use model::query::{CalculatedField, Calculation, Combination, Direction, Filter, FilterOp, Order, QuerySpec};
use serde_json::json;

/// Names of the fields that a map calculates; users' fields have no reason to be called so.
const SERVICE: &str = "wideye.map.service";
const IS_CALL: &str = "wideye.map.is_call";
const IS_REQUEST: &str = "wideye.map.is_request";
const HAS_PARENT: &str = "wideye.map.has_parent";
const CHILD: &str = "wideye.map.child";
const ASKED: &str = "wideye.map.asked";
const PEER: &str = "wideye.map.peer";
const PEER_KIND: &str = "wideye.map.peer_kind";

const DB_SYSTEMS: [&str; 2] = ["db.system.name", "db.system"];
const DB_NAMES: [&str; 2] = ["db.namespace", "db.name"];
const MESSAGING_SYSTEM: &str = "messaging.system";
const DESTINATIONS: [&str; 2] = ["messaging.destination.name", "messaging.destination"];
const PEER_SERVICE: &str = "peer.service";
const ADDRESSES: [&str; 4] = ["server.address", "net.peer.name", "http.host", "network.peer.address"];

/// Which of the columns that matter there are.
#[derive(Debug)]
pub(super) struct Shape {
    /// The column or calculated field with the service, and how it is calculated if it is.
    service: (String, Option<String>),
    has_annotations: bool,
    has_errors: bool,
    has_durations: bool,
    /// Expressions of a peer's name and kind.
    peer: Option<(String, String)>,
}

/// `COALESCE($a, $b)` of those that there are.
fn first_of(names: &[&str], known: &dyn Columns) -> Option<String> {
    let there: Vec<String> = names.iter().filter(|n| known.contains(n)).map(|n| format!("${n}")).collect();
    match &there[..] {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("COALESCE({})", many.join(", "))),
    }
}

impl Shape {
    /// None if there are no spans of services.
    pub(super) fn new(known: &dyn Columns) -> Option<Shape> {
        let services: Vec<&str> = SERVICES.into_iter().filter(|n| known.contains(n)).collect();
        let service = match &services[..] {
            [] => return None,
            [one] => ((*one).to_owned(), None),
            many => (SERVICE.to_owned(), first_of(many, known)),
        };
        if ![TRACE_ID, SPAN_ID, PARENT_ID].iter().all(|c| known.contains(c)) {
            return None;
        }
        Some(Shape {
            service,
            has_annotations: known.contains(ANNOTATION_TYPE),
            has_errors: known.contains(ERROR),
            has_durations: known.contains(DURATION_MS),
            peer: if known.contains(SPAN_KIND) { peer(known) } else { None },
        })
    }
}

/// How the name of a peer and its kind are calculated: `peer.service`, else the system and name of a database or the system and
/// destination of messages, else an address.
fn peer(known: &dyn Columns) -> Option<(String, String)> {
    let two = |system: &str, name: Option<String>| match name {
        Some(name) => format!("IF(EXISTS({system}), CONCAT({system}, IF(EXISTS({name}), CONCAT(\"/\", {name}), \"\")))"),
        None => system.to_owned(),
    };
    let db = first_of(&DB_SYSTEMS, known);
    let messaging = first_of(&[MESSAGING_SYSTEM], known);
    let parts = [
        first_of(&[PEER_SERVICE], known),
        db.as_deref().map(|system| two(system, first_of(&DB_NAMES, known))),
        messaging.as_deref().map(|system| two(system, first_of(&DESTINATIONS, known))),
        first_of(&ADDRESSES, known),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return None;
    }
    let mut kinds = String::new();
    for (system, kind) in [(db, "database"), (messaging, "messaging")] {
        if let Some(system) = system {
            kinds.push_str(&format!("EXISTS({system}), \"{kind}\", "));
        }
    }
    let kind = if kinds.is_empty() { "\"external\"".to_owned() } else { format!("IF({kinds}\"external\")") };
    Some((format!("COALESCE({})", parts.join(", ")), kind))
}

/// The questions of one map, checked.
#[derive(Debug)]
pub(super) struct Questions {
    /// Spans whose parent is a span of another service, by both services.
    pub(super) calls: Plan,
    /// Spans whose parent is not of the same service, by service.
    pub(super) requests: Option<Plan>,
    /// Clients' and producers' spans without a span below that name a peer, by service, peer and its kind.
    pub(super) inferred: Option<Plan>,
    /// The same by peer.
    pub(super) peers: Option<Plan>,
}

impl Questions {
    pub(super) fn new(
        shape: &Shape,
        spec: &ServiceMapSpec,
        asked: &Plan,
        check: impl Fn(&QuerySpec) -> Result<Plan, EngineError>,
    ) -> Result<Questions, EngineError> {
        let words = Words { shape, query: &spec.query, calls_only: spec.calls_only };
        let plan = |question: QuerySpec, also: Vec<Condition>| {
            let mut plan = check(&question)?;
            plan.conditions.extend(also);
            plan.conditions.extend(asked_conditions(asked));
            Ok::<_, EngineError>(plan)
        };
        let inferred = |by_caller| match words.inferred(by_caller).filter(|_| !spec.calls_only && !spec.without_inferred) {
            Some(question) => plan(question, vec![is_leaf()]).map(Some),
            None => Ok(None),
        };
        Ok(Questions {
            calls: plan(words.calls(), Vec::new())?,
            requests: if spec.calls_only { None } else { Some(plan(words.requests(), Vec::new())?) },
            inferred: inferred(true)?,
            peers: inferred(false)?,
        })
    }

    pub(super) fn plans(&self) -> impl Iterator<Item = &Plan> {
        std::iter::once(&self.calls).chain(self.requests.iter()).chain(self.inferred.iter()).chain(self.peers.iter())
    }
}

/// What was asked for, as conditions that must all hold.
fn asked_conditions(asked: &Plan) -> Vec<Condition> {
    if asked.combination == Combination::And || asked.conditions.len() < 2 {
        return asked.conditions.clone();
    }
    let how = Computation::Where { field: None, conditions: asked.conditions.clone(), combination: asked.combination };
    vec![there(ASKED, how)]
}

/// No span has this one as its parent. Span events and logs below it do not count.
fn is_leaf() -> Condition {
    let conditions = vec![Condition::exists(Field::Column(SPAN_ID.into()))];
    let has_child = there(CHILD, Computation::Related { relation: Relation::Child, field: None, conditions });
    Condition { negate: true, ..has_child }
}

fn there(name: &str, how: Computation) -> Condition {
    Condition::exists(Field::Computed(std::sync::Arc::new(Computed::new(name, how))))
}

/// The questions in words.
#[derive(Debug)]
pub(super) struct Words<'a> {
    pub(super) shape: &'a Shape,
    /// Its time and whether sample rates count.
    pub(super) query: &'a QuerySpec,
    /// Calls are counted, and nothing else.
    pub(super) calls_only: bool,
}

fn filter(column: &str, op: FilterOp) -> Filter {
    Filter { column: column.to_owned(), op, value: None }
}

fn is(column: &str, value: bool) -> Filter {
    Filter { column: column.to_owned(), op: FilterOp::Equal, value: Some(json!(value)) }
}

fn calculation(op: &str, column: Option<&str>, name: &str, filters: Vec<Filter>) -> Calculation {
    let (op, column, name) = (op.to_owned(), column.map(str::to_owned), Some(name.to_owned()));
    Calculation { op, column, name, filters, filter_combination: None, exact: None }
}

impl Words<'_> {
    fn service(&self) -> &str {
        &self.shape.service.0
    }

    pub(super) fn calls(&self) -> QuerySpec {
        let service = self.service();
        let parent = format!("parent.{service}");
        let is_call = format!("AND(EXISTS(${parent}), EXISTS(${service}), NOT(EQUALS(${parent}, ${service})))");
        self.question(&[(IS_CALL, is_call)], vec![is(IS_CALL, true)], vec![parent, service.to_owned()])
    }

    pub(super) fn requests(&self) -> QuerySpec {
        let service = self.service();
        let fields =
            [(IS_REQUEST, format!("NOT(EQUALS($parent.{service}, ${service}))")), (HAS_PARENT, format!("EXISTS($parent.{SPAN_ID})"))];
        let base = vec![filter(service, FilterOp::Exists), is(IS_REQUEST, true)];
        let mut question = self.question(&fields, base, vec![service.to_owned()]);
        let orphans = calculation("COUNT", None, ORPHANS, vec![filter(PARENT_ID, FilterOp::Exists), is(HAS_PARENT, false)]);
        question.calculations.get_or_insert_default().push(orphans);
        question
    }

    pub(super) fn inferred(&self, by_caller: bool) -> Option<QuerySpec> {
        let (name, kind) = self.shape.peer.as_ref()?;
        let service = self.service();
        let fields = [(PEER, name.clone()), (PEER_KIND, kind.clone())];
        let base = vec![
            Filter { column: SPAN_KIND.to_owned(), op: FilterOp::In, value: Some(json!(["client", "producer"])) },
            filter(service, FilterOp::Exists),
            filter(PEER, FilterOp::Exists),
        ];
        let by = if by_caller { vec![service.to_owned(), PEER.to_owned(), PEER_KIND.to_owned()] } else { vec![PEER.to_owned()] };
        Some(self.question(&fields, base, by))
    }

    fn question(&self, fields: &[(&str, String)], mut filters: Vec<Filter>, breakdowns: Vec<String>) -> QuerySpec {
        // Span events, links and logs are no spans.
        filters.push(filter(SPAN_ID, FilterOp::Exists));
        if self.shape.has_annotations {
            filters.push(filter(ANNOTATION_TYPE, FilterOp::DoesNotExist));
        }
        let (service, combined) = &self.shape.service;
        let combined = combined.as_ref().map(|expression| (service.as_str(), expression.clone()));
        let calculated = |(name, expression): (&str, String)| CalculatedField { name: name.to_owned(), expression };
        let mut calculations = vec![calculation("COUNT", None, COUNT, Vec::new())];
        if !self.calls_only && self.shape.has_errors {
            calculations.push(calculation("COUNT", None, ERRORS, vec![is(ERROR, true)]));
        }
        if !self.calls_only && self.shape.has_durations {
            calculations.push(calculation("P50", Some(DURATION_MS), P50, Vec::new()));
            calculations.push(calculation("P95", Some(DURATION_MS), P95, Vec::new()));
        }
        QuerySpec {
            calculations: Some(calculations),
            filters,
            breakdowns,
            orders: vec![Order { op: Some(COUNT.to_owned()), column: None, order: Some(Direction::Descending) }],
            limit: i64::try_from(ROWS_MAX).ok(),
            calculated_fields: combined.into_iter().chain(fields.iter().cloned()).map(calculated).collect(),
            time_range: self.query.time_range,
            start_time: self.query.start_time.clone(),
            end_time: self.query.end_time.clone(),
            usage_mode: self.query.usage_mode,
            ..QuerySpec::default()
        }
    }
}
