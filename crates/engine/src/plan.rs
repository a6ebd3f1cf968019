//! A checked question: every name resolved, every time absolute, every default filled in.
//!
//! Owns: the types that `check` makes and the executor reads. Never does: look at data.

use model::columns::{DATASET, IS_ROOT};
use model::query::{Combination, Direction, FilterOp};
use model::{TimeNs, Value};
use std::sync::Arc;

/// A column as questions see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// A column of the events.
    Column(Arc<str>),
    /// A column that is computed from others.
    Computed(Arc<Computed>),
    /// Whether the event has no `trace.parent_id`.
    IsRoot,
    /// The dataset that the event is in.
    Dataset,
}

/// A column that is computed when a question needs it, and kept for the next one.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The name under which it is asked for.
    pub name: Arc<str>,
    /// How.
    pub how: Computation,
    /// What tells it from all others, whatever it is called: results are kept under it.
    key: Arc<str>,
}

/// How the cells of a computed column come about.
#[derive(Clone, Debug)]
pub enum Computation {
    /// An expression of other columns of the same event, by the names that it has for them.
    Expression {
        /// The expression, with no calculated fields in it any more.
        expr: Arc<expr::Expr>,
        /// What its columns stand for, in the order of [`expr::Program::columns`].
        inputs: Vec<Field>,
    },
    /// The cells of another field (or true) on the events that satisfy conditions, missing on all others.
    Where {
        /// What is taken over.
        field: Option<Field>,
        /// On which events.
        conditions: Vec<Condition>,
        /// Whether all conditions must hold, or one.
        combination: Combination,
    },
    /// The cells of another field on the relative of an event in its trace, or true where there is one.
    Related {
        /// Which events are relatives.
        relation: Relation,
        /// What is taken over of the first of them.
        field: Option<Field>,
        /// What a relative has to satisfy, all of it.
        conditions: Vec<Condition>,
    },
}

fn conditions_key(conditions: &[Condition]) -> String {
    let keys: Vec<_> = conditions.iter().map(|c| (c.field.key(), c.op, c.negate, &c.values)).collect();
    format!("{keys:?}")
}

/// What tells relatives from all others.
pub(crate) fn relatives_key(relation: Relation, conditions: &[Condition]) -> String {
    format!("{relation:?} where {}", conditions_key(conditions))
}

/// Events of the same trace, as seen from one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The first one without `trace.parent_id`.
    Root,
    /// Those whose `trace.span_id` is the event's `trace.parent_id`.
    Parent,
    /// Those whose `trace.parent_id` is the event's `trace.span_id`.
    Child,
    /// All of them.
    Any,
    /// All of them, and none may satisfy the conditions.
    None,
}

impl Computed {
    /// A computed column.
    #[must_use]
    pub fn new(name: &str, how: Computation) -> Computed {
        let key = match &how {
            Computation::Expression { expr, inputs } => {
                format!("{expr} {:?}", inputs.iter().map(Field::key).collect::<Vec<_>>())
            }
            Computation::Where { field, conditions, combination } => {
                format!("{:?} where {combination:?} {}", field.as_ref().map(Field::key), conditions_key(conditions))
            }
            Computation::Related { relation, field, conditions } => {
                format!("{:?} of {}", field.as_ref().map(Field::key), relatives_key(*relation, conditions))
            }
        };
        Computed { name: name.into(), how, key: key.into() }
    }

    /// Whether its cells depend on other events than the one that they belong to.
    #[must_use]
    pub fn is_relational(&self) -> bool {
        match &self.how {
            Computation::Expression { inputs, .. } => inputs.iter().any(Field::is_relational),
            Computation::Where { field, conditions, .. } => {
                field.iter().chain(conditions.iter().map(|c| &c.field)).any(Field::is_relational)
            }
            Computation::Related { .. } => true,
        }
    }

    /// What tells it from all others.
    #[must_use]
    pub fn key(&self) -> &Arc<str> {
        &self.key
    }
}

impl PartialEq for Computed {
    fn eq(&self, other: &Computed) -> bool {
        self.name == other.name && self.key == other.key
    }
}

impl Eq for Computed {}

