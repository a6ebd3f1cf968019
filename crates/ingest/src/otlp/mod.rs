//! OTLP traces, logs and metrics (docs/sending-events.md has the mapping).
//!
//! Owns: the entry points, resources and scopes, the choice of dataset, the answers' bodies. Never does: HTTP or gRPC.

mod attributes;
mod histogram;
mod logs;
mod metrics;
mod response;
#[cfg(test)]
mod tests;
mod traces;
mod transcode;
mod wire;

use crate::rows::Rows;
use crate::{Context, EventStatus, IngestError};
use attributes::{Any, KeyValue, Rate, flatten, set};
use model::{Batch, ColumnId, Limits};
use std::collections::{HashMap, hash_map::Entry};
use wire::{Piece, Result};

pub use response::response;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Binary protobuf.
    Protobuf,
    /// OTLP's JSON.
    Json,
}

impl Encoding {
    /// From the value of a `Content-Type` header.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Encoding> {
        let name = content_type.split(';').next().unwrap_or_default().trim();
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("application/json") {
            Some(Encoding::Json)
        } else if is("application/x-protobuf") || is("application/protobuf") {
            Some(Encoding::Protobuf)
        } else {
            None
        }
    }
}

/// Which of the three services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans with their events and links.
    Traces,
    /// Log records.
    Logs,
    /// Data points.
    Metrics,
}

/// What the request's headers say about the dataset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routing<'a> {
    /// `X-Honeycomb-Dataset`.
    pub dataset: Option<&'a str>,
    /// Whether the key is a Classic one: then the header names the dataset of traces and metrics.
    pub classic: bool,
}

/// A decoded request.
#[derive(Debug, Default)]
pub struct OtlpDecoded {
    /// A batch per dataset.
    pub writes: Vec<(String, Batch)>,
    /// Spans, log records or data points taken.
    pub accepted: usize,
    /// Those refused.
    pub rejected: usize,
    /// Which and why, empty if there is nothing to say.
    pub message: String,
}

/// Decodes an `ExportTraceServiceRequest`.
pub fn traces(
    body: &[u8],
    encoding: Encoding,
    routing: Routing<'_>,
    context: &Context<'_>,
) -> std::result::Result<OtlpDecoded, IngestError> {
    decode(Signal::Traces, body, encoding, routing, context)
}

/// Decodes an `ExportLogsServiceRequest`.
pub fn logs(body: &[u8], encoding: Encoding, routing: Routing<'_>, context: &Context<'_>) -> std::result::Result<OtlpDecoded, IngestError> {
    decode(Signal::Logs, body, encoding, routing, context)
}

/// Decodes an `ExportMetricsServiceRequest`.
pub fn metrics(
    body: &[u8],
    encoding: Encoding,
    routing: Routing<'_>,
    context: &Context<'_>,
) -> std::result::Result<OtlpDecoded, IngestError> {
    decode(Signal::Metrics, body, encoding, routing, context)
}

/// Decodes a request of any of the three services. An empty body is an empty request.
pub fn decode(
    signal: Signal,
    body: &[u8],
    encoding: Encoding,
    routing: Routing<'_>,
    context: &Context<'_>,
) -> std::result::Result<OtlpDecoded, IngestError> {
    let malformed = |e: crate::json::JsonError| IngestError::Malformed { what: e.what, at: e.at, event: None };
    let transcoded;
    let body = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => {
            transcoded = transcode::to_protobuf(signal, body, context.limits.nesting_depth_max).map_err(malformed)?;
            &transcoded
        }
    };
    let mut request = Request { signal, routing, context: *context, datasets: Vec::new(), by_name: HashMap::new(), tally: Tally::new() };
    request.read(Piece::new(body)).map_err(malformed)?;
    Ok(request.finish())
}

/// What was taken, what not and why.
#[derive(Debug)]
struct Tally {
    accepted: usize,
    rejected: usize,
    /// Reasons, each with what it hit first and how often.
    reasons: Vec<(String, String, usize)>,
    /// Cells that the request may still unfold into.
    cells_left: usize,
}

impl Tally {
    /// At most so many different reasons are told.
    const REASONS_MAX: usize = 5;

    fn new() -> Tally {
        Tally { accepted: 0, rejected: 0, reasons: Vec::new(), cells_left: Limits::REQUEST_CELLS_CEILING }
    }

    /// Notes the outcome of a row that stands for `n` items (0 for span events and links). `name` tells which it was.
    fn note(&mut self, rows: &mut Rows<'_>, status: EventStatus, n: usize, name: impl FnOnce() -> String) {
        self.cells_left = self.cells_left.saturating_sub(rows.take_cells());
        match status {
            EventStatus::Accepted => self.accepted += n,
            EventStatus::Refused { error, .. } => self.refuse(&error, n, name),
        }
    }

    fn refuse(&mut self, error: &str, n: usize, name: impl FnOnce() -> String) {
        self.rejected += n;
        match self.reasons.iter().position(|r| r.0 == error) {
            Some(i) => self.reasons[i].2 += 1,
            None if self.reasons.len() < Self::REASONS_MAX => self.reasons.push((error.to_owned(), name(), 1)),
            None => {}
        }
    }

