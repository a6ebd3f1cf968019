//! What can go wrong on the command line, each with a message that says what to do and an exit status.
//!
//! Owns: the errors of the commands. Never does: printing (main does, once).

/// An error of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The server could not be reached.
    #[error("cannot reach {url}: {source}; is `wideye serve` running there? (--url or WIDEYE_URL names another place)")]
    Unreachable {
        url: String,
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server answered, but with an error.
    #[error("{message} (HTTP {status} from {path})")]
    Refused { status: u16, path: String, message: String },
    /// The server's answer has another shape than expected.
    #[error("unexpected answer from {path}: {what}; are server and command line of the same version?")]
    Answer { path: String, what: String },
    /// A file or stream failed.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        doing: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The text form of a question is wrong; the message points at the place.
    #[error("{0}")]
    Question(String),
    /// Options that do not go together, or make no sense.
    #[error("{0}")]
    Usage(String),
    /// The command did its work and found something wrong; what, was printed already.
    #[error("{0}")]
    Found(String),
    /// The server could not start or stop as it should.
    #[error("{0}")]
    Server(String),
    /// The reader of our output went away.
    #[error("output closed")]
    OutputClosed,
}

impl CliError {
    /// Exit status: 2 for a wrong question or option, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            CliError::Question(_) | CliError::Usage(_) => 2,
            CliError::OutputClosed => 0,
            _ => 1,
        }
    }

    /// Wraps an I/O error with what was being done to which path.
    pub(crate) fn io(doing: &'static str, path: impl ToString) -> impl FnOnce(std::io::Error) -> CliError {
        let path = path.to_string();
        move |source| CliError::Io { doing, path, source }
    }
}
