//! From text to words: columns, literals, names, operators, with their places.
//!
//! Owns: how each is written, escapes included. Never does: know what may follow what.

use crate::ExprError;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// `$name`, `$"name"` or `` $`name` ``.
    Column(String),
    /// `"…"` or `` `…` ``.
    Text(String),
    /// Digits without sign, as written.
    Int(String),
    /// The same with fraction or exponent.
    Float(String),
    /// A function, `AND`, `OR`, `true`, `false`, `null`.
    Name(String),
    /// An operator, a parenthesis, a comma.
    Sign(&'static str),
    /// After the last word.
    End,
}

impl Token {
    /// As a message names it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Token::Column(name) => format!("'${name}'"),
            Token::Text(_) => "a text".into(),
            Token::Int(n) | Token::Float(n) => format!("'{n}'"),
            Token::Name(name) => format!("'{name}'"),
            Token::Sign(sign) => format!("'{sign}'"),
            Token::End => "the end".into(),
        }
    }
}

/// Signs; a longer one comes before the one that it starts with.
const SIGNS: [&str; 15] = ["!=", "<=", ">=", "!", "<", ">", "=", "*", "/", "%", "+", "-", "(", ")", ","];

/// What may be in a column's name without quotes.
pub(crate) fn in_column(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | ':' | '=' | '+' | '?' | '-')
}

/// All words with the byte at which each starts.
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, ExprError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::new();
    loop {
        lexer.skip_space();
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        out.push((token, start));
        if end {
            return Ok(out);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn error(&self, byte: usize, what: impl Into<String>, hint: Option<&str>) -> ExprError {
        ExprError::new(self.text, byte, what, hint.map(str::to_owned))
    }

    /// Takes characters as long as they pass.
    fn take(&mut self, mut test: impl FnMut(char) -> bool) -> String {
        let n = self.rest().find(|c| !test(c)).unwrap_or(self.rest().len());
        let taken = self.rest()[..n].to_owned();
        self.at += n;
        taken
    }

    fn skip_space(&mut self) {
        self.take(char::is_whitespace);
    }

    fn token(&mut self) -> Result<Token, ExprError> {
        let Some(first) = self.rest().chars().next() else { return Ok(Token::End) };
        match first {
            '$' => self.column(),
            '"' | '`' => self.quoted().map(Token::Text),
            '0'..='9' => self.number(),
            '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            c if c.is_ascii_alphabetic() => Ok(Token::Name(self.take(|c| c.is_ascii_alphanumeric() || c == '_'))),
            _ => {
                if let Some(sign) = SIGNS.into_iter().find(|s| self.rest().starts_with(s)) {
                    self.at += sign.len();
                    return Ok(Token::Sign(sign));
                }
                let hint = match first {
                    '&' => Some("write AND"),
                    '|' => Some("write OR"),
                    '\'' => Some("texts are in double quotes or backticks"),
                    '[' | '{' => Some("there are no lists; IN takes its values as arguments"),
                    '#' => Some("there are no comments"),
                    _ => None,
                };
                Err(self.error(self.at, format!("unexpected '{first}'"), hint))
            }
        }
    }

    fn column(&mut self) -> Result<Token, ExprError> {
        let start = self.at;
        self.at += 1;
        let name = self.take(in_column);
        if !name.is_empty() {
            return Ok(Token::Column(name));
        }
        self.skip_space();
        if !self.rest().starts_with(['"', '`']) {
            let hint = "write $name, or $\"a name with other characters\"";
            return Err(self.error(start, "'$' without the name of a column", Some(hint)));
        }
        let name = self.quoted()?;
        if name.is_empty() {
            return Err(self.error(start, "the name of a column is empty", None));
        }
        Ok(Token::Column(name))
    }

    fn number(&mut self) -> Result<Token, ExprError> {
        let start = self.at;
        let mut float = false;
        self.take(|c| c.is_ascii_digit());
        if self.rest().starts_with('.') && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) {
            float = true;
            self.at += 1;
            self.take(|c| c.is_ascii_digit());
        }
        if self.rest().starts_with(['e', 'E']) {
            let after = self.rest()[1..].strip_prefix(['+', '-']).unwrap_or(&self.rest()[1..]);
            if after.starts_with(|c: char| c.is_ascii_digit()) {
                float = true;
                self.at = self.text.len() - after.len();
                self.take(|c| c.is_ascii_digit());
            }
        }
        if self.rest().starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.')) {
            return Err(self.error(start, "malformed number", Some("write 12, 0.5, .5 or 4e-2")));
        }
        let digits = self.text[start..self.at].to_owned();
        Ok(if float { Token::Float(digits) } else { Token::Int(digits) })
    }

    /// A text in double quotes, with Go's escapes, or in backticks, as it is.
    fn quoted(&mut self) -> Result<String, ExprError> {
        let start = self.at;
        let quote = if self.rest().starts_with('"') { '"' } else { '`' };
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(self.error(start, "text without end", Some(&format!("close it with {quote}"))));
            };
            let at = self.at;
            self.at += c.len_utf8();
            match c {
                c if c == quote => break,
                '\\' if quote == '"' => self.escape(at, &mut bytes)?,
                c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        // Bytes that are escaped one by one may be anything.
        String::from_utf8(bytes).map_err(|_| self.error(start, "the escapes of this text make no UTF-8", None))
    }

    fn escape(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), ExprError> {
        let wrong = |this: &Self| this.error(start, "unknown escape", Some("write \\\\ for a backslash, or put the text in backticks"));
        let Some(c) = self.rest().chars().next() else { return Err(wrong(self)) };
        let plain = match c {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' | '\'' | '"' => Some(c as u8),
            _ => None,
        };
        if let Some(byte) = plain {
            out.push(byte);
            self.at += 1;
            return Ok(());
        }
        let (skip, digits, radix) = match c {
            'x' => (1, 2, 16),
            'u' => (1, 4, 16),
            'U' => (1, 8, 16),
            '0'..='7' => (0, 3, 8),
            _ => return Err(wrong(self)),
        };
        let written = self.rest().get(skip..skip + digits).filter(|w| w.chars().all(|c| c.is_digit(radix)));
        let Some(code) = written.and_then(|w| u32::from_str_radix(w, radix).ok()) else { return Err(wrong(self)) };
        self.at += skip + digits;
        if matches!(c, 'u' | 'U') {
            let Some(c) = char::from_u32(code) else { return Err(wrong(self)) };
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            out.push(u8::try_from(code).map_err(|_| wrong(self))?);
        }
        Ok(())
    }
}
