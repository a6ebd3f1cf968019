//! Protobuf's wire format, read in place.
//!
//! Owns: fields of a message, one after another; unknown ones are for the caller to step over. Never does: copy, recurse.

use crate::json::JsonError;

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Piece<'a>),
}

/// A piece of the request: a text, bytes, or a message. It knows where in the request it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    at: usize,
}

/// Reads the fields of a message.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    piece: Piece<'a>,
    pos: usize,
}

pub(super) type Result<T> = std::result::Result<T, JsonError>;

impl<'a> Piece<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Piece { bytes, at: 0 }
    }

    pub(super) fn fields(self) -> Fields<'a> {
        Fields { piece: self, pos: 0 }
    }

    pub(super) fn len(self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn error<T>(self, what: &'static str) -> Result<T> {
        Err(JsonError { what, at: self.at })
    }

    /// The 8-byte words of a packed field.
    pub(super) fn words(self) -> Result<impl Iterator<Item = u64> + 'a> {
        if !self.len().is_multiple_of(8) {
            return self.error("a packed field has the wrong length");
        }
        Ok(self.bytes.chunks_exact(8).filter_map(|c| c.first_chunk().map(|c| u64::from_le_bytes(*c))))
    }

    /// The varints of a packed field.
    pub(super) fn varints(self, mut each: impl FnMut(u64)) -> Result<()> {
        let mut fields = self.fields();
        while fields.pos < self.len() {
            each(fields.varint()?);
        }
        Ok(())
    }
}

impl<'a> Value<'a> {
    /// The number of a varint or fixed field; 0 if it is of another type.
    pub(super) fn number(self) -> u64 {
        match self {
            Value::Varint(v) | Value::Fixed64(v) => v,
            Value::Fixed32(v) => u64::from(v),
            Value::Bytes(_) => 0,
        }
    }

    pub(super) fn double(self) -> f64 {
        f64::from_bits(self.number())
    }

    /// A number in zigzag form.
    pub(super) fn zigzag(self) -> i64 {
        let v = self.number();
        (v >> 1) as i64 ^ -((v & 1) as i64)
    }

    /// The piece of a length-delimited field; empty if it is of another type.
    pub(super) fn piece(self) -> Piece<'a> {
        if let Value::Bytes(piece) = self { piece } else { Piece::default() }
    }

    /// 8-byte words of a repeated field, packed or not.
    pub(super) fn append_words(self, out: &mut Vec<u64>) -> Result<()> {
        match self {
            Value::Bytes(piece) => out.extend(piece.words()?),
            other => out.push(other.number()),
        }
        Ok(())
    }
}

impl<'a> Fields<'a> {
    #[cold]
    fn error<T>(&self, what: &'static str) -> Result<T> {
        Err(JsonError { what, at: self.piece.at + self.pos })
    }

    #[inline]
    fn varint(&mut self) -> Result<u64> {
        let (mut value, mut shift) = (0u64, 0);
        while let Some(&b) = self.piece.bytes.get(self.pos) {
            self.pos += 1;
            value |= u64::from(b & 0x7f) << shift;
            if b < 0x80 {
                return Ok(value);
            }
            shift += 7;
            if shift > 63 {
                return self.error("a number is too long");
            }
        }
        self.error("unexpected end")
    }

    #[inline]
    fn take(&mut self, n: u64) -> Result<Piece<'a>> {
        let rest = &self.piece.bytes[self.pos..];
        if n > rest.len() as u64 {
            return self.error("a field is longer than its message");
        }
        let piece = Piece { bytes: &rest[..n as usize], at: self.piece.at + self.pos };
        self.pos += n as usize;
        Ok(piece)
    }

    /// The next field and its number.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>> {
        loop {
            if self.pos >= self.piece.len() {
                return Ok(None);
            }
            let tag = self.varint()?;
            let value = match tag & 7 {
                0 => Value::Varint(self.varint()?),
                1 => Value::Fixed64(self.take(8)?.bytes.first_chunk().map_or(0, |c| u64::from_le_bytes(*c))),
                2 => {
                    let n = self.varint()?;
                    Value::Bytes(self.take(n)?)
                }
                5 => Value::Fixed32(self.take(4)?.bytes.first_chunk().map_or(0, |c| u32::from_le_bytes(*c))),
                3 => {
                    self.skip_group()?;
                    continue;
                }
                _ => return self.error("unknown wire type"),
            };
            if tag >> 3 == 0 {
                return self.error("field number 0");
            }
            return Ok(Some((tag >> 3, value)));
        }
    }

    /// The next field with this number.
    pub(super) fn next_if(&mut self, wanted: u64) -> Result<Option<(u64, Value<'a>)>> {
        while let Some((number, value)) = self.next()? {
            if number == wanted {
                return Ok(Some((number, value)));
            }
        }
        Ok(None)
    }

    /// Steps over a group (an ancient form of message), whose start is taken.
    fn skip_group(&mut self) -> Result<()> {
        let mut depth = 1usize;
        while depth > 0 {
            match self.varint()? & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let n = self.varint()?;
                    self.take(n)?;
                }
                3 => depth += 1,
                4 => depth -= 1,
                5 => drop(self.take(4)?),
                _ => return self.error("unknown wire type"),
            }
        }
        Ok(())
    }
}
