//! Tools for agents: the Model Context Protocol over wideye's public API.
//!
//! Owns: which tools there are, what they say of themselves, how they ask the API, and answers as compact text. Never does: read
//! events, know HTTP; a transport gives it an `Api` to call.

mod api;
mod args;
mod handler;
mod heat;
mod render;
mod stdio;
#[cfg(test)]
mod tests;
mod text;
mod times;
mod tools;
mod tree;

pub use api::{Answered, Api, ApiError, Method};
pub use handler::Tools;
pub use stdio::{StdioError, serve_stdio};