impl std::hash::Hash for Computed {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl Field {
    /// What tells it from all other fields.
    fn key(&self) -> String {
        match self {
            Field::Column(name) => format!("column {name}"),
            Field::Computed(computed) => format!("computed {}", computed.key),
            Field::IsRoot => "root".to_owned(),
            Field::Dataset => "dataset".to_owned(),
        }
    }

    /// Whether its cells depend on other events than the one that they belong to.
    #[must_use]
    pub fn is_relational(&self) -> bool {
        matches!(self, Field::Computed(computed) if computed.is_relational())
    }

    /// The name under which it is asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Field::Column(name) => name,
            Field::Computed(computed) => &computed.name,
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

impl Condition {
    /// That a field satisfies a positive operator.
    pub(crate) fn new(field: Field, op: FilterOp, values: Vec<Value>) -> Condition {
        Condition { field, op, negate: false, values }
    }

    /// That there is a field.
    pub(crate) fn exists(field: Field) -> Condition {
        Condition::new(field, FilterOp::Exists, Vec::new())
    }
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

/// What is computed from calculations.
#[derive(Clone, Debug)]
pub struct Formula {
    /// Key in the answer.
    pub key: Arc<str>,
    /// The expression, ready.
    pub(crate) program: Arc<expr::Program>,
    /// Positions of the calculations that are its columns.
    pub(crate) inputs: Vec<usize>,
    /// As it reads.
    pub(crate) text: Arc<str>,
}

impl PartialEq for Formula {
    fn eq(&self, other: &Formula) -> bool {
        self.key == other.key && self.text == other.text && self.inputs == other.inputs
    }
}

/// What results are ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// A breakdown, by position.
    Breakdown(usize),
    /// A calculation, by position; a formula, by its position behind them.
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
    /// Position of the calculation, or of the formula behind them.
    pub calc: usize,
    /// `= != > >= < <=`.
    pub op: FilterOp,
    /// What it is compared with.
    pub value: f64,
}

/// A checked question.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// What to compute from calculations; their positions go on behind those of the calculations.
    pub formulas: Vec<Formula>,
    /// What to compute per group. Empty: raw rows, or with breakdowns the distinct groups.
    pub calculations: Vec<Calc>,
    /// Computed fields that raw rows show beside the columns.
    pub shown: Vec<Field>,
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
    /// How far before and after the range relatives of its events are looked for.
    pub margin_ns: i64,
}

impl Plan {
    /// Whether it looks at relatives of events.
    #[must_use]
    pub fn is_relational(&self) -> bool {
        self.fields().any(Field::is_relational)
    }

    /// First time that is read, and first time after it that is not.
    #[must_use]
    pub fn reads(&self) -> (TimeNs, TimeNs) {
        // Spans that are under way in the range may have begun at any time before it.
        let concurrency = self.calculations.iter().any(|c| c.op == CalcOp::Concurrency);
        let start_ns = if concurrency { TimeNs::MIN } else { self.start_ns };
        let margin_ns = if self.is_relational() { self.margin_ns } else { 0 };
        (start_ns.saturating_sub(margin_ns), self.end_ns.saturating_add(margin_ns))
    }

    /// The formula at a position behind the calculations.
    pub(crate) fn formula(&self, calc: usize) -> Option<&Formula> {
        self.formulas.get(calc.checked_sub(self.calculations.len())?)
    }

    /// Whether a calculation is, or a formula looks at, a difference of buckets.
    pub(crate) fn is_of_rates(&self, calc: usize) -> bool {
        let is_rate = |i: usize| self.calculations.get(i).is_some_and(|c| c.op.is_rate());
        is_rate(calc) || self.formula(calc).is_some_and(|f| f.inputs.iter().any(|i| is_rate(*i)))
    }

    /// All fields that it needs.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        let ordered = self.orders.iter().filter_map(|o| if let OrderKey::Field(f) = &o.key { Some(f) } else { None });
        let calculated = self.calculations.iter().filter_map(|c| c.field.as_ref());
        self.conditions.iter().map(|c| &c.field).chain(&self.breakdowns).chain(calculated).chain(ordered).chain(&self.shown)
    }

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
