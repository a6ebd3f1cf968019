//! Conditions: operators with the operands that fit them.
//!
//! Owns: validation of filters. Never does: evaluate them.

use super::names::Names;
use crate::{Condition, EngineError, Field};
use model::Value;
use model::query::{Filter, FilterOp};

pub(super) fn condition(f: &Filter, names: &Names<'_>) -> Result<Condition, EngineError> {
    condition_on(f, names.field(&f.column)?, names)
}

/// The condition of a filter on a field, whatever the filter's column means elsewhere.
pub(super) fn condition_on(f: &Filter, field: Field, names: &Names<'_>) -> Result<Condition, EngineError> {
    let limits = names.limits;
    let (op, negate) = f.op.positive();
    let values = match op {
        FilterOp::Exists => Vec::new(),
        FilterOp::In => match &f.value {
            Some(serde_json::Value::Array(items)) => {
                if items.len() > limits.in_values_max {
                    let (max, n) = (limits.in_values_max, items.len());
                    return Err(EngineError::invalid(format!("filter on '{}': a list may have at most {max} values, not {n}", f.column)));
                }
                items.iter().map(|v| scalar(v, &f.column)).collect::<Result<_, _>>()?
            }
            _ => return Err(EngineError::invalid(format!("filter on '{}': 'in' and 'not-in' need a list of values", f.column))),
        },
        FilterOp::StartsWith | FilterOp::EndsWith | FilterOp::Contains => vec![match one(f)? {
            Value::Str(s) => Value::Str(s),
            other => Value::Str(plain_text(&other)),
        }],
        _ => vec![one(f)?],
    };
    Ok(Condition { field, op, negate, values })
}

fn one(f: &Filter) -> Result<Value, EngineError> {
    match &f.value {
        Some(v) => scalar(v, &f.column),
        None => Err(EngineError::invalid(format!(
            "filter on '{}': the operator needs a value other than null; use 'exists' or 'does-not-exist' to ask for missing ones",
            f.column
        ))),
    }
}

fn scalar(json: &serde_json::Value, column: &str) -> Result<Value, EngineError> {
    match Value::from_json(json) {
        Some(Value::Null) => {
            Err(EngineError::invalid(format!("filter on '{column}': null is not a value; use 'exists' or 'does-not-exist'")))
        }
        Some(v) => Ok(v.canonical()),
        None => Err(EngineError::invalid(format!("filter on '{column}': the value must be text, a number, true or false, not {json}"))),
    }
}

/// A scalar as people write it.
fn plain_text(v: &Value) -> String {
    match v {
        Value::Null => String::new(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Float(f) => f.to_string(),
        Value::Str(s) => s.clone(),
    }
}
