//! Bytes to columnar batches: Honeycomb events (JSON, msgpack, NDJSON) and OTLP (protobuf, JSON).
//!
//! Owns: decoding, flattening, limits, and what is answered for each event. Never does: I/O; it reads no clock,
//! the time of arrival is passed in.

mod context;
mod decompress;
mod error;
pub mod honeycomb;
mod json;
pub mod otlp;
mod rows;
#[cfg(test)]
mod testing;
mod text;
mod time;

pub use context::{Context, Decoded, EventStatus};
pub use decompress::{ContentEncoding, decompress};
pub use error::IngestError;
