//! JSON bodies, straight into columns: the hottest path of the product.
//!
//! Owns: walking events and their fields. Never does: the grammar below them (`crate::json`).

use super::{Data, Envelope, Outcome, not_a_map};
use crate::EventStatus;
use crate::json::{JsonError, Number, Reader};
use crate::rows::Rows;
use model::ColumnId;

/// Reads an array of events.
pub(super) fn batch(text: &str, rows: &mut Rows<'_>) -> Outcome {
    let mut events = Events::new(text, rows);
    let mut statuses = Vec::with_capacity(text.len() / 2_048);
    let result = events.array(&mut statuses);
    result.map_err(|e| (e, statuses.len())).map(|()| statuses)
}

/// Reads one flat event, begun already; answers how many fields it has.
pub(super) fn event(text: &str, rows: &mut Rows<'_>) -> Result<usize, JsonError> {
    let mut events = Events::new(text, rows);
    events.reader.expect(b'{', "expected an object")?;
    let n = events.fields(0)?;
    events.reader.finish()?;
    Ok(n)
}

/// A walk over events.
pub(super) struct Events<'a, 'r, 'c> {
    pub(super) reader: Reader<'a>,
    pub(super) rows: &'r mut Rows<'c>,
    /// Name of the map that is being flattened, with a dot at its end; or of a new column.
    pub(super) name: String,
    pub(super) scratch: String,
    json: String,
}

impl<'a, 'r, 'c> Events<'a, 'r, 'c> {
    pub(super) fn new(text: &'a str, rows: &'r mut Rows<'c>) -> Self {
        Events { reader: Reader::new(text), rows, name: String::new(), scratch: String::new(), json: String::new() }
    }

    fn array(&mut self, statuses: &mut Vec<EventStatus>) -> Result<(), JsonError> {
        self.reader.expect(b'[', "expected an array of events")?;
        if !self.reader.take(b']') {
            loop {
                let status = self.element()?;
                statuses.push(status);
                if !self.reader.more(b']')? {
                    break;
                }
            }
        }
        self.reader.finish()
    }

    fn element(&mut self) -> Result<EventStatus, JsonError> {
        if self.reader.next() != b'{' {
            self.reader.skip(&mut self.scratch)?;
            return Ok(not_a_map());
        }
        let start = self.reader.pos;
        self.reader.pos += 1;
        self.rows.begin();
        let mut envelope = Envelope::EMPTY;
        if !self.reader.take(b'}') {
            loop {
                match self.reader.key(&mut self.scratch)? {
                    "data" => envelope.data = self.data()?,
                    "time" => self.time(&mut envelope)?,
                    "samplerate" => self.rate(&mut envelope)?,
                    _ => self.reader.skip(&mut self.scratch)?,
                }
                if !self.reader.more(b'}')? {
                    break;
                }
            }
        }
        Ok(envelope.end(self.rows, self.reader.pos - start))
    }

    pub(super) fn data(&mut self) -> Result<Data, JsonError> {
        if self.reader.take(b'{') {
            let n = self.fields(0)?;
            return Ok(if n == 0 { Data::Empty } else { Data::Present });
        }
        let data = if self.reader.next() == b'n' { Data::Missing } else { Data::NotAMap };
        self.reader.skip(&mut self.scratch)?;
        Ok(data)
    }

    pub(super) fn time(&mut self, envelope: &mut Envelope) -> Result<(), JsonError> {
        let text = match self.reader.next() {
            b'"' => self.reader.string(&mut self.scratch)?,
            b'n' => return self.reader.literal().map(drop),
            _ => {
                self.json.clear();
                self.reader.copy(&mut self.json, &mut self.scratch, usize::MAX)?;
                &self.json
            }
        };
        envelope.set_time(text, self.rows);
        Ok(())
    }

    pub(super) fn rate(&mut self, envelope: &mut Envelope) -> Result<(), JsonError> {
        match self.reader.next() {
            b'"' => envelope.set_rate(self.reader.string(&mut self.scratch)?),
            b'-' | b'0'..=b'9' => match self.reader.number()? {
                Number::Int(i) => envelope.rate = i as f64,
                Number::Float(f) => envelope.rate = f,
                Number::Huge(_) => {}
            },
            _ => self.reader.skip(&mut self.scratch)?,
        }
        Ok(())
    }

