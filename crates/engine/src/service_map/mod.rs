//! Which service calls which, how often, how fast and how well: a few questions on spans and their parents.
//!
//! A call is a span whose parent is a span of another service: what the caller's own span tells of the same call is not counted
//! again. A call that left no span in a callee is seen in the caller's span alone, if that says whom it called.
//!
//! Owns: putting the answers together. Never does: read events itself.

mod questions;
#[cfg(test)]
mod tests;

use crate::{Answer, Cell, Columns, EngineError, Field, Meta, Plan, Run, check};
use model::query::QuerySpec;
use model::{Limits, NS_PER_SECOND, TimeNs};
use questions::{Questions, Shape};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What map is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceMapSpec {
    /// Time range, filters, calculated fields for them, and whether sample rates are left aside; nothing else of it is used. The
    /// filters are about the span that a call made in its callee.
    pub query: QuerySpec,
    /// Only calls from or to these services; none: all.
    pub services: Vec<String>,
    /// Leave out services and calls that are known from their callers alone.
    pub without_inferred: bool,
    /// Count calls between services, and nothing else.
    pub calls_only: bool,
    /// Calls in the answer, most frequent first.
    pub limit: Option<i64>,
}

/// What is at the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKind {
    /// Something that sends spans.
    Service,
    /// Known from `db.system` of its callers.
    Database,
    /// Known from `messaging.system` of its callers.
    Messaging,
    /// Any other that callers name.
    External,
}

impl NodeKind {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            NodeKind::Service => "service",
            NodeKind::Database => "database",
            NodeKind::Messaging => "messaging",
            NodeKind::External => "external",
        }
    }

    fn parse(name: &str) -> NodeKind {
        [NodeKind::Database, NodeKind::Messaging].into_iter().find(|k| k.name() == name).unwrap_or(NodeKind::External)
    }
}

/// Numbers of some calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallNumbers {
    /// How many, by sample rate.
    pub count: f64,
    /// How many of them have `error` = true.
    pub errors: f64,
    /// Median of their durations.
    pub p50_ms: Option<f64>,
    /// What 95 % of them stay below.
    pub p95_ms: Option<f64>,
}

/// A service, or what services call.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceNode {
    /// Its name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: NodeKind,
    /// Known from its callers alone.
    pub inferred: bool,
    /// Of the requests that it served: its spans whose parent is not one of its own.
    pub numbers: CallNumbers,
    /// Requests that name a parent which is not there.
    pub orphans: f64,
}

/// Calls of one service by another.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceEdge {
    /// Who calls.
    pub caller: Arc<str>,
    /// Who is called.
    pub callee: Arc<str>,
    /// The calls left no span in the callee: the numbers are what the caller's spans say.
    pub inferred: bool,
    /// What the callee's spans say.
    pub numbers: CallNumbers,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceMap {
    /// First time that counted.
    pub start_ns: TimeNs,
    /// First time after it that did not.
    pub end_ns: TimeNs,
    /// By number of requests, the most first.
    pub nodes: Vec<ServiceNode>,
    /// By number of calls, the most first.
    pub edges: Vec<ServiceEdge>,
    /// There are more edges than the limit.
    pub truncated: bool,
    /// How it came about.
    pub meta: Meta,
}

impl ServiceMap {
    /// Seconds that it covers.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        (self.end_ns.saturating_sub(self.start_ns)) as f64 / NS_PER_SECOND as f64
    }
}

/// Rows of an answer that the parts of a map are put together from.
pub(crate) const ROWS_MAX: usize = 1 << 17;
/// Keys of the calculations in the answers.
const COUNT: &str = "count";
const ERRORS: &str = "errors";
const P50: &str = "p50";
const P95: &str = "p95";
const ORPHANS: &str = "orphans";

/// A map that is checked, and the questions that it takes.
#[derive(Debug)]
pub(crate) struct ServiceMapPlan<'s> {
    spec: &'s ServiceMapSpec,
    limit: usize,
    /// The question as it was asked.
    asked: Plan,
    /// None where no event is a span.
    questions: Option<Questions>,
}

