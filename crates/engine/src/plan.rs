//! A checked question: every name resolved, every time absolute, every default filled in.
//!
//! Owns: the types that `check` makes and the executor reads. Never does: look at data.

use model::query::{Combination, Direction, FilterOp};
use model::{TimeNs, Value};
use std::sync::Arc;

/// A column as questions see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// A column of the events.
    Column(Arc<str>),
    /// Whether the event has no `trace.parent_id`.
    IsRoot,
    /// The dataset that the event is in.
    Dataset,
}

/// Column that tells whether a span has a parent.
pub(crate) const PARENT_ID: &str = "trace.parent_id";
/// Column that names the trace of an event.
pub(crate) const TRACE_ID: &str = "trace.trace_id";
/// Column that holds how long a span took.
pub(crate) const DURATION_MS: &str = "duration_ms";
/// Name of [`Field::IsRoot`].
pub(crate) const IS_ROOT: &str = "is_root";
/// Name of [`Field::Dataset`].
pub(crate) const DATASET: &str = "meta.dataset";

impl Field {
    /// The name under which it is asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Field::Column(name) => name,
            Field::IsRoot => IS_ROOT,
            Field::Dataset => DATASET,
        }
    }
}

/// One condition on events.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What it looks at.
    pub field: Field,
    /// A positive operator.
    pub op: FilterOp,
    /// Whether the complement is meant (it holds for events without the column, too).
    pub negate: bool,
    /// None for `exists`, many for `in`, else one.
    pub values: Vec<Value>,
}

/// What one calculation computes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum CalcOp {
    Count,
    Concurrency,
    Sum,
    Avg,
    Min,
    Max,
    CountDistinct,
    Heatmap,
    /// The share of the weight below the value, 0.95 for P95.
    Quantile(f64),
    RateSum,
    RateAvg,
    RateMax,
}

impl CalcOp {
    /// Whether the result is the difference of two neighbouring buckets.
    #[must_use]
    pub fn is_rate(self) -> bool {
        matches!(self, CalcOp::RateSum | CalcOp::RateAvg | CalcOp::RateMax)
    }
}

/// One calculation.
#[derive(Clone, Debug, PartialEq)]
pub struct Calc {
    /// What to compute.
    pub op: CalcOp,
    /// Over which column; none for CONCURRENCY and for COUNT of events.
    pub field: Option<Field>,
    /// Key in the answer.
    pub key: Arc<str>,
    /// COUNT_DISTINCT: fail rather than approximate.
    pub exact: bool,
}

/// What results are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// A breakdown, by position.
    Breakdown(usize),
    /// A calculation, by position.
    Calc(usize),
    /// Raw rows: the event time.
    Time,
    /// Raw rows: a column.
    Field(Field),
}

/// One key of the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBy {
    /// What is compared.
    pub key: OrderKey,
    /// Which way.
    pub direction: Direction,
}

/// A condition on results.
#[derive(Clone, Debug, PartialEq)]
pub struct HavingIf {
    /// Position of the calculation.
    pub calc: usize,
    /// `= != > >= < <=`.
    pub op: FilterOp,
    /// What it is compared with.
    pub value: f64,
}

/// A checked question.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// First time that counts.
    pub start_ns: TimeNs,
    /// First time after it that does not.
    pub end_ns: TimeNs,
    /// Which events count.
    pub conditions: Vec<Condition>,
    /// Whether all conditions must hold, or one.
    pub combination: Combination,
    /// What to group by.
    pub breakdowns: Vec<Field>,
    /// What to compute per group. Empty: raw rows, or with breakdowns the distinct groups.
    pub calculations: Vec<Calc>,
    /// Order of the results.
    pub orders: Vec<OrderBy>,
    /// Which results are kept, before the limit.
    pub havings: Vec<HavingIf>,
    /// How many results are kept.
    pub limit: usize,
    /// Length of a time bucket, if the question needs buckets.
    pub granularity_ns: Option<i64>,
    /// Whether the answer carries the buckets as a series.
    pub series: bool,
    /// How much earlier the range to compare with lies.
    pub compare_offset_ns: Option<i64>,
    /// Whether stored events are counted instead of being weighed by sample rate.
    pub usage_mode: bool,
}

impl Plan {
    /// Whether events themselves are asked for.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.calculations.is_empty() && self.breakdowns.is_empty()
    }

    /// The same question about an earlier range.
    #[must_use]
    pub fn shifted(&self, offset_ns: i64) -> Plan {
        Plan {
            start_ns: self.start_ns.saturating_sub(offset_ns),
            end_ns: self.end_ns.saturating_sub(offset_ns),
            compare_offset_ns: None,
            ..self.clone()
        }
    }
}
