//! Random questions that are valid over given events: operands are taken from the data, from next to it, or from nowhere.
//!
//! Owns: the generator of questions. Never does: answer them.

use crate::{
    events::{self, Event, Kind, Rng},
    oracle::{self, Question},
    relatives,
};
use model::{
    TimeNs, Value,
    query::{CalculatedField, Calculation, Combination, Direction, Filter, FilterOp, Formula, Having, Order, QuerySpec},
};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

const SECOND: i64 = model::NS_PER_SECOND;
const PERCENTILES: [&str; 13] = ["P001", "P01", "P05", "P10", "P20", "P25", "P50", "P75", "P80", "P90", "P95", "P99", "P999"];

/// What questions may be about.
pub(crate) struct Subject<'a> {
    pub(crate) events: &'a [Event],
    /// Columns that have a cell somewhere.
    pub(crate) names: Vec<&'a str>,
    /// Whether questions look at relatives.
    pub(crate) relational: bool,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(events: &'a [Event], datasets: bool, relational: bool) -> Subject<'a> {
        let names: BTreeSet<&str> = events.iter().flat_map(|e| e.fields.keys()).map(String::as_str).collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        names.push("is_root");
        if datasets {
            names.push("meta.dataset");
        }
        Subject { events, names, relational }
    }

    /// The columns as a dataset knows them.
    pub(crate) fn known(&self) -> BTreeSet<String> {
        let real = self.names.iter().filter(|name| !["is_root", "meta.dataset"].contains(name));
        real.map(|name| (*name).to_owned()).collect()
    }

    fn name(&self, rng: &mut Rng) -> String {
        (*rng.pick(&self.names)).to_owned()
    }

    /// A column that holds numbers, if chance finds one.
    fn numeric(&self, rng: &mut Rng) -> String {
        for _ in 0..4 {
            let name = self.name(rng);
            for _ in 0..3 {
                let event = rng.pick(self.events);
                if event.fields.get(&name).is_some_and(|v| v.number().is_some()) {
                    return name;
                }
            }
        }
        self.name(rng)
    }

    /// A cell of this column, if chance finds one.
    fn cell(&self, rng: &mut Rng, name: &str) -> Option<&'a Value> {
        (0..8).map(|_| oracle::cell(&self.events[rng.below(self.events.len())], name)).find(|v| **v != Value::Null)
    }
}

/// A scalar to compare with.
fn operand(rng: &mut Rng, subject: &Subject<'_>, name: &str) -> Value {
    let found = subject.cell(rng, name).filter(|_| rng.chance(0.85)).cloned();
    let value = found.unwrap_or_else(|| {
        let kind = *rng.pick(&Kind::ALL);
        events::cell(rng, kind)
    });
    match value {
        // The same number another way: as text, as a float, next to it.
        Value::Int(i) => match rng.below(8) {
            0 => Value::Str(i.to_string()),
            1 if i.unsigned_abs() < 1 << 53 => Value::Float(i as f64),
            2 => Value::Int(i.wrapping_add(1)),
            3 => Value::Float(i as f64 + 0.5),
            _ => Value::Int(i),
        },
        Value::Float(f) => match rng.below(8) {
            0 if f.abs() < 1e6 && f.abs() > 1e-3 => Value::Str(f.to_string()),
            1 if f.abs() < 1e15 => Value::Int(f as i64),
            2 => Value::Float(f.next_up()),
            _ => Value::Float(f),
        },
        Value::Bool(b) => match rng.below(6) {
            0 => Value::Str(b.to_string()),
            1 => Value::Int(b.into()),
            _ => Value::Bool(b),
        },
        Value::Str(text) => match rng.below(8) {
            0 => text.parse().map_or(Value::Str(text), Value::Int),
            _ => Value::Str(text),
        },
        Value::Null => Value::Int(0),
    }
}

/// As JSON; unlike `Value::to_json`, 5.0 stays 5.0.
fn json(value: &Value) -> Json {
    match value {
        Value::Float(f) => json!(f),
        value => value.to_json(),
    }
}

