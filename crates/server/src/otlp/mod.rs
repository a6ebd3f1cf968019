//! OTLP over HTTP and gRPC.
//!
//! Owns: what both have in common. Never does: decode OTLP (`ingest`).

pub(crate) mod grpc;
pub(crate) mod http;

use crate::auth::{is_classic, sent_key};
use crate::budget::Lease;
use crate::error::Failure;
use crate::events::note_taken;
use crate::metrics::Way;
use crate::route::Call;
use crate::take::take;
use bytes::Bytes;
use ingest::ContentEncoding;
use ingest::otlp::{Encoding, OtlpDecoded, Routing, Signal, decode};

/// Takes the events of a request and answers what became of them.
async fn export(
    call: &Call,
    signal: Signal,
    way: Way,
    sent: (Bytes, Lease),
    packing: ContentEncoding,
    encoding: Encoding,
) -> Result<OtlpDecoded, Failure> {
    let dataset = call.header("x-honeycomb-dataset").map(|d| d.trim().to_owned()).filter(|d| !d.is_empty());
    let classic = sent_key(&call.parts.headers).is_some_and(is_classic);
    let depth = call.app.settings.limits.flatten_depth_max;
    let taken = take(&call.app, sent, packing, depth, move |bytes, context| {
        decode(signal, bytes, encoding, Routing { dataset: dataset.as_deref(), classic }, context)
    })
    .await?;
    let events = &taken.events;
    call.app.metrics.ingested(way, taken.n_rows, events.rejected, taken.unpacked_bytes);
    call.note("wideye.ingest.signal", signal_name(signal));
    note_taken(call, &taken, events.rejected);
    Ok(taken.events)
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "traces",
        Signal::Logs => "logs",
        Signal::Metrics => "metrics",
    }
}