impl<'s> ServiceMapPlan<'s> {
    pub(crate) fn new(
        spec: &'s ServiceMapSpec,
        known: &dyn Columns,
        run: &Run,
        limits: &Limits,
    ) -> Result<ServiceMapPlan<'s>, EngineError> {
        let q = &spec.query;
        if q.calculations.is_some()
            || !q.breakdowns.is_empty()
            || !q.orders.is_empty()
            || !q.havings.is_empty()
            || !q.formulas.is_empty()
            || q.limit.is_some()
            || q.compare_time_offset_seconds.is_some()
        {
            return Err(EngineError::invalid(
                "the query of a service map has a time range, filters, calculated_fields and usage_mode only; the map says what is calculated",
            ));
        }
        let max = limits.map_edges_max;
        let limit = match spec.limit {
            None => max,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|l| (1..=max).contains(l))
                .ok_or_else(|| EngineError::invalid(format!("limit must be 1 to {max} (limits.map_edges_max), not {limit}")))?,
        };
        let asked = check(q, known, run, limits)?;
        let questions = match Shape::new(known) {
            Some(shape) => Some(Questions::new(&shape, spec, &asked, |spec| check(spec, known, run, limits))?),
            None => None,
        };
        Ok(ServiceMapPlan { spec, limit, asked, questions })
    }

    /// First time that is read, and first time after it that is not.
    pub(crate) fn reads(&self) -> (TimeNs, TimeNs) {
        self.questions.as_ref().map_or((self.asked.start_ns, self.asked.end_ns), |q| q.calls.reads())
    }

    /// The fields of all questions.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        self.questions.iter().flat_map(Questions::plans).flat_map(Plan::fields)
    }

    /// First time that counts, and first time after it that does not.
    pub(crate) fn times(&self) -> (TimeNs, TimeNs) {
        (self.asked.start_ns, self.asked.end_ns)
    }

    /// How far around it parents are looked for.
    pub(crate) fn margin_ns(&self) -> i64 {
        self.asked.margin_ns
    }

    /// Asks what there is to ask.
    pub(crate) fn answer(&self, mut ask: impl FnMut(&Plan) -> Result<Answer, EngineError>) -> Result<ServiceMap, EngineError> {
        let mut map = ServiceMap {
            start_ns: self.asked.start_ns,
            end_ns: self.asked.end_ns,
            meta: Meta { coverage: 1.0, ..Meta::default() },
            ..ServiceMap::default()
        };
        let Some(questions) = &self.questions else {
            map.meta.notes.push("there are no spans with service.name, trace.trace_id, trace.span_id and trace.parent_id".to_owned());
            return Ok(map);
        };
        if map.start_ns >= map.end_ns {
            return Ok(map);
        }
        let mut edges = Vec::new();
        let mut full = false;
        let mut take = |plan: &Plan| {
            let answer = ask(plan)?;
            join(&mut map.meta, &answer.meta);
            full |= answer.results.len() >= ROWS_MAX;
            Ok::<_, EngineError>(Rows::new(answer))
        };
        for row in take(&questions.calls)?.each() {
            edges.push(ServiceEdge { caller: row.text(0), callee: row.text(1), inferred: false, numbers: row.numbers() });
        }
        let mut nodes = BTreeMap::new();
        let mut kinds = HashMap::new();
        if let Some(requests) = &questions.requests {
            for row in take(requests)?.each() {
                let name = row.text(0);
                let orphans = row.number(ORPHANS).unwrap_or(0.0);
                let numbers = row.numbers();
                nodes.insert(Arc::clone(&name), ServiceNode { name, kind: NodeKind::Service, inferred: false, numbers, orphans });
            }
            if let Some(inferred) = &questions.inferred {
                for row in take(inferred)?.each() {
                    let (caller, callee) = (row.text(0), row.text(1));
                    if caller != callee {
                        kinds.entry(Arc::clone(&callee)).or_insert_with(|| NodeKind::parse(&row.text(2)));
                        edges.push(ServiceEdge { caller, callee, inferred: true, numbers: row.numbers() });
                    }
                }
            }
        }
        let wanted = |e: &ServiceEdge| {
            let services = &self.spec.services;
            services.is_empty() || services.iter().any(|s| **s == *e.caller || **s == *e.callee)
        };
        edges.retain(wanted);
        let mut edges = one_of_each(edges);
        edges.sort_by(|a, b| b.numbers.count.total_cmp(&a.numbers.count).then_with(|| (&a.caller, &a.callee).cmp(&(&b.caller, &b.callee))));
        if edges.len() > self.limit {
            edges.truncate(self.limit);
            map.truncated = true;
        }
        if !self.spec.calls_only {
            let shared = shared(&edges, &nodes);
            let mut of_all = HashMap::new();
            if let Some(peers) = questions.peers.as_ref().filter(|_| !shared.is_empty() && self.spec.services.is_empty()) {
                for row in take(peers)?.each() {
                    of_all.insert(row.text(0), row.numbers());
                }
            }
            map.nodes = put_nodes(nodes, &edges, &kinds, &of_all, &self.spec.services);
        }
        map.truncated |= full;
        map.edges = edges;
        Ok(map)
    }
}

/// A peer may be of two kinds; its edges are then one.
fn one_of_each(edges: Vec<ServiceEdge>) -> Vec<ServiceEdge> {
    let mut all: BTreeMap<(Arc<str>, Arc<str>, bool), ServiceEdge> = BTreeMap::new();
    for edge in edges {
        match all.entry((Arc::clone(&edge.caller), Arc::clone(&edge.callee), edge.inferred)) {
            std::collections::btree_map::Entry::Vacant(v) => drop(v.insert(edge)),
            std::collections::btree_map::Entry::Occupied(mut o) => o.get_mut().numbers.add(&edge.numbers),
        }
    }
    all.into_values().collect()
}

