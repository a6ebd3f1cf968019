//! OTLP traces, logs and metrics.
//!
//! Owns: the entry points, the choice of dataset, the answers' bodies. Never does: HTTP or gRPC.

use crate::{Context, IngestError};
use model::Batch;

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
        let _ = content_type;
        todo!()
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
pub fn traces(body: &[u8], encoding: Encoding, routing: Routing<'_>, context: &Context<'_>) -> Result<OtlpDecoded, IngestError> {
    decode(Signal::Traces, body, encoding, routing, context)
}

/// Decodes an `ExportLogsServiceRequest`.
pub fn logs(body: &[u8], encoding: Encoding, routing: Routing<'_>, context: &Context<'_>) -> Result<OtlpDecoded, IngestError> {
    decode(Signal::Logs, body, encoding, routing, context)
}

/// Decodes an `ExportMetricsServiceRequest`.
pub fn metrics(body: &[u8], encoding: Encoding, routing: Routing<'_>, context: &Context<'_>) -> Result<OtlpDecoded, IngestError> {
    decode(Signal::Metrics, body, encoding, routing, context)
}

/// Decodes a request of any of the three services.
pub fn decode(
    signal: Signal,
    body: &[u8],
    encoding: Encoding,
    routing: Routing<'_>,
    context: &Context<'_>,
) -> Result<OtlpDecoded, IngestError> {
    let _ = (signal, body, encoding, routing, context);
    todo!()
}

/// The body of a successful answer (`Export…ServiceResponse`), with `partial_success` if something was refused or there is a message.
#[must_use]
pub fn response(encoding: Encoding, signal: Signal, decoded: &OtlpDecoded) -> Vec<u8> {
    let _ = (encoding, signal, decoded);
    todo!()
}
