//! The built program from outside, the examples of the documentation, and the rules of the tree.

mod commands;
mod docs;
mod process;
mod tidy;
