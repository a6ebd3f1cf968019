//! Every limit of ingest and of questions, in one place, with its unit in its name.
//!
//! Owns: names and defaults (docs/limits.md is checked against them). Never does: enforcement.

use serde::{Deserialize, Serialize};

/// All limits. Each can be set in the configuration; the defaults are what the documentation states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Fields of one event after flattening; more and the event is refused.
    pub event_fields_max: usize,
    /// Bytes of one string field; longer ones are cut and named in `meta.truncated_fields`. At most 1 MiB.
    pub string_bytes_max: usize,
    /// Bytes of one event as sent (its JSON, msgpack or protobuf); larger ones are refused.
    pub event_bytes_max: usize,
    /// Bytes of one request body, after decompression.
    pub request_bytes_max: usize,
    /// Columns of one dataset; fields that would add one more are kept as JSON text in `meta.overflow`.
    pub dataset_columns_max: usize,
    /// Bytes of a column name; longer ones make the event refused.
    pub column_name_bytes_max: usize,
    /// Bytes of a dataset name.
    pub dataset_name_bytes_max: usize,
    /// Datasets in the store.
    pub datasets_max: usize,
    /// Levels to which nested maps are flattened with dots; deeper ones are kept as JSON text.
    pub flatten_depth_max: usize,
    /// Levels of nesting that a body may have before it is refused.
    pub nesting_depth_max: usize,
    /// Seconds that an event's time may lie in the future; later ones are refused.
    pub future_seconds_max: i64,
    /// Bytes that unsealed events may take in memory before senders are told to wait.
    pub memtable_bytes_max: usize,
    /// Rows in one answer without series.
    pub result_rows_max: usize,
    /// Rows in one answer when the question names no limit.
    pub result_rows_default: usize,
    /// Time buckets in one answer.
    pub buckets_max: usize,
    /// Items in any list of a question (calculations, breakdowns, orders, filters, havings).
    pub question_items_max: usize,
    /// Values in one `in` list.
    pub in_values_max: usize,
    /// Bytes of memory that one question may use.
    pub question_memory_bytes_max: usize,
    /// Bytes of memory that all questions under way may use together; the last quarter is kept for those that hold little.
    pub questions_memory_bytes_max: usize,
    /// Bytes of the expression of a calculated field or formula.
    pub expression_bytes_max: usize,
    /// Levels of functions in an expression, those of other calculated fields in it included.
    pub expression_depth_max: usize,
    /// Functions, columns and values in an expression, those of other calculated fields in it included.
    pub expression_parts_max: usize,
    /// Seconds before and after the range of a question in which relatives of its events (`root.`, `parent.`, …) are looked for.
    pub relatives_margin_seconds: f64,
    /// Seconds that one question may take.
    pub question_seconds_max: f64,
    /// Questions under way at once, which share the cores in turns; more wait until one ends.
    pub questions_concurrent_max: usize,
    /// Calls between services in one service map.
    pub map_edges_max: usize,
    /// Boards in the store.
    pub boards_max: usize,
    /// Panels (or queries) of one board.
    pub board_panels_max: usize,
    /// Views of one board.
    pub board_views_max: usize,
    /// Events of a trace in one answer.
    pub trace_events_max: usize,
    /// Seconds before and after a given time in which a trace is looked for first.
    pub trace_hint_seconds: i64,
    /// Seconds before and after a trace whose spans its durations are compared with.
    pub trace_compare_seconds: i64,
    /// Kinds of spans (service and name) of a trace whose durations are compared, the most frequent first.
    pub trace_kinds_max: usize,
    /// Slowest examples in one answer.
    pub examples_max: usize,
    /// Bytes from which on an answer is packed (gzip, zstd) for clients that ask for it.
    pub answer_packed_bytes_min: usize,
    /// Characters of one answer to an agent (MCP); what is cut is said.
    pub mcp_answer_chars_max: usize,
    /// Bytes of one request of an agent (MCP) over HTTP.
    pub mcp_request_bytes_max: usize,
}

impl Limits {
    /// No configuration may raise `string_bytes_max` above this.
    pub const STRING_BYTES_CEILING: usize = 1 << 20;

    /// Bytes of the fields of one event in `meta.overflow`.
    pub const OVERFLOW_BYTES_CEILING: usize = 1 << 20;

    /// Cells that one OTLP request may unfold into: attributes of a resource stand once on the wire and in every row.
    pub const REQUEST_CELLS_CEILING: usize = 16 << 20;

    /// Events (spans, their events and links) that the traces of one answer of Jaeger's API may have together.
    pub const JAEGER_EVENTS_CEILING: usize = 50_000;

    /// Seconds before and after the spans that were found in which Jaeger's API looks for the other spans of their traces.
    pub const JAEGER_MARGIN_SECONDS: i64 = 86_400;

    /// Seconds before now in which Jaeger's API looks for services and operations.
    pub const JAEGER_SERVICES_SECONDS: i64 = 7 * 86_400;
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            event_fields_max: 10_000,
            string_bytes_max: 64 << 10,
            event_bytes_max: 1 << 20,
            request_bytes_max: 20 << 20,
            dataset_columns_max: 65_000,
            column_name_bytes_max: 1_024,
            dataset_name_bytes_max: 255,
            datasets_max: 10_000,
            flatten_depth_max: 5,
            nesting_depth_max: 128,
            future_seconds_max: 366 * 86_400 * 10,
            memtable_bytes_max: 512 << 20,
            result_rows_max: 10_000,
            result_rows_default: 1_000,
            buckets_max: 100_000,
            question_items_max: 100,
            in_values_max: 10_000,
            question_memory_bytes_max: 1 << 30,
            questions_memory_bytes_max: 2 << 30,
            expression_bytes_max: 4_095,
            expression_depth_max: 100,
            expression_parts_max: 10_000,
            relatives_margin_seconds: 600.0,
            question_seconds_max: 60.0,
            questions_concurrent_max: 64,
            map_edges_max: 64_000,
            boards_max: 10_000,
            board_panels_max: 100,
            board_views_max: 50,
            trace_events_max: 1_000_000,
            trace_hint_seconds: 3_600,
            trace_compare_seconds: 3_600,
            trace_kinds_max: 1_000,
            examples_max: 1_000,
            answer_packed_bytes_min: 4 << 10,
            mcp_answer_chars_max: 20_000,
            mcp_request_bytes_max: 1 << 20,
        }
    }
}
