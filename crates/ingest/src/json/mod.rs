//! A JSON reader over text: one pass, values are handed out where they stand.
//!
//! Owns: the grammar. Lenient where nothing is lost: raw control characters, lone surrogates (replaced), NaN and
//! Infinity (as text). Never does: build values.

mod scan;
#[cfg(test)]
mod tests;

use crate::text::json_string;
use std::borrow::Cow;

/// Where and why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub(crate) what: &'static str,
    pub(crate) at: usize,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number<'a> {
    /// Fits 64 bits, signed.
    Int(i64),
    /// Anything else finite.
    Float(f64),
    /// Larger than any float.
    Huge(&'a str),
}

/// Bytes as text; what is not UTF-8 is replaced. A byte order mark is dropped.
pub(crate) fn text_of(body: &[u8]) -> Cow<'_, str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // The check alone is many times faster than the replacement.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), Cow::Borrowed)
}

#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    pub(crate) pos: usize,
    /// Open containers while a value is skipped or copied.
    stack: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Reader { text, pos: 0, stack: Vec::new() }
    }

    pub(crate) fn error<T>(&self, what: &'static str) -> Result<T, JsonError> {
        Err(JsonError { what, at: self.pos })
    }

    /// What is left to read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.pos..).unwrap_or_default()
    }

    /// The text between two positions.
    pub(crate) fn between(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The byte at the position, 0 at the end.
    #[inline]
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.pos).copied().unwrap_or(0)
    }

    /// The first byte that is not white space, not yet taken; 0 at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> u8 {
        loop {
            let b = self.peek();
            if b > b' ' || !matches!(b, b' ' | b'\n' | b'\r' | b'\t') {
                return b;
            }
            self.pos += 1;
        }
    }

    /// Takes this byte, after white space, if it comes next.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.next() == byte;
        self.pos += usize::from(found);
        found
    }

    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { self.error(what) }
    }

    /// Nothing but white space may follow.
    pub(crate) fn finish(&mut self) -> Result<(), JsonError> {
        self.next();
        if self.pos < self.text.len() { self.error("expected the end") } else { Ok(()) }
    }

    /// Whether another member or item follows; takes the comma or the closing byte.
    #[inline]
    pub(crate) fn more(&mut self, close: u8) -> Result<bool, JsonError> {
        match self.next() {
            b',' => {
                self.pos += 1;
                Ok(true)
            }
            b if b == close => {
                self.pos += 1;
                Ok(false)
            }
            _ if close == b'}' => self.error("expected ',' or '}'"),
            _ => self.error("expected ',' or ']'"),
        }
    }

    /// A key and its colon.
    pub(crate) fn key<'s>(&mut self, scratch: &'s mut String) -> Result<&'s str, JsonError>
    where
        'a: 's,
    {
        if self.next() != b'"' {
            return self.error("expected a key in double quotes");
        }
        let key = self.string(scratch)?;
        self.expect(b':', "expected ':'")?;
        Ok(key)
    }

    /// A string, whose opening quote is at the position: a piece of the body, or unescaped into `scratch`.
    #[inline(always)]
    pub(crate) fn string<'s>(&mut self, scratch: &'s mut String) -> Result<&'s str, JsonError>
    where
        'a: 's,
    {
        let start = self.pos + 1;
        let end = scan::quote_or_backslash(self.text.as_bytes(), start);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.pos = end + 1;
            return Ok(self.text.get(start..end).unwrap_or_default());
        }
        self.escaped(scratch, start, end)?;
        Ok(scratch)
    }

    /// The rest of a string that has escapes: plain from `start` to `at`, where the first backslash or the end of text is.
    #[cold]
    fn escaped(&mut self, out: &mut String, mut start: usize, mut at: usize) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        out.clear();
        loop {
            out.push_str(self.text.get(start..at).unwrap_or_default());
            match bytes.get(at) {
                None => return self.error("string without end"),
                Some(b'"') => {
                    self.pos = at + 1;
                    return Ok(());
                }
                Some(_) => {}
            }
            let (c, n) = match bytes.get(at + 1) {
                Some(b'n') => ('\n', 2),
                Some(b't') => ('\t', 2),
                Some(b'r') => ('\r', 2),
                Some(b'b') => ('\u{8}', 2),
                Some(b'f') => ('\u{c}', 2),
                Some(&b @ (b'"' | b'\\' | b'/')) => (b as char, 2),
                Some(b'u') => match scan::unicode_escape(&bytes[at..]) {
                    Some(found) => found,
                    None => return Err(JsonError { what: "\\u needs four hex digits", at }),
                },
                _ => return Err(JsonError { what: "unknown escape", at }),
            };
            out.push(c);
            start = at + n;
            at = scan::quote_or_backslash(bytes, start);
        }
    }

    /// A number, at the position.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Result<Number<'a>, JsonError> {
        let (number, n) = scan::number(self.text, self.pos).map_err(|what| JsonError { what, at: self.pos })?;
        self.pos += n;
        Ok(number)
    }

    /// `true`, `false`, `null` (None), at the position. NaN and Infinity are left for [`Self::not_finite`].
    pub(crate) fn literal(&mut self) -> Result<Option<bool>, JsonError> {
        let (n, value) = match self.peek() {
            b't' if self.rest().starts_with(b"true") => (4, Some(true)),
            b'f' if self.rest().starts_with(b"false") => (5, Some(false)),
            b'n' if self.rest().starts_with(b"null") => (4, None),
            _ => return self.error("expected a value"),
        };
        self.pos += n;
        Ok(value)
    }

    /// Takes NaN or Infinity, which some encoders write although JSON has no such numbers.
    pub(crate) fn not_finite(&mut self) -> Option<&'static str> {
        let found = ["NaN", "Infinity", "-Infinity"].into_iter().find(|t| self.rest().starts_with(t.as_bytes()))?;
        self.pos += found.len();
        Some(found)
    }

    /// The same, when `first` says that it may be one.
    #[inline]
    pub(crate) fn not_finite_if(&mut self, first: u8) -> Option<&'static str> {
        if first.is_ascii_digit() || (first == b'-' && self.rest().get(1) != Some(&b'I')) { None } else { self.not_finite() }
    }

    /// Steps over a value.
    pub(crate) fn skip(&mut self, scratch: &mut String) -> Result<(), JsonError> {
        self.walk(None, scratch, usize::MAX).map(drop)
    }

    /// Appends a value as JSON without white space. False if it nests deeper than `depth_max`; then `out` is of no use.
    pub(crate) fn copy(&mut self, out: &mut String, scratch: &mut String, depth_max: usize) -> Result<bool, JsonError> {
        self.walk(Some(out), scratch, depth_max)
    }

    fn walk(&mut self, mut out: Option<&mut String>, scratch: &mut String, depth_max: usize) -> Result<bool, JsonError> {
        let mut fits = true;
        self.stack.clear();
        'value: loop {
            let open = self.next();
            match open {
                b'{' | b'[' => {
                    self.pos += 1;
                    put(&mut out, open as char);
                    let close = if open == b'{' { b'}' } else { b']' };
                    if self.take(close) {
                        put(&mut out, close as char);
                    } else {
                        self.stack.push(close);
                        if self.stack.len() > depth_max {
                            (fits, out) = (false, None);
                        }
                        if open == b'{' {
                            self.walk_key(&mut out, scratch)?;
                        }
                        continue 'value;
                    }
                }
                b'"' => {
                    let text = self.string(scratch)?;
                    if let Some(out) = &mut out {
                        json_string(out, text);
                    }
                }
                _ => self.walk_scalar(&mut out)?,
            }
            while let Some(&close) = self.stack.last() {
                if self.more(close)? {
                    put(&mut out, ',');
                    if close == b'}' {
                        self.walk_key(&mut out, scratch)?;
                    }
                    continue 'value;
                }
                put(&mut out, close as char);
                self.stack.pop();
            }
            return Ok(fits);
        }
    }

    fn walk_key(&mut self, out: &mut Option<&mut String>, scratch: &mut String) -> Result<(), JsonError> {
        let key = self.key(scratch)?;
        if let Some(out) = out {
            json_string(out, key);
            out.push(':');
        }
        Ok(())
    }

    fn walk_scalar(&mut self, out: &mut Option<&mut String>) -> Result<(), JsonError> {
        let start = self.pos;
        if let Some(text) = self.not_finite() {
            if let Some(out) = out {
                json_string(out, text);
            }
            return Ok(());
        }
        match self.peek() {
            b'-' | b'0'..=b'9' => drop(self.number()?),
            _ => drop(self.literal()?),
        }
        if let Some(out) = out {
            out.push_str(self.text.get(start..self.pos).unwrap_or_default());
        }
        Ok(())
    }
}

fn put(out: &mut Option<&mut String>, c: char) {
    if let Some(out) = out {
        out.push(c);
    }
}
