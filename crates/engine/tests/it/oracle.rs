//! The naive evaluator: what a question must answer, one obvious loop per operation, from the documents alone
//! (semantics 13 to 19). The engine is never asked.
//!
//! Owns: the meaning of filters, groups and calculations over plain events. Never does: read segments, be fast.

use crate::events::Event;
use model::{
    TimeNs, Value,
    query::{CalculatedField, Calculation, Combination, Filter, FilterOp, Formula, Having, QuerySpec},
};
use serde_json::Value as Json;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// A question and the range that its times mean, end exclusive.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) spec: QuerySpec,
    pub(crate) start_ns: TimeNs,
    pub(crate) end_ns: TimeNs,
    pub(crate) now_ns: TimeNs,
}

/// A group value: 5 and 5.0 are one, other kinds stay apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Null,
    Bool(bool),
    Int(i64),
    /// The bits of a float that is no integer of 64 bits.
    Float(u64),
    Str(String),
}

pub(crate) fn key(value: &Value) -> Key {
    match value {
        Value::Null => Key::Null,
        Value::Bool(b) => Key::Bool(*b),
        Value::Int(i) => Key::Int(*i),
        Value::Float(f) => whole(*f).map_or(Key::Float(f.to_bits()), Key::Int),
        Value::Str(s) => Key::Str(s.clone()),
    }
}

/// Whole numbers below it are floats.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// The integer that a float is.
fn whole(f: f64) -> Option<i64> {
    (f.fract() == 0.0 && (-TWO_63..TWO_63).contains(&f)).then_some(f as i64)
}

/// What a result cell may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expected {
    /// This value, 5 and 5.0 being one.
    Is(Value),
    /// A number from here to there.
    Between(f64, f64),
    /// The same for a percentile; if it is said to be approximate and the events are many, one percent more.
    Percentile { low: f64, high: f64, few: bool },
    /// A heatmap of these numbers with these weights.
    Heatmap(Vec<(f64, f64)>),
    /// No document says.
    Anything,
}

/// What sums of this magnitude may be off by, next to zero also as numbers get coarse there.
fn rounding(magnitude: f64) -> f64 {
    magnitude * 1e-9 + f64::MIN_POSITIVE
}

impl Expected {
    fn near(value: f64, magnitude: f64) -> Expected {
        let slack = rounding(magnitude);
        Expected::Between(value - slack, value + slack)
    }

    /// The least and the largest number that it may be; none if it must be null, text or the like.
    pub(crate) fn numbers(&self) -> Option<(f64, f64)> {
        match self {
            Expected::Is(value) => value.number().map(|v| (v, v)),
            Expected::Between(low, high) => Some((*low, *high)),
            Expected::Percentile { low, high, few } => {
                let slack = if *few { 1e-12 } else { 0.01 };
                Some((low - low.abs() * slack, high + high.abs() * slack))
            }
            Expected::Heatmap(_) => None,
            Expected::Anything => Some((f64::NEG_INFINITY, f64::INFINITY)),
        }
    }
}

/// The full answer, before havings, orders and the limit.
#[derive(Debug)]
pub(crate) struct Truth {
    pub(crate) groups: BTreeMap<Vec<Key>, Vec<Expected>>,
    /// By group and start of the bucket.
    pub(crate) series: BTreeMap<Vec<Key>, BTreeMap<i128, Vec<Expected>>>,
    pub(crate) n_matched: usize,
    /// Groups that have only spans from before the range.
    pub(crate) outside: BTreeSet<Vec<Key>>,
}

/// Numbers by what they are exactly: 2^53 + 1 is more than 2^53 as a float.
pub(crate) fn compare_numbers(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Int(i), Value::Float(f)) => {
            let floor = f.floor();
            Some(if floor >= TWO_63 {
                Ordering::Less
            } else if floor < -TWO_63 {
                Ordering::Greater
            } else {
                i.cmp(&(floor as i64)).then(if *f > floor { Ordering::Less } else { Ordering::Equal })
            })
        }
        (Value::Float(_), Value::Int(_)) => compare_numbers(b, a).map(Ordering::reverse),
        _ => None,
    }
}

