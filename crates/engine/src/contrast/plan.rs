//! A comparison, checked: names resolved, times absolute, both populations in words.
//!
//! Owns: validation of `ContrastSpec`. Never does: read events.

use super::candidate::listed;
use crate::check::{Names, conditions, margin_ns, range};
use crate::{Columns, Computation, Condition, EngineError, Field, Run};
use model::contrast::{ContrastSpec, Population};
use model::query::{Combination, Filter, FilterOp, QuerySpec};
use model::time::rfc3339;
use model::{Limits, NS_PER_SECOND, TimeNs};
use std::fmt::Write;
use std::sync::Arc;

/// Columns in the answer unless the question says otherwise.
const COLUMNS_DEFAULT: usize = 20;
/// Conditions of a finding.
const CONDITIONS_MAX: usize = 4;

/// Events in a time that pass every group of conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// First time that counts.
    pub start_ns: TimeNs,
    /// First time after it that does not.
    pub end_ns: TimeNs,
    /// Conditions, and how those of one group combine.
    pub groups: Vec<(Vec<Condition>, Combination)>,
}

/// A checked comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrastPlan {
    /// The selection.
    pub selection: Side,
    /// The baseline, or with `rest` all events, the selection included.
    pub other: Side,
    /// Whether the baseline is what remains of `other` without the selection.
    pub rest: bool,
    /// Columns to compare; all if there are none.
    pub columns: Option<Vec<Arc<str>>>,
    /// Columns in the answer.
    pub limit: usize,
    /// Whether stored events are counted instead of being weighed by sample rate.
    pub usage_mode: bool,
    /// Conditions of a finding, at most; 0: no findings.
    pub max_conditions: usize,
    /// The question's filters, for those of findings; empty if they are joined by `or` and no list of values says the same.
    pub filters: Vec<serde_json::Value>,
    /// How far before and after the times relatives of events are looked for.
    pub margin_ns: i64,
}

/// Checks a comparison against the columns of its dataset.
pub fn check_contrast(spec: &ContrastSpec, known: &dyn Columns, run: &Run, limits: &Limits) -> Result<ContrastPlan, EngineError> {
    let query = &spec.query;
    let names = Names::new(known, limits, &query.calculated_fields).with_filters(&query.filters, query.filter_combination);
    let whole = range(query, run.now)?;
    let of_query = (conditions(&query.filters, query.filter_combination, &names)?, query.filter_combination.unwrap_or_default());
    let side = |p: &Population, inside: bool| -> Result<Side, EngineError> {
        if p.filters.len() > limits.question_items_max {
            return Err(EngineError::invalid(format!("filters may have at most {} items", limits.question_items_max)));
        }
        let mut time = whole;
        if p.time_range.is_some() || p.start_time.is_some() || p.end_time.is_some() {
            let own = QuerySpec {
                time_range: p.time_range,
                start_time: p.start_time.clone(),
                end_time: p.end_time.clone(),
                ..QuerySpec::default()
            };
            time = range(&own, run.now)?;
            if inside {
                time = (time.0.max(whole.0), time.1.min(whole.1).max(time.0.max(whole.0)));
            }
        }
        let own = (conditions(&p.filters, p.filter_combination, &names)?, p.filter_combination.unwrap_or_default());
        let groups = [of_query.clone(), own].into_iter().filter(|(c, _)| !c.is_empty()).collect();
        Ok(Side { start_ns: time.0, end_ns: time.1, groups })
    };
    let (rest, other) = match &spec.baseline {
        None => (true, side(&Population::default(), true)?),
        Some(serde_json::Value::String(s)) if s == "rest" => (true, side(&Population::default(), true)?),
        Some(json @ serde_json::Value::Object(_)) => {
            let own: Population = serde_json::from_value(json.clone()).map_err(|e| EngineError::invalid(format!("baseline: {e}")))?;
            (false, side(&own, false)?)
        }
        Some(_) => return Err(EngineError::invalid("baseline must be \"rest\" or an object with filters or times")),
    };
    let selection = side(&spec.selection, rest)?;
    if selection == other {
        return Err(EngineError::invalid("the selection is the same as the baseline; give it filters or a time of its own"));
    }
    let columns = match &spec.columns {
        None => None,
        Some(wanted) => {
            let mut out: Vec<Arc<str>> = Vec::with_capacity(wanted.len());
            for name in wanted {
                match names.field(name)? {
                    Field::Column(name) if !out.contains(&name) => out.push(name),
                    Field::Column(_) => {}
                    f => return Err(EngineError::invalid(format!("'{}' is not a column and cannot be compared", f.name()))),
                }
            }
            Some(out)
        }
    };
    let limit = match spec.limit {
        None => COLUMNS_DEFAULT,
        Some(n) => match usize::try_from(n) {
            Ok(n) if n >= 1 && n <= limits.result_rows_max => n,
            _ => return Err(EngineError::invalid(format!("limit must be between 1 and {}, not {n}", limits.result_rows_max))),
        },
    };
    let max_conditions = match spec.max_conditions {
        None => CONDITIONS_MAX,
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| *n <= CONDITIONS_MAX)
            .ok_or_else(|| EngineError::invalid(format!("max_conditions must be between 0 and {CONDITIONS_MAX}, not {n}")))?,
    };
    let any = query.filter_combination == Some(Combination::Or) && query.filters.len() > 1;
    let joined = if any { one_of(&query.filters).into_iter().collect() } else { query.filters.clone() };
    let filters = joined.iter().filter_map(|f| serde_json::to_value(f).ok()).collect();
    let usage_mode = query.usage_mode.unwrap_or(false);
    Ok(ContrastPlan { selection, other, rest, columns, limit, usage_mode, max_conditions, filters, margin_ns: margin_ns(limits) })
}

