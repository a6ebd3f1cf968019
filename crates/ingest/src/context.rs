//! What decoders are given besides bytes, and what they answer.
//!
//! Owns: the types shared by all decoders. Never does: decoding.

use model::{Batch, Limits, TimeNs};
use std::borrow::Cow;

/// What a decoder needs to know besides the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time of arrival: events without a time get it.
    pub now: TimeNs,
    /// What is refused or cut.
    pub limits: &'a Limits,
    /// Levels to which nested maps are flattened with dots.
    pub flatten_depth: usize,
}

impl<'a> Context<'a> {
    /// A context that flattens as `limits` says.
    #[must_use]
    pub fn new(now: TimeNs, limits: &'a Limits) -> Self {
        Context { now, limits, flatten_depth: limits.flatten_depth_max }
    }
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventStatus {
    /// It is in the batch: 202 once the batch is stored.
    Accepted,
    /// It is not.
    Refused {
        /// 400 or 413.
        status: u16,
        /// Why, as the sender sees it.
        error: Cow<'static, str>,
    },
}

impl EventStatus {
    /// The status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            EventStatus::Accepted => 202,
            EventStatus::Refused { status, .. } => *status,
        }
    }
}

/// A decoded request: what to store, and the status of each event in the order sent.
#[derive(Debug, Default)]
pub struct Decoded {
    /// A batch per dataset; empty ones are left out.
    pub writes: Vec<(String, Batch)>,
    /// One per event.
    pub statuses: Vec<EventStatus>,
}