/// `=`: the same value, or the same written as text.
fn same(cell: &Value, operand: &Json) -> bool {
    let operand = Value::from_json(operand).expect("a scalar operand");
    match (cell, &operand) {
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Str(text), other) | (other, Value::Str(text)) => *text == written(other),
        _ => compare_numbers(cell, &operand) == Some(Ordering::Equal),
    }
}

/// A number or truth value as text.
fn written(value: &Value) -> String {
    match value {
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => whole(*f).map_or(f.to_string(), |i| i.to_string()),
        Value::Null | Value::Str(_) => unreachable!("not asked for"),
    }
}

/// `<` and its kin: numbers with numbers, text with text.
fn compare(cell: &Value, operand: &Json) -> Option<Ordering> {
    match (cell, operand) {
        (Value::Str(a), Json::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Int(_) | Value::Float(_), Json::Number(_)) => compare_numbers(cell, &Value::from_json(operand)?),
        _ => None,
    }
}

fn text_pair<'a>(cell: &'a Value, operand: &'a Json) -> Option<(&'a str, &'a str)> {
    match (cell, operand) {
        (Value::Str(a), Json::String(b)) => Some((a, b)),
        _ => None,
    }
}

static DATASETS: LazyLock<[Value; 2]> = LazyLock::new(|| ["one", "The Other/ü"].map(|name| Value::Str(name.into())));

/// The dataset that an event of these tests goes to.
pub(crate) fn dataset(event: &Event) -> &'static Value {
    &DATASETS[usize::from(event.time_ns.rem_euclid(3) == 0)]
}

/// A cell of an event, of a column or of `is_root` and `meta.dataset`.
pub(crate) fn cell<'a>(event: &'a Event, name: &str) -> &'a Value {
    match event.fields.get(name) {
        Some(value) => value,
        None if name == "meta.dataset" => dataset(event),
        None if name == "is_root" && event.fields.contains_key("trace.parent_id") => &Value::Bool(false),
        None if name == "is_root" => &Value::Bool(true),
        None => &Value::Null,
    }
}

pub(crate) fn filter_holds(event: &Event, filter: &Filter) -> bool {
    let cell = cell(event, &filter.column);
    let operand = filter.value.as_ref().unwrap_or(&Json::Null);
    match filter.op {
        FilterOp::Equal => same(cell, operand),
        FilterOp::NotEqual => !same(cell, operand),
        FilterOp::In => operand.as_array().expect("a list").iter().any(|o| same(cell, o)),
        FilterOp::NotIn => !operand.as_array().expect("a list").iter().any(|o| same(cell, o)),
        FilterOp::Less => compare(cell, operand) == Some(Ordering::Less),
        FilterOp::LessEqual => compare(cell, operand).is_some_and(Ordering::is_le),
        FilterOp::Greater => compare(cell, operand) == Some(Ordering::Greater),
        FilterOp::GreaterEqual => compare(cell, operand).is_some_and(Ordering::is_ge),
        FilterOp::StartsWith => text_pair(cell, operand).is_some_and(|(a, b)| a.starts_with(b)),
        FilterOp::DoesNotStartWith => !text_pair(cell, operand).is_some_and(|(a, b)| a.starts_with(b)),
        FilterOp::EndsWith => text_pair(cell, operand).is_some_and(|(a, b)| a.ends_with(b)),
        FilterOp::DoesNotEndWith => !text_pair(cell, operand).is_some_and(|(a, b)| a.ends_with(b)),
        FilterOp::Contains => text_pair(cell, operand).is_some_and(|(a, b)| a.contains(b)),
        FilterOp::DoesNotContain => !text_pair(cell, operand).is_some_and(|(a, b)| a.contains(b)),
        FilterOp::Exists => *cell != Value::Null,
        FilterOp::DoesNotExist => *cell == Value::Null,
    }
}

/// An event as an expression sees it.
struct Cells<'a> {
    event: &'a Event,
    columns: &'a [std::sync::Arc<str>],
}

impl expr::Row for Cells<'_> {
    fn cell(&self, column: usize) -> expr::Cell<'_> {
        expr::Cell::of(cell(self.event, &self.columns[column]))
    }
    fn time_ns(&self) -> TimeNs {
        self.event.time_ns
    }
}

