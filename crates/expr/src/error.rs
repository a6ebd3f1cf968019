//! What is wrong with an expression, where, and what to write instead.
//!
//! Owns: the error type. Never does: decide what is wrong.

/// Why an expression was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at character {at}{}", .hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
pub struct ExprError {
    /// What is wrong.
    pub what: String,
    /// Where: the first character is 1.
    pub at: usize,
    /// What to write instead.
    pub hint: Option<String>,
}

impl ExprError {
    /// At a byte of the text.
    pub(crate) fn new(text: &str, byte: usize, what: impl Into<String>, hint: Option<String>) -> ExprError {
        let at = text.char_indices().take_while(|(i, _)| *i < byte).count() + 1;
        ExprError { what: what.into(), at, hint }
    }
}
