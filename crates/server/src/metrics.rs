//! What the server counts of itself, and the page that tells it to Prometheus.
//!
//! Owns: counters and `GET /metrics`. Never does: count per dataset or per key (the events in dataset `wideye` tell that).

use crate::app::App;
use engine::{EngineError, Meta};
use model::ErrorKind;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::Work;

/// How events come in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Honeycomb,
    OtlpHttp,
    OtlpGrpc,
}

const WAYS: [(&str, Way); 3] = [("honeycomb", Way::Honeycomb), ("otlp_http", Way::OtlpHttp), ("otlp_grpc", Way::OtlpGrpc)];

#[derive(Debug, Default)]
struct WayCounters {
    requests: AtomicU64,
    events: AtomicU64,
    rejected: AtomicU64,
    bytes: AtomicU64,
}

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    ways: [WayCounters; 3],
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    queries: [AtomicU64; 3],
    query_ns: AtomicU64,
    query_rows: AtomicU64,
    decode_cpu_ns: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) telemetry_dropped: AtomicU64,
}

/// How a question ended.
#[derive(Clone, Copy, Debug)]
enum QueryEnd {
    Answered,
    Failed,
    Cancelled,
}

impl Metrics {
    pub(crate) fn ingested(&self, way: Way, events: usize, rejected: usize, bytes: usize) {
        let w = &self.ways[way as usize];
        w.requests.fetch_add(1, Ordering::Relaxed);
        w.events.fetch_add(events as u64, Ordering::Relaxed);
        w.rejected.fetch_add(rejected as u64, Ordering::Relaxed);
        w.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn decoded(&self, cpu_ns: u64) {
        self.decode_cpu_ns.fetch_add(cpu_ns, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        *self.refusals.lock().entry(reason).or_default() += 1;
    }

    /// Counts a question that has ended.
    pub(crate) fn queried<T>(&self, took: Duration, ended: &Result<T, EngineError>, meta: impl FnOnce(&T) -> &Meta) {
        let (end, rows) = match ended {
            Ok(answer) => (QueryEnd::Answered, meta(answer).rows_scanned),
            Err(e) if e.kind() == ErrorKind::Cancelled => (QueryEnd::Cancelled, 0),
            Err(_) => (QueryEnd::Failed, 0),
        };
        self.queries[end as usize].fetch_add(1, Ordering::Relaxed);
        self.query_ns.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
        self.query_rows.fetch_add(rows, Ordering::Relaxed);
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: impl Display) {
        self.0.push_str(&format!("{line}\n"));
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.line(format_args!("{name} {value}"));
    }

    fn labelled(&mut self, name: &str, help: &str, label: &str, values: impl IntoIterator<Item = (&'static str, u64)>) {
        self.family(name, "counter", help);
        for (value, n) in values {
            self.line(format_args!("{name}{{{label}=\"{value}\"}} {n}"));
        }
    }
}

fn work_name(work: Work) -> &'static str {
    match work {
        Work::Encode => "encode",
        Work::Log => "log",
        Work::Coalesce => "coalesce",
        Work::Seal => "seal",
        Work::Compact => "compact",
    }
}

/// The page of `GET /metrics`.
pub(crate) fn page(app: &App) -> String {
    let m = &app.metrics;
    let mut p = Page(String::with_capacity(8 << 10));
    let of = |pick: fn(&WayCounters) -> &AtomicU64| WAYS.map(|(name, way)| (name, pick(&m.ways[way as usize]).load(Ordering::Relaxed)));
    p.labelled("wideye_ingest_requests_total", "Requests that brought events.", "way", of(|w| &w.requests));
    p.labelled("wideye_ingest_events_total", "Events stored.", "way", of(|w| &w.events));
    p.labelled("wideye_ingest_rejected_events_total", "Events refused for themselves.", "way", of(|w| &w.rejected));
    p.labelled("wideye_ingest_bytes_total", "Bytes of requests after decompression.", "way", of(|w| &w.bytes));
    let refusals: Vec<(&'static str, u64)> = m.refusals.lock().iter().map(|(r, n)| (*r, *n)).collect();
    p.labelled("wideye_refused_requests_total", "Requests that were not done, by reason.", "reason", refusals);
    p.one("wideye_ingest_inflight_bytes", "gauge", "Bytes of requests in work.", app.budget.used());
    let ends = ["answered", "failed", "cancelled"];
    let queries = ends.iter().zip(&m.queries).map(|(name, n)| (*name, n.load(Ordering::Relaxed)));
    p.labelled("wideye_queries_total", "Questions, by how they ended.", "end", queries);
    p.one("wideye_query_seconds_total", "counter", "Time spent on questions.", m.query_ns.load(Ordering::Relaxed) as f64 / 1e9);
    p.one("wideye_query_rows_scanned_total", "counter", "Events that questions looked at.", m.query_rows.load(Ordering::Relaxed));
    p.one("wideye_queries_running", "gauge", "Questions under way.", app.runs.running());
    p.one("wideye_queries_waiting", "gauge", "Questions under way that wait for their turn on a core.", app.engine.turns().waiting());
    p.one(
        "wideye_query_memory_bytes",
        "gauge",
        "Memory of questions under way; bounded by questions_memory_bytes_max.",
        app.engine.questions_bytes(),
    );
    p.one(
        "wideye_query_pieces_made_total",
        "counter",
        "Partial answers that questions had to make; those that were kept cost none.",
        app.engine.pieces_made(),
    );
    p.one("wideye_query_cache_bytes", "gauge", "Partial answers kept; bounded by cache_bytes_max.", app.engine.cache_bytes());
    p.one(
        "wideye_dictionaries_bytes",
        "gauge",
        "Decoded dictionaries kept; bounded by dictionaries_bytes_max.",
        store::segment::dict_cache_bytes(),
    );
    p.one("wideye_connections", "gauge", "Open connections.", m.connections.load(Ordering::Relaxed));
    p.one("wideye_self_telemetry_dropped_total", "counter", "Own events that found no room.", m.telemetry_dropped.load(Ordering::Relaxed));
    p.one("wideye_keys", "gauge", "Keys.", app.door.n_keys());
    store(&mut p, app);
    process(&mut p);
    p.0
}

fn store(p: &mut Page, app: &App) {
    let s = app.store.stats();
    p.one("wideye_store_datasets", "gauge", "Datasets.", s.n_datasets);
    p.one("wideye_store_segments", "gauge", "Sealed segments.", s.n_segments);
    p.one("wideye_store_segment_rows", "gauge", "Events in sealed segments.", s.segment_rows);
    p.one("wideye_store_segment_bytes", "gauge", "Bytes of sealed segments.", s.segment_bytes);
    p.one("wideye_store_doomed_segments", "gauge", "Replaced segments that questions still read.", s.doomed_segments);
    p.one("wideye_store_memtable_rows", "gauge", "Events that are not sealed yet.", s.memtable_rows);
    p.one("wideye_store_memtable_bytes", "gauge", "Memory of unsealed events; bounded by limits.memtable_bytes_max.", s.memtable_bytes);
    p.one("wideye_store_queue_requests", "gauge", "Requests that wait for the write-ahead log.", s.queue_requests);
    p.one("wideye_store_wal_files", "gauge", "Write-ahead files.", s.wal_files);
    p.one("wideye_store_wal_bytes", "gauge", "Bytes of write-ahead files.", s.wal_bytes);
    p.one("wideye_store_appends_total", "counter", "Requests acknowledged.", s.appends);
    p.one("wideye_store_append_rows_total", "counter", "Events acknowledged.", s.append_rows);
    p.one("wideye_store_append_failures_total", "counter", "Requests not kept: full disk, overload.", s.append_failures);
    p.one("wideye_store_disk_full", "gauge", "1 if the last write met a full disk.", u8::from(s.disk_full));
    p.family("wideye_ingest_cpu_seconds_total", "counter", "CPU time of events on their way, by work; that of the network is not in it.");
    let work = Work::ALL.iter().zip(s.cpu_ns).map(|(work, ns)| (work_name(*work), ns));
    for (work, ns) in [("decode", app.metrics.decode_cpu_ns.load(Ordering::Relaxed))].into_iter().chain(work) {
        p.line(format_args!("wideye_ingest_cpu_seconds_total{{work=\"{work}\"}} {}", ns as f64 / 1e9));
    }
    p.one("wideye_store_fsyncs_total", "counter", "Syncs of the write-ahead log.", s.fsyncs);
    p.one("wideye_store_fsync_seconds_total", "counter", "Their time.", s.fsync_ns_total as f64 / 1e9);
    p.one("wideye_store_fsync_seconds_max", "gauge", "The slowest.", s.fsync_ns_max as f64 / 1e9);
    p.one("wideye_store_seals_total", "counter", "Memtables sealed.", s.seals);
    p.one("wideye_store_seal_failures_total", "counter", "Seals that failed and are tried again.", s.seal_failures);
    p.one("wideye_store_compactions_total", "counter", "Compactions.", s.compactions);
    p.one("wideye_store_compaction_rows_total", "counter", "Events rewritten by them.", s.compaction_rows);
    p.one("wideye_store_compaction_failures_total", "counter", "Compactions that failed and are tried again.", s.compaction_failures);
    p.one("wideye_store_retained_away_total", "counter", "Segments dropped by retention.", s.retained_away);
    p.one(
        "wideye_store_overflow_events_total",
        "counter",
        "Events with fields in meta.overflow, as their dataset has no column left.",
        s.overflow_events,
    );
    p.one("wideye_store_overflow_fields_total", "counter", "Those fields.", s.overflow_fields);
}

/// Memory and CPU of the process, where the system tells.
fn process(p: &mut Page) {
    if let Some(bytes) = crate::machine::resident_bytes() {
        p.one("process_resident_memory_bytes", "gauge", "Resident memory.", bytes);
    }
    // Fields 14 and 15 of stat, counted after the name in parentheses, are user and system time in ticks of 10 ms.
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat")
        && let Some((_, rest)) = stat.rsplit_once(')')
    {
        let ticks: u64 = rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
        p.one("process_cpu_seconds_total", "counter", "User and system time.", ticks as f64 / 100.0);
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        p.one("process_open_fds", "gauge", "Open files and connections.", entries.count());
    }
}
