//! The way from the tools to the API.
//!
//! Owns: the trait, and what can go wrong on the way. Never does: transport.

use serde_json::Value as Json;
use std::fmt::Debug;
use std::pin::Pin;

/// What the tools need of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks with a body.
    Post,
}

/// An answer on its way. Dropping it ends the question behind it.
pub type Answered<'a> = Pin<Box<dyn Future<Output = Result<Json, ApiError>> + Send + 'a>>;

/// The public API, with the key of whoever asks.
pub trait Api: Debug + Send + Sync {
    /// Sends a request to a path below `/api/v1` and answers its JSON.
    fn call(&self, method: Method, path: String, body: Option<Json>) -> Answered<'_>;
}

/// Why the API did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No server there, or the way to it failed.
    #[error(
        "cannot reach wideye at {url}: {why}. Start a server there (`wideye serve`, or `wideye demo` with example data), or name another place with --url or WIDEYE_URL"
    )]
    Unreachable {
        /// Where it was expected.
        url: String,
        /// What happened.
        why: String,
    },
    /// The server said no.
    #[error("{message}{}", hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
    Refused {
        /// Of HTTP.
        status: u16,
        /// The server's stable word.
        code: String,
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// What came is not what the API answers.
    #[error("unexpected answer from {path}: {what}; are the server and this program of the same version?")]
    Unexpected {
        /// Of the request.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

impl ApiError {
    /// The error that a status and a body of the API stand for.
    #[must_use]
    pub fn refused(status: u16, body: &[u8]) -> ApiError {
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let message = text("message").or_else(|| text("error"));
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().chars().take(500).collect());
        let keys = || "give a key with scope query (WIDEYE_KEY or --key; `wideye keys create --scope query` makes one)".to_owned();
        let hint = text("hint").or_else(|| (status == 401).then(keys));
        ApiError::Refused { status, code: text("code").unwrap_or_default(), message, hint }
    }
}