    /// Whether there is room for more rows; if not, these `n` items are refused.
    fn has_room(&mut self, n: usize, name: impl FnOnce() -> String) -> bool {
        if self.cells_left == 0 {
            self.refuse("Request is too large once attributes of resources stand in every row. Send smaller batches.", n, name);
        }
        self.cells_left > 0
    }

    fn message(&self) -> String {
        let one = |(error, name, n): &(String, String, usize)| match n {
            1 => format!("{name} refused: {error}"),
            n => format!("{name} and {} more refused: {error}", n - 1),
        };
        self.reasons.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

/// A dataset's rows, with the columns that the signal's own fields go to.
#[derive(Debug)]
struct Dataset<'c> {
    rows: Rows<'c>,
    columns: Columns,
}

#[derive(Debug)]
enum Columns {
    Traces(traces::Columns),
    Logs(logs::Columns),
    Metrics(metrics::Columns),
}

/// A request on its way into datasets.
#[derive(Debug)]
struct Request<'c> {
    signal: Signal,
    routing: Routing<'c>,
    context: Context<'c>,
    datasets: Vec<Dataset<'c>>,
    /// By name in lower case, as names ignore case.
    by_name: HashMap<String, usize>,
    tally: Tally,
}

/// Attributes that all rows of a resource or scope share.
#[derive(Debug, Default)]
struct Shared<'s, 'a> {
    /// Those of the resource, if these are of a scope.
    under: Option<&'s Shared<'s, 'a>>,
    cells: Vec<(ColumnId, Any<'a>)>,
    rate: Rate,
    /// Why rows with these attributes are refused, if they are.
    refusal: Option<EventStatus>,
}

impl<'a> Shared<'_, 'a> {
    fn add(&mut self, rows: &mut Rows<'_>, pair: KeyValue<'a>) -> Result<()> {
        if self.rate.take(&pair) {
            return Ok(());
        }
        if self.cells.len() >= rows.context().limits.event_fields_max {
            rows.refuse(400, "Event has too many columns.");
            return Ok(());
        }
        let cells = &mut self.cells;
        flatten(rows, pair, &mut |_, column, value| {
            cells.push((column, value));
            Ok(())
        })
    }

    fn add_text(&mut self, rows: &mut Rows<'_>, key: &'static str, value: Piece<'a>) -> Result<()> {
        if value.is_empty() { Ok(()) } else { self.add(rows, KeyValue { key: key.as_bytes(), value: Any::Str(value) }) }
    }

    /// Writes the cells into the row under construction.
    fn write(&self, rows: &mut Rows<'_>) -> Result<()> {
        if let Some(EventStatus::Refused { status, error }) = &self.refusal {
            rows.refuse(*status, error.clone());
            return Ok(());
        }
        if let Some(under) = self.under {
            under.write(rows)?;
        }
        for &(column, value) in &self.cells {
            set(rows, column, value)?;
        }
        Ok(())
    }
}

/// Names of instrumentation libraries start so.
const LIBRARY_PREFIXES: [&str; 9] = [
    "@opentelemetry/instrumentation",
    "go.opentelemetry.io/contrib/instrumentation",
    "io.opentelemetry",
    "io.opentelemetry.contrib.php",
    "opentelemetry.instrumentation",
    "opentelemetry_",
    "OpenTelemetry.Instrumentation",
    "OpenTelemetry.AutoInstrumentation",
    "OpenTelemetry::Instrumentation",
];

impl<'c> Request<'c> {
    fn read(&mut self, body: Piece<'_>) -> Result<()> {
        let mut fields = body.fields();
        while let Some((number, value)) = fields.next()? {
            if number == 1 {
                self.resource(value.piece())?;
            }
        }
        Ok(())
    }

