//! Expressions at work on one event.
//!
//! Owns: what every function means on every kind of value. Never does: read columns itself, remember anything.

use crate::cell::Number;
use crate::{Cell, Expr, Function, Node, time};
use model::{Limits, TimeNs, Value};
use regex::{Regex, RegexBuilder};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

/// Reads a pattern.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
        // The message draws the place on lines of its own; the last one says what it is.
        e => e.to_string().lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned(),
    })
}

/// Where a program finds the cells of an event.
pub trait Row {
    /// The cell of a column, by its position in [`Program::columns`].
    fn cell(&self, column: usize) -> Cell<'_>;
    /// When it happened.
    fn time_ns(&self) -> TimeNs;
}

/// An expression made ready: columns by number, patterns compiled.
#[derive(Debug)]
pub struct Program {
    columns: Vec<Arc<str>>,
    uses_time: bool,
    root: Op,
}

#[derive(Debug)]
enum Op {
    Literal(Value),
    Column(usize),
    Call(Function, Vec<Op>),
    Pattern(Function, Box<Op>, Regex),
}

impl Program {
    /// Makes an expression ready.
    #[must_use]
    pub fn new(expr: &Expr) -> Program {
        let columns: Vec<Arc<str>> = expr.columns().into_iter().map(|(name, _)| name).collect();
        let root = op(expr, &columns);
        Program { columns, uses_time: expr.uses(Function::EventTimestamp), root }
    }

    /// Columns that it reads.
    #[must_use]
    pub fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// Whether it asks when the event happened.
    #[must_use]
    pub fn uses_time(&self) -> bool {
        self.uses_time
    }

    /// Its value on an event.
    pub fn eval<'r, R: Row + ?Sized>(&'r self, row: &'r R) -> Cell<'r> {
        self.root.eval(row)
    }
}

fn op(expr: &Expr, columns: &[Arc<str>]) -> Op {
    match &expr.node {
        Node::Literal(value) => Op::Literal(value.clone()),
        Node::Column(name) => Op::Column(columns.iter().position(|c| c == name).unwrap_or(usize::MAX)),
        Node::Call(function @ (Function::RegMatch | Function::RegValue | Function::RegCount), arguments) => {
            let [text, Expr { node: Node::Literal(Value::Str(written)), .. }] = arguments.as_slice() else {
                return Op::Literal(Value::Null);
            };
            match pattern(written) {
                Ok(regex) => Op::Pattern(*function, Box::new(op(text, columns)), regex),
                // The parser has refused those.
                Err(_) => Op::Literal(Value::Null),
            }
        }
        Node::Call(function, arguments) => Op::Call(*function, arguments.iter().map(|a| op(a, columns)).collect()),
    }
}

impl Op {
    fn eval<'r, R: Row + ?Sized>(&'r self, row: &'r R) -> Cell<'r> {
        match self {
            Op::Literal(value) => Cell::of(value),
            Op::Column(i) => row.cell(*i),
            Op::Call(function, arguments) => call(*function, arguments, row),
            Op::Pattern(function, text, regex) => matched(*function, &text.eval(row), regex),
        }
    }
}

fn text<'a>(s: impl Into<Cow<'a, str>>) -> Cell<'a> {
    Cell::Text(s.into())
}

fn matched<'a>(function: Function, cell: &Cell<'_>, regex: &Regex) -> Cell<'a> {
    let found = cell.text();
    match (function, found) {
        (Function::RegMatch, found) => Cell::Bool(found.is_some_and(|t| regex.is_match(t))),
        (_, None) => Cell::Null,
        (Function::RegCount, Some(t)) => Cell::Int(regex.find_iter(t).count() as i64),
        (_, Some(t)) => {
            // The first group if the pattern has one, else all of the match.
            let value = if regex.captures_len() > 1 { regex.captures(t).and_then(|c| c.get(1)) } else { regex.find(t) };
            text(value.map_or("", |m| m.as_str()).to_owned())
        }
    }
}