/// A piece of a text.
fn piece(rng: &mut Rng, text: &str, op: FilterOp) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut from, mut to) = (rng.below(chars.len() + 1), rng.below(chars.len() + 1));
    if from > to {
        (from, to) = (to, from);
    }
    match op.positive().0 {
        FilterOp::StartsWith => from = 0,
        FilterOp::EndsWith => to = chars.len(),
        _ => {}
    }
    to = to.min(from + 40);
    chars[from..to].iter().collect()
}

fn filter(rng: &mut Rng, subject: &Subject<'_>) -> Filter {
    let ops = [
        FilterOp::Equal,
        FilterOp::NotEqual,
        FilterOp::Greater,
        FilterOp::GreaterEqual,
        FilterOp::Less,
        FilterOp::LessEqual,
        FilterOp::StartsWith,
        FilterOp::DoesNotStartWith,
        FilterOp::EndsWith,
        FilterOp::DoesNotEndWith,
        FilterOp::Exists,
        FilterOp::DoesNotExist,
        FilterOp::Contains,
        FilterOp::DoesNotContain,
        FilterOp::In,
        FilterOp::NotIn,
    ];
    let op = *rng.pick(&ops);
    let column = subject.name(rng);
    let value = match op.positive().0 {
        FilterOp::Exists => None,
        FilterOp::In => {
            let n = if rng.chance(0.03) { 300 } else { 1 + rng.below(6) };
            Some(Json::Array((0..n).map(|_| json(&operand(rng, subject, &column))).collect()))
        }
        FilterOp::Equal => Some(json(&operand(rng, subject, &column))),
        FilterOp::StartsWith | FilterOp::EndsWith | FilterOp::Contains => {
            let text = match operand(rng, subject, &column) {
                Value::Str(text) => piece(rng, &text, op),
                other => other.to_json().to_string(),
            };
            Some(Json::String(text))
        }
        _ => match operand(rng, subject, &column) {
            Value::Bool(b) => Some(json!(i64::from(b))),
            other => Some(json(&other)),
        },
    };
    Filter { column, op, value }
}

fn calculation(rng: &mut Rng, subject: &Subject<'_>) -> Calculation {
    let plain =
        |op: &str, column| Calculation { op: op.into(), column, name: None, filters: Vec::new(), filter_combination: None, exact: None };
    match rng.below(20) {
        0..=2 => plain("COUNT", None),
        3 => plain("COUNT", Some(subject.name(rng))),
        4 => plain("CONCURRENCY", None),
        5 | 6 => plain("COUNT_DISTINCT", Some(subject.name(rng))),
        7 => Calculation { exact: Some(true), ..plain("COUNT_DISTINCT", Some(subject.name(rng))) },
        8 => plain(["RATE_SUM", "RATE_AVG", "RATE_MAX"][rng.below(3)], Some(subject.numeric(rng))),
        9 | 10 => plain("HEATMAP", Some(subject.numeric(rng))),
        11..=14 => plain(PERCENTILES[rng.below(PERCENTILES.len())], Some(subject.numeric(rng))),
        _ => plain(["SUM", "AVG", "MIN", "MAX"][rng.below(4)], Some(subject.numeric(rng))),
    }
}

fn calculations(rng: &mut Rng, subject: &Subject<'_>) -> Option<Vec<Calculation>> {
    let n = match rng.below(20) {
        0 => return None,
        1 => return Some(Vec::new()),
        2..=9 => 1,
        10..=16 => 2 + rng.below(2),
        _ => 4 + rng.below(6),
    };
    let mut all: Vec<Calculation> = Vec::new();
    for i in 0..n {
        let mut one = calculation(rng, subject);
        // CONCURRENCY needs the column that it reads.
        if one.op == "CONCURRENCY" && !subject.names.contains(&"duration_ms") {
            one.op = "COUNT".into();
        }
        if rng.chance(0.1) {
            one.name = Some(format!("named {i}"));
        }
        if one.op != "CONCURRENCY" && rng.chance(0.25) {
            one.filters = (0..1 + rng.below(3)).map(|_| filter(rng, subject)).collect();
            one.filter_combination = *rng.pick(&[None, Some(Combination::And), Some(Combination::Or)]);
            // The same calculation, once of all events and once of some.
            if rng.chance(0.5) {
                one.name = Some(format!("some {i}"));
            }
        }
        if all.iter().all(|other| other.key() != one.key()) {
            all.push(one);
        }
    }
    Some(all)
}