/// `a = 1 or a in (2, 3)` as one filter, to which others can be joined.
fn one_of(filters: &[Filter]) -> Option<Filter> {
    let column = filters.first()?.column.clone();
    let mut values = Vec::new();
    for f in filters {
        match (f.op, &f.value) {
            _ if f.column != column => return None,
            (FilterOp::Equal, Some(value)) => values.push(value.clone()),
            (FilterOp::In, Some(serde_json::Value::Array(several))) => values.extend(several.iter().cloned()),
            _ => return None,
        }
    }
    Some(Filter { column, op: FilterOp::In, value: Some(values.into()) })
}

impl ContrastPlan {
    /// First time that is read, and first time after it that is not.
    pub(crate) fn reads(&self) -> (TimeNs, TimeNs) {
        let margin_ns = if self.fields().any(Field::is_relational) { self.margin_ns } else { 0 };
        let (a, b) = (&self.selection, &self.other);
        (a.start_ns.min(b.start_ns).saturating_sub(margin_ns), a.end_ns.max(b.end_ns).saturating_add(margin_ns))
    }

    /// All fields that conditions look at.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &Field> {
        let sides = [&self.selection, &self.other].into_iter();
        sides.flat_map(|s| &s.groups).flat_map(|(conditions, _)| conditions).map(|c| &c.field)
    }

    /// Whether the filters that make the populations look at a column: then it differs by definition.
    pub(crate) fn selected_by(&self, column: &str) -> bool {
        let other = if self.rest { &[] } else { self.other.groups.as_slice() };
        self.selection.groups.iter().chain(other).flat_map(|(c, _)| c).any(|c| c.field.name() == column)
    }

    /// The selection in words.
    pub(crate) fn selection_words(&self) -> String {
        self.selection.words("all events from")
    }

    /// The baseline in words.
    pub(crate) fn baseline_words(&self) -> String {
        match self.rest {
            false => self.other.words("all events from"),
            true if self.other.groups.is_empty() => self.other.words("all other events from"),
            true => format!("all other events where {}", self.other.words("")),
        }
    }
}

impl Side {
    /// Its conditions and times; `all`: what it is without conditions.
    fn words(&self, all: &str) -> String {
        let groups = self.groups.iter().map(|(conditions, combination)| {
            let glue = if *combination == Combination::Or { " or " } else { " and " };
            let text = conditions.iter().map(condition_words).collect::<Vec<_>>().join(glue);
            if *combination == Combination::Or && conditions.len() > 1 { format!("({text})") } else { text }
        });
        let groups: Vec<String> = groups.collect();
        // Fractions of seconds tell something about short times only.
        let long = self.end_ns.saturating_sub(self.start_ns) >= 60 * NS_PER_SECOND;
        let time = |ns: TimeNs| rfc3339(if long { ns.div_euclid(NS_PER_SECOND).saturating_mul(NS_PER_SECOND) } else { ns });
        let times = format!("{} to {}", time(self.start_ns), time(self.end_ns));
        if groups.is_empty() { format!("{all} {times}") } else { format!("{}, {times}", groups.join(" and ")) }
    }
}

fn condition_words(c: &Condition) -> String {
    if let Field::Computed(computed) = &c.field
        && let Computation::Related { field: None, conditions, .. } = &computed.how
    {
        // The name is that of the first condition, with the prefix of all.
        let prefix = computed.name.split_once('.').map_or("", |(prefix, _)| prefix);
        let words: Vec<String> = conditions.iter().map(|c| format!("{prefix}.{}", condition_words(c))).collect();
        return words.join(" and ");
    }
    let op = match (c.op, c.negate) {
        (FilterOp::Equal, false) => "=",
        (FilterOp::Equal, true) => "!=",
        (FilterOp::Greater, _) => ">",
        (FilterOp::GreaterEqual, _) => ">=",
        (FilterOp::Less, _) => "<",
        (FilterOp::LessEqual, _) => "<=",
        (FilterOp::StartsWith, false) => "starts with",
        (FilterOp::StartsWith, true) => "does not start with",
        (FilterOp::EndsWith, false) => "ends with",
        (FilterOp::EndsWith, true) => "does not end with",
        (FilterOp::Contains, false) => "contains",
        (FilterOp::Contains, true) => "does not contain",
        (FilterOp::Exists, false) => "exists",
        (FilterOp::Exists, true) => "does not exist",
        (FilterOp::In, false) => "is one of",
        (FilterOp::In, true) => "is none of",
        _ => "?",
    };
    let mut out = format!("{} {op}", c.field.name());
    if !c.values.is_empty() {
        write!(out, " {}", listed(&c.values)).unwrap_or_default();
    }
    out
}
