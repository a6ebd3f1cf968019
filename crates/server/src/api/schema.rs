//! The native API's JSON, as types: what is read and written, and what the OpenAPI document says.
//!
//! Owns: field names. Never does: hold behaviour. Where the engine or `model` owns the JSON, the type here only describes
//! it, and a test compares the two.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// A stable word for programs.
    pub(crate) code: String,
    /// What is wrong and what to do, for people.
    pub(crate) message: String,
    /// More of it.
    pub(crate) hint: Option<String>,
    /// Of documents: each thing that is wrong with its place, such as `panels[2].query_panel.query_id`.
    pub(crate) details: Option<Vec<ProblemBody>>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    pub(crate) field: String,
    /// `invalid`, `missing` or `incorrect_type`.
    pub(crate) code: String,
    pub(crate) description: String,
}

/// A dataset.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatasetBody {
    /// As first written.
    pub(crate) name: String,
    /// For URLs.
    pub(crate) slug: String,
    pub(crate) description: String,
    /// Levels of nested JSON that become columns; 0: the default of the server.
    pub(crate) expand_json_depth: u32,
    pub(crate) retention: RetentionBody,
    /// RFC 3339.
    pub(crate) created_at: String,
    /// RFC 3339.
    pub(crate) last_written_at: Option<String>,
    /// Events.
    pub(crate) n_rows: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    pub(crate) n_columns: u64,
    /// Events with fields in `meta.overflow`, because the dataset had `limits.dataset_columns_max` columns when they came.
    pub(crate) overflow_events: u64,
    pub(crate) n_segments: u64,
}

/// How long events are kept; without either for ever.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetentionBody {
    /// Seconds since the event's time.
    pub(crate) age_seconds: Option<u64>,
    /// Bytes of the dataset; the oldest go first.
    pub(crate) bytes: Option<u64>,
}

/// A dataset to make.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct NewDataset {
    pub(crate) name: String,
}

/// What to change; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatasetPatch {
    pub(crate) description: Option<String>,
    /// 0 to 10.
    pub(crate) expand_json_depth: Option<u32>,
    pub(crate) retention: Option<RetentionBody>,
}

/// A column.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ColumnBody {
    pub(crate) name: String,
    /// The most frequent type: string, integer, float or boolean.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Events that have it.
    pub(crate) count: u64,
    /// All types that occur, most frequent first.
    pub(crate) kinds: Vec<ColumnKindCount>,
    /// RFC 3339.
    pub(crate) first_seen: String,
    /// RFC 3339.
    pub(crate) last_seen: String,
    /// The expression of a saved calculated field; then the type is `calculated`, and the times are when it was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) calculated: Option<String>,
}

/// A saved calculated field.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CalculatedField)]
pub(crate) struct CalculatedFieldBody {
    pub(crate) id: String,
    /// Slug, or `__all__`.
    pub(crate) dataset: String,
    pub(crate) name: String,
    /// Such as `GTE($duration_ms, 500)`: docs/calculated-fields.md.
    pub(crate) expression: String,
    pub(crate) description: String,
    /// RFC 3339.
    pub(crate) created_at: String,
    /// RFC 3339.
    pub(crate) updated_at: String,
}

/// A calculated field to save.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCalculatedField {
    /// Name or slug; default `__all__`, for questions on any dataset.
    pub(crate) dataset: Option<String>,
    /// 1 to 255 characters.
    pub(crate) name: String,
    pub(crate) expression: String,
    /// At most 255 characters.
    pub(crate) description: Option<String>,
}

/// What to change of a calculated field; absent parts stay.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CalculatedFieldPatch {
    pub(crate) name: Option<String>,
    pub(crate) expression: Option<String>,
    pub(crate) description: Option<String>,
}

/// How often a column has a type.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ColumnKindCount {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) count: u64,
}

/// A value and how many events have it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValueBody {
    pub(crate) value: Json,
    pub(crate) count: u64,
}

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyBody {
    pub(crate) id: String,
    pub(crate) name: String,
    /// ingest, query, manage.
    pub(crate) scopes: Vec<String>,
    /// RFC 3339.
    pub(crate) created_at: String,
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// What it is for.
    pub(crate) name: Option<String>,
    /// ingest, query, manage.
    pub(crate) scopes: Vec<String>,
}