    /// `ResourceSpans`, `ResourceLogs` or `ResourceMetrics`: their fields have the same numbers.
    fn resource(&mut self, piece: Piece<'_>) -> Result<()> {
        let (mut resource, mut schema_url) = (Piece::default(), Piece::default());
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => resource = value.piece(),
                3 => schema_url = value.piece(),
                _ => {}
            }
        }
        let mut service = None;
        let mut attributes = resource.fields();
        while let Some((number, value)) = attributes.next()? {
            if number == 1 {
                let pair = KeyValue::read(value.piece())?;
                if pair.key == b"service.name" {
                    service = pair.value.as_text();
                }
            }
        }
        let at = self.dataset(service.as_deref());
        let Some(dataset) = at.and_then(|at| self.datasets.get_mut(at)) else {
            return self.refuse_resource(piece, service.as_deref().unwrap_or_default());
        };
        let mut shared = Shared::default();
        // As if it were an event, so that a refusal can be seen; the columns stay as long as one of its rows needs them.
        dataset.rows.clear_refusal();
        let mut attributes = resource.fields();
        while let Some((number, value)) = attributes.next()? {
            if number == 1 {
                shared.add(&mut dataset.rows, KeyValue::read(value.piece())?)?;
            }
        }
        shared.add_text(&mut dataset.rows, "resource.schema_url", schema_url)?;
        shared.refusal = dataset.rows.clear_refusal();
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            // 1000 is where scopes were while they were called instrumentation libraries.
            if number == 2 || number == 1000 {
                scope(dataset, &mut self.tally, &shared, value.piece())?;
            }
        }
        Ok(())
    }

    /// Counts the items of a resource that has no dataset to go to.
    fn refuse_resource(&mut self, piece: Piece<'_>, service: &str) -> Result<()> {
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            if number == 2 || number == 1000 {
                let mut items = value.piece().fields();
                while items.next_if(2)?.is_some() {
                    self.tally.refuse("Request names too many datasets.", 1, || format!("item of service '{service}'"));
                }
            }
        }
        Ok(())
    }

    /// The dataset that a resource's rows go to; none if the request names too many.
    fn dataset(&mut self, service: Option<&str>) -> Option<usize> {
        let free = |name: &&str| !name.is_empty() && !name.eq_ignore_ascii_case(model::ALL_DATASETS);
        let service = service.map(str::trim).filter(free).filter(|s| !s.starts_with("unknown_service"));
        let header = self.routing.dataset.map(str::trim).filter(free);
        let name = match (self.signal, header) {
            (Signal::Traces | Signal::Metrics, Some(header)) if self.routing.classic => header,
            (Signal::Traces, _) => service.unwrap_or("unknown_service"),
            (Signal::Logs, _) => service.or(header).unwrap_or("unknown_log_source"),
            (Signal::Metrics, _) => service.or(header).unwrap_or("unknown_metrics"),
        };
        let name = &name[..name.floor_char_boundary(self.context.limits.dataset_name_bytes_max)];
        let full = self.datasets.len() >= self.context.limits.datasets_max;
        let entry = match self.by_name.entry(name.to_lowercase()) {
            Entry::Occupied(known) => return Some(*known.get()),
            Entry::Vacant(_) if full => return None,
            Entry::Vacant(entry) => entry,
        };
        Some(*entry.insert({
            let mut rows = Rows::new(name, &self.context);
            let columns = match self.signal {
                Signal::Traces => Columns::Traces(traces::Columns::new(&mut rows)),
                Signal::Logs => Columns::Logs(logs::Columns::new(&mut rows)),
                Signal::Metrics => Columns::Metrics(metrics::Columns::new(&mut rows)),
            };
            self.datasets.push(Dataset { rows, columns });
            self.datasets.len() - 1
        }))
    }

    fn finish(self) -> OtlpDecoded {
        let writes = self.datasets.into_iter().map(|d| d.rows.finish()).filter(|w| w.1.n_rows > 0).collect();
        OtlpDecoded { writes, accepted: self.tally.accepted, rejected: self.tally.rejected, message: self.tally.message() }
    }
}

/// `ScopeSpans`, `ScopeLogs` or `ScopeMetrics`.
fn scope<'a>(dataset: &mut Dataset<'_>, tally: &mut Tally, resource: &Shared<'_, 'a>, piece: Piece<'a>) -> Result<()> {
    let rows = &mut dataset.rows;
    let mut shared = Shared { under: Some(resource), ..Shared::default() };
    let mut schema_url = Piece::default();
    rows.clear_refusal();
    let mut fields = piece.fields();
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => {
                let mut of_scope = value.piece().fields();
                while let Some((number, value)) = of_scope.next()? {
                    match number {
                        1 => {
                            let name = value.piece();
                            shared.add_text(rows, "library.name", name)?;
                            if LIBRARY_PREFIXES.iter().any(|p| name.bytes.starts_with(p.as_bytes())) {
                                shared.add(rows, KeyValue { key: b"telemetry.instrumentation_library", value: Any::Bool(true) })?;
                            }
                        }
                        2 => shared.add_text(rows, "library.version", value.piece())?,
                        3 => shared.add(rows, KeyValue::read(value.piece())?)?,
                        _ => {}
                    }
                }
            }
            3 => schema_url = value.piece(),
            _ => {}
        }
    }
    shared.add_text(rows, "scope.schema_url", schema_url)?;
    shared.rate = shared.rate.over(resource.rate);
    shared.refusal = rows.clear_refusal();
    match &dataset.columns {
        Columns::Metrics(columns) => return metrics::scope(rows, columns, tally, &shared, piece),
        Columns::Traces(_) | Columns::Logs(_) => {}
    }
    let mut span = traces::Span::default();
    let mut fields = piece.fields();
    while let Some((number, value)) = fields.next()? {
        if number == 2 {
            match &dataset.columns {
                Columns::Traces(columns) => traces::span(rows, columns, tally, &shared, &mut span, value.piece())?,
                Columns::Logs(columns) => logs::record(rows, columns, tally, &shared, value.piece())?,
                Columns::Metrics(_) => {}
            }
        }
    }
    Ok(())
}
