//! From the question as written to the plan that is executed; everything that is wrong with it is said here.
//!
//! Owns: validation, defaults, resolving of names. Never does: read events.

mod calculations;
mod columns;
mod filters;
mod granularity;
mod names;
mod range;
mod relatives;
#[cfg(test)]
mod tests;

pub use columns::Columns;
pub use names::check_expression;

use crate::plan::{Calc, CalcOp, Computation, Formula, HavingIf, OrderBy, OrderKey, Plan};
use crate::{EngineError, Field, Run, SeriesMode};
use calculations::{calc_op, calculations, formulas};
use model::query::{Direction, FilterOp, Having, Order, QuerySpec};
use model::time::seconds_to_ns;
use model::{Limits, NS_PER_SECOND};
pub(crate) use names::Names;
pub(crate) use range::range;
pub(crate) use relatives::conditions;

/// Checks a question against the columns of its dataset and fills in what it leaves open.
pub fn check(spec: &QuerySpec, known: &dyn Columns, run: &Run, limits: &Limits) -> Result<Plan, EngineError> {
    lists(spec, limits)?;
    let range = range(spec, run.now)?;
    let names = Names::new(known, limits, &spec.calculated_fields).with_filters(&spec.filters, spec.filter_combination);
    let own = own_fields(spec, &names)?;
    let conditions = conditions(&spec.filters, spec.filter_combination, &names)?;
    let mut breakdowns: Vec<Field> = Vec::new();
    for name in &spec.breakdowns {
        let f = names.field(name)?;
        if !breakdowns.contains(&f) {
            breakdowns.push(f);
        }
    }
    let calculations = calculations(spec, &breakdowns, &names)?;
    let formulas = formulas(spec, &breakdowns, &calculations, limits)?;
    let raw = calculations.is_empty() && breakdowns.is_empty();
    let results = Results { calculations: &calculations, formulas: &formulas };
    let orders = spec.orders.iter().map(|o| order(o, results, &breakdowns, raw, &names)).collect::<Result<Vec<_>, _>>()?;
    let havings = spec.havings.iter().map(|h| having(h, results)).collect::<Result<Vec<_>, _>>()?;
    let limit = match spec.limit {
        None => limits.result_rows_default.min(run.max_rows),
        Some(n) => match usize::try_from(n) {
            Ok(n) if n >= 1 && n <= run.max_rows => n,
            _ => return Err(EngineError::invalid(format!("limit must be between 1 and {}, not {n}", run.max_rows))),
        },
    };
    let (granularity_ns, series) = granularity(spec, run, limits, &calculations, range)?;
    let compare_offset_ns = match spec.compare_time_offset_seconds {
        None => None,
        Some(s) => match seconds_to_ns(s) {
            Some(ns) if ns > 0 => Some(ns),
            _ => return Err(EngineError::invalid(format!("compare_time_offset_seconds must be above 0, not {s}"))),
        },
    };
    Ok(Plan {
        start_ns: range.0,
        end_ns: range.1,
        conditions,
        combination: spec.filter_combination.unwrap_or_default(),
        breakdowns,
        calculations,
        shown: if raw { own } else { Vec::new() },
        formulas,
        orders,
        havings,
        limit,
        granularity_ns,
        series,
        compare_offset_ns,
        usage_mode: spec.usage_mode.unwrap_or(false),
        margin_ns: margin_ns(limits),
    })
}

/// How far around a range relatives are looked for.
pub(crate) fn margin_ns(limits: &Limits) -> i64 {
    seconds_to_ns(limits.relatives_margin_seconds).unwrap_or(i64::MAX).max(0)
}

/// The column whose values a name has, if it can be asked about.
pub(crate) fn known_column(name: &str, known: &dyn Columns, limits: &Limits) -> Result<String, EngineError> {
    let names = Names::new(known, limits, &[]);
    let column = names.relative(name).map_or(name, |relative| relative.column);
    names.field(column).map(|_| column.to_owned())
}

/// The calculated fields of the question, used or not.
fn own_fields(spec: &QuerySpec, names: &Names<'_>) -> Result<Vec<Field>, EngineError> {
    for (i, own) in spec.calculated_fields.iter().enumerate() {
        if own.name.is_empty() {
            return Err(EngineError::invalid("a calculated field needs a name"));
        }
        if spec.calculated_fields[..i].iter().any(|o| o.name == own.name) {
            return Err(EngineError::invalid(format!("two calculated fields have the name '{}'", own.name)));
        }
    }
    spec.calculated_fields.iter().map(|own| names.field(&own.name)).collect()
}

/// What results hold beside the groups.
#[derive(Clone, Copy)]
struct Results<'r> {
    calculations: &'r [Calc],
    formulas: &'r [Formula],
}

fn lists(spec: &QuerySpec, limits: &Limits) -> Result<(), EngineError> {
    let calculations = spec.calculations.as_deref().unwrap_or_default();
    let max = limits.question_items_max;
    for (name, n) in [
        ("calculations", calculations.len()),
        ("filters", spec.filters.len()),
        ("breakdowns", spec.breakdowns.len()),
        ("orders", spec.orders.len()),
        ("havings", spec.havings.len()),
        ("formulas", spec.formulas.len()),
        ("calculated_fields", spec.calculated_fields.len()),
        ("filters of a calculation", calculations.iter().map(|c| c.filters.len()).max().unwrap_or(0)),
    ] {
        if n > max {
            return Err(EngineError::invalid(format!("{name} may have at most {max} items, not {n}")));
        }
    }
    Ok(())
}

