//! wideye over HTTP and gRPC: ingest, the native API, Honeycomb's and Jaeger's APIs, keys, settings, health.
//!
//! Owns: what a request is, who may make it, and how it is answered. Never does: domain logic (ingest, store, engine).

mod api;
mod app;
mod ask;
mod auth;
mod boards;
mod body;
mod budget;
mod compat;
mod depths;
#[cfg(test)]
mod docs;
mod error;
mod events;
mod fields;
mod health;
mod ids;
mod jaeger;
mod log;
mod machine;
mod mcp;
mod metrics;
mod otlp;
mod pack;
mod route;
mod runs;
mod serve;
mod settings;
mod shape;
mod take;
mod telemetry;
mod time;

pub use api::openapi::openapi;
pub use auth::{Key, KeyError, Scope, create_key, delete_key, list_keys};
pub use error::{ServerError, chain};
pub use serve::{Addresses, Server, serve};
pub use settings::{Flag, SettingError, Settings, flags, reference};
pub use time::now;
