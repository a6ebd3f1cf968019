//! From the question as written to the plan that is executed; everything that is wrong with it is said here.
//!
//! Owns: validation, defaults, resolving of names. Never does: read events.

mod columns;
mod filters;
mod range;
#[cfg(test)]
mod tests;

pub use columns::Columns;

use crate::plan::{Calc, CalcOp, HavingIf, OrderBy, OrderKey, Plan};
use crate::{EngineError, Field, Run, SeriesMode};
pub(crate) use columns::field;
pub(crate) use filters::condition;
use model::query::{Calculation, Direction, FilterOp, Having, Order, QuerySpec};
use model::{Limits, NS_PER_SECOND};
pub(crate) use range::range;

/// Checks a question against the columns of its dataset and fills in what it leaves open.
pub fn check(spec: &QuerySpec, known: &dyn Columns, run: &Run, limits: &Limits) -> Result<Plan, EngineError> {
    lists(spec, limits)?;
    let range = range(spec, run.now)?;
    let conditions = spec.filters.iter().map(|f| condition(f, known, limits)).collect::<Result<Vec<_>, _>>()?;
    let mut breakdowns: Vec<Field> = Vec::new();
    for name in &spec.breakdowns {
        let f = field(name, known)?;
        if !breakdowns.contains(&f) {
            breakdowns.push(f);
        }
    }
    let calculations = calculations(spec, &breakdowns, known)?;
    let raw = calculations.is_empty() && breakdowns.is_empty();
    let orders = spec.orders.iter().map(|o| order(o, &calculations, &breakdowns, raw, known)).collect::<Result<Vec<_>, _>>()?;
    let havings = spec.havings.iter().map(|h| having(h, &calculations)).collect::<Result<Vec<_>, _>>()?;
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
        Some(s) => match crate::time::seconds_to_ns(s) {
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
        orders,
        havings,
        limit,
        granularity_ns,
        series,
        compare_offset_ns,
        usage_mode: spec.usage_mode.unwrap_or(false),
    })
}

/// Whether a name can be asked about.
pub(crate) fn known_column(name: &str, known: &dyn Columns) -> Result<(), EngineError> {
    field(name, known).map(|_| ())
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
    ] {
        if n > max {
            return Err(EngineError::invalid(format!("{name} may have at most {max} items, not {n}")));
        }
    }
    if !spec.formulas.is_empty() {
        return Err(EngineError::invalid("formulas are not answered yet; ask for the calculations and combine them yourself"));
    }
    if !spec.calculated_fields.is_empty() {
        return Err(EngineError::invalid("calculated_fields are not answered yet; use columns that are in the events"));
    }
    if let Some(c) = calculations.iter().find(|c| !c.filters.is_empty()) {
        let key = c.key();
        return Err(EngineError::invalid(format!(
            "calculation '{key}' has filters of its own, which are not answered yet; filter the whole question"
        )));
    }
    Ok(())
}

const OPS: &str = "COUNT, CONCURRENCY, SUM, AVG, MIN, MAX, COUNT_DISTINCT, HEATMAP, P001, P01, P05, P10, P20, P25, P50, P75, P80, P90, P95, P99, P999, \
                   RATE_SUM, RATE_AVG, RATE_MAX";

fn calc_op(op: &str) -> Option<CalcOp> {
    Some(match op {
        "COUNT" => CalcOp::Count,
        "CONCURRENCY" => CalcOp::Concurrency,
        "SUM" => CalcOp::Sum,
        "AVG" => CalcOp::Avg,
        "MIN" => CalcOp::Min,
        "MAX" => CalcOp::Max,
        "COUNT_DISTINCT" => CalcOp::CountDistinct,
        "HEATMAP" => CalcOp::Heatmap,
        "P001" => CalcOp::Quantile(0.001),
        "P01" => CalcOp::Quantile(0.01),
        "P05" => CalcOp::Quantile(0.05),
        "P10" => CalcOp::Quantile(0.10),
        "P20" => CalcOp::Quantile(0.20),
        "P25" => CalcOp::Quantile(0.25),
        "P50" => CalcOp::Quantile(0.50),
        "P75" => CalcOp::Quantile(0.75),
        "P80" => CalcOp::Quantile(0.80),
        "P90" => CalcOp::Quantile(0.90),
        "P95" => CalcOp::Quantile(0.95),
        "P99" => CalcOp::Quantile(0.99),
        "P999" => CalcOp::Quantile(0.999),
        "RATE_SUM" => CalcOp::RateSum,
        "RATE_AVG" => CalcOp::RateAvg,
        "RATE_MAX" => CalcOp::RateMax,
        _ => return None,
    })
}

