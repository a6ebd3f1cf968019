//! NDJSON: an event per line, as in a batch or flat.
//!
//! Owns: telling the two apart. Never does: read files.

use super::json::Events;
use super::{Data, Envelope};
use crate::EventStatus;
use crate::json::{JsonError, Reader};
use crate::rows::{Rows, refused};
use crate::time::{self, When};

/// Keys of a flat line that hold its time; the first one that can be read is taken.
const TIME_KEYS: [&str; 4] = ["time", "timestamp", "Timestamp", "@timestamp"];

/// Reads each line that is not blank, and tells what became of it.
pub(super) fn each_line(text: &str, rows: &mut Rows<'_>, mut tell: impl FnMut(EventStatus)) {
    let mut events = Events::new("", rows);
    let mut wrapped = true;
    for line in text.split('\n').filter(|line| !line.trim_ascii().is_empty()) {
        let status = events.line(line, &mut wrapped).unwrap_or_else(|e| {
            events.rows.abort();
            refused(400, format!("Line is malformed and cannot be read. {} at byte {}", e.what, e.at))
        });
        tell(status);
    }
}

impl<'a> Events<'a, '_, '_> {
    /// One line. `wrapped` says which shape to try first, and is set to what it was.
    fn line(&mut self, line: &'a str, wrapped: &mut bool) -> Result<EventStatus, JsonError> {
        if *wrapped {
            if let Some(status) = self.wrapped(line)? {
                return Ok(status);
            }
            *wrapped = false;
            return self.flat(line, true).map(|s| s.unwrap_or(EventStatus::Accepted));
        }
        if let Some(status) = self.flat(line, false)? {
            return Ok(status);
        }
        if let Some(status) = self.wrapped(line)? {
            *wrapped = true;
            return Ok(status);
        }
        self.flat(line, true).map(|s| s.unwrap_or(EventStatus::Accepted))
    }

    fn start(&mut self, line: &'a str) -> Result<(), JsonError> {
        self.reader = Reader::new(line);
        self.name.clear();
        self.rows.begin();
        self.reader.expect(b'{', "expected an object")
    }

    /// Reads `{time, samplerate, data}`; None (and nothing kept) if the line is not of this shape.
    fn wrapped(&mut self, line: &'a str) -> Result<Option<EventStatus>, JsonError> {
        self.start(line)?;
        let mut envelope = Envelope::EMPTY;
        if !self.reader.take(b'}') {
            loop {
                match self.reader.key(&mut self.scratch)? {
                    "data" if self.reader.next() == b'{' => envelope.data = self.data()?,
                    key if TIME_KEYS.contains(&key) => self.time(&mut envelope)?,
                    "samplerate" => self.rate(&mut envelope)?,
                    _ => {
                        self.rows.abort();
                        return Ok(None);
                    }
                }
                if !self.reader.more(b'}')? {
                    break;
                }
            }
        }
        self.reader.finish()?;
        if envelope.data == Data::Missing {
            self.rows.abort();
            return Ok(None);
        }
        Ok(Some(envelope.end(self.rows, line.len())))
    }

    /// Reads a line that is itself the event. None (and nothing kept) if it may be of the other shape, unless `surely` not.
    fn flat(&mut self, line: &'a str, surely: bool) -> Result<Option<EventStatus>, JsonError> {
        self.start(line)?;
        let mut envelope = Envelope { data: Data::Empty, ..Envelope::EMPTY };
        if !self.reader.take(b'}') {
            loop {
                if self.reader.next() != b'"' {
                    return self.reader.error("expected a key in double quotes");
                }
                let key = self.reader.pos;
                let special = matches!(self.reader.rest().get(1), Some(b't' | b'T' | b'@' | b's' | b'd' | b'\\'));
                if !special || !self.special(&mut envelope)? {
                    self.reader.pos = key;
                    if special && !surely && envelope.data == Data::Empty && self.is_data_map()? {
                        self.rows.abort();
                        return Ok(None);
                    }
                    self.reader.pos = key;
                    let column = self.field_name()?;
                    self.value(column, 0, 0)?;
                    envelope.data = Data::Present;
                }
                if !self.reader.more(b'}')? {
                    break;
                }
            }
        }
        self.reader.finish()?;
        if envelope.data == Data::Empty && (envelope.time.is_some() || envelope.rate != 1.0) {
            envelope.data = Data::Present;
        }
        Ok(Some(envelope.end(self.rows, line.len())))
    }

    /// Whether the next member is `data` with an object.
    fn is_data_map(&mut self) -> Result<bool, JsonError> {
        Ok(self.reader.key(&mut self.scratch)? == "data" && self.reader.next() == b'{')
    }

    /// Takes the next member if it is the time or the sample rate.
    fn special(&mut self, envelope: &mut Envelope) -> Result<bool, JsonError> {
        let key = self.reader.key(&mut self.scratch)?;
        if key == "samplerate" && self.reader.next().is_ascii_digit() {
            self.rate(envelope)?;
            return Ok(true);
        }
        if envelope.time.is_some() || !TIME_KEYS.contains(&key) {
            return Ok(false);
        }
        let first = self.reader.next();
        if first != b'"' && !first.is_ascii_digit() {
            return Ok(false);
        }
        let start = self.reader.pos;
        let text = if first == b'"' {
            self.reader.string(&mut self.scratch)?
        } else {
            self.reader.number()?;
            let n = self.reader.pos;
            self.reader.between(start, n)
        };
        match time::parse(text) {
            When::At(_) | When::OutOfRange => {
                envelope.set_time(text, self.rows);
                Ok(true)
            }
            When::Missing | When::Unreadable => Ok(false),
        }
    }
}
