//! Tests of the decoders from outside: agreement with `serde_json`, and no panic on anything.

#![allow(clippy::unwrap_used, reason = "test code")]

mod agreement;
mod mutation;
mod proto;
mod rows;
