//! Why a whole request is refused.
//!
//! Owns: the errors and their HTTP status. Never does: errors of single events (see `EventStatus`).

use model::ErrorKind;

/// A request of which nothing is stored. Texts known from Honeycomb are kept word for word.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Nothing was sent.
    #[error("Request body should not be empty.")]
    Empty,
    /// Not JSON, msgpack or protobuf.
    #[error("Request body is malformed and cannot be read. {what} at byte {at}{}", event.map(|i| format!(", in event {i}")).unwrap_or_default())]
    Malformed {
        /// What was wrong.
        what: &'static str,
        /// Position in the unpacked body.
        at: usize,
        /// Index of the event, counted from 0, if inside one.
        event: Option<usize>,
    },
    /// The body is larger than the limit, unpacked.
    #[error("Request body is too large. The limit is {limit_bytes} bytes after decompression; send smaller batches")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// An encoding that we do not know.
    #[error("unknown content encoding '{0}', send gzip, zstd or none")]
    Encoding(String),
    /// The bytes are not what the content encoding says.
    #[error("Request body is malformed and cannot be read. It is not valid {encoding}: {reason}")]
    Compressed {
        /// gzip or zstd.
        encoding: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The dataset's name is empty or too long.
    #[error("dataset name has {bytes} bytes, it must have 1 to {max}")]
    DatasetName {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The only event of the request was refused.
    #[error("{error}")]
    Event {
        /// 400 or 413.
        status: u16,
        /// Why.
        error: String,
    },
}

impl IngestError {
    /// What the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            IngestError::TooLarge { .. } | IngestError::Event { status: 413, .. } => ErrorKind::TooLarge,
            _ => ErrorKind::Invalid,
        }
    }

    /// The status to answer over HTTP: 400, 413 or 415.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self {
            IngestError::TooLarge { .. } => 413,
            IngestError::Encoding(_) => 415,
            IngestError::Event { status, .. } => *status,
            _ => 400,
        }
    }
}
