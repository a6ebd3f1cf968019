//! Tests of the engine through its public face, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test that fails may say so")]

mod agree;
mod compare;
#[path = "../../../store/tests/it/events.rs"]
mod events;
mod faults;
mod forest;
mod oracle;
mod questions;
mod relatives;
mod service_map;
mod through_store;