/// The events with calculated fields as if they had been sent with them. What functions mean is the business of `expr`
/// and its own tests; each field is evaluated on each event, and that is all.
pub(crate) fn calculated(events: &[Event], fields: &[CalculatedField]) -> Vec<Event> {
    let limits = model::Limits::default();
    let programs: Vec<(&str, expr::Program)> = fields
        .iter()
        .map(|f| (f.name.as_str(), expr::Program::new(&expr::parse(&f.expression, &limits).expect("an expression"))))
        .collect();
    let with_fields = |event: &Event| {
        let mut out = event.clone();
        for (name, program) in &programs {
            match program.eval(&Cells { event, columns: program.columns() }).into_value() {
                Value::Null => drop(out.fields.remove(*name)),
                value => drop(out.fields.insert((*name).to_owned(), value)),
            }
        }
        out
    };
    events.iter().map(with_fields).collect()
}

/// Whether an event counts.
pub(crate) fn matches(event: &Event, spec: &QuerySpec) -> bool {
    holds(event, &spec.filters, spec.filter_combination)
}

fn holds(event: &Event, filters: &[Filter], combination: Option<Combination>) -> bool {
    match combination.unwrap_or_default() {
        Combination::And => filters.iter().all(|f| filter_holds(event, f)),
        Combination::Or => filters.is_empty() || filters.iter().any(|f| filter_holds(event, f)),
    }
}

/// Whether an event is in the range and counts.
pub(crate) fn is_in(event: &Event, question: &Question) -> bool {
    event.time_ns >= question.start_ns && event.time_ns < question.end_ns && matches(event, &question.spec)
}

/// The events in the range that match, in the order given.
pub(crate) fn matching<'a>(events: &'a [Event], question: &Question) -> Vec<&'a Event> {
    events.iter().filter(|e| is_in(e, question)).collect()
}

/// COUNT, which is meant when a question names no calculation.
pub(crate) fn count() -> Calculation {
    Calculation { op: "COUNT".into(), column: None, name: None, filters: Vec::new(), filter_combination: None, exact: None }
}

/// The calculations of a question.
pub(crate) fn calculations(spec: &QuerySpec) -> Vec<Calculation> {
    spec.calculations.clone().unwrap_or_else(|| vec![count()])
}

/// What a group has a cell for: the calculations, then the formulas.
pub(crate) fn keys(spec: &QuerySpec) -> Vec<String> {
    let calculations = calculations(spec);
    calculations.iter().map(Calculation::key).chain(spec.formulas.iter().map(|f| f.name.clone())).collect()
}

/// The cells that an answer has: calculations that a formula looks at are left out.
pub(crate) fn shown(spec: &QuerySpec) -> Vec<usize> {
    let inputs: BTreeSet<String> = spec.formulas.iter().flat_map(|f| program(f).columns().to_vec()).map(|c| c.to_string()).collect();
    let n = calculations(spec).len();
    keys(spec).iter().enumerate().filter(|(i, key)| *i >= n || !inputs.contains(*key)).map(|(i, _)| i).collect()
}

/// The cell that an order or a having means: by operator and column, those without filters of their own first; else by
/// name.
pub(crate) fn find(spec: &QuerySpec, op: Option<&str>, column: Option<&str>) -> Option<usize> {
    let calculations = calculations(spec);
    let means = |c: &Calculation| Some(c.op.as_str()) == op && c.column.as_deref() == column;
    let plain = calculations.iter().position(|c| means(c) && c.filters.is_empty());
    let name = match (op, column) {
        (Some(name), None) | (None, Some(name)) => Some(name),
        _ => None,
    };
    plain.or_else(|| calculations.iter().position(means)).or_else(|| keys(spec).iter().position(|key| Some(key.as_str()) == name))
}

fn program(formula: &Formula) -> expr::Program {
    expr::Program::new(&expr::parse(&formula.expression, &model::Limits::default()).expect("an expression"))
}

/// Values of calculations as an expression sees them.
struct Inputs<'a>(&'a [Value]);

impl expr::Row for Inputs<'_> {
    fn cell(&self, column: usize) -> expr::Cell<'_> {
        expr::Cell::of(&self.0[column])
    }
    fn time_ns(&self) -> TimeNs {
        0
    }
}