#[allow(clippy::too_many_lines, reason = "one line per function")]
fn call<'r, R: Row + ?Sized>(function: Function, arguments: &'r [Op], row: &'r R) -> Cell<'r> {
    let arg = |i: usize| arguments.get(i).map_or(Cell::Null, |a| a.eval(row));
    let all = || arguments.iter().map(|a| a.eval(row));
    let numbers = |f: fn(f64) -> f64| arg(0).number().map_or(Cell::Null, |n| Cell::float(f(n.float())));
    let texts = |f: fn(&str, &str) -> bool| match (arg(0), arg(1)) {
        (Cell::Text(a), Cell::Text(b)) => Cell::Bool(f(&a, &b)),
        _ => Cell::Bool(false),
    };
    let ordered = |test: fn(Ordering) -> bool| Cell::Bool(arg(0).order(&arg(1)).is_some_and(test));
    match function {
        Function::If => {
            for pair in arguments.chunks(2) {
                match pair {
                    [condition, then] if condition.eval(row).is_true() => return then.eval(row),
                    [otherwise] => return otherwise.eval(row),
                    _ => {}
                }
            }
            Cell::Null
        }
        Function::Switch => {
            let value = arg(0);
            for pair in arguments[1..].chunks(2) {
                match pair {
                    [case, then] if value.same(&case.eval(row)) => return then.eval(row),
                    [otherwise] => return otherwise.eval(row),
                    _ => {}
                }
            }
            Cell::Null
        }
        Function::Coalesce => all().find(|c| !matches!(c, Cell::Null) && c.text() != Some("")).unwrap_or(Cell::Null),
        Function::Lt => ordered(Ordering::is_lt),
        Function::Lte => ordered(Ordering::is_le),
        Function::Gt => ordered(Ordering::is_gt),
        Function::Gte => ordered(Ordering::is_ge),
        Function::Equals => Cell::Bool(arg(0).same(&arg(1))),
        Function::In => {
            let value = arg(0);
            Cell::Bool(all().skip(1).any(|option| value.same(&option)))
        }
        Function::Exists => Cell::Bool(arg(0) != Cell::Null),
        Function::Not => Cell::Bool(!arg(0).is_true()),
        Function::And => Cell::Bool(all().all(|c| c.is_true())),
        Function::Or => Cell::Bool(all().any(|c| c.is_true())),
        Function::Min => extreme(all(), Ordering::Less),
        Function::Max => extreme(all(), Ordering::Greater),
        Function::Sum => fold(all(), i64::checked_add, |a, b| a + b),
        Function::Mul => fold(all(), i64::checked_mul, |a, b| a * b),
        Function::Sub => fold(all(), i64::checked_sub, |a, b| a - b),
        Function::Div => match (arg(0).number(), arg(1).number()) {
            (Some(a), Some(b)) if b.float() != 0.0 => quotient(a, b),
            _ => Cell::Null,
        },
        Function::Mod => match (arg(0).number(), arg(1).number()) {
            // The least integer has no remainder by -1 in 64 bits; it is 0.
            (Some(a), Some(b)) if b.float() != 0.0 => a.with(b, |a, b| Some(a.wrapping_rem(b)), |a, b| a % b).cell(),
            _ => Cell::Null,
        },
        Function::Avg => match fold(all(), i64::checked_add, |a, b| a + b).number() {
            Some(sum) => Cell::float(sum.float() / arguments.len() as f64),
            None => Cell::Null,
        },
        Function::Log10 => numbers(f64::log10),
        Function::Ceil => rounded(&arg(0), f64::ceil),
        Function::Floor => rounded(&arg(0), f64::floor),
        Function::Round => rounded(&arg(0), f64::round),
        Function::Bucket => bucket(&arg(0), &arg(1), &arg(2), &arg(3), arguments.len()),
        Function::Int => arg(0).number().and_then(Number::truncated).map_or(Cell::Null, Cell::Int),
        Function::Float => arg(0).number().map_or(Cell::Null, |n| Cell::float(n.float())),
        Function::Bool => Cell::Bool(arg(0).is_true()),
        Function::String => Cell::Text(arg(0).into_text()),
        Function::Concat => {
            let mut out = String::new();
            for cell in all() {
                out.push_str(&cell.into_text());
                if out.len() > Limits::STRING_BYTES_CEILING {
                    out.truncate(out.floor_char_boundary(Limits::STRING_BYTES_CEILING));
                    break;
                }
            }
            text(out)
        }
        Function::StartsWith => texts(|a, b| a.starts_with(b)),
        Function::EndsWith => texts(|a, b| a.ends_with(b)),
        Function::Contains => texts(|a, b| a.contains(b)),
        Function::ToLower => match arg(0) {
            Cell::Text(s) => text(s.to_lowercase()),
            _ => Cell::Null,
        },
        Function::Length => match arg(0) {
            Cell::Text(s) if arg(1).text() == Some("bytes") => Cell::Int(s.len() as i64),
            Cell::Text(s) => Cell::Int(s.chars().count() as i64),
            _ => Cell::Null,
        },
        Function::UnixTimestamp => arg(0).text().and_then(time::unix_seconds).map_or(Cell::Null, Cell::float),
        // Microseconds: a float has no more digits to spare.
        Function::EventTimestamp => Cell::Float(row.time_ns().div_euclid(1_000) as f64 / 1e6),
        // When an event came is not kept.
        Function::IngestTimestamp => Cell::Null,
        Function::FormatTime => match (arg(0), arg(1).number()) {
            (Cell::Text(format), Some(seconds)) => time::format(&format, seconds.float()).map_or(Cell::Null, text),
            _ => Cell::Null,
        },
        // Those are patterns, not calls.
        Function::RegMatch | Function::RegValue | Function::RegCount => Cell::Null,
    }
}

