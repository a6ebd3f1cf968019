//! From a condition to its text, which reads back as the same condition.
//!
//! Owns: which names and values need quotes. Never does: choose conditions.

use super::parse::{CLAUSES, number};
use model::query::{Filter, FilterOp};
use serde_json::Value as Json;

/// A condition as the text form has it: `http.status_code >= 500`.
#[must_use]
pub fn condition_text(filter: &Filter) -> String {
    let column = column(&filter.column);
    let op = match serde_json::to_value(filter.op) {
        Ok(Json::String(op)) => op,
        _ => String::new(),
    };
    match (&filter.value, filter.op) {
        (_, FilterOp::Exists | FilterOp::DoesNotExist) | (None, _) => format!("{column} {op}"),
        (Some(Json::Array(values)), _) => {
            let values: Vec<String> = values.iter().map(value).collect();
            format!("{column} {op} ({})", values.join(", "))
        }
        (Some(one), _) => format!("{column} {op} {}", value(one)),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || "(),\"'`=<>!".contains(c))
        && !CLAUSES.contains(&text.to_ascii_lowercase().as_str())
}

fn column(name: &str) -> String {
    if is_word(name) {
        name.to_owned()
    } else if name.contains('`') {
        // Backticks know no escapes; quotes do, and a quoted name is a column where one is expected.
        quoted(name)
    } else {
        format!("`{name}`")
    }
}

fn value(value: &Json) -> String {
    match value {
        Json::String(text) if is_word(text) && !matches!(text.as_str(), "true" | "false") && number(text).is_none() => text.clone(),
        Json::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