/// A formula, made ready.
struct Prepared {
    program: expr::Program,
    /// Positions of the calculations that it looks at.
    inputs: Vec<usize>,
    /// Whether it may jump where a number is zero.
    minds_zero: bool,
    /// Whether it may jump anywhere.
    minds_all: bool,
}

impl Prepared {
    fn new(formula: &Formula, keys: &[String]) -> Prepared {
        use expr::Function::{And, Bool, Div, Equals, If, In, Log10, Mod, Not, Or, Switch};
        let expression = expr::parse(&formula.expression, &model::Limits::default()).expect("an expression");
        let uses = |functions: &[expr::Function]| functions.iter().any(|f| expression.uses(*f));
        let program = expr::Program::new(&expression);
        let position = |column: &std::sync::Arc<str>| keys.iter().position(|key| **key == **column).expect("a calculation");
        Prepared {
            inputs: program.columns().iter().map(position).collect(),
            program,
            minds_zero: uses(&[Div, Mod, If, Not, And, Or, Bool, Log10]),
            minds_all: uses(&[Equals, In, Switch]),
        }
    }

    /// Its value over these cells. Questions name each calculation once in a formula and divide by nothing but
    /// calculations: then it is monotonous in each, and where a calculation is only known to lie in a range, the ends tell.
    fn value(&self, cells: &[Expected], estimated: &BTreeSet<usize>) -> Expected {
        let mut corners: Vec<Vec<Value>> = vec![Vec::new()];
        let mut exact = true;
        for at in &self.inputs {
            let ends = match &cells[*at] {
                Expected::Is(Value::Int(n)) if *n > 10_000 && estimated.contains(at) => return Expected::Anything,
                // 5 and 5.0 are one value.
                Expected::Is(value) => vec![value.clone().canonical()],
                range => match range.numbers() {
                    Some((low, high)) if low.is_finite() && high.is_finite() => {
                        exact = false;
                        if self.minds_all || self.minds_zero && low <= 0.0 && high >= 0.0 {
                            return Expected::Anything;
                        }
                        vec![Value::Float(low), Value::Float(high)]
                    }
                    _ => return Expected::Anything,
                },
            };
            corners = corners.iter().flat_map(|c| ends.iter().map(|end| [c.as_slice(), std::slice::from_ref(end)].concat())).collect();
        }
        let values: Vec<Value> = corners.iter().map(|c| self.program.eval(&Inputs(c)).into_value()).collect();
        let numbers: Vec<f64> = values.iter().filter_map(Value::number).collect();
        if numbers.len() == values.len() {
            let (low, high) = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), n| (l.min(*n), h.max(*n)));
            let slack = rounding(low.abs().max(high.abs()));
            return Expected::Between(low - slack, high + slack);
        }
        let same = values.iter().all(|v| key(v) == key(&values[0]));
        // How a number from a range is written is not known.
        if same && (exact || !matches!(values[0], Value::Str(_))) { Expected::Is(values[0].clone()) } else { Expected::Anything }
    }
}

impl Truth {
    /// With the formulas behind the calculations.
    pub(crate) fn with_formulas(mut self, spec: &QuerySpec) -> Truth {
        let keys = keys(spec);
        let formulas: Vec<Prepared> = spec.formulas.iter().map(|f| Prepared::new(f, &keys)).collect();
        let distinct = calculations(spec).into_iter().enumerate().filter(|(_, c)| c.op == "COUNT_DISTINCT");
        let estimated: BTreeSet<usize> = distinct.map(|(i, _)| i).collect();
        let series = self.series.values_mut().flat_map(BTreeMap::values_mut);
        for cells in self.groups.values_mut().chain(series) {
            let values: Vec<Expected> = formulas.iter().map(|f| f.value(cells, &estimated)).collect();
            cells.extend(values);
        }
        self
    }
}

/// The group of an event.
pub(crate) fn group(event: &Event, breakdowns: &[String]) -> Vec<Key> {
    breakdowns.iter().map(|name| key(cell(event, name))).collect()
}

