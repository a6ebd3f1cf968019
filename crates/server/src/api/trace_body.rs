//! The JSON of a trace's skeleton: lists with an entry per row, and short lists of the rows that are special.
//!
//! Owns: its field names, and what is written as what. Never does: put traces together (engine).

use engine::{RowKind, Skeleton};
use model::time::rfc3339;
use model::{TimeNs, Value};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// A trace without the fields of its events: what its waterfall is drawn from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TraceBody<'a> {
    pub(crate) trace_id: &'a str,
    /// Events that name the trace, repetitions included.
    pub(crate) n_events: usize,
    /// Whether there are more than the limit.
    pub(crate) truncated: bool,
    /// Rows below; some may stand for spans that are missing.
    pub(crate) n_rows: usize,
    /// Kinds of rows by number.
    pub(crate) kinds: [&'static str; 6],
    /// Names by number, in order of appearance; 0 is none.
    pub(crate) names: &'a [String],
    /// Services by number; 0 is none.
    pub(crate) services: &'a [String],
    /// Kinds of spans (client, server, …) by number; 0 is none.
    pub(crate) span_kinds: &'a [String],
    pub(crate) summary: SummaryBody<'a>,
    /// What is odd about the trace.
    pub(crate) warnings: Vec<WarningBody<'a>>,
    /// Rows that are special, by what they are.
    pub(crate) flags: FlagsBody<'a>,
    pub(crate) critical_path: PathBody,
    /// Corrections of clocks that would make sense; times above and below are as sent, but for those of the critical path.
    pub(crate) clock_shifts: ShiftsBody,
    /// Where links lead.
    pub(crate) links: LinksBody<'a>,
    /// How unusual durations are; with `compare=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comparison: Option<ComparisonBody<'a>>,
    pub(crate) rows: RowsBody<'a>,
    pub(crate) meta: TraceMeta,
}

/// The trace in a few numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SummaryBody<'a> {
    /// Where the tree with most rows starts.
    pub(crate) root: Option<RootBody<'a>>,
    /// Time of the first event, RFC 3339.
    pub(crate) start_time: String,
    /// From there to the end of the last span.
    pub(crate) duration_ms: f64,
    pub(crate) n_spans: usize,
    pub(crate) n_span_events: usize,
    pub(crate) n_links: usize,
    pub(crate) n_logs: usize,
    /// Other events that name the trace.
    pub(crate) n_others: usize,
    /// Rows that stand for missing spans.
    pub(crate) n_missing: usize,
    /// Spans without a parent.
    pub(crate) n_roots: usize,
    /// Spans that failed.
    pub(crate) n_errors: usize,
    /// Levels below the top.
    pub(crate) depth_max: u32,
    /// Those with most time on the critical path first.
    pub(crate) services: Vec<ServiceBody<'a>>,
}

/// Where a trace starts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RootBody<'a> {
    pub(crate) row: u32,
    pub(crate) name: &'a str,
    pub(crate) service: &'a str,
    /// Whether the root itself is missing, and the row stands for it.
    pub(crate) missing: bool,
    pub(crate) duration_ms: f64,
}

/// What one service did in a trace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceBody<'a> {
    pub(crate) service: &'a str,
    pub(crate) n_spans: usize,
    pub(crate) n_errors: usize,
    /// How much of the critical path was in it.
    pub(crate) critical_path_ms: f64,
}

/// Something odd.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WarningBody<'a> {
    /// `no_root`, `no_spans`, `several_roots`, `missing_parent`, `duplicate_spans`, `duplicate_ids`, `cycle`, `clock_skew`,
    /// `truncated` or `stopped`.
    pub(crate) code: &'a str,
    /// Events that it is about.
    pub(crate) count: usize,
    pub(crate) message: &'a str,
}

/// Numbers of special rows, ascending.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlagsBody<'a> {
    /// They failed: `error` is true, or the status code is 2.
    pub(crate) error: &'a [u32],
    /// Their parent is not there.
    pub(crate) missing_parent: &'a [u32],
    pub(crate) starts_before_parent: &'a [u32],
    pub(crate) ends_after_parent: &'a [u32],
    /// Another, different span has the same id.
    pub(crate) duplicate_id: &'a [u32],
    /// They were their own ancestors; the way to the parent was cut.
    pub(crate) cycle: &'a [u32],
}

