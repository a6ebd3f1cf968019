//! HTTP to a wideye server: the only way in which commands see data.
//!
//! Owns: addresses, keys, statuses and retries of requests. Never does: know what the bodies mean.

use crate::error::CliError;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use std::{io::Read, time::Duration};

/// How often a request that met an overloaded or starting server is sent again.
const RETRIES: u32 = 60;

/// Longest pause between two tries, whatever `Retry-After` says.
const PAUSE_SECONDS_MAX: f64 = 10.0;

/// A connection pool to one server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    key: Option<String>,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    retry_after_s: Option<f64>,
}

impl Client {
    /// A client of the server at `url`.
    pub(crate) fn new(url: &str, key: Option<&str>) -> Result<Client, CliError> {
        let base = url.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") {
            return Err(CliError::Usage(format!(
                "`{url}` is not an http:// address; wideye speaks plain HTTP, put a TLS proxy in front of it where you need one"
            )));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .user_agent(concat!("wideye/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Client { agent: config.into(), base, key: key.map(str::to_owned) })
    }

    /// The server's address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    fn unreachable(&self, source: ureq::Error) -> CliError {
        CliError::Unreachable { url: self.base.clone(), source: Box::new(source) }
    }

    fn post_request(&self, path: &str, headers: &[(&str, &str)]) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("x-honeycomb-team", key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request
    }

    fn get_request(&self, path: &str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("x-honeycomb-team", key);
        }
        request
    }

    /// Sends a body once and answers whatever comes back.
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, CliError> {
        let answer = self.post_request(path, headers).send(body).map_err(|e| self.unreachable(e))?;
        self.reply(answer)
    }

    /// Sends a body until it is taken or refused for good: an overloaded server says when to come back.
    pub(crate) fn post_patiently(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, CliError> {
        let mut pause_s = 0.25;
        for _ in 0..RETRIES {
            match self.post(path, headers, body) {
                Ok(reply) if matches!(reply.status, 429 | 502 | 503 | 504 | 507) => {
                    std::thread::sleep(Duration::from_secs_f64(reply.retry_after_s.unwrap_or(pause_s).clamp(0.05, PAUSE_SECONDS_MAX)));
                }
                other => return other,
            }
            pause_s = (pause_s * 1.5).min(PAUSE_SECONDS_MAX);
        }
        self.post(path, headers, body)
    }

    fn reply(&self, answer: ureq::http::Response<ureq::Body>) -> Result<Reply, CliError> {
        let status = answer.status().as_u16();
        let retry_after_s = answer.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(|v| v.trim().parse().ok());
        let mut body = Vec::new();
        answer.into_body().into_reader().read_to_end(&mut body).map_err(|e| self.unreachable(ureq::Error::Io(e)))?;
        Ok(Reply { status, body, retry_after_s })
    }

    /// The JSON of a GET.
    pub(crate) fn get_json(&self, path: &str) -> Result<Json, CliError> {
        let answer = self.get_request(path).call().map_err(|e| self.unreachable(e))?;
        self.reply(answer)?.json(path)
    }

    /// The body of a GET.
    pub(crate) fn get(&self, path: &str) -> Result<Vec<u8>, CliError> {
        let answer = self.get_request(path).call().map_err(|e| self.unreachable(e))?;
        let reply = self.reply(answer)?;
        reply.check(path)?;
        Ok(reply.body)
    }

    /// The JSON that answers a POST of JSON.
    pub(crate) fn post_json(&self, path: &str, body: &Json) -> Result<Json, CliError> {
        self.post(path, &[("content-type", "application/json")], body.to_string().as_bytes())?.json(path)
    }

    /// Deletes what is at a path.
    pub(crate) fn delete(&self, path: &str) -> Result<(), CliError> {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("x-honeycomb-team", key);
        }
        let answer = request.call().map_err(|e| self.unreachable(e))?;
        self.reply(answer)?.check(path)
    }
}

impl Reply {
    /// An error unless the status is a good one.
    pub(crate) fn check(&self, path: &str) -> Result<(), CliError> {
        if (200..300).contains(&self.status) {
            return Ok(());
        }
        Err(CliError::Refused { status: self.status, path: path.to_owned(), message: self.message() })
    }

    /// The server's words, whichever of its error forms it chose.
    pub(crate) fn message(&self) -> String {
        let json: Option<Json> = serde_json::from_slice(&self.body).ok();
        let text = |name: &str| json.as_ref().and_then(|j| j.get(name)).and_then(Json::as_str).map(str::to_owned);
        let mut message = text("message").or_else(|| text("error")).unwrap_or_else(|| {
            let body = String::from_utf8_lossy(&self.body);
            if body.trim().is_empty() { "no reason given".to_owned() } else { body.trim().chars().take(500).collect() }
        });
        if let Some(hint) = text("hint") {
            message.push_str("; ");
            message.push_str(&hint);
        }
        message
    }

    fn json(&self, path: &str) -> Result<Json, CliError> {
        self.check(path)?;
        serde_json::from_slice(&self.body).map_err(|e| CliError::Answer { path: path.to_owned(), what: e.to_string() })
    }
}

/// A path segment, percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