/// The truth with buckets of this length; they start at multiples of it.
pub(crate) fn answer(events: &[Event], question: &Question, granularity_ns: i64) -> Truth {
    let spec = &question.spec;
    let calculations = calculations(spec);
    let matched = matching(events, question);
    let mut groups: BTreeMap<Vec<Key>, (Vec<&Event>, Vec<&Event>)> = BTreeMap::new();
    for event in &matched {
        groups.entry(group(event, &spec.breakdowns)).or_default().0.push(event);
    }
    if spec.breakdowns.is_empty() {
        groups.entry(Vec::new()).or_default();
    }
    let inside: BTreeSet<Vec<Key>> = groups.keys().cloned().collect();
    // Spans that began before the range may be under way in it.
    let concurrency = calculations.iter().any(|c| c.op == "CONCURRENCY");
    let first = i128::from(question.start_ns).div_euclid(i128::from(granularity_ns)) * i128::from(granularity_ns);
    for event in events.iter().filter(|e| concurrency && e.time_ns < question.end_ns && matches(e, spec)) {
        if span(event).1 > first {
            groups.entry(group(event, &spec.breakdowns)).or_default().1.push(event);
        }
    }
    let weighted = !spec.usage_mode.unwrap_or(false);
    let range = (i128::from(question.start_ns), i128::from(question.end_ns));
    let mut truth = Truth { groups: BTreeMap::new(), outside: BTreeSet::new(), series: BTreeMap::new(), n_matched: matched.len() };
    for (group, (members, spans)) in groups {
        if !inside.contains(&group) {
            truth.outside.insert(group.clone());
        }
        let mut buckets: BTreeMap<i128, Vec<&Event>> = BTreeMap::new();
        for event in &members {
            let start = i128::from(event.time_ns.div_euclid(granularity_ns)) * i128::from(granularity_ns);
            buckets.entry(start).or_default().push(event);
        }
        let context =
            Context { weighted, range, buckets: &buckets, members: &members, spans: &spans, granularity: i128::from(granularity_ns) };
        let series = context.bucket_starts().into_iter().map(|start| {
            let cells = calculations.iter().map(|c| context.bucket_cell(c, start)).collect();
            (start, cells)
        });
        truth.series.insert(group.clone(), series.collect());
        truth.groups.insert(group, calculations.iter().map(|c| context.total_cell(c)).collect());
    }
    truth
}

/// From when to when a span is under way; a duration that is no number is none.
fn span(event: &Event) -> (i128, i128) {
    let start = i128::from(event.time_ns);
    let ms = cell(event, "duration_ms").number().unwrap_or(0.0);
    (start, start.saturating_add((ms * 1e6) as i128))
}

/// One group.
struct Context<'a> {
    weighted: bool,
    range: (i128, i128),
    buckets: &'a BTreeMap<i128, Vec<&'a Event>>,
    members: &'a [&'a Event],
    /// Those that may be under way, for CONCURRENCY.
    spans: &'a [&'a Event],
    granularity: i128,
}

