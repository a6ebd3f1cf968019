//! What can go wrong with a question, and what the asker should do about it.
//!
//! Owns: the error type of the crate. Never does: HTTP.

use model::ErrorKind;
use store::{SegmentError, StoreError};

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The question is malformed.
    #[error("{what}")]
    Invalid {
        /// What is wrong and what to write instead.
        what: String,
    },
    /// A column that no event of the dataset ever had.
    #[error("unknown column '{column}'{inside}{}", did_you_mean(.near))]
    UnknownColumn {
        /// As it was written.
        column: String,
        /// Known columns with a similar name, best first.
        near: Vec<String>,
        /// In which expression, and where; empty if it is in none.
        inside: String,
    },
    /// What was named does not exist.
    #[error("{what}")]
    NotFound {
        /// What is missing.
        what: String,
    },
    /// The memory budget of one question is used up.
    #[error("the question needs more memory than question_memory_bytes_max={limit} allows ({what}); {hint}")]
    Memory {
        /// The limit, in bytes.
        limit: usize,
        /// What needed the memory.
        what: &'static str,
        /// How to ask for less.
        hint: &'static str,
    },
    /// The memory of all questions under way is used up.
    #[error(
        "questions under way use up questions_memory_bytes_max={limit}, and this one needs more of it ({what}); ask again in a moment, or {hint}"
    )]
    SharedMemory {
        /// The limit, in bytes.
        limit: usize,
        /// What needed the memory.
        what: &'static str,
        /// How to ask for less.
        hint: &'static str,
    },
    /// The deadline passed before any event was read.
    #[error("the question ran out of time before it read any event; narrow the time range or try again later")]
    Deadline,
    /// The asker went away or asked to stop.
    #[error("the question was cancelled")]
    Cancelled,
    /// Stored bytes could not be read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The store could not serve.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// A defect of the engine.
    #[error("internal error: {what}; please report it")]
    Internal {
        /// Which expectation was broken.
        what: &'static str,
    },
}

impl EngineError {
    /// What the caller should do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            EngineError::Invalid { .. } | EngineError::UnknownColumn { .. } => ErrorKind::Invalid,
            EngineError::NotFound { .. } => ErrorKind::NotFound,
            EngineError::Memory { .. } | EngineError::SharedMemory { .. } | EngineError::Deadline => ErrorKind::Exhausted,
            EngineError::Cancelled => ErrorKind::Cancelled,
            EngineError::Segment(_) => ErrorKind::Data,
            EngineError::Store(e) => e.kind(),
            EngineError::Internal { .. } => ErrorKind::Internal,
        }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> EngineError {
        EngineError::Invalid { what: what.into() }
    }
}

fn did_you_mean(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("; did you mean '{one}'?"),
        _ => format!("; did you mean one of {}?", names.iter().map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ")),
    }
}