/// The calculation or formula that an order or a having means: by operator and column, else by its name. One without
/// filters of its own goes before one with them.
fn find(op: &str, column: Option<&str>, results: Results<'_>) -> Option<usize> {
    let calculations = results.calculations;
    let wanted = calc_op(op);
    let is_where = |c: &Calc| matches!(&c.field, Some(Field::Computed(f)) if matches!(f.how, Computation::Where { .. }));
    let name = |c: &Calc| c.field.as_ref().map(Field::name).filter(|n| !n.is_empty()).map(str::to_owned);
    let means = |c: &Calc| Some(c.op) == wanted && name(c).as_deref() == column;
    let by_op = calculations.iter().position(|c| means(c) && !is_where(c)).or_else(|| calculations.iter().position(means));
    by_op.or_else(|| if column.is_none() { by_name(op, results) } else { None })
}

/// By the key that it has in results.
fn by_name(name: &str, Results { calculations, formulas }: Results<'_>) -> Option<usize> {
    let calc = calculations.iter().position(|c| *c.key == *name);
    calc.or_else(|| Some(calculations.len() + formulas.iter().position(|f| *f.key == *name)?))
}

fn order(o: &Order, results: Results<'_>, breakdowns: &[Field], raw: bool, names: &Names<'_>) -> Result<OrderBy, EngineError> {
    let is_heatmap = |i: usize| results.calculations.get(i).is_some_and(|c| c.op == CalcOp::Heatmap);
    let direction = o.order.unwrap_or(Direction::Ascending);
    let op = o.op.as_deref().filter(|op| !op.is_empty());
    let column = o.column.as_deref().filter(|c| !c.is_empty());
    let key = match (op, column) {
        (None, None) => return Err(EngineError::invalid("an order needs an op or a column")),
        (Some(op), _) if raw => {
            return Err(EngineError::invalid(format!("raw rows are ordered by 'time' or by a column, not by '{op}'")));
        }
        (None, Some("time" | "timestamp")) if raw => OrderKey::Time,
        (None, Some(name)) if raw => OrderKey::Field(names.field(name)?),
        (Some(op), column) => match find(op, column, results) {
            Some(i) if is_heatmap(i) => return Err(EngineError::invalid("results cannot be ordered by a HEATMAP")),
            Some(i) => OrderKey::Calc(i),
            None => {
                let key = column.map_or_else(|| op.to_owned(), |c| format!("{op}({c})"));
                return Err(EngineError::invalid(format!(
                    "order by '{key}': it is not among the calculations; add it there or order by one of them"
                )));
            }
        },
        (None, Some(name)) => match breakdowns.iter().position(|b| b.name() == name) {
            Some(i) => OrderKey::Breakdown(i),
            None => match by_name(name, results) {
                Some(i) if !is_heatmap(i) => OrderKey::Calc(i),
                _ => {
                    return Err(EngineError::invalid(format!(
                        "order by '{name}': it is not among the breakdowns; add it there or order by one of them"
                    )));
                }
            },
        },
    };
    Ok(OrderBy { key, direction })
}

fn having(h: &Having, results: Results<'_>) -> Result<HavingIf, EngineError> {
    let key = h.column.as_ref().map_or_else(|| h.calculate_op.clone(), |c| format!("{}({c})", h.calculate_op));
    let Some(calc) = find(&h.calculate_op, h.column.as_deref(), results) else {
        return Err(EngineError::invalid(format!("having '{key}': it is not among the calculations; add it there")));
    };
    if results.calculations.get(calc).is_some_and(|c| c.op == CalcOp::Heatmap) {
        return Err(EngineError::invalid("a HEATMAP cannot be used in havings"));
    }
    use FilterOp::{Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
    if !matches!(h.op, Equal | NotEqual | Greater | GreaterEqual | Less | LessEqual) {
        return Err(EngineError::invalid(format!("having '{key}': the operator must be one of = != > >= < <=")));
    }
    match h.value.as_f64() {
        Some(value) => Ok(HavingIf { calc, op: h.op, value }),
        None => Err(EngineError::invalid(format!("having '{key}': the value must be a number, not {}", h.value))),
    }
}

/// The length of buckets, and whether the answer has a series.
fn granularity(
    spec: &QuerySpec,
    run: &Run,
    limits: &Limits,
    calculations: &[Calc],
    (start, end): (i64, i64),
) -> Result<(Option<i64>, bool), EngineError> {
    let given = match spec.granularity {
        None | Some(0.0) => None,
        Some(s) => match seconds_to_ns(s) {
            Some(ns) if ns > 0 => Some(ns),
            _ => return Err(EngineError::invalid(format!("granularity must be a number of seconds above 0, not {s}"))),
        },
    };
    let range = end.saturating_sub(start).max(1);
    if let Some(ns) = given {
        let buckets = (range as u64).div_ceil(ns as u64);
        let max = limits.buckets_max as u64;
        if buckets > max {
            let least = (range as u64).div_ceil(max).div_ceil(NS_PER_SECOND as u64);
            return Err(EngineError::invalid(format!(
                "granularity would make {buckets} buckets, at most {max} are allowed; use {least} or more"
            )));
        }
    }
    if calculations.is_empty() {
        return Ok((None, false));
    }
    let rates = calculations.iter().any(|c| c.op.is_rate());
    let heatmaps = calculations.iter().any(|c| c.op == CalcOp::Heatmap);
    let series = match run.series {
        SeriesMode::Never => false,
        SeriesMode::Auto => true,
        SeriesMode::IfGranularity => given.is_some() || rates || heatmaps,
    };
    let buckets = series || rates;
    Ok((buckets.then(|| given.unwrap_or_else(|| granularity::auto_granularity_ns(range))), series))
}