impl Context<'_> {
    fn weight(&self, event: &Event) -> f64 {
        if self.weighted { event.sample_rate } else { 1.0 }
    }

    /// Buckets that may have something to say: those with events or spans under way.
    fn bucket_starts(&self) -> BTreeSet<i128> {
        let mut starts: BTreeSet<i128> = self.buckets.keys().copied().collect();
        for event in self.spans {
            let (from, to) = span(event);
            let mut bucket = from.max(self.range.0).div_euclid(self.granularity) * self.granularity;
            while bucket < to.min(self.range.1) {
                starts.insert(bucket);
                bucket += self.granularity;
            }
        }
        starts
    }

    fn bucket_cell(&self, calculation: &Calculation, start: i128) -> Expected {
        let events = self.buckets.get(&start).map_or(&[][..], Vec::as_slice);
        match calculation.op.as_str() {
            "CONCURRENCY" => self.concurrency(start, start + self.granularity),
            "RATE_SUM" | "RATE_AVG" | "RATE_MAX" => {
                let before = self.buckets.get(&(start - self.granularity)).map_or(&[][..], Vec::as_slice);
                self.rate(calculation, events, before)
            }
            _ => self.cell(calculation, events),
        }
    }

    fn total_cell(&self, calculation: &Calculation) -> Expected {
        match calculation.op.as_str() {
            "CONCURRENCY" => self.concurrency(self.range.0, self.range.1),
            "RATE_SUM" | "RATE_AVG" | "RATE_MAX" => self.mean_rate(calculation),
            _ => self.cell(calculation, self.members),
        }
    }

    /// The calculations that look at a set of events and nothing else.
    fn cell(&self, calculation: &Calculation, events: &[&Event]) -> Expected {
        let column = calculation.column.as_deref().unwrap_or_default();
        // Filters of its own leave events out for this calculation alone.
        let counted: Vec<&Event> =
            events.iter().copied().filter(|e| holds(e, &calculation.filters, calculation.filter_combination)).collect();
        let events = counted.as_slice();
        let cells = || events.iter().map(|e| (cell(e, column), self.weight(e))).filter(|(v, _)| **v != Value::Null);
        let numbers = || cells().filter(|(v, _)| v.number().is_some());
        let n_numbers = numbers().count();
        let weight: f64 = numbers().map(|(_, w)| w).sum();
        match calculation.op.as_str() {
            "COUNT" => {
                let (mut count, mut exact) = (0.0, true);
                for event in events {
                    if calculation.column.is_none() || *cell(event, column) != Value::Null {
                        let weight = self.weight(event);
                        count += weight;
                        exact &= weight.fract() == 0.0 && count < EXACT_BELOW;
                    }
                }
                if exact { Expected::Is(Value::Int(count as i64)) } else { Expected::near(count, count) }
            }
            "COUNT_DISTINCT" => {
                let mut seen: Vec<Key> = cells().map(|(v, _)| key(v)).collect();
                seen.sort_unstable();
                seen.dedup();
                Expected::Is(Value::Int(seen.len() as i64))
            }
            "HEATMAP" => Expected::Heatmap(numbers().map(|(v, w)| (v.number().unwrap_or_default(), w)).collect()),
            _ if n_numbers == 0 => Expected::Is(Value::Null),
            "SUM" | "AVG" => {
                let (mut sum, mut magnitude) = (0.0, 0.0);
                for (value, w) in numbers() {
                    let v = value.number().unwrap_or_default();
                    sum += v * w;
                    magnitude += (v * w).abs();
                }
                let divisor = if calculation.op == "AVG" { weight } else { 1.0 };
                Expected::near(sum / divisor, magnitude / divisor)
            }
            "MIN" | "MAX" => {
                let mut best: Option<&Value> = None;
                let better = if calculation.op == "MIN" { Ordering::Less } else { Ordering::Greater };
                for (value, _) in numbers() {
                    if best.is_none_or(|b| compare_numbers(value, b) == Some(better)) {
                        best = Some(value);
                    }
                }
                best.map_or(Expected::Is(Value::Null), |v| Expected::Is(v.clone()))
            }
            op => {
                let share = percentile(op).unwrap_or_else(|| panic!("operator {op}"));
                let sorted = {
                    let mut sorted: Vec<(f64, f64)> = numbers().map(|(v, w)| (v.number().unwrap_or_default(), w)).collect();
                    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
                    sorted
                };
                let (low, high) = (value_at(&sorted, weight * share - 1.0), value_at(&sorted, weight * share + 1.0));
                Expected::Percentile { low, high, few: events.len() < 100 }
            }
        }
    }

    /// Average number of spans under way at a time from `from` to `to`. What they do in the part of a bucket that lies
    /// outside of the range may count or not.
    fn concurrency(&self, from: i128, to: i128) -> Expected {
        let overlaps = |from: i128, to: i128| {
            let mut sum = 0.0;
            for event in self.spans {
                let (start, end) = span(event);
                sum += (end.min(to) - start.max(from)).max(0) as f64 * self.weight(event);
            }
            sum
        };
        let length = (to - from) as f64;
        let low = overlaps(from.max(self.range.0), to.min(self.range.1)) / length;
        let high = overlaps(from, to) / length;
        // A few nanoseconds of rounding per span.
        let slack = self.spans.len() as f64 * 100.0 / length + high * 1e-9;
        Expected::Between(low - slack, high + slack)
    }

    /// SUM, AVG or MAX of a bucket less that of the one before.
    fn rate(&self, calculation: &Calculation, events: &[&Event], before: &[&Event]) -> Expected {
        let op = calculation.op.trim_start_matches("RATE_").to_owned();
        let plain = Calculation { op, ..calculation.clone() };
        match (self.cell(&plain, events).numbers(), self.cell(&plain, before).numbers()) {
            (Some((a, b)), Some((c, d))) => {
                let slack = rounding(a.abs() + c.abs());
                Expected::Between(a - d - slack, b - c + slack)
            }
            _ => Expected::Is(Value::Null),
        }
    }

    /// In a table a rate is the mean of those of its buckets.
    fn mean_rate(&self, calculation: &Calculation) -> Expected {
        let rates: Vec<(f64, f64)> = self.buckets.keys().filter_map(|start| self.bucket_cell(calculation, *start).numbers()).collect();
        let n = rates.len() as f64;
        let (low, high) = rates.iter().fold((0.0, 0.0), |(low, high), rate| (low + rate.0 / n, high + rate.1 / n));
        let slack = rounding(low.abs() + high.abs());
        if rates.is_empty() { Expected::Is(Value::Null) } else { Expected::Between(low - slack, high + slack) }
    }
}

