//! What kind of failure an error is: it tells the caller what to do, and the server which status to answer.
//!
//! Owns: the list of kinds. Never does: messages or HTTP.

/// What a caller should do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: change it.
    Invalid,
    /// What was named does not exist.
    NotFound,
    /// It clashes with what exists.
    Conflict,
    /// A key is missing or may not do this.
    Unauthorized,
    /// A size limit was exceeded: send less at once.
    TooLarge,
    /// A budget (memory, time, rate) is used up for now: try again later.
    Exhausted,
    /// Not able to serve at the moment (starting, stopping, disk full): try again later.
    Unavailable,
    /// Stored bytes are damaged.
    Data,
    /// The caller went away or asked to stop.
    Cancelled,
    /// A defect of wideye.
    Internal,
}

impl ErrorKind {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(self, ErrorKind::Exhausted | ErrorKind::Unavailable)
    }
}
