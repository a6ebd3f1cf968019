//! `POST /1/events/{dataset}` and `POST /1/batch/{dataset}`.
//!
//! Owns: what their paths and headers mean. Never does: decode events (`ingest`).

use crate::auth::Scope;
use crate::body;
use crate::error::{Failure, Form};
use crate::metrics::Way;
use crate::route::{Answer, Call, Family, Routes, bytes_response, empty, family};
use crate::take::{Taken, take};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use ingest::Decoded;
use ingest::honeycomb::{self, EventHeaders, Format};
use percent_encoding::percent_decode_str;

pub(crate) const FAMILY: Family = family(Form::Legacy, Some(Scope::Ingest));

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.add(FAMILY, Method::POST, "/1/batch/{*dataset}", batch).add(FAMILY, Method::POST, "/1/events/{*dataset}", event)
}

/// The dataset is all that follows the prefix: two of Honeycomb's senders leave a slash in it unescaped.
fn dataset(call: &Call, prefix: &str) -> Result<String, Failure> {
    let raw = call.parts.uri.path().strip_prefix(prefix).unwrap_or("");
    let name = percent_decode_str(raw).decode_utf8().map_err(|_| Failure::invalid("the dataset's name is not UTF-8"))?;
    if name.trim().is_empty() {
        return Err(Failure::invalid("the dataset's name is empty; name it in the path"));
    }
    call.note("wideye.dataset", &*name);
    Ok(name.into_owned())
}

async fn batch(call: Call, body: Body) -> Answer {
    let dataset = dataset(&call, "/1/batch/")?;
    let format = Format::from_content_type(call.header("content-type"));
    let encoding = body::encoding(&call.parts.headers, "content-encoding")?;
    let depth = call.app.depths.of(&dataset);
    let sent = body::read(&call.app.budget, &call.parts, body, call.app.settings.limits.request_bytes_max).await?;
    let taken = take(&call.app, sent, encoding, depth, move |bytes, context| honeycomb::batch(bytes, format, &dataset, context)).await?;
    tell(&call, &taken);
    let packed = call.header("accept").is_some_and(|a| a.contains("msgpack"));
    let (form, content_type) = if packed { (Format::Msgpack, "application/msgpack") } else { (Format::Json, "application/json") };
    Ok(bytes_response(StatusCode::OK, content_type, honeycomb::reply(&taken.events.statuses, form)))
}

async fn event(call: Call, body: Body) -> Answer {
    let dataset = dataset(&call, "/1/events/")?;
    let format = Format::from_content_type(call.header("content-type"));
    let encoding = body::encoding(&call.parts.headers, "content-encoding")?;
    let depth = call.app.depths.of(&dataset);
    let time = call.header("x-honeycomb-event-time").map(str::to_owned);
    let sample_rate = call.header("x-honeycomb-samplerate").map(str::to_owned);
    let sent = body::read(&call.app.budget, &call.parts, body, call.app.settings.limits.request_bytes_max).await?;
    let taken = take(&call.app, sent, encoding, depth, move |bytes, context| {
        let headers = EventHeaders { time: time.as_deref(), sample_rate: sample_rate.as_deref() };
        honeycomb::event(bytes, format, &dataset, headers, context)
    })
    .await?;
    tell(&call, &taken);
    match taken.events.statuses.first() {
        Some(ingest::EventStatus::Refused { error, .. }) => Err(Failure::invalid(error.clone())),
        _ => Ok(empty(StatusCode::OK)),
    }
}

fn tell(call: &Call, taken: &Taken<Decoded>) {
    let refused = taken.events.statuses.len().saturating_sub(taken.n_rows);
    call.app.metrics.ingested(Way::Honeycomb, taken.n_rows, refused, taken.unpacked_bytes);
    note_taken(call, taken, refused);
}

/// What every way of ingest tells of itself.
pub(crate) fn note_taken<E>(call: &Call, taken: &Taken<E>, refused: usize) {
    if taken.own {
        // To tell of it would never end where the server's events are sent on to the server.
        call.record.forget();
    }
    call.note("wideye.ingest.events", taken.n_rows);
    call.note("wideye.ingest.refused", refused);
    call.note("wideye.ingest.bytes", taken.unpacked_bytes);
    call.note("wideye.ingest.decode_ms", taken.decode_time.as_secs_f64() * 1e3);
    call.note("wideye.ingest.write_ms", taken.write_time.as_secs_f64() * 1e3);
}