/// The stretches of time that the root's duration consists of, in order: in which row each was spent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PathBody {
    pub(crate) row: Vec<u32>,
    /// Since the start of the trace, clocks corrected.
    pub(crate) start_ns: Vec<i64>,
    pub(crate) end_ns: Vec<i64>,
}

/// Rows that would have started so much later if clocks agreed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShiftsBody {
    pub(crate) row: Vec<u32>,
    pub(crate) shift_ns: Vec<i64>,
}

/// Rows of links, and where they lead.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinksBody<'a> {
    pub(crate) row: Vec<u32>,
    pub(crate) trace_id: Vec<&'a str>,
    pub(crate) span_id: Vec<&'a str>,
}

/// Durations of the trace among those of all spans of the same service and name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ComparisonBody<'a> {
    /// Between which times, RFC 3339.
    pub(crate) start_time: String,
    pub(crate) end_time: String,
    /// Kinds of spans of this trace that were not looked up, because there are too many.
    pub(crate) n_kinds_left_out: usize,
    pub(crate) kinds: Vec<KindBody<'a>>,
    /// For each row the number of its kind, or -1.
    #[schema(value_type = Vec<i64>)]
    pub(crate) kind: Rows<'a>,
    /// For each row the share of spans of its kind that took less, or null.
    #[schema(value_type = Vec<Option<f64>>)]
    pub(crate) rank: Ranks<'a>,
}

/// Spans of one service and name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KindBody<'a> {
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    /// How many, weighted by sample rate.
    pub(crate) n: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Depth first, children by their start. Every list has one entry per row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowsBody<'a> {
    /// Id of the span; null for what has none.
    #[schema(value_type = Vec<Option<String>>)]
    pub(crate) span_id: Texts<'a>,
    /// Row of the parent, always an earlier one, or -1.
    #[schema(value_type = Vec<i64>)]
    pub(crate) parent: Rows<'a>,
    /// Ancestors.
    pub(crate) depth: &'a [u32],
    /// Number among `kinds`.
    #[schema(value_type = Vec<u32>)]
    pub(crate) kind: Kinds<'a>,
    /// Number among `names`.
    pub(crate) name: &'a [u32],
    /// Number among `services`.
    pub(crate) service: &'a [u32],
    /// Number among `span_kinds`.
    pub(crate) span_kind: &'a [u32],
    /// Start since the start of the trace.
    pub(crate) start_ns: &'a [i64],
    pub(crate) duration_ns: &'a [i64],
    /// The columns of `columns=`, by name: a value or null per row.
    #[schema(value_type = std::collections::BTreeMap<String, Vec<serde_json::Value>>)]
    pub(crate) columns: Columns<'a>,
}

/// How it was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TraceMeta {
    pub(crate) rows_scanned: u64,
    /// The times between which it was looked for, if not everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) searched_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) searched_to: Option<String>,
    pub(crate) elapsed_ms: f64,
}

/// Numbers of rows, -1 for none.
#[derive(Debug)]
pub(crate) struct Rows<'a>(&'a [u32]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|r| if *r == u32::MAX { -1 } else { i64::from(*r) }))
    }
}

#[derive(Debug)]
pub(crate) struct Kinds<'a>(&'a [RowKind]);

impl Serialize for Kinds<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|k| *k as u8))
    }
}

/// Texts, null for the empty one.
#[derive(Debug)]
pub(crate) struct Texts<'a>(&'a [String]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|t| (!t.is_empty()).then_some(t.as_str())))
    }
}

/// Shares of one, to five digits, null for none.
#[derive(Debug)]
pub(crate) struct Ranks<'a>(&'a [f64]);

impl Serialize for Ranks<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|r| (!r.is_nan()).then(|| (r * 1e5).round() / 1e5)))
    }
}

#[derive(Debug)]
pub(crate) struct Columns<'a>(&'a [(String, Vec<Value>)]);

struct Values<'a>(&'a [Value]);

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(self.0.len()))?;
        for value in self.0 {
            match value {
                Value::Null => seq.serialize_element(&())?,
                Value::Bool(b) => seq.serialize_element(b)?,
                Value::Int(i) => seq.serialize_element(i)?,
                Value::Float(f) => seq.serialize_element(f)?,
                Value::Str(text) => seq.serialize_element(text)?,
            }
        }
        seq.end()
    }
}

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for (name, values) in self.0 {
            map.serialize_entry(name, &Values(values))?;
        }
        map.end()
    }
}

fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}

