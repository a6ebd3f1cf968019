//! The protocol on standard input and output.
//!
//! Owns: serving until the other side is done. Never does: write anything but the protocol to standard output.

use crate::Tools;
use rmcp::ServiceExt;
use rmcp::service::ServerInitializeError;
use rmcp::transport::stdio_pipes;

/// Why serving ended badly.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// What came first was not the protocol.
    #[error("the client on standard input does not speak MCP: {0}")]
    Start(String),
    /// A task of the runtime failed.
    #[error("serving MCP on standard input and output failed: {0}")]
    Task(String),
}

/// Serves on standard input and output until input ends.
///
/// # Errors
/// The other side does not speak the protocol.
pub async fn serve_stdio(tools: Tools) -> Result<(), StdioError> {
    let service = match tools.serve(stdio_pipes()).await {
        Ok(service) => service,
        // Input that ends before it began is no failure.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(e) => return Err(StdioError::Start(e.to_string())),
    };
    service.waiting().await.map(|_| ()).map_err(|e| StdioError::Task(e.to_string()))
}
