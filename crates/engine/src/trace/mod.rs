//! A trace as a skeleton: the few columns from which its waterfall is drawn, in depth-first order, with what is odd about
//! it in words, and its critical path. Fields are asked for when somebody wants to see them.
//!
//! Owns: what a skeleton is. Never does: JSON, I/O beyond reading columns of a snapshot.

mod compare;
mod critical;
mod forest;
mod read;
mod rows;
#[cfg(test)]
mod tests;
mod warnings;

pub use compare::{Comparison, Kind};
pub use critical::Slice;
pub use rows::RowKind;
pub use warnings::Warning;

pub(crate) use compare::{compare, kinds_plan};
pub(crate) use read::find;

use crate::EngineError;
use crate::scan::place::Source;
use crate::{Condition, Field, Plan, RawEvent};
use forest::{Forest, NONE, flag};
use model::query::{Direction, FilterOp};
use model::{TimeNs, Value, columns};
use read::Found;
use rows::Rows;

/// Which trace, and what of it.
#[derive(Clone, Debug)]
pub struct TraceRequest {
    /// The value of `trace.trace_id`.
    pub id: String,
    /// A time near which it was: it is looked for there first.
    pub near: Option<TimeNs>,
    /// Rows at most, the earliest.
    pub limit: usize,
    /// Columns that are wanted beside the usual ones.
    pub columns: Vec<String>,
    /// Whether durations are compared with those of other spans of their kind.
    pub compare: bool,
}

/// How much of a trace one service did.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceShare {
    /// Number of its name among [`Skeleton::services`].
    pub service: u32,
    /// Its spans.
    pub n_spans: usize,
    /// Those of them that failed.
    pub n_errors: usize,
    /// How much of the critical path was in it.
    pub critical_ns: i64,
}

/// A trace without its fields. Rows come depth first, children by their start: each list has an entry per row unless it
/// says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Skeleton {
    /// When its first event was.
    pub start_ns: TimeNs,
    /// From there to the end of the last span.
    pub duration_ns: i64,
    /// Events that were found, repetitions included.
    pub n_events: usize,
    /// Whether there are more than the limit.
    pub truncated: bool,
    /// Rows of each kind, by number of the kind.
    pub n_of_kind: [usize; 6],
    /// Spans that failed.
    pub n_errors: usize,
    /// Levels below the top.
    pub depth_max: u32,
    /// The root of the tree that holds most rows: a row.
    pub root: Option<u32>,
    /// Spans without a parent id.
    pub n_roots: usize,
    /// Services that have spans, those with most time on the critical path first.
    pub shares: Vec<ServiceShare>,
    /// What is odd about it.
    pub warnings: Vec<Warning>,
    /// The stretches of time that its duration consists of, in order; times are those after `shifts`.
    pub critical_path: Vec<Slice>,

    /// Ids of spans; empty where there is none.
    pub span: Vec<String>,
    /// Row of the parent, always further up; [`u32::MAX`] at the top.
    pub parent: Vec<u32>,
    /// Ancestors.
    pub depth: Vec<u32>,
    /// What the row is.
    pub kind: Vec<RowKind>,
    /// Number among `names`.
    pub name: Vec<u32>,
    /// Number among `services`.
    pub service: Vec<u32>,
    /// Number among `span_kinds`.
    pub span_kind: Vec<u32>,
    /// Since the start of the trace.
    pub offset_ns: Vec<i64>,
    /// How long; 0 for what has no duration.
    pub took_ns: Vec<i64>,

    /// Names in order of appearance; the first is none.
    pub names: Vec<String>,
    /// Services in order of appearance; the first is none.
    pub services: Vec<String>,
    /// Kinds of spans in order of appearance; the first is none.
    pub span_kinds: Vec<String>,

    /// Rows that failed.
    pub errors: Vec<u32>,
    /// Rows whose parent is missing.
    pub orphans: Vec<u32>,
    /// Rows that start before their parent.
    pub early: Vec<u32>,
    /// Rows that end after their parent.
    pub late: Vec<u32>,
    /// Rows that share their id with another, different one.
    pub duplicates: Vec<u32>,
    /// Rows at which a circle of parents was cut.
    pub cycles: Vec<u32>,
    /// Suggested corrections of clocks: row, and how much later it would have started.
    pub shifts: Vec<(u32, i64)>,
    /// Where links lead: row, trace id, span id.
    pub links: Vec<(u32, String, String)>,

    /// Columns that were asked for, by name.
    pub columns: Vec<(String, Vec<Value>)>,
    /// How unusual durations are, if that was asked.
    pub comparison: Option<Comparison>,

    /// Events that were looked at to find it.
    pub rows_scanned: u64,
    /// Whether time ran out before all events were looked at.
    pub stopped: bool,
    /// Times between which it was looked for, if not everywhere.
    pub searched: Option<(TimeNs, TimeNs)>,
    /// Columns in which services and durations were found; what kinds are compared by.
    service_column: &'static str,
    duration_column: &'static str,
}

