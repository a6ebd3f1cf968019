//! Tests of the store through its public face, in one binary.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test that fails may say so")]

mod events;
mod faulty;
mod segment;
mod store;

use ::store::disk::{Disk, DiskFile, RealDisk};
