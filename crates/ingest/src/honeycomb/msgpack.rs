//! msgpack bodies: the same events as JSON, in the form that libhoney for Go sends.
//!
//! Owns: the msgpack grammar. Never does: trust a length that the body cannot hold.

use super::{Data, Envelope, Outcome, not_a_map};
use crate::EventStatus;
use crate::json::JsonError;
use crate::rows::Rows;
use crate::text::{base64, display, json_float, json_string};
use crate::time::write_rfc3339;
use model::{NS_PER_SECOND, TimeNs};
use std::borrow::Cow;

/// A value whose contents, if it has any, follow.
#[derive(Clone, Copy, Debug)]
enum Item<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// Above the range of `i64`.
    Unsigned(u64),
    Float(f64),
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Array(usize),
    /// Number of pairs.
    Map(usize),
    Time(TimeNs),
    /// A timestamp that nanoseconds in 64 bits cannot hold.
    FarTime,
    Ext(&'a [u8]),
}

#[derive(Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
}

/// Text of bytes; what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Binary data as text: itself if it is UTF-8, else base64.
fn binary(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut out = String::new();
            base64(&mut out, bytes);
            Cow::Owned(out)
        }
    }
}

impl<'a> Reader<'a> {
    fn error<T>(&self, what: &'static str) -> Result<T, JsonError> {
        Err(JsonError { what, at: self.pos })
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], JsonError> {
        match self.bytes.get(self.pos..).and_then(|rest| rest.get(..n)) {
            Some(taken) => {
                self.pos += n;
                Ok(taken)
            }
            None => self.error("unexpected end"),
        }
    }

    /// A big-endian number of `n` bytes.
    fn number(&mut self, n: usize) -> Result<u64, JsonError> {
        Ok(self.take(n)?.iter().fold(0, |v, &b| v << 8 | u64::from(b)))
    }

