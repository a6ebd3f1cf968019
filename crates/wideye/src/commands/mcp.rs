//! `wideye mcp`: the tools for agents on standard input and output, over the API of a server.
//!
//! Owns: the way to that server. Never does: write to standard output, which carries the protocol alone.

use crate::{cli::McpArgs, error::CliError, term};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use mcp::{Answered, Api, ApiError, Method, Tools};
use model::Limits;
use serde_json::Value as Json;
use std::{
    io::IsTerminal,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{net::TcpStream, task::JoinHandle};

const CONNECT_SECONDS_MAX: u64 = 10;

pub(super) fn run(args: &McpArgs) -> Result<(), CliError> {
    let remote = Remote::new(&args.server.url, args.server.key.as_deref())?;
    let limits = Limits { mcp_answer_chars_max: args.answer_chars_max, ..Limits::default() };
    if std::io::stdin().is_terminal() {
        term::say(format_args!(
            "wideye mcp: waits for an agent on standard input, for the data of {}; agents start it themselves (docs/mcp.md)",
            args.server.url
        ));
    }
    let tools = Tools::new(Arc::new(remote), &limits, now_s);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::Server(format!("cannot start threads: {e}")))?;
    let done = runtime.block_on(mcp::serve_stdio(tools)).map_err(|e| CliError::Server(e.to_string()));
    // A read of standard input that never ends keeps nobody.
    runtime.shutdown_background();
    done
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// A server's API over HTTP: a connection per question, so that letting go of the question ends it over there.
#[derive(Debug)]
struct Remote {
    url: String,
    /// Host and port.
    address: String,
    /// What stands before the paths of the API.
    prefix: String,
    key: Option<String>,
}

/// The task behind a connection, which ends with it.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Remote {
    fn new(url: &str, key: Option<&str>) -> Result<Remote, CliError> {
        let url = url.trim_end_matches('/');
        let Some(rest) = url.strip_prefix("http://").filter(|r| !r.is_empty()) else {
            return Err(CliError::Usage(format!(
                "`{url}` is not an http:// address; wideye speaks plain HTTP, put a TLS proxy in front of it where you need one"
            )));
        };
        let (authority, prefix) = rest.find('/').map_or((rest, ""), |i| rest.split_at(i));
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
        let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Ok(Remote { url: url.to_owned(), address, prefix: prefix.to_owned(), key: key.map(str::to_owned) })
    }

    fn unreachable(&self, why: impl ToString) -> ApiError {
        ApiError::Unreachable { url: self.url.clone(), why: why.to_string() }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Json>) -> Result<Json, ApiError> {
        let unexpected = |what: String| ApiError::Unexpected { path: path.to_owned(), what };
        let method = match method {
            Method::Get => hyper::Method::GET,
            Method::Post => hyper::Method::POST,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("wideye-mcp/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            request = request.header("x-honeycomb-team", key);
        }
        let body = body.map_or_else(Bytes::new, |json| json.to_string().into());
        let request = request.body(Full::new(body)).map_err(|e| unexpected(e.to_string()))?;
        let connecting = tokio::time::timeout(Duration::from_secs(CONNECT_SECONDS_MAX), TcpStream::connect(&self.address));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => return Err(self.unreachable(e)),
            Err(_) => return Err(self.unreachable(format!("no answer within {CONNECT_SECONDS_MAX} seconds"))),
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.unreachable(e))?;
        let _connection = Connection(tokio::spawn(async move {
            // What goes wrong is told to whoever waits for the answer.
            drop(connection.await);
        }));
        let response = sender.send_request(request).await.map_err(|e| self.unreachable(e))?;
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(|e| self.unreachable(e))?.to_bytes();
        if !status.is_success() {
            return Err(ApiError::refused(status.as_u16(), &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|e| unexpected(e.to_string()))
    }
}

impl Api for Remote {
    fn call(&self, method: Method, path: String, body: Option<Json>) -> Answered<'_> {
        Box::pin(async move { self.ask(method, &path, body).await })
    }
}

#[cfg(test)]
mod tests {
    use super::Remote;

    #[test]
    fn addresses_are_read() {
        let check = |url: &str, address: &str, prefix: &str| {
            let remote = Remote::new(url, None).unwrap();
            assert_eq!((remote.address.as_str(), remote.prefix.as_str()), (address, prefix), "{url}");
        };
        check("http://127.0.0.1:8080", "127.0.0.1:8080", "");
        check("http://127.0.0.1:8080/", "127.0.0.1:8080", "");
        check("http://wideye.internal/behind/a/proxy/", "wideye.internal:80", "/behind/a/proxy");
        check("http://[::1]:9", "[::1]:9", "");
        check("http://[::1]", "[::1]:80", "");
        assert!(Remote::new("https://wideye", None).unwrap_err().to_string().contains("plain HTTP"));
    }
}