/// Seconds as text, to the nanosecond.
fn seconds(time: TimeNs) -> String {
    let (whole, fraction) = (time.unsigned_abs() / SECOND as u64, time.unsigned_abs() % SECOND as u64);
    let sign = if time < 0 { "-" } else { "" };
    if fraction == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:09}") }
}

/// Start or end as JSON: whole seconds as a number or text, else text.
fn time_json(rng: &mut Rng, time: TimeNs) -> Json {
    if time % SECOND == 0 && rng.chance(0.7) { json!(time / SECOND) } else { json!(seconds(time)) }
}

/// A time on, next to, or far from the events.
fn some_time(rng: &mut Rng, subject: &Subject<'_>) -> TimeNs {
    let at = rng.pick(subject.events).time_ns;
    match rng.below(6) {
        0 => at,
        1 => at + 1,
        2 => at / SECOND * SECOND,
        3 => at - at % (60 * SECOND),
        4 => at + rng.between(-3600 * SECOND, 3600 * SECOND),
        _ => at + rng.between(-SECOND, SECOND),
    }
}

/// The time of the question, as `spec` says it and as the oracle reads it.
fn range(rng: &mut Rng, subject: &Subject<'_>, spec: &mut QuerySpec) -> (TimeNs, TimeNs, TimeNs) {
    let low = subject.events.iter().map(|e| e.time_ns).min().unwrap_or(0);
    let high = subject.events.iter().map(|e| e.time_ns).max().unwrap_or(0);
    let now = high.saturating_add(rng.between(1, 600 * SECOND));
    let (start, end) = match rng.below(8) {
        // Everything.
        0..=3 => (low, high + 1),
        // Cut by a nanosecond at both ends.
        4 => (low, high.max(low + 1)),
        _ => {
            let (a, b) = (some_time(rng, subject), some_time(rng, subject));
            (a.min(b), a.max(b).max(a.min(b) + 1))
        }
    };
    let whole_seconds = |t: i64| t.div_euclid(SECOND) * SECOND;
    match rng.below(5) {
        0 => {
            let length = (end - start) / SECOND + 1;
            spec.start_time = Some(time_json(rng, start));
            spec.time_range = Some(length as f64);
            (start, start + length * SECOND, now)
        }
        1 => {
            let length = (end - start) / SECOND + 1;
            spec.end_time = Some(time_json(rng, end));
            spec.time_range = Some(length as f64);
            (end - length * SECOND, end, now)
        }
        2 if now - low < 366 * 86_400 * SECOND => {
            // Relative to now; the default is two hours.
            let now = whole_seconds(now);
            if rng.chance(0.3) {
                return (now - 7_200 * SECOND, now, now);
            }
            let length = rng.between(1, (now - low) / SECOND + 10);
            spec.time_range = Some(length as f64);
            (now - length * SECOND, now, now)
        }
        _ => {
            spec.start_time = Some(time_json(rng, start));
            spec.end_time = Some(time_json(rng, end));
            (start, end, now)
        }
    }
}

/// A granularity that gives a sane number of buckets, or none.
fn granularity(rng: &mut Rng, length_ns: i64) -> Option<f64> {
    let length = length_ns as f64 / 1e9;
    let steps = [0.001, 0.01, 0.5, 1.0, 2.5, 5.0, 7.0, 10.0, 60.0, 300.0, 3_600.0, 86_400.0, 31_536_000.0];
    let fits: Vec<f64> = steps.into_iter().filter(|g| length / g < 900.0 && *g <= length).collect();
    match rng.below(4) {
        0 => None,
        1 => Some(0.0),
        _ if fits.is_empty() => None,
        _ => Some(*rng.pick(&fits)),
    }
}

