//! A value while an expression is evaluated, and the conversions that functions make.
//!
//! Owns: what is true, a number or a text, and how values compare. Never does: evaluate.

use model::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A cell, borrowing its text where it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Missing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A float; finite.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

impl<'a> Cell<'a> {
    /// A float, or nothing if it is not finite.
    #[must_use]
    pub fn float(f: f64) -> Cell<'a> {
        if f.is_finite() { Cell::Float(f) } else { Cell::Null }
    }

    /// Borrows a value.
    #[must_use]
    pub fn of(value: &'a Value) -> Cell<'a> {
        match value {
            Value::Null => Cell::Null,
            Value::Bool(b) => Cell::Bool(*b),
            Value::Int(i) => Cell::Int(*i),
            Value::Float(f) => Cell::Float(*f),
            Value::Str(s) => Cell::Text(Cow::Borrowed(s)),
        }
    }

    /// As a value of its own.
    #[must_use]
    pub fn into_value(self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Bool(b) => Value::Bool(b),
            Cell::Int(i) => Value::Int(i),
            Cell::Float(f) => Value::Float(f),
            Cell::Text(s) => Value::Str(s.into_owned()),
        }
    }

    /// True, any number but 0, and the text `true`.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Cell::Null => false,
            Cell::Bool(b) => *b,
            Cell::Int(i) => *i != 0,
            Cell::Float(f) => *f != 0.0,
            Cell::Text(s) => s == "true",
        }
    }

    /// The number that it is or that its text says, if any.
    pub(crate) fn parsed(&self) -> Option<Number> {
        match self {
            Cell::Int(i) => Some(Number::Int(*i)),
            Cell::Float(f) => Some(Number::Float(*f)),
            Cell::Text(s) => {
                if let Ok(i) = s.parse() {
                    return Some(Number::Int(i));
                }
                // Rust reads `inf` and `nan`, too.
                s.parse().ok().filter(|f: &f64| f.is_finite()).map(Number::Float)
            }
            Cell::Null | Cell::Bool(_) => None,
        }
    }

    /// What arithmetic takes it for: a number, the number that its text says, else 0. Nothing if it is missing.
    pub(crate) fn number(&self) -> Option<Number> {
        match self {
            Cell::Null => None,
            cell => Some(cell.parsed().unwrap_or(Number::Int(0))),
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Cell::Text(s) = self { Some(s) } else { None }
    }

    /// As text; what is missing is empty.
    pub(crate) fn into_text(self) -> Cow<'a, str> {
        match self {
            Cell::Null => Cow::Borrowed(""),
            Cell::Bool(b) => Cow::Borrowed(if b { "true" } else { "false" }),
            Cell::Int(i) => Cow::Owned(i.to_string()),
            // Adding zero makes both zeros one.
            Cell::Float(f) => Cow::Owned((f + 0.0).to_string()),
            Cell::Text(s) => s,
        }
    }

    /// Whether it is the same value: 5 and 5.0 are, 5 and "5" are not, and nothing is nothing.
    pub(crate) fn same(&self, other: &Cell<'_>) -> bool {
        match (self, other) {
            (Cell::Null, Cell::Null) => true,
            (Cell::Bool(a), Cell::Bool(b)) => a == b,
            (Cell::Text(a), Cell::Text(b)) => a == b,
            (a, b) => a.order(b) == Some(Ordering::Equal),
        }
    }

    /// Order of numbers among themselves and of texts by their bytes; none between other things.
    pub(crate) fn order(&self, other: &Cell<'_>) -> Option<Ordering> {
        match (self, other) {
            (Cell::Int(a), Cell::Int(b)) => Some(a.cmp(b)),
            (Cell::Float(a), Cell::Float(b)) => a.partial_cmp(b),
            (Cell::Int(a), Cell::Float(b)) => Some(order_exactly(*a, *b)),
            (Cell::Float(a), Cell::Int(b)) => Some(order_exactly(*b, *a).reverse()),
            (Cell::Text(a), Cell::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
            _ => None,
        }
    }
}

/// An integer and a float by what they are, not by what the integer is as a float.
fn order_exactly(i: i64, f: f64) -> Ordering {
    let floor = f.floor();
    if floor >= TWO_63 {
        return Ordering::Less;
    }
    if floor < -TWO_63 {
        return Ordering::Greater;
    }
    i.cmp(&(floor as i64)).then(if f > floor { Ordering::Less } else { Ordering::Equal })
}

/// A number in arithmetic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    pub(crate) fn float(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        }
    }

    pub(crate) fn cell<'a>(self) -> Cell<'a> {
        match self {
            Number::Int(i) => Cell::Int(i),
            Number::Float(f) => Cell::float(f),
        }
    }

    /// Without fraction; none beyond 64 bits.
    pub(crate) fn truncated(self) -> Option<i64> {
        match self {
            Number::Int(i) => Some(i),
            Number::Float(f) => (-TWO_63..TWO_63).contains(&f.trunc()).then_some(f as i64),
        }
    }

    /// Integers stay integers while they fit into 64 bits.
    pub(crate) fn with(self, other: Number, ints: fn(i64, i64) -> Option<i64>, floats: fn(f64, f64) -> f64) -> Number {
        if let (Number::Int(a), Number::Int(b)) = (self, other)
            && let Some(i) = ints(a, b)
        {
            return Number::Int(i);
        }
        Number::Float(floats(self.float(), other.float()))
    }
}
