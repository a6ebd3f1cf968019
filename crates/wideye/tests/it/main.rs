//! The built program from outside, the examples of the documentation, and the rules of the tree.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests fail by panicking, too")]

mod commands;
mod docs;
mod process;
mod tidy;