fn orders(rng: &mut Rng, spec: &QuerySpec) -> Vec<Order> {
    let mut keys: Vec<(Option<String>, Option<String>)> = spec.breakdowns.iter().map(|b| (None, Some(b.clone()))).collect();
    let calculations = oracle::calculations(spec).into_iter().filter(|c| c.op != "HEATMAP");
    keys.extend(calculations.map(|c| if rng.chance(0.2) { (None, Some(c.key())) } else { (Some(c.op), c.column) }));
    keys.extend(spec.formulas.iter().map(|f| if rng.chance(0.5) { (Some(f.name.clone()), None) } else { (None, Some(f.name.clone())) }));
    rng.shuffle(&mut keys);
    keys.dedup();
    keys.truncate(1 + rng.below(3));
    let mut orders: Vec<Order> = Vec::new();
    for (op, column) in keys {
        if orders.iter().any(|o| o.op == op && o.column == column) {
            continue;
        }
        let order = match rng.below(5) {
            0 => None,
            1 => Some(Direction::Ascending),
            _ => Some(Direction::Descending),
        };
        orders.push(Order { op, column, order });
    }
    orders
}

/// Raw rows are ordered by time or by any column.
fn raw_orders(rng: &mut Rng, subject: &Subject<'_>) -> Vec<Order> {
    let n = 1 + rng.below(2);
    let mut names: Vec<String> = (0..n).map(|_| if rng.chance(0.5) { "time".into() } else { subject.name(rng) }).collect();
    names.dedup();
    let direction = |rng: &mut Rng| *rng.pick(&[None, Some(Direction::Ascending), Some(Direction::Descending)]);
    names.into_iter().map(|name| Order { op: None, column: Some(name), order: direction(rng) }).collect()
}

fn havings(rng: &mut Rng, spec: &QuerySpec, likely: f64) -> Vec<Having> {
    let calculations = oracle::calculations(spec).into_iter().filter(|c| c.op != "HEATMAP");
    let mut may: Vec<(String, Option<String>)> = calculations.map(|c| (c.op, c.column)).collect();
    may.extend(spec.formulas.iter().map(|f| (f.name.clone(), None)));
    if may.is_empty() || !rng.chance(0.15) {
        return Vec::new();
    }
    let ops = [FilterOp::Equal, FilterOp::NotEqual, FilterOp::Greater, FilterOp::GreaterEqual, FilterOp::Less, FilterOp::LessEqual];
    (0..1 + rng.below(2))
        .map(|_| {
            let (calculate_op, column) = rng.pick(&may).clone();
            let op = *rng.pick(&ops);
            let value = if rng.chance(0.5) { json!(rng.between(0, 10)) } else { json!((rng.unit() * likely).floor() + 0.5) };
            Having { calculate_op, column, op, value }
        })
        .collect()
}

/// The next question; few are about nothing.
pub(crate) fn question(rng: &mut Rng, subject: &Subject<'_>) -> Question {
    for _ in 0..4 {
        let question = any_question(rng, subject);
        let fields = &question.spec.calculated_fields;
        if !fields.is_empty() || subject.relational || subject.events.iter().any(|e| oracle::is_in(e, &question)) {
            return question;
        }
    }
    any_question(rng, subject)
}

/// A column in an expression.
fn column(name: &str) -> String {
    expr::Expr { node: expr::Node::Column(name.into()), at: 0 }.to_string()
}