fn calculations(spec: &QuerySpec, breakdowns: &[Field], known: &dyn Columns) -> Result<Vec<Calc>, EngineError> {
    let count = [Calculation { op: "COUNT".into(), column: None, name: None, filters: Vec::new(), filter_combination: None, exact: None }];
    let mut out: Vec<Calc> = Vec::new();
    for c in spec.calculations.as_deref().unwrap_or(&count) {
        let Some(op) = calc_op(&c.op) else {
            return Err(EngineError::invalid(format!("unknown calculation '{}'; use one of {OPS}", c.op)));
        };
        let field = match (op, &c.column) {
            (CalcOp::Count, None) | (CalcOp::Concurrency, None) => None,
            (CalcOp::Concurrency, Some(_)) => {
                return Err(EngineError::invalid("CONCURRENCY takes no column: it uses the event time and duration_ms"));
            }
            (_, None) => return Err(EngineError::invalid(format!("{} needs a column", c.op))),
            (_, Some(name)) => Some(field(name, known)?),
        };
        let calc = Calc { op, field, key: c.key().into(), exact: c.exact.unwrap_or(false) };
        match out.iter().find(|o| o.key == calc.key) {
            Some(same) if *same == calc => continue,
            Some(_) => return Err(EngineError::invalid(format!("two calculations have the name '{}'", calc.key))),
            None if breakdowns.iter().any(|b| *b.name() == *calc.key) => {
                return Err(EngineError::invalid(format!("a calculation and a breakdown have the name '{}'", calc.key)));
            }
            None => out.push(calc),
        }
    }
    Ok(out)
}

/// The calculation that an order or a having means: by operator and column, else by its name.
fn find(op: &str, column: Option<&str>, calculations: &[Calc]) -> Option<usize> {
    let wanted = calc_op(op);
    let by_op = calculations.iter().position(|c| Some(c.op) == wanted && c.field.as_ref().map(Field::name) == column);
    by_op.or_else(|| calculations.iter().position(|c| column.is_none() && *c.key == *op))
}

fn order(o: &Order, calculations: &[Calc], breakdowns: &[Field], raw: bool, known: &dyn Columns) -> Result<OrderBy, EngineError> {
    let direction = o.order.unwrap_or(Direction::Ascending);
    let op = o.op.as_deref().filter(|op| !op.is_empty());
    let column = o.column.as_deref().filter(|c| !c.is_empty());
    let key = match (op, column) {
        (None, None) => return Err(EngineError::invalid("an order needs an op or a column")),
        (Some(op), _) if raw => {
            return Err(EngineError::invalid(format!("raw rows are ordered by 'time' or by a column, not by '{op}'")));
        }
        (None, Some("time" | "timestamp")) if raw => OrderKey::Time,
        (None, Some(name)) if raw => OrderKey::Field(field(name, known)?),
        (Some(op), column) => match find(op, column, calculations) {
            Some(i) if calculations[i].op == CalcOp::Heatmap => return Err(EngineError::invalid("results cannot be ordered by a HEATMAP")),
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
            None => match calculations.iter().position(|c| *c.key == *name) {
                Some(i) if calculations[i].op != CalcOp::Heatmap => OrderKey::Calc(i),
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

fn having(h: &Having, calculations: &[Calc]) -> Result<HavingIf, EngineError> {
    let key = h.column.as_ref().map_or_else(|| h.calculate_op.clone(), |c| format!("{}({c})", h.calculate_op));
    let Some(calc) = find(&h.calculate_op, h.column.as_deref(), calculations) else {
        return Err(EngineError::invalid(format!("having '{key}': it is not among the calculations; add it there")));
    };
    if calculations[calc].op == CalcOp::Heatmap {
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
        Some(s) => match crate::time::seconds_to_ns(s) {
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
    Ok((buckets.then(|| given.unwrap_or_else(|| crate::time::auto_granularity_ns(range))), series))
}
