//! Relational fields, naively: every event gets what its relatives say as fields of its own, and the question asks for those.
//!
//! Owns: the meaning of `root.`, `parent.`, `child.`, `any.`, `none.` (docs/asking-questions.md). Never does: evaluate
//! anything else (`oracle`).

use crate::{
    events::Event,
    oracle::{self, Key, Question},
};
use engine::Relations;
use model::{
    NS_PER_SECOND, TimeNs, Value,
    query::{Calculation, Combination, Filter, FilterOp},
};
use std::collections::{BTreeMap, BTreeSet};

/// Seconds around a range in which relatives are looked for.
const MARGIN: i64 = 600;

/// Prefix and column of a relational name.
pub(crate) fn split(name: &str) -> Option<(&str, &str)> {
    let (prefix, column) = name.split_once('.')?;
    let any = prefix.strip_prefix("any").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    (any || ["root", "parent", "child", "none"].contains(&prefix)).then_some((prefix, column))
}

/// Whether an event was sent with a field of this name.
pub(crate) fn is_sent(name: &str) -> bool {
    split(name).is_none() && !name.starts_with('~')
}

fn some<'a>(event: &'a Event, name: &str) -> Option<&'a Value> {
    event.fields.get(name).filter(|v| **v != Value::Null)
}

/// The events in reach, by trace.
struct Forest<'a> {
    traces: BTreeMap<Key, Vec<&'a Event>>,
}

/// Order of relatives: by time, then by the id of the span; none comes first.
fn order(event: &Event) -> (TimeNs, String) {
    let id = match some(event, "trace.span_id") {
        Some(Value::Str(text)) => text.clone(),
        _ => String::new(),
    };
    (event.time_ns, id)
}

impl<'a> Forest<'a> {
    fn new(events: &'a [Event], (from, to): (TimeNs, TimeNs)) -> Forest<'a> {
        let mut traces: BTreeMap<Key, Vec<&Event>> = BTreeMap::new();
        for event in events.iter().filter(|e| e.time_ns >= from && e.time_ns < to) {
            if let Some(id) = some(event, "trace.trace_id") {
                traces.entry(oracle::key(id)).or_default().push(event);
            }
        }
        traces.values_mut().for_each(|events| events.sort_by_cached_key(|e| order(e)));
        Forest { traces }
    }

    /// The relatives of an event, the first first; none if it is in no trace.
    fn relatives(&self, event: &Event, prefix: &str) -> Option<Vec<&'a Event>> {
        let trace = oracle::key(some(event, "trace.trace_id")?);
        let all = self.traces.get(&trace).map_or(&[][..], Vec::as_slice);
        let linked = |of: &str, to: &str| match some(event, of).map(oracle::key) {
            Some(id) => all.iter().copied().filter(|e| some(e, to).map(oracle::key).as_ref() == Some(&id)).collect(),
            None => Vec::new(),
        };
        Some(match prefix {
            "root" => all.iter().copied().find(|e| some(e, "trace.parent_id").is_none()).into_iter().collect(),
            "parent" => linked("trace.parent_id", "trace.span_id"),
            "child" => linked("trace.span_id", "trace.parent_id"),
            _ => all.to_vec(),
        })
    }

    fn holds(&self, event: &Event, prefix: &str, filters: &[Filter]) -> bool {
        let Some(relatives) = self.relatives(event, prefix) else { return false };
        relatives.iter().any(|e| all_hold(e, filters)) != (prefix == "none")
    }

    fn value(&self, event: &Event, name: &str, filters: &[Filter]) -> Value {
        let Some((prefix, column)) = split(name) else { unreachable!("it is relational") };
        let relatives = self.relatives(event, prefix).unwrap_or_default();
        let first = relatives.into_iter().find(|e| prefix == "root" || all_hold(e, filters));
        first.map_or(Value::Null, |e| oracle::cell(e, column).clone())
    }
}

fn all_hold(event: &Event, filters: &[Filter]) -> bool {
    filters.iter().all(|f| oracle::filter_holds(event, f))
}

fn is_and(combination: Option<Combination>) -> bool {
    combination.unwrap_or_default() == Combination::And
}

/// The filters of a list with this prefix, without it.
fn of_prefix(filters: &[Filter], prefix: &str) -> Vec<Filter> {
    let same = filters.iter().filter_map(|f| Some((f, split(&f.column).filter(|(p, _)| *p == prefix)?.1)));
    same.map(|(f, column)| Filter { column: column.to_owned(), ..f.clone() }).collect()
}

/// Something that events get a field for.
enum Wanted {
    Filters(String, Vec<Filter>),
    Value(String, Vec<Filter>),
}

/// Fields that are wanted, by name.
#[derive(Default)]
struct Fields(Vec<(String, Wanted)>);

impl Fields {
    /// Filters on fields in place of those on relatives.
    fn filters(&mut self, filters: &[Filter], combination: Option<Combination>) -> Vec<Filter> {
        let mut out: Vec<Filter> = filters.iter().filter(|f| split(&f.column).is_none()).cloned().collect();
        let relational: Vec<&Filter> = filters.iter().filter(|f| split(&f.column).is_some()).collect();
        let mut add = |prefix: &str, filters: Vec<Filter>| {
            let name = format!("~{}", self.0.len());
            self.0.push((name.clone(), Wanted::Filters(prefix.to_owned(), filters)));
            out.push(Filter { column: name, op: FilterOp::Equal, value: Some(true.into()) });
        };
        if is_and(combination) {
            let prefixes: BTreeSet<&str> = relational.iter().filter_map(|f| Some(split(&f.column)?.0)).collect();
            prefixes.into_iter().for_each(|prefix| add(prefix, of_prefix(filters, prefix)));
        } else {
            for f in relational {
                let (prefix, _) = split(&f.column).expect("a prefix");
                add(prefix, of_prefix(std::slice::from_ref(f), prefix));
            }
        }
        out
    }
}