    fn ext(&mut self, n: usize) -> Result<Item<'a>, JsonError> {
        let kind = self.number(1)? as u8 as i8;
        let bytes = self.take(n)?;
        if kind != -1 {
            return Ok(Item::Ext(bytes));
        }
        let number = |b: &[u8]| b.iter().fold(0u64, |v, &b| v << 8 | u64::from(b));
        let (seconds, ns) = match n {
            4 => (number(bytes) as i64, 0),
            8 => ((number(bytes) & ((1 << 34) - 1)) as i64, number(bytes) >> 34),
            12 => (number(&bytes[4..]) as i64, number(&bytes[..4])),
            _ => return Ok(Item::Ext(bytes)),
        };
        let time = seconds.checked_mul(NS_PER_SECOND).and_then(|t| t.checked_add(ns as i64));
        Ok(time.map_or(Item::FarTime, Item::Time))
    }

    fn item(&mut self) -> Result<Item<'a>, JsonError> {
        let tag = self.number(1)? as u8;
        let signed = |v: u64, n: usize| Item::Int((v << (64 - 8 * n)) as i64 >> (64 - 8 * n));
        Ok(match tag {
            0..=0x7f => Item::Int(i64::from(tag)),
            0x80..=0x8f => Item::Map(usize::from(tag & 15)),
            0x90..=0x9f => Item::Array(usize::from(tag & 15)),
            0xa0..=0xbf => Item::Str(self.take(usize::from(tag & 31))?),
            0xc0 => Item::Nil,
            0xc1 => return self.error("0xc1 is not msgpack"),
            0xc2 | 0xc3 => Item::Bool(tag == 0xc3),
            0xc4..=0xc6 => {
                let n = self.number(1 << (tag - 0xc4))?;
                Item::Bin(self.take(n as usize)?)
            }
            0xc7..=0xc9 => {
                let n = self.number(1 << (tag - 0xc7))?;
                self.ext(n as usize)?
            }
            0xca => Item::Float(f64::from(f32::from_bits(self.number(4)? as u32))),
            0xcb => Item::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => {
                let v = self.number(1 << (tag - 0xcc))?;
                i64::try_from(v).map_or(Item::Unsigned(v), Item::Int)
            }
            0xd0..=0xd3 => {
                let n = 1 << (tag - 0xd0);
                signed(self.number(n)?, n)
            }
            0xd4..=0xd8 => self.ext(1 << (tag - 0xd4))?,
            0xd9..=0xdb => {
                let n = self.number(1 << (tag - 0xd9))?;
                Item::Str(self.take(n as usize)?)
            }
            0xdc | 0xdd => Item::Array(self.number(2 << (tag - 0xdc))? as usize),
            0xde | 0xdf => Item::Map(self.number(2 << (tag - 0xde))? as usize),
            0xe0.. => Item::Int(i64::from(tag as i8)),
        })
    }

    /// Steps over the contents of an item, at any depth.
    fn skip(&mut self, item: Item<'a>) -> Result<(), JsonError> {
        let contents = |item| match item {
            Item::Array(n) => n,
            Item::Map(n) => n * 2,
            _ => 0,
        };
        let mut left = contents(item);
        while left > 0 {
            left = (left - 1).saturating_add(contents(self.item()?));
        }
        Ok(())
    }

    /// Appends an item as JSON. False if it nests deeper than `depth`; then the rest is stepped over.
    fn json(&mut self, item: Item<'a>, out: &mut String, depth: usize) -> Result<bool, JsonError> {
        let mut fits = true;
        match item {
            Item::Nil => out.push_str("null"),
            Item::Bool(b) => display(out, b),
            Item::Int(i) => display(out, i),
            Item::Unsigned(u) => display(out, u),
            Item::Float(f) => json_float(out, f),
            Item::Str(s) => json_string(out, &text(s)),
            Item::Bin(b) | Item::Ext(b) => json_string(out, &binary(b)),
            Item::Time(t) => {
                out.push('"');
                write_rfc3339(out, t);
                out.push('"');
            }
            Item::FarTime => out.push_str("null"),
            Item::Array(_) | Item::Map(_) if depth == 0 => {
                self.skip(item)?;
                return Ok(false);
            }
            Item::Array(n) => {
                out.push('[');
                for i in 0..n {
                    if i > 0 {
                        out.push(',');
                    }
                    let item = self.item()?;
                    fits &= self.json(item, out, depth - 1)?;
                }
                out.push(']');
            }
            Item::Map(n) => {
                out.push('{');
                for i in 0..n {
                    if i > 0 {
                        out.push(',');
                    }
                    let key = self.key()?;
                    json_string(out, &key);
                    out.push(':');
                    let item = self.item()?;
                    fits &= self.json(item, out, depth - 1)?;
                }
                out.push('}');
            }
        }
        Ok(fits)
    }

    /// The key of a map; what is not text is written as such.
    fn key(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let item = self.item()?;
        Ok(match item {
            Item::Str(s) => text(s),
            Item::Bin(b) => binary(b),
            Item::Array(_) | Item::Map(_) => return self.error("a map or array cannot be a key"),
            scalar => {
                let mut out = String::new();
                self.json(scalar, &mut out, 0)?;
                Cow::Owned(out)
            }
        })
    }
}

/// Reads an array of events.
pub(super) fn batch(body: &[u8], rows: &mut Rows<'_>) -> Outcome {
    let mut reader = Reader { bytes: body, pos: 0 };
    let mut statuses = Vec::new();
    let result = array(&mut reader, rows, &mut statuses);
    result.map_err(|e| (e, statuses.len())).map(|()| statuses)
}

fn array(reader: &mut Reader<'_>, rows: &mut Rows<'_>, statuses: &mut Vec<EventStatus>) -> Result<(), JsonError> {
    let Item::Array(n) = reader.item()? else { return reader.error("expected an array of events") };
    for _ in 0..n {
        let status = element(reader, rows)?;
        statuses.push(status);
    }
    finish(reader)
}

fn finish(reader: &Reader<'_>) -> Result<(), JsonError> {
    if reader.pos < reader.bytes.len() { reader.error("expected the end") } else { Ok(()) }
}