impl Skeleton {
    /// Rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kind.len()
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kind.is_empty()
    }
}

/// The plan that selects events of a trace by time.
pub(crate) fn plan(id: &str, more: Vec<Condition>, range: (TimeNs, TimeNs), limit: usize) -> Plan {
    Plan {
        start_ns: range.0,
        end_ns: range.1,
        conditions: std::iter::once(equal(columns::TRACE_ID, id)).chain(more).collect(),
        orders: vec![crate::OrderBy { key: crate::OrderKey::Time, direction: Direction::Ascending }],
        limit,
        usage_mode: true,
        ..Plan::default()
    }
}

fn equal(column: &str, text: &str) -> Condition {
    Condition::new(Field::Column(column.into()), FilterOp::Equal, vec![Value::Str(text.to_owned())])
}

/// Conditions on the events of a span: on itself, and on what names it as its parent.
pub(crate) fn conditions_of_span(id: &str) -> [Vec<Condition>; 2] {
    [columns::SPAN_ID, columns::PARENT_ID].map(|column| vec![equal(column, id)])
}

/// A span with all its fields, and what happened in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanDetails {
    /// The span, usually one.
    pub spans: Vec<RawEvent>,
    /// Its span events.
    pub events: Vec<RawEvent>,
    /// Its links.
    pub links: Vec<RawEvent>,
    /// Lines of logs that name it.
    pub logs: Vec<RawEvent>,
    /// Spans that it is the parent of.
    pub n_children: usize,
}

impl SpanDetails {
    /// Sorts events with the id, and events whose parent has it.
    pub(crate) fn sort(own: Vec<RawEvent>, below: Vec<RawEvent>) -> SpanDetails {
        let mut out = SpanDetails::default();
        for (event, is_own) in own.into_iter().map(|e| (e, true)).chain(below.into_iter().map(|e| (e, false))) {
            let text = |name: &str| match event.fields.iter().find(|(n, _)| **n == *name) {
                Some((_, Value::Str(text))) => text.as_str(),
                _ => "",
            };
            match (text(read::ANNOTATION[0]), text(read::SIGNAL[0])) {
                ("link", _) => out.links.push(event),
                (_, "log") => out.logs.push(event),
                ("", _) if is_own => out.spans.push(event),
                ("", _) => out.n_children += 1,
                _ => out.events.push(event),
            }
        }
        out
    }
}

/// Puts together what was found.
pub(crate) fn skeleton(found: &Found<'_>, source: Source<'_>, shown: &[Field]) -> Result<Skeleton, EngineError> {
    let (mut out, rows) = assemble(&found.table(source)?);
    for field in shown {
        let mut values = found.values(source, field)?;
        let take = |row: &u32| values.get_mut(*row as usize).map(|v| std::mem::replace(v, Value::Null)).unwrap_or(Value::Null);
        out.columns.push((field.name().to_owned(), rows.iter().map(take).collect()));
    }
    out.truncated = found.truncated;
    out.rows_scanned = found.rows_scanned;
    out.stopped = found.stopped;
    // These first: they explain others.
    out.warnings.splice(..0, warnings::of_reading(found.len(), found.truncated, found.stopped));
    (out.service_column, out.duration_column) = found.columns(source);
    Ok(out)
}

/// Puts the rows of a trace together; answers, too, which row of the table is shown where ([`NONE`]: one that is missing).
pub(crate) fn assemble(rows: &Rows) -> (Skeleton, Vec<u32>) {
    let forest = forest::build(rows);
    let shifts = critical::shifts(rows, &forest);
    let path = forest.root.map(|root| critical::path(rows, &forest, &shifts, root)).unwrap_or_default();
    let mut out = Skeleton { n_events: rows.len(), root: forest.root, n_roots: forest.n_roots, critical_path: path, ..Skeleton::default() };
    out.start_ns = rows.start_ns.iter().copied().min().unwrap_or(0);
    let end = (0..rows.len()).map(|row| rows.end_ns(row)).max().unwrap_or(0);
    out.duration_ns = end.saturating_sub(out.start_ns);
    out.depth_max = forest.depth.iter().copied().max().unwrap_or(0);
    fill(&mut out, rows, &forest);
    out.shifts = shifts.iter().enumerate().filter(|(_, s)| **s != 0).map(|(at, s)| (at as u32, *s)).collect();
    out.shares = shares(&out);
    out.warnings = warnings::of_forest(&out, &forest);
    (out, forest.row)
}

