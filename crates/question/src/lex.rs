//! Words, quoted texts, operators and punctuation of a question's text, with their positions.
//!
//! Owns: the cutting. Never does: give tokens a meaning.

use super::Wrong;

/// A piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A bare word: a keyword, a column, a number.
    Word(String),
    /// Text in double or single quotes.
    Text(String),
    /// A column in backticks.
    Column(String),
    /// `= != > >= < <=`
    Operator(&'static str),
    Open,
    Close,
    Comma,
}

/// A token and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) at: usize,
}

/// Two characters first, so that `<=` is not `<` and `=`.
const OPERATORS: [(&str, &str); 8] =
    [("!=", "!="), ("<>", "!="), (">=", ">="), ("<=", "<="), ("==", "="), ("=", "="), (">", ">"), ("<", "<")];

/// Cuts a text into tokens.
pub(crate) fn tokens(text: &str) -> Result<Vec<Placed>, Wrong> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, len) = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '"' | '\'' | '`' => quoted(rest, c, at)?,
            _ => match OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign)) {
                Some((sign, meaning)) => (Token::Operator(meaning), sign.len()),
                None if c == '!' => return Err(Wrong { at, what: "`!` alone means nothing; write `!=`".to_owned() }),
                None => {
                    let len = rest.find(|c: char| c.is_whitespace() || "(),\"'`=<>!".contains(c)).unwrap_or(rest.len());
                    (Token::Word(rest[..len].to_owned()), len)
                }
            },
        };
        out.push(Placed { token, at });
        at += len;
    }
    Ok(out)
}

/// A quoted piece at the start of `rest`; a backslash takes the next character as it is, but `\n` and `\t`.
fn quoted(rest: &str, quote: char, at: usize) -> Result<(Token, usize), Wrong> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((i, c)) = chars.next() {
        if c == quote {
            let token = if quote == '`' { Token::Column(text) } else { Token::Text(text) };
            return Ok((token, i + 1));
        }
        match c {
            '\\' if quote != '`' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, c)) => text.push(c),
                None => break,
            },
            c => text.push(c),
        }
    }
    Err(Wrong { at, what: format!("this {quote} is never closed") })
}
