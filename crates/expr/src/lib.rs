//! The language of calculated fields and formulas: `IF(GTE($duration_ms, 500), "slow", "fast")` (docs/calculated-fields.md).
//!
//! Owns: grammar, functions, what they mean on every kind of value, messages with a position. Never does: read events; it
//! asks a [`Row`] for cells.

mod ast;
mod cell;
mod error;
mod eval;
mod function;
mod lex;
mod parse;
#[cfg(test)]
mod tests;
mod time;

pub use ast::{Expr, Node};
pub use cell::Cell;
pub use error::ExprError;
pub use eval::{Program, Row};
pub use function::Function;
pub use parse::parse;
