//! Helpers shared with the tests from outside.

#[path = "../tests/it/proto.rs"]
pub(crate) mod proto;
#[path = "../tests/it/rows.rs"]
pub(crate) mod rows;