/// Gives texts numbers in order of appearance.
struct Renumber<'t> {
    of: Vec<u32>,
    texts: Vec<String>,
    get: &'t dyn Fn(u32) -> String,
}

impl<'t> Renumber<'t> {
    fn new(get: &'t dyn Fn(u32) -> String) -> Renumber<'t> {
        Renumber { of: vec![0], texts: vec![String::new()], get }
    }

    fn add(&mut self, number: u32) -> u32 {
        let i = number as usize;
        if i >= self.of.len() {
            self.of.resize(i + 1, 0);
        }
        if number != 0 && self.of[i] == 0 {
            self.of[i] = self.texts.len() as u32;
            self.texts.push((self.get)(number));
        }
        self.of[i]
    }
}

fn fill(out: &mut Skeleton, rows: &Rows, forest: &Forest) {
    let n = forest.len();
    let (name, service, span_kind) =
        (|i| rows.names.get(i).to_owned(), |i| rows.services.get(i).to_owned(), |i| rows.span_kinds.get(i).to_owned());
    let (mut names, mut services, mut span_kinds) = (Renumber::new(&name), Renumber::new(&service), Renumber::new(&span_kind));
    out.kind = (0..n).map(|at| forest.kind(rows, at)).collect();
    out.parent = forest.parent.clone();
    out.depth = forest.depth.clone();
    let mut at_of: Vec<u32> = vec![NONE; rows.len()];
    for at in 0..n {
        let row = forest.row[at];
        let of = |list: &[u32]| list.get(row as usize).copied().unwrap_or(0);
        out.span.push(rows.ids.get(forest.span[at]));
        out.name.push(names.add(of(&rows.name)));
        out.service.push(services.add(of(&rows.service)));
        out.span_kind.push(span_kinds.add(of(&rows.span_kind)));
        out.offset_ns.push(forest.start_ns[at].saturating_sub(out.start_ns));
        out.took_ns.push(forest.end_ns[at].saturating_sub(forest.start_ns[at]));
        out.n_of_kind[out.kind[at] as usize] += 1;
        if row == NONE {
            continue;
        }
        at_of[row as usize] = at as u32;
        if rows.error[row as usize] {
            out.errors.push(at as u32);
            out.n_errors += usize::from(out.kind[at] == RowKind::Span);
        }
        for (bit, list) in [
            (flag::ORPHAN, &mut out.orphans),
            (flag::STARTS_BEFORE_PARENT, &mut out.early),
            (flag::ENDS_AFTER_PARENT, &mut out.late),
            (flag::DUPLICATE_ID, &mut out.duplicates),
            (flag::CYCLE, &mut out.cycles),
        ] {
            if forest.flags[at] & bit != 0 {
                list.push(at as u32);
            }
        }
    }
    out.links = rows.links.iter().map(|(row, trace, span)| (at_of[*row as usize], rows.ids.get(*trace), rows.ids.get(*span))).collect();
    out.links.sort_by_key(|l| l.0);
    (out.names, out.services, out.span_kinds) = (names.texts, services.texts, span_kinds.texts);
}

fn shares(out: &Skeleton) -> Vec<ServiceShare> {
    let share = |service: usize| ServiceShare { service: service as u32, n_spans: 0, n_errors: 0, critical_ns: 0 };
    let mut shares: Vec<ServiceShare> = (0..out.services.len()).map(share).collect();
    for at in (0..out.len()).filter(|at| out.kind[*at] == RowKind::Span) {
        shares[out.service[at] as usize].n_spans += 1;
    }
    for at in out.errors.iter().filter(|at| out.kind[**at as usize] == RowKind::Span) {
        shares[out.service[*at as usize] as usize].n_errors += 1;
    }
    for slice in &out.critical_path {
        shares[out.service[slice.row as usize] as usize].critical_ns += slice.end_ns - slice.start_ns;
    }
    shares.retain(|s| s.n_spans > 0);
    shares.sort_by_key(|s| (std::cmp::Reverse((s.critical_ns, s.n_spans)), s.service));
    shares
}