fn element(reader: &mut Reader<'_>, rows: &mut Rows<'_>) -> Result<EventStatus, JsonError> {
    let start = reader.pos;
    let item = reader.item()?;
    let Item::Map(n) = item else {
        reader.skip(item)?;
        return Ok(not_a_map());
    };
    rows.begin();
    let mut envelope = Envelope::EMPTY;
    for _ in 0..n {
        let key = reader.key()?;
        let item = reader.item()?;
        match (&*key, item) {
            ("data", Item::Map(n)) => {
                envelope.data = if n == 0 { Data::Empty } else { Data::Present };
                fields(reader, rows, &mut String::new(), n, 0)?;
            }
            ("data", Item::Nil) => envelope.data = Data::Missing,
            ("data", _) => {
                envelope.data = Data::NotAMap;
                reader.skip(item)?;
            }
            ("time", Item::Nil) => {}
            ("time", Item::Time(t)) => envelope.time = Some(t),
            ("time", Item::FarTime) => envelope.set_time("0001-01-01", rows),
            ("time", Item::Str(s) | Item::Bin(s)) => envelope.set_time(&text(s), rows),
            ("time", _) => {
                let mut text = String::new();
                reader.json(item, &mut text, rows.context().limits.nesting_depth_max)?;
                envelope.set_time(&text, rows);
            }
            ("samplerate", Item::Int(i)) => envelope.rate = i as f64,
            ("samplerate", Item::Unsigned(u)) => envelope.rate = u as f64,
            ("samplerate", Item::Float(f)) => envelope.rate = f,
            ("samplerate", Item::Str(s)) => envelope.set_rate(&text(s)),
            _ => reader.skip(item)?,
        }
    }
    Ok(envelope.end(rows, reader.pos - start))
}

/// Reads one flat event, begun already; answers how many fields it has.
pub(super) fn event(body: &[u8], rows: &mut Rows<'_>) -> Result<usize, JsonError> {
    let mut reader = Reader { bytes: body, pos: 0 };
    let Item::Map(n) = reader.item()? else { return reader.error("expected a map") };
    fields(&mut reader, rows, &mut String::new(), n, 0)?;
    finish(&reader)?;
    Ok(n)
}

/// The `n` pairs of a map. `name` is that of the map, with a dot at its end; `dots` is how many maps they lie in.
fn fields(reader: &mut Reader<'_>, rows: &mut Rows<'_>, name: &mut String, n: usize, dots: usize) -> Result<(), JsonError> {
    for _ in 0..n {
        let key = reader.key()?;
        let item = reader.item()?;
        if name.is_empty() {
            value(reader, rows, &key, item, dots)?;
        } else {
            let prefix = name.len();
            name.push_str(&key);
            value(reader, rows, name, item, dots)?;
            name.truncate(prefix);
        }
    }
    Ok(())
}

fn value<'a>(reader: &mut Reader<'a>, rows: &mut Rows<'_>, name: &str, item: Item<'a>, dots: usize) -> Result<(), JsonError> {
    match item {
        Item::Map(n) if dots < rows.context().flatten_depth => {
            let mut name = format!("{name}.");
            return fields(reader, rows, &mut name, n, dots + 1);
        }
        Item::Nil => {
            if let Some(column) = rows.known(name) {
                rows.unset(column);
            }
            return Ok(());
        }
        _ => {}
    }
    let Some(column) = rows.column_next(name) else { return reader.skip(item) };
    match item {
        Item::Bool(b) => rows.bool(column, b),
        Item::Int(i) => rows.int(column, i),
        Item::Unsigned(u) => rows.float(column, u as f64),
        Item::Float(f) => rows.float(column, f),
        Item::Str(s) => rows.str(column, &text(s)),
        Item::Bin(b) | Item::Ext(b) => rows.str(column, &binary(b)),
        Item::Time(t) => {
            let mut text = String::new();
            write_rfc3339(&mut text, t);
            rows.str(column, &text);
        }
        Item::Nil | Item::FarTime => {}
        Item::Array(_) | Item::Map(_) => {
            let depth_max = rows.context().limits.nesting_depth_max;
            let mut text = String::new();
            if reader.json(item, &mut text, depth_max.saturating_sub(dots))? {
                rows.str(column, &text);
            } else {
                rows.refuse(400, format!("Event is nested too deeply. The limit is {depth_max} levels."));
            }
        }
    }
    Ok(())
}

/// The statuses as an array of maps.
pub(super) fn reply(statuses: &[EventStatus]) -> Vec<u8> {
    let string = |out: &mut Vec<u8>, text: &str| {
        out.push(0xdb);
        out.extend((text.len() as u32).to_be_bytes());
        out.extend(text.as_bytes());
    };
    let mut out = vec![0xdd];
    out.extend((statuses.len() as u32).to_be_bytes());
    for status in statuses {
        let error = if let EventStatus::Refused { error, .. } = status { Some(error) } else { None };
        out.push(0x81 + u8::from(error.is_some()));
        string(&mut out, "status");
        out.push(0xcd);
        out.extend(status.code().to_be_bytes());
        if let Some(error) = error {
            string(&mut out, "error");
            string(&mut out, error);
        }
    }
    out
}
