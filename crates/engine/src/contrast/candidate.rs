//! Conditions that may tell the selection from the baseline, as tests on one column.
//!
//! Owns: their forms (engine, filters of a question, words). Never does: count or judge.

use crate::{Cell, Condition, Field};
use model::Value;
use model::query::FilterOp;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// What a condition asks of its column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Equal(Cell),
    NotEqual(Cell),
    In(Vec<Cell>),
    /// A text that begins so.
    StartsWith(Arc<str>),
    Exists,
    Missing,
    /// This number, or more.
    From(f64),
    /// Less than this number.
    Below(f64),
    /// The first number or more, and less than the second.
    Between(f64, f64),
}

/// A condition on one column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) column: Arc<str>,
    pub(super) test: Test,
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Bool(b) => Value::Bool(*b),
        Cell::Int(i) => Value::Int(*i),
        Cell::Float(f) => Value::Float(*f),
        Cell::Str(s) => Value::Str(s.as_ref().to_owned()),
        Cell::Null | Cell::Heatmap(_) => Value::Null,
    }
}

/// Characters of a text in words; the conditions have it whole.
const TEXT_CHARS_MAX: usize = 120;

/// A value in words. A text that could be read as something else stands in quotes.
fn written(value: &Value, in_list: bool) -> String {
    let Value::Str(text) = value else { return value.to_json().to_string() };
    let plain = !text.is_empty()
        && text.trim() == text
        && !text.contains(|c: char| c.is_control() || c == '"' || in_list && (c == ' ' || c == ','))
        && ![" and ", " or "].iter().any(|glue| text.contains(glue));
    if plain && text.len() <= TEXT_CHARS_MAX {
        return text.clone();
    }
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => Value::Str(format!("{}…", &text[..end])).to_json().to_string(),
        None if plain => text.clone(),
        None => value.to_json().to_string(),
    }
}

/// Values in words.
pub(super) fn listed(values: &[Value]) -> String {
    values.iter().map(|v| written(v, values.len() > 1)).collect::<Vec<_>>().join(", ")
}

impl Candidate {
    /// Operator as questions write it, and its value.
    fn operators(&self) -> Vec<(&'static str, FilterOp, Option<Vec<Value>>)> {
        let number = |f: f64| Some(vec![value(&Cell::number(f))]);
        match &self.test {
            Test::Equal(v) => vec![("=", FilterOp::Equal, Some(vec![value(v)]))],
            Test::NotEqual(v) => vec![("!=", FilterOp::NotEqual, Some(vec![value(v)]))],
            Test::In(values) => vec![("in", FilterOp::In, Some(values.iter().map(value).collect()))],
            Test::StartsWith(text) => vec![("starts-with", FilterOp::StartsWith, Some(vec![Value::Str((**text).to_owned())]))],
            Test::Exists => vec![("exists", FilterOp::Exists, None)],
            Test::Missing => vec![("does-not-exist", FilterOp::DoesNotExist, None)],
            Test::From(v) => vec![(">=", FilterOp::GreaterEqual, number(*v))],
            Test::Below(v) => vec![("<", FilterOp::Less, number(*v))],
            Test::Between(a, b) => vec![(">=", FilterOp::GreaterEqual, number(*a)), ("<", FilterOp::Less, number(*b))],
        }
    }