/// Whether a question asks for relatives.
pub(crate) fn is_relational(question: &Question) -> bool {
    let spec = &question.spec;
    let calculations = spec.calculations.as_deref().unwrap_or_default();
    let filters = spec.filters.iter().chain(calculations.iter().flat_map(|c| &c.filters)).map(|f| &f.column);
    let columns = calculations.iter().filter_map(|c| c.column.as_ref()).chain(spec.orders.iter().filter_map(|o| o.column.as_ref()));
    filters.chain(columns).chain(&spec.breakdowns).any(|name| split(name).is_some())
}

/// The events with what their relatives say, and the question for that.
pub(crate) fn resolve(events: &[Event], question: &Question) -> (Vec<Event>, Question) {
    let mut resolved = question.clone();
    let spec = &mut resolved.spec;
    let asked = &question.spec;
    let forest = Forest::new(events, reach(question));
    let mut fields = Fields::default();
    spec.filters = fields.filters(&asked.filters, asked.filter_combination);
    // Results keep their keys, columns don't keep their names.
    let keys = oracle::keys(asked);
    for o in spec.orders.iter_mut().filter(|o| o.op.is_some()) {
        o.column = oracle::find(asked, o.op.as_deref(), o.column.as_deref()).map(|at| keys[at].clone());
        o.op = None;
    }
    for h in &mut spec.havings {
        if let Some(at) = oracle::find(asked, Some(&h.calculate_op), h.column.as_deref()) {
            h.calculate_op.clone_from(&keys[at]);
            h.column = None;
        }
    }
    let of_question = |prefix: &str| if is_and(asked.filter_combination) { of_prefix(&asked.filters, prefix) } else { Vec::new() };
    let ordered = asked.orders.iter().filter(|o| o.op.is_none()).filter_map(|o| o.column.as_ref());
    for name in asked.breakdowns.iter().chain(ordered) {
        if let Some((prefix, _)) = split(name) {
            fields.0.push((name.clone(), Wanted::Value(name.clone(), of_question(prefix))));
        }
    }
    for (i, c) in spec.calculations.iter_mut().flatten().enumerate() {
        let own = c.filters.clone();
        c.filters = fields.filters(&own, c.filter_combination);
        let Some((name, prefix)) = c.column.clone().and_then(|n| Some((n.clone(), split(&n)?.0.to_owned()))) else { continue };
        let nearest = if is_and(c.filter_combination) { of_prefix(&own, &prefix) } else { Vec::new() };
        let filters = if nearest.is_empty() { of_question(&prefix) } else { nearest };
        let column = format!("~calculation {i}");
        fields.0.push((column.clone(), Wanted::Value(name.clone(), filters)));
        *c = Calculation { name: Some(c.key()), column: Some(column), ..c.clone() };
    }
    let with_fields = |event: &Event| {
        let mut out = event.clone();
        for (name, wanted) in &fields.0 {
            let value = match wanted {
                Wanted::Filters(prefix, filters) => Value::Bool(forest.holds(event, prefix, filters)),
                Wanted::Value(name, filters) => forest.value(event, name, filters),
            };
            if value != Value::Null {
                out.fields.insert(name.clone(), value);
            }
        }
        out
    };
    (events.iter().map(with_fields).collect(), resolved)
}

/// From when to when relatives are looked for.
fn reach(question: &Question) -> (TimeNs, TimeNs) {
    let concurrency = oracle::calculations(&question.spec).iter().any(|c| c.op == "CONCURRENCY");
    let from = if concurrency { TimeNs::MIN } else { question.start_ns };
    (from.saturating_sub(MARGIN * NS_PER_SECOND), question.end_ns.saturating_add(MARGIN * NS_PER_SECOND))
}

/// What the answer says about relatives that were not found.
pub(crate) fn told(relations: Option<&Relations>, events: &[Event], question: &Question) -> Result<(), String> {
    let Some(told) = relations else { return Err("nothing is said about relatives".into()) };
    let reach = reach(question);
    if (told.events_from_ns, told.events_to_ns) != reach {
        return Err(format!("relatives are said to be looked for in {told:?}, not {reach:?}"));
    }
    let from = if reach.0 == TimeNs::MIN { TimeNs::MIN } else { question.start_ns };
    let forest = Forest::new(events, reach);
    let inside = || events.iter().filter(|e| e.time_ns >= from && e.time_ns < question.end_ns);
    let lacks = |event: &Event, prefix: &str| forest.relatives(event, prefix).is_some_and(|r| r.is_empty());
    let without_root = inside().filter(|e| lacks(e, "root")).count() as u64;
    let without_parent = inside().filter(|e| some(e, "trace.parent_id").is_some() && lacks(e, "parent")).count() as u64;
    for (name, told, truth) in [("root", told.without_root, without_root), ("parent", told.without_parent, without_parent)] {
        if told.is_some_and(|told| told != truth) {
            return Err(format!("{told:?} events are said to have no {name}, not {truth}"));
        }
    }
    Ok(())
}
