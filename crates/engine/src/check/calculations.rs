//! Calculations and formulas: operators with the columns and filters that fit them.
//!
//! Owns: validation of what results hold, and that a calculation with filters of its own calculates on a column that is
//! missing elsewhere. Never does: calculate.

use super::names::Names;
use super::relatives::conditions;
use crate::plan::{Calc, CalcOp, Computation, Computed, Formula};
use crate::{EngineError, Field};
use expr::{Function, Program};
use model::Limits;
use model::query::{Calculation, Combination, QuerySpec};
use std::sync::Arc;

const OPS: &str = "COUNT, CONCURRENCY, SUM, AVG, MIN, MAX, COUNT_DISTINCT, HEATMAP, P001, P01, P05, P10, P20, P25, P50, P75, P80, P90, P95, P99, P999, \
                   RATE_SUM, RATE_AVG, RATE_MAX";

pub(super) fn calc_op(op: &str) -> Option<CalcOp> {
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

pub(super) fn calculations(spec: &QuerySpec, breakdowns: &[Field], names: &Names<'_>) -> Result<Vec<Calc>, EngineError> {
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
            // Filters of its own, if all must hold, say which relative is meant.
            (_, Some(name)) if c.filter_combination == Some(Combination::Or) => Some(names.field(name)?),
            (_, Some(name)) => Some(names.field_with(name, &c.filters)?),
        };
        let field = filtered(c, op, field, names)?;
        let calc = Calc { op, field, key: c.key().into(), exact: c.exact.unwrap_or(false) };
        match out.iter().find(|o| o.key == calc.key) {
            Some(same) if *same == calc => continue,
            Some(_) => {
                return Err(EngineError::invalid(format!("two calculations have the name '{}'; give one a 'name' of its own", calc.key)));
            }
            None if breakdowns.iter().any(|b| *b.name() == *calc.key) => {
                return Err(EngineError::invalid(format!("a calculation and a breakdown have the name '{}'", calc.key)));
            }
            None => out.push(calc),
        }
    }
    Ok(out)
}

/// The field of a calculation, missing on events that its own filters leave out.
fn filtered(c: &Calculation, op: CalcOp, field: Option<Field>, names: &Names<'_>) -> Result<Option<Field>, EngineError> {
    if c.filters.is_empty() {
        return Ok(field);
    }
    if op == CalcOp::Concurrency {
        return Err(EngineError::invalid("CONCURRENCY cannot have filters of its own; filter the whole question"));
    }
    let conditions = conditions(&c.filters, c.filter_combination, names)?;
    let name = field.as_ref().map_or(String::new(), |f| f.name().to_owned());
    let how = Computation::Where { field, conditions, combination: c.filter_combination.unwrap_or_default() };
    Ok(Some(Field::Computed(Arc::new(Computed::new(&name, how)))))
}

pub(super) fn formulas(
    spec: &QuerySpec,
    breakdowns: &[Field],
    calculations: &[Calc],
    limits: &Limits,
) -> Result<Vec<Formula>, EngineError> {
    let mut out: Vec<Formula> = Vec::new();
    for f in &spec.formulas {
        let name = &f.name;
        let wrong = |what: String| Err(EngineError::invalid(format!("formula '{name}': {what}")));
        if name.is_empty() {
            return Err(EngineError::invalid("a formula needs a name"));
        }
        let taken = calculations.iter().map(|c| &*c.key).chain(out.iter().map(|o| &*o.key)).chain(breakdowns.iter().map(Field::name));
        if taken.into_iter().any(|other| other == name) {
            return wrong("the name is taken by another result".to_owned());
        }
        let expr = match expr::parse(&f.expression, limits) {
            Ok(expr) => expr,
            Err(e) => return wrong(e.to_string()),
        };
        if let Some(function) = [Function::EventTimestamp, Function::IngestTimestamp].into_iter().find(|f| expr.uses(*f)) {
            return wrong(format!("{} is about events; a formula is about calculations", function.name()));
        }
        let mut inputs = Vec::new();
        for (column, at) in expr.columns() {
            match calculations.iter().position(|c| c.key == column) {
                Some(i) if calculations[i].op == CalcOp::Heatmap => {
                    return wrong(format!("'${column}' at character {at} is a HEATMAP, not a number"));
                }
                Some(i) => inputs.push(i),
                None => {
                    let keys: Vec<String> = calculations.iter().map(|c| format!("'{}'", c.key)).collect();
                    let known = if keys.is_empty() { "there are none".to_owned() } else { keys.join(", ") };
                    return wrong(format!("unknown calculation '{column}' at character {at}; calculations of the question: {known}"));
                }
            }
        }
        out.push(Formula { key: name.as_str().into(), text: expr.to_string().into(), program: Arc::new(Program::new(&expr)), inputs });
    }
    Ok(out)
}