    /// As the engine evaluates it; all of them must hold.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let made = self.operators().into_iter().map(|(_, op, values)| {
            let (op, negate) = op.positive();
            Condition { field: Field::Column(Arc::clone(&self.column)), op, negate, values: values.unwrap_or_default() }
        });
        made.collect()
    }

    /// As filters of a question.
    pub(super) fn filters(&self) -> Vec<Json> {
        let made = self.operators().into_iter().map(|(op, _, values)| {
            let mut filter = json!({ "column": &*self.column, "op": op });
            match values {
                None => {}
                Some(values) if op == "in" => filter["value"] = values.iter().map(Value::to_json).collect(),
                Some(values) => filter["value"] = values.first().map_or(Json::Null, Value::to_json),
            }
            filter
        });
        made.collect()
    }

    /// In plain words.
    pub(super) fn words(&self) -> String {
        let name = &self.column;
        let text = |cell: &Cell| written(&value(cell), false);
        let number = |f: &f64| text(&Cell::number(*f));
        match &self.test {
            Test::Equal(v) => format!("{name} = {}", text(v)),
            Test::NotEqual(v) => format!("{name} is not {}", text(v)),
            Test::In(values) => format!("{name} is one of {}", listed(&values.iter().map(value).collect::<Vec<_>>())),
            Test::StartsWith(beginning) => format!("{name} starts with {}", written(&Value::Str((**beginning).to_owned()), false)),
            Test::Exists => format!("{name} is present"),
            Test::Missing => format!("{name} is missing"),
            Test::From(v) => format!("{name} is {} or more", number(v)),
            Test::Below(v) => format!("{name} is below {}", number(v)),
            Test::Between(a, b) => format!("{name} is from {} to below {}", number(a), number(b)),
        }
    }
}

/// The number with the fewest digits from `low` up to, but not at, `high`.
pub(super) fn round_between(low: f64, high: f64) -> f64 {
    if low <= 0.0 && 0.0 < high {
        return 0.0;
    }
    if !(low.is_finite() && high.is_finite() && low < high) {
        return low;
    }
    let magnitude = low.abs().max(high.abs()).log10().floor() as i32;
    for digits in 0..16 {
        let places = digits - magnitude;
        // Multiplying by a whole power of ten, or dividing by one, keeps decimal numbers exact.
        let scaled = if places >= 0 {
            (low * 10f64.powi(places)).ceil() / 10f64.powi(places)
        } else {
            (low / 10f64.powi(-places)).ceil() * 10f64.powi(-places)
        };
        if low <= scaled && scaled < high {
            return scaled;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_round_where_the_bucket_allows_it() {
        for (low, high, round) in [
            (508.0, 512.0, 510.0),
            (0.0991, 0.1009, 0.1),
            (-5.05, -4.98, -5.0),
            (-1.0, 1.0, 0.0),
            (1000.0, 1016.0, 1000.0),
            (96.0, 97.0, 96.0),
        ] {
            assert_eq!(round_between(low, high), round, "{low} {high}");
        }
    }

    #[test]
    fn conditions_filters_and_words_say_the_same() {
        let c = Candidate { column: "ms".into(), test: Test::Between(1.5, 3.0) };
        assert_eq!(c.conditions().len(), 2);
        assert_eq!(c.filters(), [json!({"column": "ms", "op": ">=", "value": 1.5}), json!({"column": "ms", "op": "<", "value": 3})]);
        assert_eq!(c.words(), "ms is from 1.5 to below 3");
        let c = Candidate { column: "user".into(), test: Test::Missing };
        assert!(c.conditions()[0].negate && c.conditions()[0].op == FilterOp::Exists);
        assert_eq!(c.filters(), [json!({"column": "user", "op": "does-not-exist"})]);
    }

    #[test]
    fn words_cannot_be_misread() {
        let is = |text: &str| Candidate { column: "c".into(), test: Test::Equal(Cell::Str(text.into())) }.words();
        for (text, words) in [
            ("POST /export", "c = POST /export"),
            ("", "c = \"\""),
            ("500", "c = 500"),
            ("a and b = c", "c = \"a and b = c\""),
            ("at x\n at y", "c = \"at x\\n at y\""),
            ("say \"so\"", "c = \"say \\\"so\\\"\""),
        ] {
            assert_eq!(is(text), words);
        }
        assert_eq!(is(&"é".repeat(1_000)), format!("c = \"{}…\"", "é".repeat(TEXT_CHARS_MAX)));
        let several = Test::In(vec![Cell::Str("no job, none".into()), Cell::Str("MCLEOD".into()), Cell::Int(5)]);
        assert_eq!(Candidate { column: "c".into(), test: several }.words(), "c is one of \"no job, none\", MCLEOD, 5");
    }
}