/// The value at a weighted rank, the ends included.
fn value_at(sorted: &[(f64, f64)], rank: f64) -> f64 {
    let mut passed = 0.0;
    for (value, weight) in sorted {
        passed += weight;
        if passed >= rank {
            return *value;
        }
    }
    sorted[sorted.len() - 1].0
}

/// The share below which a percentile lies.
pub(crate) fn percentile(op: &str) -> Option<f64> {
    Some(match op {
        "P001" => 0.001,
        "P01" => 0.01,
        "P05" => 0.05,
        "P10" => 0.1,
        "P20" => 0.2,
        "P25" => 0.25,
        "P50" => 0.5,
        "P75" => 0.75,
        "P80" => 0.8,
        "P90" => 0.9,
        "P95" => 0.95,
        "P99" => 0.99,
        "P999" => 0.999,
        _ => return None,
    })
}

/// Whether a group passes a having; `None` where rounding decides.
pub(crate) fn passes(having: &Having, cell: &Expected) -> Option<bool> {
    let bound = having.value.as_f64().expect("a number");
    let Some((low, high)) = cell.numbers() else {
        // Nothing is not equal to any number, nor on one side of it.
        return Some(having.op == FilterOp::NotEqual);
    };
    let certain = |low_holds: bool, high_holds: bool| (low_holds == high_holds).then_some(low_holds);
    match having.op {
        FilterOp::Less => certain(low < bound, high < bound),
        FilterOp::LessEqual => certain(low <= bound, high <= bound),
        FilterOp::Greater => certain(low > bound, high > bound),
        FilterOp::GreaterEqual => certain(low >= bound, high >= bound),
        FilterOp::Equal if bound < low || bound > high => Some(false),
        FilterOp::Equal => (low == high).then_some(true),
        FilterOp::NotEqual if bound < low || bound > high => Some(true),
        FilterOp::NotEqual => (low == high).then_some(false),
        op => panic!("having {op:?}"),
    }
}

mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_what_they_are() {
        let two_53 = 9_007_199_254_740_992.0;
        for (int, float, expected) in [
            (5, 5.0, Ordering::Equal),
            (5, 5.5, Ordering::Less),
            (-5, -5.5, Ordering::Greater),
            ((1 << 53) + 1, two_53, Ordering::Greater),
            (i64::MAX, TWO_63, Ordering::Less),
            (i64::MIN, -TWO_63, Ordering::Equal),
            (i64::MIN, -1e200, Ordering::Greater),
            (0, 1e-300, Ordering::Less),
            (0, -1e-300, Ordering::Greater),
        ] {
            assert_eq!(compare_numbers(&Value::Int(int), &Value::Float(float)), Some(expected), "{int} {float}");
        }
    }

    #[test]
    fn a_percentile_lies_next_to_the_weighted_rank() {
        let sorted = [(1.0, 1.0), (2.0, 1.0), (3.0, 8.0)];
        assert_eq!(
            (value_at(&sorted, -1.0), value_at(&sorted, 1.0), value_at(&sorted, 1.5), value_at(&sorted, 99.0)),
            (1.0, 1.0, 2.0, 3.0)
        );
    }
}