/// A key just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewKeyBody {
    /// The whole key; it is not stored and cannot be told again.
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) scopes: Vec<String>,
}

/// A point or span of time with a name, such as a deploy.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MarkerBody {
    pub(crate) id: String,
    /// Unix seconds.
    pub(crate) start_time: i64,
    /// Unix seconds.
    pub(crate) end_time: Option<i64>,
    pub(crate) message: Option<String>,
    /// Such as `deploy`.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) url: Option<String>,
    /// Colour of its type.
    pub(crate) color: Option<String>,
    /// RFC 3339.
    pub(crate) created_at: String,
    /// RFC 3339.
    pub(crate) updated_at: String,
}

/// A marker to make, or what to change of one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewMarker {
    /// Unix seconds; default: now.
    pub(crate) start_time: Option<i64>,
    /// Unix seconds.
    pub(crate) end_time: Option<i64>,
    pub(crate) message: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) url: Option<String>,
}

/// A question to the native API.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueryRequest)]
pub(crate) struct QueryRequestSchema {
    /// Name or slug, or `__all__`.
    pub(crate) dataset: String,
    pub(crate) query: QuerySpecSchema,
    /// Answer with a line of JSON per message while the run goes on (default false).
    pub(crate) stream: Option<bool>,
    /// Whether results of earlier questions may be used (default true); the answer is the same.
    pub(crate) cache: Option<bool>,
    /// Whether a series is wanted; default: if the question names a granularity.
    pub(crate) series: Option<bool>,
    /// Whether rows for all events and for those outside the results are wanted (default false).
    pub(crate) totals: Option<bool>,
}

/// A comparison of a selection of events with a baseline.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ContrastRequest)]
pub(crate) struct ContrastRequestSchema {
    /// Name or slug, or `__all__`.
    pub(crate) dataset: String,
    /// Time range and filters of all events looked at; nothing else of it is used.
    pub(crate) query: QuerySpecSchema,
    /// The events in question.
    pub(crate) selection: PopulationSchema,
    /// `"rest"` (default: all other events of the query) or a population of its own.
    pub(crate) baseline: Option<Json>,
    /// Columns to compare, all of them answered; default: every column, the best `limit` answered.
    pub(crate) columns: Option<Vec<String>>,
    /// Columns in the answer (default 20).
    pub(crate) limit: Option<i64>,
    /// Conditions that a finding may join, 1 to 4 (default); 0: no findings.
    pub(crate) max_conditions: Option<i64>,
    /// Answer line by line: a plan, the best answer so far (`partial`) several times, the `final` one.
    pub(crate) stream: Option<bool>,
}

/// Some events of the query.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Population)]
pub(crate) struct PopulationSchema {
    pub(crate) filters: Vec<FilterSchema>,
    /// AND (default) or OR.
    pub(crate) filter_combination: Option<String>,
    pub(crate) time_range: Option<f64>,
    pub(crate) start_time: Option<Json>,
    pub(crate) end_time: Option<Json>,
}

/// What a comparison found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ContrastAnswer)]
pub(crate) struct ContrastAnswerSchema {
    /// `selection` and `baseline`, each with `count` (weighted) and `words`.
    pub(crate) populations: Json,
    /// Conditions, alone or together, that hold for far more of the selection, the best explanation first.
    pub(crate) findings: Vec<FindingSchema>,
    /// `column`, `kind`, `score`, `significant`, `values` (`value`, `selection`, `baseline`) and for numbers `quantiles`.
    pub(crate) columns: Vec<Json>,
    /// Columns of ids, which explain nothing.
    pub(crate) set_aside: Option<Vec<String>>,
    pub(crate) meta: Json,
}

/// What explains the selection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
pub(crate) struct FindingSchema {
    /// They hold together.
    pub(crate) conditions: Vec<FilterSchema>,
    /// `count` (weighted) and `share` of the selection that meets them.
    pub(crate) selection: Json,
    /// The same of the baseline.
    pub(crate) baseline: Json,
    /// Difference of the shares, compared at the same times or with their neighbours in time.
    pub(crate) effect: f64,
    /// What it is at least (95 %).
    pub(crate) lower_bound: f64,
    /// Probability that chance makes such a difference.
    pub(crate) chance: f64,
    /// Ratio of the shares; null if the baseline has none.
    pub(crate) lift: Option<f64>,
    /// Share of the selection among all events that meet the conditions.
    pub(crate) precision: f64,
    /// The same in words.
    pub(crate) sentence: String,
    /// Conditions on other columns that hold for nearly the same events.
    pub(crate) same_as: Option<Vec<FilterSchema>>,
    /// `time` and `data` of an event of the selection that meets them.
    pub(crate) example: Json,
    /// Filters of a question to go on with.
    pub(crate) filters: Vec<FilterSchema>,
}