/// An expression over the columns, at most so deep.
fn expression(rng: &mut Rng, subject: &Subject<'_>, depth: usize) -> String {
    let part = |rng: &mut Rng| {
        if depth > 0 && rng.chance(0.35) { format!("({})", expression(rng, subject, depth - 1)) } else { column(&subject.name(rng)) }
    };
    let (a, b) = (part(rng), part(rng));
    let literal = |rng: &mut Rng| {
        let name = subject.name(rng);
        expr::Expr { node: expr::Node::Literal(operand(rng, subject, &name)), at: 0 }.to_string()
    };
    let (x, y) = (literal(rng), literal(rng));
    match rng.below(30) {
        0 => a,
        20 => format!("IF({a} > {x}, {b}, {b} = {y}, {a}, {y})"),
        21 => format!("{a} - {b} + {x}"),
        22 => format!("!({a} <= {b}) OR {a} != {y}"),
        23 => format!("ROUND({a} / 3) * {b}"),
        24 => format!("MAX({a}, {b}, {x})"),
        25 => format!("STARTS_WITH({a}, STRING({x}))"),
        26 => format!("REG_COUNT(CONCAT({a}, {b}), `[0-9]+`)"),
        27 => format!("LOG10({a}) % 2"),
        28 => format!("AVG({a}, {b})"),
        29 => format!("AND(EXISTS({a}), NOT({b}))"),
        1 => format!("IF(GTE({a}, {x}), \"slow\", \"fast\")"),
        2 => format!("IF({a} = {x}, {b})"),
        3 => format!("CONCAT({a}, \"-\", {b})"),
        4 => format!("{a} * 2 + 1"),
        5 => format!("LENGTH({a})"),
        6 => format!("EXISTS({a}) AND {b} != {x}"),
        7 => format!("COALESCE({a}, {b}, {x})"),
        8 => format!("IN({a}, {x}, {y})"),
        9 => format!("BUCKET({a}, 10)"),
        10 => format!("TO_LOWER({a})"),
        11 => format!("REG_VALUE({a}, `([a-z]+)`)"),
        12 => "INT(EVENT_TIMESTAMP()) % 7".to_owned(),
        13 => format!("STRING({a})"),
        14 => "FORMAT_TIME(\"%H\", EVENT_TIMESTAMP())".to_owned(),
        15 => format!("MIN({a}, {b})"),
        16 => format!("{a} < {b}"),
        17 => format!("DIV({a}, {b})"),
        18 => format!("SWITCH({a}, {x}, 1, {y}, {b})"),
        _ => "null".to_owned(),
    }
}

/// Calculated fields; one may stand before a column of its name.
fn calculated_fields(rng: &mut Rng, subject: &Subject<'_>) -> Vec<CalculatedField> {
    let chance = if subject.events.len() > 10_000 { 0.05 } else { 0.25 };
    if !rng.chance(chance) {
        return Vec::new();
    }
    let mut fields: Vec<CalculatedField> = Vec::new();
    for i in 0..1 + rng.below(2) {
        let mut name = format!("field {i}");
        if rng.chance(0.1) {
            // What CONCURRENCY, `is_root` and relatives look at are the columns themselves.
            name = Some(subject.name(rng))
                .filter(|n| !["duration_ms", "is_root", "meta.dataset"].contains(&n.as_str()) && !n.starts_with("trace."))
                .unwrap_or(name);
        }
        let depth = rng.below(4);
        // Some texts are long.
        let expression = Some(expression(rng, subject, depth)).filter(|e| e.len() <= 4_095).unwrap_or_else(|| "null".to_owned());
        // A field in a field is a matter of names, which the engine's own tests look at.
        let nested = |f: &CalculatedField| expression.contains(f.name.as_str());
        if fields.iter().all(|f| f.name != name && !nested(f) && !f.expression.contains(&name)) {
            fields.push(CalculatedField { name, expression });
        }
    }
    fields
}

/// Formulas over the calculations. Each names a calculation at most once, and divides by nothing but calculations, so
/// that the oracle can tell.
fn formulas(rng: &mut Rng, spec: &QuerySpec) -> Vec<Formula> {
    let mut formulas = Vec::new();
    if !rng.chance(0.3) {
        return formulas;
    }
    for i in 0..1 + rng.below(3) {
        let mut inputs: Vec<String> = oracle::calculations(spec).iter().filter(|c| c.op != "HEATMAP").map(Calculation::key).collect();
        rng.shuffle(&mut inputs);
        inputs.truncate(4);
        let depth = rng.below(3);
        let expression = if rng.chance(0.6) { number(rng, &mut inputs, depth) } else { result(rng, &mut inputs, depth) };
        formulas.push(Formula { name: format!("formula {i}"), expression });
    }
    formulas
}

