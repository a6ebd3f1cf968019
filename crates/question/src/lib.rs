//! The compact text form of questions: one line that a person types, to the specification that the API takes, and conditions
//! back to text. The grammar stands in docs/command-line.md and in `wideye query --help`.
//!
//! Owns: reading the text, and errors that point at the place. Never does: know which columns exist, or ask the server.

mod lex;
mod parse;
#[cfg(test)]
mod tests;
mod time;
mod write;

pub use parse::{
    Question, distance, largest_first, named_expression, parse, parse_breakdowns, parse_conditions, parse_havings, parse_orders,
};
pub use time::{duration_s, epoch_s, fix_range, instant, seconds, utc};
pub use write::condition_text;

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Byte position in the text.
    pub at: usize,
    /// What was expected there.
    pub what: String,
}

impl Wrong {
    /// The message with the text and a caret below the place.
    #[must_use]
    pub fn shown(&self, text: &str) -> String {
        // Line breaks would tear text and caret apart.
        let line: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        let before = text.get(..self.at).unwrap_or(text).chars().count();
        format!("{}\n  {line}\n  {}^", self.what, " ".repeat(before))
    }
}
