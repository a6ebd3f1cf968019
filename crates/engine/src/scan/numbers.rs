//! Conditions on numbers, as closed ranges and sets of the column's own type.
//!
//! Owns: exact comparison of integers with floats. Never does: read blocks.

use super::filter::written;
use crate::plan::Condition;
use model::Value;
use model::query::FilterOp;

/// A test on integers.
#[derive(Debug, PartialEq)]
pub(crate) enum IntTest {
    /// From here to there.
    Range(i64, i64),
    /// One of these, ascending.
    Set(Vec<i64>),
}

/// A test on floats.
#[derive(Debug, PartialEq)]
pub(crate) enum FloatTest {
    /// From here to there.
    Range(f64, f64),
    /// One of these, ascending.
    Set(Vec<f64>),
}

impl IntTest {
    pub(crate) fn holds(&self, v: i64) -> bool {
        match self {
            IntTest::Range(low, high) => v >= *low && v <= *high,
            IntTest::Set(set) => set.binary_search(&v).is_ok(),
        }
    }
}

impl FloatTest {
    pub(crate) fn holds(&self, v: f64) -> bool {
        match self {
            FloatTest::Range(low, high) => v >= *low && v <= *high,
            FloatTest::Set(set) => set.binary_search_by(|x| x.partial_cmp(&v).unwrap_or(std::cmp::Ordering::Less)).is_ok(),
        }
    }
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

/// The number that an operand of `=` stands for, if any: itself, or what its text says in the usual way of writing.
fn operand(value: &Value) -> Option<Value> {
    match value {
        Value::Int(_) | Value::Float(_) => Some(value.clone().canonical()),
        Value::Str(s) => {
            let number = match s.parse::<i64>() {
                Ok(i) => Value::Int(i),
                Err(_) => Value::Float(s.parse::<f64>().ok().filter(|f| f.is_finite())?).canonical(),
            };
            (written(&number) == *s).then_some(number)
        }
        Value::Bool(_) | Value::Null => None,
    }
}

/// The float that an integer is exactly.
fn exact(i: i64) -> Option<f64> {
    let f = i as f64;
    (f < TWO_63 && f as i64 == i).then_some(f)
}

/// The largest float that is not above an integer.
fn float_floor(i: i64) -> f64 {
    let f = i as f64;
    if f >= TWO_63 || f as i64 > i { f.next_down() } else { f }
}

/// The smallest float that is not below an integer.
fn float_ceil(i: i64) -> f64 {
    let f = i as f64;
    if f < TWO_63 && (f as i64) < i { f.next_up() } else { f }
}

/// Largest integer that is not above a float; none if even the smallest is.
fn int_floor(f: f64) -> Option<i64> {
    let f = f.floor();
    if f < -TWO_63 {
        return None;
    }
    Some(if f >= TWO_63 { i64::MAX } else { f as i64 })
}

fn int_ceil(f: f64) -> Option<i64> {
    let f = f.ceil();
    (f < TWO_63).then(|| if f < -TWO_63 { i64::MIN } else { f as i64 })
}

/// The test on integers and the share of cells that are expected to pass; exactly 1 if all do. `None`: no cell does.
pub(crate) fn int_test(condition: &Condition, range: Option<(f64, f64)>) -> Option<(IntTest, f64)> {
    if matches!(condition.op, FilterOp::Equal | FilterOp::In) {
        let mut set: Vec<i64> = condition
            .values
            .iter()
            .filter_map(|v| match operand(v)? {
                Value::Int(i) => Some(i),
                _ => None,
            })
            .collect();
        set.sort_unstable();
        set.dedup();
        if let Some((min, max)) = range {
            set.retain(|i| float_ceil(*i) >= min && float_floor(*i) <= max);
        }
        let (first, last) = (*set.first()?, *set.last()?);
        return Some(if last.wrapping_sub(first) as u64 == set.len() as u64 - 1 {
            ranged_int(first, last, range, 0.05)?
        } else {
            (IntTest::Set(set), 0.1)
        });
    }
    let value = condition.values.first()?;
    let (low, high) = match (condition.op, value) {
        (FilterOp::Less, Value::Int(i)) => (i64::MIN, i.checked_sub(1)?),
        (FilterOp::LessEqual, Value::Int(i)) => (i64::MIN, *i),
        (FilterOp::Greater, Value::Int(i)) => (i.checked_add(1)?, i64::MAX),
        (FilterOp::GreaterEqual, Value::Int(i)) => (*i, i64::MAX),
        // A float operand is no whole number of 64 bits: check made those integers.
        (FilterOp::Less | FilterOp::LessEqual, Value::Float(f)) => (i64::MIN, int_floor(*f)?),
        (FilterOp::Greater | FilterOp::GreaterEqual, Value::Float(f)) => (int_ceil(*f)?, i64::MAX),
        _ => return None,
    };
    ranged_int(low, high, range, 0.5)
}

fn ranged_int(low: i64, high: i64, range: Option<(f64, f64)>, guess: f64) -> Option<(IntTest, f64)> {
    let Some((min, max)) = range else { return Some((IntTest::Range(low, high), guess)) };
    if float_floor(high) < min || float_ceil(low) > max {
        return None;
    }
    let all = (low == i64::MIN || float_ceil(low) <= min) && (high == i64::MAX || float_floor(high) >= max);
    Some((IntTest::Range(low, high), if all { 1.0 } else { share(low as f64, high as f64, min, max, guess) }))
}

/// The test on floats; see [`int_test`].
pub(crate) fn float_test(condition: &Condition, range: Option<(f64, f64)>) -> Option<(FloatTest, f64)> {
    if matches!(condition.op, FilterOp::Equal | FilterOp::In) {
        let mut set: Vec<f64> = condition
            .values
            .iter()
            .filter_map(|v| match operand(v)? {
                Value::Int(i) => exact(i),
                Value::Float(f) => Some(f),
                _ => None,
            })
            .collect();
        if let Some((min, max)) = range {
            set.retain(|f| *f >= min && *f <= max);
        }
        set.sort_by(f64::total_cmp);
        set.dedup();
        return match set.as_slice() {
            [] => None,
            [one] => ranged_float(*one, *one, range, 0.05),
            _ => Some((FloatTest::Set(set), 0.1)),
        };
    }
    let (low, high) = match (condition.op, condition.values.first()?) {
        (FilterOp::Less, Value::Int(i)) => (f64::NEG_INFINITY, exact(*i).map_or_else(|| float_floor(*i), f64::next_down)),
        (FilterOp::LessEqual, Value::Int(i)) => (f64::NEG_INFINITY, float_floor(*i)),
        (FilterOp::Greater, Value::Int(i)) => (exact(*i).map_or_else(|| float_ceil(*i), f64::next_up), f64::INFINITY),
        (FilterOp::GreaterEqual, Value::Int(i)) => (float_ceil(*i), f64::INFINITY),
        (FilterOp::Less, Value::Float(f)) => (f64::NEG_INFINITY, f.next_down()),
        (FilterOp::LessEqual, Value::Float(f)) => (f64::NEG_INFINITY, *f),
        (FilterOp::Greater, Value::Float(f)) => (f.next_up(), f64::INFINITY),
        (FilterOp::GreaterEqual, Value::Float(f)) => (*f, f64::INFINITY),
        _ => return None,
    };
    ranged_float(low, high, range, 0.5)
}

fn ranged_float(low: f64, high: f64, range: Option<(f64, f64)>, guess: f64) -> Option<(FloatTest, f64)> {
    let Some((min, max)) = range else { return Some((FloatTest::Range(low, high), guess)) };
    if high < min || low > max {
        return None;
    }
    let all = low <= min && high >= max;
    Some((FloatTest::Range(low, high), if all { 1.0 } else { share(low, high, min, max, guess) }))
}

/// A guess at the share of values between two bounds: values are spread like their logarithms more often than evenly.
fn share(low: f64, high: f64, min: f64, max: f64, guess: f64) -> f64 {
    let (low, high) = (low.max(min), high.min(max));
    if low >= high || max <= min {
        return guess.min(0.9);
    }
    let s = if min > 0.0 { (high / low).log2() / (max / min).log2() } else { (high - low) / (max - min) };
    s.clamp(0.001, 0.99)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Field;

    fn condition(op: FilterOp, values: Vec<Value>) -> Condition {
        Condition { field: Field::Column("x".into()), op, negate: false, values }
    }

    fn ints(op: FilterOp, value: Value) -> Option<IntTest> {
        int_test(&condition(op, vec![value]), None).map(|(t, _)| t)
    }

    fn floats(op: FilterOp, value: Value) -> Option<FloatTest> {
        float_test(&condition(op, vec![value]), None).map(|(t, _)| t)
    }

    #[test]
    fn integers_and_floats_compare_exactly() {
        use FilterOp::{Equal, Greater, GreaterEqual, Less, LessEqual};
        let big = (1i64 << 53) + 1;
        assert_eq!(ints(Less, Value::Float(5.5)), Some(IntTest::Range(i64::MIN, 5)));
        assert_eq!(ints(Greater, Value::Float(-5.5)), Some(IntTest::Range(-5, i64::MAX)));
        assert_eq!(ints(Less, Value::Int(i64::MIN)), None);
        assert_eq!(ints(Less, Value::Float(1e300)), Some(IntTest::Range(i64::MIN, i64::MAX)));
        assert_eq!(ints(Greater, Value::Float(1e300)), None);
        assert_eq!(floats(Less, Value::Int(big)), Some(FloatTest::Range(f64::NEG_INFINITY, 9_007_199_254_740_992.0)));
        assert_eq!(floats(GreaterEqual, Value::Int(big)), Some(FloatTest::Range(9_007_199_254_740_994.0, f64::INFINITY)));
        assert_eq!(floats(Equal, Value::Int(big)), None);
        assert_eq!(floats(LessEqual, Value::Int(i64::MAX)), Some(FloatTest::Range(f64::NEG_INFINITY, TWO_63.next_down())));
        assert_eq!(floats(GreaterEqual, Value::Int(i64::MAX)), Some(FloatTest::Range(TWO_63, f64::INFINITY)));
        assert_eq!(floats(Less, Value::Int(5)), Some(FloatTest::Range(f64::NEG_INFINITY, 5f64.next_down())));
    }

    #[test]
    fn numbers_written_as_text_are_numbers() {
        use FilterOp::Equal;
        assert_eq!(ints(Equal, Value::Str("500".into())), Some(IntTest::Range(500, 500)));
        for other in ["500.0", "0500", " 500", "5e2", "abc", "NaN", "inf", "+1"] {
            assert_eq!(ints(Equal, Value::Str(other.into())), None, "{other}");
            assert_eq!(floats(Equal, Value::Str(other.into())), None, "{other}");
        }
        assert_eq!(floats(Equal, Value::Str("500".into())), Some(FloatTest::Range(500.0, 500.0)));
        assert_eq!(floats(Equal, Value::Str("0.1".into())), Some(FloatTest::Range(0.1, 0.1)));
        assert_eq!(ints(Equal, Value::Bool(true)), None);
    }

    #[test]
    fn ranges_prune() {
        let c = condition(FilterOp::Greater, vec![Value::Int(10)]);
        assert!(int_test(&c, Some((0.0, 10.0))).is_none());
        assert_eq!(int_test(&c, Some((11.0, 20.0))).map(|(_, s)| s), Some(1.0));
        assert!(float_test(&c, Some((10.5, 20.0))).is_some_and(|(_, s)| s == 1.0));
        assert!(float_test(&c, Some((-5.0, 20.0))).is_some_and(|(_, s)| s < 1.0));
        let many = condition(FilterOp::In, vec![Value::Int(1), Value::Int(9), Value::Str("3".into()), Value::Bool(true)]);
        assert_eq!(int_test(&many, Some((2.0, 20.0))).map(|(t, _)| t), Some(IntTest::Set(vec![3, 9])));
    }
}