fn input(rng: &mut Rng, inputs: &mut Vec<String>) -> String {
    inputs.pop().map_or_else(|| ["0", "2", "-1.5", "100", "null"][rng.below(5)].to_owned(), |name| column(&name))
}

/// A number of calculations.
fn number(rng: &mut Rng, inputs: &mut Vec<String>, depth: usize) -> String {
    if depth == 0 {
        return input(rng, inputs);
    }
    let a = number(rng, inputs, depth - 1);
    match rng.below(12) {
        0 | 1 => format!("{a} + ({})", number(rng, inputs, depth - 1)),
        2 | 3 => format!("({a}) - ({})", number(rng, inputs, depth - 1)),
        4 => format!("({a}) * 100"),
        5..=7 => format!("DIV({a}, {})", input(rng, inputs)),
        8 => format!("MAX({a}, {})", number(rng, inputs, depth - 1)),
        9 => format!("COALESCE({a}, {}, 0)", number(rng, inputs, depth - 1)),
        10 => format!("IF({}, {a}, {})", truth(rng, inputs), number(rng, inputs, depth - 1)),
        _ => format!("{}({a})", ["FLOOR", "CEIL", "ROUND", "INT", "FLOAT"][rng.below(5)]),
    }
}

fn truth(rng: &mut Rng, inputs: &mut Vec<String>) -> String {
    let (a, b) = (input(rng, inputs), input(rng, inputs));
    match rng.below(6) {
        0 => format!("{a} > {b}"),
        1 => format!("{a} <= 10"),
        2 => format!("EXISTS({a})"),
        3 => format!("{a} = {b}"),
        4 => format!("NOT({a} >= {b})"),
        _ => format!("({a} < 5) OR ({b} < 5)"),
    }
}

/// A result of any kind.
fn result(rng: &mut Rng, inputs: &mut Vec<String>, depth: usize) -> String {
    match rng.below(7) {
        0 => truth(rng, inputs),
        1 => format!("IF({}, \"many\", {})", truth(rng, inputs), number(rng, inputs, depth)),
        2 => format!("CONCAT({}, \" of \", {})", input(rng, inputs), input(rng, inputs)),
        3 => format!("BUCKET({}, 5)", number(rng, inputs, depth)),
        4 => format!("IF({}, \"few\")", truth(rng, inputs)),
        5 => format!("SWITCH({}, 1, \"one\", 2, \"two\", \"more\")", input(rng, inputs)),
        _ => format!("STRING({})", number(rng, inputs, depth)),
    }
}

fn any_question(rng: &mut Rng, subject: &Subject<'_>) -> Question {
    let fields = calculated_fields(rng, subject);
    if fields.is_empty() {
        return question_about(rng, subject);
    }
    let events = oracle::calculated(subject.events, &fields);
    let mut names = subject.names.clone();
    names.extend(fields.iter().map(|f| f.name.as_str()));
    // As likely as all others together.
    for i in 0..subject.names.len() {
        names.push(&fields[i % fields.len()].name);
    }
    let mut question = question_about(rng, &Subject { events: &events, names, relational: subject.relational });
    question.spec.calculated_fields = fields;
    question
}

/// Prefixes of values: `any` needs filters that say which event is meant.
fn value_prefixes(spec: &QuerySpec, own: &[Filter]) -> Vec<String> {
    let mut all = ["root", "parent", "child"].map(String::from).to_vec();
    let of_question = spec.filters.iter().filter(|_| spec.filter_combination != Some(Combination::Or));
    let used = of_question.chain(own).filter_map(|f| relatives::split(&f.column)).map(|(prefix, _)| prefix.to_owned());
    all.extend(used.filter(|prefix| prefix.starts_with("any")));
    all
}