/// From left to right; nothing if anything is missing.
fn fold<'a>(cells: impl Iterator<Item = Cell<'a>>, ints: fn(i64, i64) -> Option<i64>, floats: fn(f64, f64) -> f64) -> Cell<'a> {
    let mut total: Option<Number> = None;
    for cell in cells {
        let Some(n) = cell.number() else { return Cell::Null };
        total = Some(match total {
            None => n,
            Some(t) => t.with(n, ints, floats),
        });
    }
    total.map_or(Cell::Null, Number::cell)
}

/// Integers that divide without rest stay exact.
fn quotient<'a>(a: Number, b: Number) -> Cell<'a> {
    if let (Number::Int(x), Number::Int(y)) = (a, b)
        && x.checked_rem(y) == Some(0)
    {
        return Cell::Int(x / y);
    }
    Cell::float(a.float() / b.float())
}

fn rounded<'a>(cell: &Cell<'_>, f: fn(f64) -> f64) -> Cell<'a> {
    match cell.number() {
        None => Cell::Null,
        Some(Number::Int(i)) => Cell::Int(i),
        Some(Number::Float(v)) => Number::Float(f(v)).truncated().map_or(Cell::Float(v), Cell::Int),
    }
}

/// The smallest or largest of the cells that are of the kind of the first one that is there.
fn extreme<'a>(cells: impl Iterator<Item = Cell<'a>>, better: Ordering) -> Cell<'a> {
    let mut best = Cell::Null;
    for cell in cells {
        let order = match (&cell, &best) {
            (Cell::Null, _) => continue,
            (_, Cell::Null) => Some(better),
            (Cell::Bool(a), Cell::Bool(b)) => Some(a.cmp(b)),
            (a, b) => a.order(b),
        };
        if order == Some(better) {
            best = cell;
        }
    }
    best
}

/// A number as a label has it: what binary fractions add at the end is left out.
fn label(f: f64) -> String {
    format!("{f:.11e}").parse::<f64>().unwrap_or(f).to_string()
}

/// `10 - 20`, `< 0`, `> 30`. A number on a border belongs to the bucket above it, the upper end to the last one.
fn bucket<'a>(value: &Cell<'_>, size: &Cell<'_>, min: &Cell<'_>, max: &Cell<'_>, n_arguments: usize) -> Cell<'a> {
    let (Some(value), Some(size)) = (value.parsed().map(Number::float), size.parsed().map(Number::float)) else { return Cell::Null };
    let (low_end, high_end) = (min.parsed().map(Number::float), max.parsed().map(Number::float));
    if size <= 0.0 || (n_arguments > 2 && low_end.is_none()) || (n_arguments > 3 && high_end.is_none()) {
        return Cell::Null;
    }
    if let Some(low) = low_end.filter(|low| value < *low) {
        return text(format!("< {}", label(low)));
    }
    if let Some(high) = high_end.filter(|high| value > *high) {
        return text(format!("> {}", label(high)));
    }
    let origin = low_end.unwrap_or(0.0);
    let mut step = ((value - origin) / size).floor();
    if high_end.is_some_and(|high| origin + step * size >= high) && value > origin {
        step -= 1.0;
    }
    let (from, to) = (origin + step * size, origin + (step + 1.0) * size);
    let to = high_end.map_or(to, |high| to.min(high));
    if from.is_finite() && to.is_finite() { text(format!("{} - {}", label(from), label(to))) } else { Cell::Null }
}