/// A question: Honeycomb's query specification.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = QuerySpec)]
pub(crate) struct QuerySpecSchema {
    /// What to compute per group; absent: COUNT, empty without breakdowns: the events themselves.
    pub(crate) calculations: Option<Vec<CalculationSchema>>,
    pub(crate) filters: Vec<FilterSchema>,
    /// AND (default) or OR.
    pub(crate) filter_combination: Option<String>,
    /// Columns to group by.
    pub(crate) breakdowns: Vec<String>,
    pub(crate) orders: Vec<OrderSchema>,
    pub(crate) havings: Vec<HavingSchema>,
    /// Rows of the result, 1 to 10000 (default 1000).
    pub(crate) limit: Option<i64>,
    /// Seconds per bucket of the series.
    pub(crate) granularity: Option<f64>,
    /// Seconds that the question covers (default 7200).
    pub(crate) time_range: Option<f64>,
    /// Unix seconds or RFC 3339, inclusive.
    pub(crate) start_time: Option<Json>,
    /// Unix seconds or RFC 3339, exclusive.
    pub(crate) end_time: Option<Json>,
    /// Also answer for the same range this many seconds earlier.
    pub(crate) compare_time_offset_seconds: Option<f64>,
    /// Count stored events instead of weighing them by sample rate.
    pub(crate) usage_mode: Option<bool>,
    /// Results computed from calculations, which they stand for in the answer.
    pub(crate) formulas: Vec<ExpressionSchema>,
    /// Columns computed from others, for this question.
    pub(crate) calculated_fields: Vec<ExpressionSchema>,
}

/// A name and how it is computed: docs/calculated-fields.md.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Expression)]
pub(crate) struct ExpressionSchema {
    pub(crate) name: String,
    /// Such as `GTE($duration_ms, 500)`; in a formula `$name` is a calculation.
    pub(crate) expression: String,
}

/// One calculation.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Calculation)]
pub(crate) struct CalculationSchema {
    /// COUNT, CONCURRENCY, SUM, AVG, COUNT_DISTINCT, HEATMAP, MAX, MIN, P001 … P999, RATE_AVG, RATE_SUM, RATE_MAX.
    pub(crate) op: String,
    pub(crate) column: Option<String>,
    /// Its key in the answer instead of `OP(column)`.
    pub(crate) name: Option<String>,
    /// Filters of this calculation alone.
    pub(crate) filters: Vec<FilterSchema>,
    /// AND (default) or OR.
    pub(crate) filter_combination: Option<String>,
    /// COUNT_DISTINCT only: never approximate.
    pub(crate) exact: Option<bool>,
}

/// One condition on events.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Filter)]
pub(crate) struct FilterSchema {
    pub(crate) column: String,
    /// `= != > >= < <=`, starts-with, ends-with, contains, exists, in, and their negations.
    pub(crate) op: String,
    /// A scalar; a list for `in` and `not-in`; none for `exists` and `does-not-exist`.
    pub(crate) value: Option<Json>,
}

/// One key of the order of results.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Order)]
pub(crate) struct OrderSchema {
    /// Operator of a calculation; absent: a breakdown.
    pub(crate) op: Option<String>,
    pub(crate) column: Option<String>,
    /// ascending (default) or descending.
    pub(crate) order: Option<String>,
}