/// Puts prefixes before the columns of filters and calculations.
fn relate(rng: &mut Rng, spec: &mut QuerySpec) {
    let filters = |rng: &mut Rng, filters: &mut Vec<Filter>| {
        // Each prefix again and again, so that several filters have it.
        let n = 1 + rng.below(3);
        let few: Vec<&str> = (0..n).map(|_| *rng.pick(&["root", "parent", "child", "any", "any2", "any31", "none"])).collect();
        for f in filters {
            if rng.chance(0.7) {
                f.column = format!("{}.{}", rng.pick(&few), f.column);
            }
        }
    };
    filters(rng, &mut spec.filters);
    let mut calculations = spec.calculations.take();
    for c in calculations.iter_mut().flatten() {
        filters(rng, &mut c.filters);
        let own = if c.filter_combination == Some(Combination::Or) { &[][..] } else { &c.filters };
        let prefixes = value_prefixes(spec, own);
        if let Some(column) = &mut c.column
            && rng.chance(0.5)
        {
            *column = format!("{}.{column}", rng.pick(&prefixes));
        }
    }
    if let Some(all) = &mut calculations {
        let mut seen = BTreeSet::new();
        all.retain(|c| seen.insert(c.key()));
    }
    spec.calculations = calculations;
}

fn question_about(rng: &mut Rng, subject: &Subject<'_>) -> Question {
    let mut spec = QuerySpec { calculations: calculations(rng, subject), ..QuerySpec::default() };
    let n_filters = *rng.pick(&[0, 0, 0, 1, 1, 1, 2, 2, 3, 5]);
    spec.filters = (0..n_filters).map(|_| filter(rng, subject)).collect();
    spec.filter_combination = *rng.pick(&[None, Some(Combination::And), Some(Combination::Or), Some(Combination::Or)]);
    if subject.relational {
        relate(rng, &mut spec);
    }
    let (start_ns, end_ns, now_ns) = range(rng, subject, &mut spec);
    if rng.chance(0.1) {
        spec.usage_mode = Some(rng.chance(0.8));
    }
    if rng.chance(0.4) {
        spec.limit = Some(*rng.pick(&[1, 2, 3, 5, 10, 100, 1_000]));
    }
    if spec.calculations.as_ref().is_some_and(Vec::is_empty) {
        if rng.chance(0.5) {
            spec.orders = raw_orders(rng, subject);
            let prefixes = value_prefixes(&spec, &[]);
            for column in spec.orders.iter_mut().filter_map(|o| o.column.as_mut()).filter(|c| *c != "time") {
                if subject.relational && rng.chance(0.5) {
                    *column = format!("{}.{column}", rng.pick(&prefixes));
                }
            }
            spec.orders.dedup_by(|a, b| a.column == b.column);
        }
        return Question { spec, start_ns, end_ns, now_ns };
    }
    let n_breakdowns = *rng.pick(&[0, 0, 1, 1, 1, 2, 2, 3, 4]);
    for _ in 0..n_breakdowns {
        let mut name = subject.name(rng);
        if subject.relational && rng.chance(0.6) {
            name = format!("{}.{name}", rng.pick(&value_prefixes(&spec, &[])));
        }
        if !spec.breakdowns.contains(&name) {
            spec.breakdowns.push(name);
        }
    }
    spec.granularity = granularity(rng, end_ns - start_ns);
    if !oracle::calculations(&spec).is_empty() {
        spec.formulas = formulas(rng, &spec);
    }
    if rng.chance(0.6) {
        spec.orders = orders(rng, &spec);
    }
    spec.havings = havings(rng, &spec, subject.events.len() as f64 / 4.0);
    if rng.chance(0.05) {
        spec.compare_time_offset_seconds = Some(*rng.pick(&[1_800.0, 3_600.0, 7_200.0, 86_400.0, 60.0]));
    }
    Question { spec, start_ns, end_ns, now_ns }
}
