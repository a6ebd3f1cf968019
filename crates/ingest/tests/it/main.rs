//! Tests of the decoders from outside: agreement with `serde_json`, and no panic on anything.

mod agreement;
mod mutation;
mod proto;
mod rows;
