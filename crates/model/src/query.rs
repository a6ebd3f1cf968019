//! A question as users write it: Honeycomb's query specification, plus what wideye adds.
//!
//! Owns: names, operators, JSON form. Never does: checks against data (engine) or execution.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A question on one dataset. Absent `calculations` mean COUNT; an empty list asks for raw events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuerySpec {
    /// What to compute per group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calculations: Option<Vec<Calculation>>,
    /// Which events count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// How filters combine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_combination: Option<Combination>,
    /// Columns to group by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breakdowns: Vec<String>,
    /// Order of the results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Order>,
    /// Conditions on calculated results, applied before the limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub havings: Vec<Having>,
    /// Rows of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Seconds per bucket of the series; 0 or absent: chosen by the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granularity: Option<f64>,
    /// Seconds that the question covers; default 7200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range: Option<f64>,
    /// Unix seconds (fractions allowed), inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Json>,
    /// Unix seconds (fractions allowed), exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Json>,
    /// Also answer for the same range this many seconds earlier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_time_offset_seconds: Option<f64>,
    /// Count stored events instead of weighing them by sample rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_mode: Option<bool>,
    /// Formulas over calculations; in results they stand for the calculations that they are made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub formulas: Vec<Formula>,
    /// Calculated fields of this question.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calculated_fields: Vec<CalculatedField>,
}

/// A column that is computed from others, event by event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CalculatedField {
    /// Its name.
    pub name: String,
    /// How it is computed (docs/calculated-fields.md).
    pub expression: String,
}

/// A result that is computed from calculations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Formula {
    /// Its key in the results.
    pub name: String,
    /// How it is computed; `$name` is a calculation by its name.
    pub expression: String,
}

/// One calculation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calculation {
    /// Operator as on the wire, for example `P99`.
    pub op: String,
    /// Column, except for COUNT and CONCURRENCY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Name in the result instead of `OP(column)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Filters of this calculation alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// How those combine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_combination: Option<Combination>,
    /// COUNT_DISTINCT only: never approximate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<bool>,
}

impl Calculation {
    /// The key in results: the name, else `OP(column)`, else `OP`.
    #[must_use]
    pub fn key(&self) -> String {
        match (&self.name, &self.column) {
            (Some(name), _) => name.clone(),
            (None, Some(column)) => format!("{}({column})", self.op),
            (None, None) => self.op.clone(),
        }
    }
}

/// One condition on events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Column.
    pub column: String,
    /// Operator.
    pub op: FilterOp,
    /// Operand: a scalar, or a list for `in` and `not-in`; none for `exists`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
}

/// Operators of filters. A negative one is the complement of its positive one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum FilterOp {
    #[serde(rename = "=")]
    Equal,
    #[serde(rename = "!=")]
    NotEqual,
    #[serde(rename = ">")]
    Greater,
    #[serde(rename = ">=")]
    GreaterEqual,
    #[serde(rename = "<")]
    Less,
    #[serde(rename = "<=")]
    LessEqual,
    StartsWith,
    DoesNotStartWith,
    EndsWith,
    DoesNotEndWith,
    Exists,
    DoesNotExist,
    Contains,
    DoesNotContain,
    In,
    NotIn,
}

impl FilterOp {
    /// The positive operator, and whether this one is its complement.
    #[must_use]
    pub fn positive(self) -> (FilterOp, bool) {
        match self {
            FilterOp::NotEqual => (FilterOp::Equal, true),
            FilterOp::DoesNotStartWith => (FilterOp::StartsWith, true),
            FilterOp::DoesNotEndWith => (FilterOp::EndsWith, true),
            FilterOp::DoesNotExist => (FilterOp::Exists, true),
            FilterOp::DoesNotContain => (FilterOp::Contains, true),
            FilterOp::NotIn => (FilterOp::In, true),
            op => (op, false),
        }
    }
}

/// How several filters combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Combination {
    /// All must hold.
    #[default]
    #[serde(rename = "AND")]
    And,
    /// One must hold.
    #[serde(rename = "OR")]
    Or,
}

/// Prefix and column of a name that may mean a column of another event of the trace: `root.name`, `any2.error`.
#[must_use]
pub fn relational(name: &str) -> Option<(&str, &str)> {
    let (prefix, column) = name.split_once('.')?;
    let number = prefix.strip_prefix("any").filter(|n| !n.starts_with('0'));
    let any = number.is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    (!column.is_empty() && (any || matches!(prefix, "root" | "parent" | "child" | "none"))).then_some((prefix, column))
}

/// One key of the order of results: a calculation (`op` and `column`) or a breakdown (`column` alone).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Operator of a calculation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// Column of the calculation, or a breakdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Direction; ascending if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Direction>,
}

/// Direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// A condition on a calculated result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Having {
    /// Operator of a calculation of the question.
    pub calculate_op: String,
    /// Its column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// `= != > >= < <=`.
    pub op: FilterOp,
    /// A number.
    pub value: Json,
}