impl CallNumbers {
    /// Percentiles of parts do not add up: they are known no more.
    fn add(&mut self, other: &CallNumbers) {
        self.count += other.count;
        self.errors += other.errors;
        (self.p50_ms, self.p95_ms) = (None, None);
    }
}

/// Inferred nodes with more than one caller: their percentiles take a question of their own.
fn shared(edges: &[ServiceEdge], nodes: &BTreeMap<Arc<str>, ServiceNode>) -> BTreeSet<Arc<str>> {
    let mut once = BTreeSet::new();
    let inferred = edges.iter().filter(|e| e.inferred && !nodes.contains_key(&e.callee));
    inferred.filter(|e| !once.insert(Arc::clone(&e.callee))).map(|e| Arc::clone(&e.callee)).collect()
}

/// The services that served something, and all that are at an end of an edge.
fn put_nodes(
    mut nodes: BTreeMap<Arc<str>, ServiceNode>,
    edges: &[ServiceEdge],
    kinds: &HashMap<Arc<str>, NodeKind>,
    of_all: &HashMap<Arc<str>, CallNumbers>,
    services: &[String],
) -> Vec<ServiceNode> {
    let ends: BTreeSet<&str> = edges.iter().flat_map(|e| [&*e.caller, &*e.callee]).chain(services.iter().map(String::as_str)).collect();
    if !services.is_empty() {
        nodes.retain(|name, _| ends.contains(&**name));
    }
    // Whoever sends spans is a service, if it served nothing that counts here.
    let senders: BTreeSet<&str> = edges.iter().flat_map(|e| [Some(&*e.caller), (!e.inferred).then_some(&*e.callee)]).flatten().collect();
    let mut made: BTreeMap<Arc<str>, ServiceNode> = BTreeMap::new();
    for e in edges {
        for name in [&e.caller, &e.callee] {
            if nodes.contains_key(name) {
                continue;
            }
            let inferred = !senders.contains(&**name);
            let kind = if inferred { kinds.get(name).copied().unwrap_or(NodeKind::External) } else { NodeKind::Service };
            let numbers = CallNumbers::default();
            let node = made.entry(Arc::clone(name)).or_insert_with(|| ServiceNode {
                name: Arc::clone(name),
                kind,
                inferred,
                numbers,
                orphans: 0.0,
            });
            if *name == e.callee && node.inferred {
                if node.numbers.count == 0.0 { node.numbers = e.numbers.clone() } else { node.numbers.add(&e.numbers) }
            }
        }
    }
    for (name, node) in &mut made {
        if let Some(numbers) = of_all.get(name).filter(|n| node.inferred && n.count == node.numbers.count) {
            node.numbers = numbers.clone();
        }
    }
    let mut all: Vec<ServiceNode> = nodes.into_values().chain(made.into_values()).collect();
    all.sort_by(|a, b| b.numbers.count.total_cmp(&a.numbers.count).then_with(|| a.name.cmp(&b.name)));
    all
}

/// What one question tells of the whole.
fn join(meta: &mut Meta, of: &Meta) {
    // They look at the same events.
    meta.rows_scanned = meta.rows_scanned.max(of.rows_scanned);
    meta.rows_matched = meta.rows_matched.max(of.rows_matched);
    meta.segments = meta.segments.max(of.segments);
    meta.coverage = meta.coverage.min(of.coverage);
    for note in &of.notes {
        if !meta.notes.contains(note) {
            meta.notes.push(note.clone());
        }
    }
    for a in &of.approximate {
        match meta.approximate.iter_mut().find(|known| known.key == a.key) {
            Some(known) => known.relative_error = known.relative_error.max(a.relative_error),
            None => meta.approximate.push(a.clone()),
        }
    }
}

/// Rows by the names of their cells.
struct Rows {
    answer: Answer,
    keys: HashMap<Arc<str>, usize>,
}

impl Rows {
    fn new(answer: Answer) -> Rows {
        let keys = answer.columns.iter().enumerate().map(|(i, key)| (Arc::clone(key), i)).collect();
        Rows { answer, keys }
    }

    fn each(&self) -> impl Iterator<Item = Row<'_>> {
        self.answer.results.iter().map(|cells| Row { cells, keys: &self.keys })
    }
}

struct Row<'a> {
    cells: &'a [Cell],
    keys: &'a HashMap<Arc<str>, usize>,
}

impl Row<'_> {
    fn text(&self, i: usize) -> Arc<str> {
        match self.cells.get(i) {
            Some(Cell::Str(text)) => Arc::clone(text),
            Some(Cell::Int(n)) => n.to_string().into(),
            Some(Cell::Float(f)) => f.to_string().into(),
            Some(Cell::Bool(b)) => b.to_string().into(),
            _ => "".into(),
        }
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.cells.get(*self.keys.get(key)?)?.as_f64()
    }

    fn numbers(&self) -> CallNumbers {
        CallNumbers {
            count: self.number(COUNT).unwrap_or(0.0),
            errors: self.number(ERRORS).unwrap_or(0.0),
            p50_ms: self.number(P50),
            p95_ms: self.number(P95),
        }
    }
}
