//! Events as Honeycomb's senders write them: `/1/events`, `/1/batch`, and lines of the same shape.
//!
//! Owns: the entry points. Never does: HTTP.

use crate::{Context, Decoded, EventStatus, IngestError};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An array of events (batch) or one object (event).
    Json,
    /// The same in msgpack.
    Msgpack,
    /// One JSON object per line: `{time, samplerate, data}`, or the flat event itself.
    Ndjson,
}

impl Format {
    /// From the value of a `Content-Type` header; unknown and missing ones are read as JSON.
    #[must_use]
    pub fn from_content_type(content_type: Option<&str>) -> Format {
        let _ = content_type;
        todo!()
    }
}

/// The headers of `/1/events` that stand for fields of a batch's events.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventHeaders<'a> {
    /// `X-Honeycomb-Event-Time`.
    pub time: Option<&'a str>,
    /// `X-Honeycomb-Samplerate`.
    pub sample_rate: Option<&'a str>,
}

/// Decodes the body of `POST /1/batch/{dataset}`. Refused events have their own status; an error refuses the whole body.
pub fn batch(body: &[u8], format: Format, dataset: &str, context: &Context<'_>) -> Result<Decoded, IngestError> {
    let _ = (body, format, dataset, context);
    todo!()
}

/// Decodes the body of `POST /1/events/{dataset}`: one flat event. A refused event is an error.
pub fn event(body: &[u8], format: Format, dataset: &str, headers: EventHeaders<'_>, context: &Context<'_>) -> Result<Decoded, IngestError> {
    let _ = (body, format, dataset, headers, context);
    todo!()
}

/// The body that answers a batch: an array with one object per event, in JSON or (for `Format::Msgpack`) msgpack.
#[must_use]
pub fn reply(statuses: &[EventStatus], format: Format) -> Vec<u8> {
    let _ = (statuses, format);
    todo!()
}
