//! Which column stands for which tag of Jaeger, and back.
//!
//! Owns: the names. Never does: move values.

use model::Value;
use model::query::FilterOp;

/// Tags that Jaeger has under other names.
const RENAMED: [(&str, &str); 4] = [
    ("status_message", "otel.status_description"),
    ("trace.trace_state", "w3c.tracestate"),
    ("library.name", "otel.scope.name"),
    ("library.version", "otel.scope.version"),
];

/// What columns of a resource start with. Attributes of resources and spans are columns of one event: these tell.
const PROCESS: [&str; 13] = [
    "service.",
    "host.",
    "process.",
    "k8s.",
    "telemetry.sdk.",
    "telemetry.distro.",
    "telemetry.auto.",
    "cloud.",
    "container.",
    "deployment.",
    "os.",
    "device.",
    "resource.",
];

/// Whether a column tells of the process that a span is of.
pub(super) fn is_process(column: &str) -> bool {
    PROCESS.iter().any(|p| column.starts_with(p))
}

/// The tag that a column becomes.
pub(super) fn tag_of(column: &str) -> &str {
    RENAMED.iter().find(|(c, _)| *c == column).map_or(column, |(_, tag)| tag)
}

/// The condition that a tag with a value, written as text, is asked for by; none if no span can have it.
pub(super) fn condition(tag: &str, value: &str) -> Option<(String, FilterOp, Value)> {
    let equal = |column: &str, value: Value| Some((column.to_owned(), FilterOp::Equal, value));
    match (tag, value) {
        ("otel.status_code", code) => match code.to_ascii_uppercase().as_str() {
            "ERROR" => equal("status_code", Value::Int(2)),
            "OK" => equal("status_code", Value::Int(1)),
            _ => None,
        },
        // Spans that failed have it, others have not.
        ("error", "false") => Some(("error".to_owned(), FilterOp::NotEqual, Value::Bool(true))),
        ("otel.library.name", name) => equal("library.name", Value::Str(name.to_owned())),
        ("otel.library.version", version) => equal("library.version", Value::Str(version.to_owned())),
        (tag, value) => {
            let column = RENAMED.iter().find(|(_, t)| *t == tag).map_or(tag, |(column, _)| column);
            equal(column, Value::Str(value.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_asked_for_under_the_names_of_their_columns() {
        let check = |tag: &str, value: &str, column: &str, op: FilterOp, expected: Value| {
            assert_eq!(condition(tag, value), Some((column.to_owned(), op, expected)), "{tag}={value}");
        };
        check("http.status_code", "500", "http.status_code", FilterOp::Equal, Value::Str("500".into()));
        check("otel.status_code", "ERROR", "status_code", FilterOp::Equal, Value::Int(2));
        check("otel.status_code", "ok", "status_code", FilterOp::Equal, Value::Int(1));
        check("otel.scope.name", "lib", "library.name", FilterOp::Equal, Value::Str("lib".into()));
        check("otel.library.name", "lib", "library.name", FilterOp::Equal, Value::Str("lib".into()));
        check("w3c.tracestate", "a=b", "trace.trace_state", FilterOp::Equal, Value::Str("a=b".into()));
        check("error", "true", "error", FilterOp::Equal, Value::Str("true".into()));
        check("error", "false", "error", FilterOp::NotEqual, Value::Bool(true));
        assert_eq!(condition("otel.status_code", "unset"), None);
        for (column, tag) in RENAMED {
            assert_eq!(tag_of(column), tag);
        }
    }
}
