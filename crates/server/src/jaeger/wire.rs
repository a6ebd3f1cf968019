//! Jaeger's JSON.
//!
//! Owns: names and forms of its fields. Never does: fill them.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;
use std::sync::Arc;

/// Integers that JavaScript keeps exactly; others are written as text.
const SAFE_INTEGER: i64 = (1 << 53) - 1;

/// What every answer is wrapped in.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<T> {
    pub(super) data: Vec<T>,
    pub(super) total: usize,
    pub(super) limit: usize,
    pub(super) offset: usize,
    pub(super) errors: Option<Vec<Missing>>,
}

impl<T> Envelope<T> {
    /// Traces and dependencies: Jaeger does not count them.
    pub(super) fn of(data: Vec<T>) -> Envelope<T> {
        Envelope { data, total: 0, limit: 0, offset: 0, errors: None }
    }

    /// Services and operations.
    pub(super) fn counted(data: Vec<T>) -> Envelope<T> {
        Envelope { total: data.len(), ..Envelope::of(data) }
    }
}

/// What is not in an answer, and why.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Missing {
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl Missing {
    pub(super) fn trace(id: &str) -> Missing {
        Missing { msg: "trace not found".to_owned(), trace_id: Some(id.to_owned()) }
    }

    pub(super) fn remark(msg: &str) -> Missing {
        Missing { msg: msg.to_owned(), trace_id: None }
    }
}

/// The body of a request that failed.
pub(crate) fn failure(status: u16, message: &str) -> serde_json::Value {
    json!({ "data": null, "total": 0, "limit": 0, "offset": 0, "errors": [{ "code": status, "msg": message }] })
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) span_kind: String,
}

/// How often one service calls another.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dependency {
    pub(super) parent: Arc<str>,
    pub(super) child: Arc<str>,
    pub(super) call_count: u64,
}

/// The third version of its API has no envelope.
#[derive(Debug, Serialize)]
pub(super) struct ServicesV3 {
    pub(super) services: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct OperationsV3 {
    pub(super) operations: Vec<Operation>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Trace {
    #[serde(rename = "traceID")]
    pub(super) trace_id: String,
    pub(super) spans: Vec<Span>,
    #[serde(serialize_with = "numbered")]
    pub(super) processes: Vec<Process>,
    pub(super) warnings: Option<Vec<String>>,
}

/// Processes are known by number: p1, p2 and so on.
fn numbered<S: Serializer>(processes: &[Process], s: S) -> Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(Some(processes.len()))?;
    for (i, process) in processes.iter().enumerate() {
        map.serialize_entry(&ProcessId(i), process)?;
    }
    map.end()
}

/// The position of a process in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProcessId(pub(super) usize);

impl Serialize for ProcessId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("p{}", self.0 + 1))
    }
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Span {
    #[serde(rename = "traceID")]
    pub(super) trace_id: String,
    #[serde(rename = "spanID")]
    pub(super) span_id: String,
    pub(super) operation_name: String,
    pub(super) references: Vec<Reference>,
    /// Microseconds since 1970.
    pub(super) start_time: i64,
    /// Microseconds.
    pub(super) duration: u64,
    pub(super) tags: Vec<Tag>,
    pub(super) logs: Vec<Log>,
    #[serde(rename = "processID")]
    pub(super) process: ProcessId,
    pub(super) warnings: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum RefType {
    ChildOf,
    FollowsFrom,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    pub(super) ref_type: RefType,
    #[serde(rename = "traceID")]
    pub(super) trace_id: String,
    #[serde(rename = "spanID")]
    pub(super) span_id: String,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Process {
    pub(super) service_name: String,
    pub(super) tags: Vec<Tag>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Log {
    /// Microseconds since 1970.
    pub(super) timestamp: i64,
    pub(super) fields: Vec<Tag>,
}

/// A key with a value and the type of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: model::Value,
}

impl Tag {
    pub(super) fn text(key: &str, value: &str) -> Tag {
        Tag { key: key.to_owned(), value: model::Value::Str(value.to_owned()) }
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use model::Value;
        let mut map = s.serialize_map(Some(3))?;
        map.serialize_entry("key", &self.key)?;
        let kind = match &self.value {
            Value::Null | Value::Str(_) => "string",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int64",
            Value::Float(_) => "float64",
        };
        map.serialize_entry("type", kind)?;
        match &self.value {
            Value::Null => map.serialize_entry("value", "")?,
            Value::Str(text) => map.serialize_entry("value", text)?,
            Value::Bool(b) => map.serialize_entry("value", b)?,
            Value::Int(i) if (-SAFE_INTEGER..=SAFE_INTEGER).contains(i) => map.serialize_entry("value", i)?,
            Value::Int(i) => map.serialize_entry("value", &i.to_string())?,
            Value::Float(_) => map.serialize_entry("value", &self.value.to_json())?,
        }
        map.end()
    }
}