    /// The members of an object whose brace is taken; `dots` is how many maps they lie in. Answers their number.
    pub(super) fn fields(&mut self, dots: usize) -> Result<usize, JsonError> {
        if self.reader.take(b'}') {
            return Ok(0);
        }
        let prefix = self.name.len();
        let mut n = 0;
        loop {
            n += 1;
            let column = if prefix == 0
                && self.reader.next() == b'"'
                && let Some((column, n_bytes)) =
                    self.rows.predict_key(self.reader.rest()).or_else(|| self.rows.known_key(self.reader.rest()))
            {
                self.reader.pos += n_bytes;
                Some(column)
            } else {
                self.field_name()?
            };
            match (column, self.reader.next()) {
                (Some(column), first) if first != b'{' && first != b'n' => self.cell(column, first, dots)?,
                _ => self.value(column, prefix, dots)?,
            }
            if !self.reader.more(b'}')? {
                return Ok(n);
            }
        }
    }

    /// Reads a key and its colon: the column, or `None` if it is new; then its name is in `self.name`.
    pub(super) fn field_name(&mut self) -> Result<Option<ColumnId>, JsonError> {
        let key = self.reader.key(&mut self.scratch)?;
        if self.name.is_empty()
            && let Some(known) = self.rows.known(key)
        {
            return Ok(Some(known));
        }
        let prefix = self.name.len();
        self.name.push_str(key);
        let name = self.name.as_bytes();
        if prefix > 0
            && let Some(column) = self.rows.predict(|known| known == name).or_else(|| self.rows.known(&self.name))
        {
            self.name.truncate(prefix);
            return Ok(Some(column));
        }
        Ok(None)
    }

    /// The value of a field. `self.name` is cut back to `prefix` bytes.
    pub(super) fn value(&mut self, column: Option<ColumnId>, prefix: usize, dots: usize) -> Result<(), JsonError> {
        match self.reader.next() {
            b'{' if dots < self.rows.context().flatten_depth => {
                if let Some(column) = column {
                    self.name.clear();
                    self.name.push_str(self.rows.name(column));
                }
                self.name.push('.');
                self.reader.pos += 1;
                self.fields(dots + 1)?;
            }
            b'n' if self.reader.rest().starts_with(b"null") => {
                self.reader.pos += 4;
                if let Some(column) = column.or_else(|| self.rows.known(&self.name)) {
                    self.rows.unset(column);
                }
            }
            first => match column.or_else(|| self.rows.column(&self.name)) {
                Some(column) => self.cell(column, first, dots)?,
                None => self.reader.skip(&mut self.scratch)?,
            },
        }
        self.name.truncate(prefix);
        Ok(())
    }

    #[inline(always)]
    fn cell(&mut self, column: ColumnId, first: u8, dots: usize) -> Result<(), JsonError> {
        match first {
            b'"' => {
                let text = self.reader.string(&mut self.scratch)?;
                self.rows.str(column, text);
            }
            b'{' | b'[' => {
                let depth_max = self.rows.context().limits.nesting_depth_max;
                self.json.clear();
                if self.reader.copy(&mut self.json, &mut self.scratch, depth_max.saturating_sub(dots))? {
                    self.rows.str(column, &self.json);
                } else {
                    self.rows.refuse(400, format!("Event is nested too deeply. The limit is {depth_max} levels."));
                }
            }
            b't' | b'f' => {
                if let Some(value) = self.reader.literal()? {
                    self.rows.bool(column, value);
                }
            }
            _ => {
                if let Some(text) = self.reader.not_finite_if(first) {
                    self.rows.str(column, text);
                    return Ok(());
                }
                if !matches!(first, b'-' | b'0'..=b'9') {
                    return self.reader.error("expected a value");
                }
                match self.reader.number()? {
                    Number::Int(i) => self.rows.int(column, i),
                    Number::Float(f) => self.rows.float(column, f),
                    Number::Huge(text) => self.rows.str(column, text),
                }
            }
        }
        Ok(())
    }
}
