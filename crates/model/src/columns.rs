//! Names of columns that mean something to questions, by OpenTelemetry's conventions and those of older instrumentation.
//!
//! Owns: their spelling. Never does: say what is in them.

/// The trace that an event is of.
pub const TRACE_ID: &str = "trace.trace_id";
/// Names a span.
pub const SPAN_ID: &str = "trace.span_id";
/// The span that made an event; a span without is the root of its trace.
pub const PARENT_ID: &str = "trace.parent_id";
/// How long a span took.
pub const DURATION_MS: &str = "duration_ms";
/// Whether a span is that of a server, a client and so on.
pub const SPAN_KIND: &str = "span.kind";
/// There on failures.
pub const ERROR: &str = "error";
/// OpenTelemetry's status of a span: 2 is an error.
pub const STATUS_CODE: &str = "status_code";
/// There on what belongs to a span and is none: a span event or a link.
pub const ANNOTATION_TYPE: &str = "meta.annotation_type";
/// Trace, log or metric.
pub const SIGNAL_TYPE: &str = "meta.signal_type";
/// The service.
pub const SERVICE: &str = "service.name";
/// The names that the service may have, the usual one first.
pub const SERVICES: [&str; 3] = [SERVICE, "service_name", "serviceName"];
/// Asked for like a column: whether an event has no [`PARENT_ID`].
pub const IS_ROOT: &str = "is_root";
/// Asked for like a column: the dataset that an event is in.
pub const DATASET: &str = "meta.dataset";