/// A condition on results.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Having)]
pub(crate) struct HavingSchema {
    pub(crate) calculate_op: String,
    pub(crate) column: Option<String>,
    /// `= != > >= < <=`.
    pub(crate) op: String,
    pub(crate) value: f64,
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueryAnswer {
    /// One per group; of a question for events, one per event.
    pub(crate) results: Vec<ResultRow>,
    /// Empty without a granularity.
    pub(crate) series: Vec<SeriesPoint>,
    /// RFC 3339, inclusive.
    pub(crate) start_time: String,
    /// RFC 3339, exclusive.
    pub(crate) end_time: String,
    /// Seconds per bucket.
    pub(crate) granularity: Option<f64>,
    /// All events that pass the filters as one group.
    pub(crate) totals: Option<ResultRow>,
    /// The same per bucket.
    pub(crate) total_series: Option<Vec<SeriesPoint>>,
    /// The events outside the results.
    pub(crate) other: Option<ResultRow>,
    /// The answer for the earlier range; an answer itself.
    pub(crate) compare: Option<Json>,
    pub(crate) meta: MetaBody,
}

/// A row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResultRow {
    /// Values by breakdown, `COUNT`, `OP(column)` or name.
    #[schema(value_type = Object)]
    pub(crate) data: Json,
    /// Events only: RFC 3339.
    pub(crate) time: Option<String>,
    /// Events only, unless 1.
    pub(crate) samplerate: Option<f64>,
    /// Events only.
    pub(crate) dataset: Option<String>,
}

/// A row of one bucket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SeriesPoint {
    /// Start of the bucket, RFC 3339.
    pub(crate) time: String,
    #[schema(value_type = Object)]
    pub(crate) data: Json,
}

/// How an answer came about.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MetaBody {
    pub(crate) rows_scanned: u64,
    pub(crate) rows_matched: u64,
    pub(crate) segments: u64,
    /// Since the request came.
    pub(crate) elapsed_ms: f64,
    pub(crate) engine_ms: f64,
    /// Share of the events that was looked at; below 1 the answer is partial.
    pub(crate) coverage: f64,
    pub(crate) notes: Option<Vec<String>>,
    /// Which calculations are not exact, and by how much.
    pub(crate) approximate: Option<Vec<ApproximateBody>>,
    /// The scales of HEATMAPs, by key.
    #[schema(value_type = Option<Object>)]
    pub(crate) heatmaps: Option<Json>,
    /// Where relatives of events were looked for, if the question asks for them.
    pub(crate) relations: Option<RelationsBody>,
}

/// Where relatives were looked for, and events of the range that lack them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RelationsBody {
    /// First time of events that may be relatives.
    pub(crate) events_from: String,
    /// First time after it of those that may not.
    pub(crate) events_to: String,
    /// Events of a trace whose root is not there, if roots were looked for.
    pub(crate) without_root: Option<u64>,
    /// Events whose parent is not there, if parents or children were looked for.
    pub(crate) without_parent: Option<u64>,
}

/// A calculation that is not exact.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApproximateBody {
    pub(crate) key: String,
    pub(crate) relative_error: f64,
}

/// Which examples are wanted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExamplesRequest)]
pub(crate) struct ExamplesRequestSchema {
    /// Name or slug, or `__all__`.
    pub(crate) dataset: String,
    /// Filters, time range and calculated fields; nothing else of it is used.
    pub(crate) query: QuerySpecSchema,
    /// Values of a group's breakdowns, null for missing ones.
    #[schema(value_type = Option<Object>)]
    pub(crate) group: Option<Json>,
    /// What is to be large (default `duration_ms`).
    pub(crate) column: Option<String>,
    /// At most so many (default 10, at most the limit examples_max).
    pub(crate) limit: Option<u64>,
}

/// Events with large values, the largest first, one per trace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExamplesAnswer {
    pub(crate) column: String,
    pub(crate) examples: Vec<ExampleBody>,
    #[schema(value_type = Object)]
    pub(crate) meta: Json,
}

/// An event with a large value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExampleBody {
    /// RFC 3339.
    pub(crate) time: String,
    pub(crate) value: f64,
    pub(crate) trace_id: Option<String>,
    pub(crate) span_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) dataset: Option<String>,
}

/// The events of a trace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TraceEventsBody {
    pub(crate) trace_id: String,
    pub(crate) n_events: u64,
    /// Whether there are more events than the limit.
    pub(crate) truncated: bool,
    pub(crate) events: Vec<ResultRow>,
}

/// A span with all its fields, and what happened in it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TraceSpanBody {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    /// Usually one; several if the id was sent more than once.
    pub(crate) spans: Vec<ResultRow>,
    pub(crate) span_events: Vec<ResultRow>,
    pub(crate) links: Vec<ResultRow>,
    /// Lines of logs that name it.
    pub(crate) logs: Vec<ResultRow>,
    /// Spans that it is the parent of.
    pub(crate) n_children: u64,
}
