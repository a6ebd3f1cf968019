//! The real server, in this process, on free ports: every route over HTTP and gRPC.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking, too")]

mod compat;
mod grpc;
mod ingest;
mod keys;
mod lifecycle;
mod mcp;
mod native;
mod otlp;
mod questions;
mod support;