fn text(list: &[String], number: u32) -> &str {
    list.get(number as usize).map_or("", String::as_str)
}

impl<'a> TraceBody<'a> {
    pub(crate) fn new(id: &'a str, trace: &'a Skeleton, elapsed_ms: f64) -> TraceBody<'a> {
        let since = |t: TimeNs| t.saturating_sub(trace.start_ns);
        let path = || trace.critical_path.iter();
        TraceBody {
            trace_id: id,
            n_events: trace.n_events,
            truncated: trace.truncated,
            n_rows: trace.len(),
            summary: summary(trace),
            warnings: trace.warnings.iter().map(|w| WarningBody { code: w.code, count: w.count, message: &w.message }).collect(),
            flags: FlagsBody {
                error: &trace.errors,
                missing_parent: &trace.orphans,
                starts_before_parent: &trace.early,
                ends_after_parent: &trace.late,
                duplicate_id: &trace.duplicates,
                cycle: &trace.cycles,
            },
            critical_path: PathBody {
                row: path().map(|s| s.row).collect(),
                start_ns: path().map(|s| since(s.start_ns)).collect(),
                end_ns: path().map(|s| since(s.end_ns)).collect(),
            },
            clock_shifts: ShiftsBody {
                row: trace.shifts.iter().map(|s| s.0).collect(),
                shift_ns: trace.shifts.iter().map(|s| s.1).collect(),
            },
            links: LinksBody {
                row: trace.links.iter().map(|l| l.0).collect(),
                trace_id: trace.links.iter().map(|l| l.1.as_str()).collect(),
                span_id: trace.links.iter().map(|l| l.2.as_str()).collect(),
            },
            comparison: comparison(trace),
            kinds: RowKind::NAMES,
            names: &trace.names,
            services: &trace.services,
            span_kinds: &trace.span_kinds,
            rows: RowsBody {
                span_id: Texts(&trace.span),
                parent: Rows(&trace.parent),
                depth: &trace.depth,
                kind: Kinds(&trace.kind),
                name: &trace.name,
                service: &trace.service,
                span_kind: &trace.span_kind,
                start_ns: &trace.offset_ns,
                duration_ns: &trace.took_ns,
                columns: Columns(&trace.columns),
            },
            meta: TraceMeta {
                rows_scanned: trace.rows_scanned,
                searched_from: trace.searched.map(|s| rfc3339(s.0)),
                searched_to: trace.searched.map(|s| rfc3339(s.1)),
                elapsed_ms,
            },
        }
    }
}

fn summary(trace: &Skeleton) -> SummaryBody<'_> {
    let root = trace.root.map(|row| {
        let at = row as usize;
        RootBody {
            row,
            name: text(&trace.names, trace.name[at]),
            service: text(&trace.services, trace.service[at]),
            missing: trace.kind[at] == RowKind::Missing,
            duration_ms: ms(trace.took_ns[at]),
        }
    });
    let services = trace.shares.iter().map(|s| ServiceBody {
        service: text(&trace.services, s.service),
        n_spans: s.n_spans,
        n_errors: s.n_errors,
        critical_path_ms: ms(s.critical_ns),
    });
    let n = |kind: RowKind| trace.n_of_kind[kind as usize];
    SummaryBody {
        root,
        start_time: rfc3339(trace.start_ns),
        duration_ms: ms(trace.duration_ns),
        n_spans: n(RowKind::Span),
        n_span_events: n(RowKind::SpanEvent),
        n_links: n(RowKind::Link),
        n_logs: n(RowKind::Log),
        n_others: n(RowKind::Other),
        n_missing: n(RowKind::Missing),
        n_roots: trace.n_roots,
        n_errors: trace.n_errors,
        depth_max: trace.depth_max,
        services: services.collect(),
    }
}

fn comparison(trace: &Skeleton) -> Option<ComparisonBody<'_>> {
    let found = trace.comparison.as_ref()?;
    let kinds = found.kinds.iter().map(|k| KindBody {
        service: text(&trace.services, k.service),
        name: text(&trace.names, k.name),
        n: k.n,
        p50_ms: k.p50_ms,
        p99_ms: k.p99_ms,
    });
    Some(ComparisonBody {
        start_time: rfc3339(found.range.0),
        end_time: rfc3339(found.range.1),
        n_kinds_left_out: found.n_left_out,
        kinds: kinds.collect(),
        kind: Rows(&found.kind),
        rank: Ranks(&found.rank),
    })
}
