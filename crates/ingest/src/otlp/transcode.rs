//! OTLP's JSON to its protobuf, so that both are read by the same code.
//!
//! Owns: names, enums, ids in hex, numbers as strings. Never does: know what a field means.

use super::attributes::id_from_json;
use super::response::varint;
use super::{Signal, wire};
use crate::json::{JsonError, Number, Reader, text_of};
use crate::text::from_base64;

type Result<T> = wire::Result<T>;

/// The fields of a message: names in lower case without underscores, so that camelCase and snake_case are one.
#[derive(Debug)]
struct Schema(&'static [(&'static str, u8, Kind)]);

/// What a field holds.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Str,
    /// Base64.
    Bytes,
    /// An id: hex, or base64.
    Id,
    Bool,
    /// A varint; negative ones in two's complement.
    Int,
    /// The same, but what is no integer of 64 bits is a double in the next field: JavaScript calls 1e300 an integer.
    IntOrDouble,
    /// A varint in zigzag form.
    Zigzag,
    /// A number or one of these names.
    Enum(&'static [(&'static str, u64)]),
    Fixed32,
    Fixed64,
    Double,
    Message(&'static Schema),
    /// A field 1000 of messages, where scopes once were.
    OldScopes(&'static Schema),
}

static ANY: Schema = Schema(&[
    ("stringvalue", 1, Kind::Str),
    ("boolvalue", 2, Kind::Bool),
    ("intvalue", 3, Kind::IntOrDouble),
    ("doublevalue", 4, Kind::Double),
    ("arrayvalue", 5, Kind::Message(&LIST)),
    ("kvlistvalue", 6, Kind::Message(&PAIRS)),
    ("bytesvalue", 7, Kind::Bytes),
]);
static LIST: Schema = Schema(&[("values", 1, Kind::Message(&ANY))]);
static PAIRS: Schema = Schema(&[("values", 1, Kind::Message(&PAIR))]);
static PAIR: Schema = Schema(&[("key", 1, Kind::Str), ("value", 2, Kind::Message(&ANY))]);
static RESOURCE: Schema = Schema(&[("attributes", 1, Kind::Message(&PAIR)), ("droppedattributescount", 2, Kind::Int)]);
static SCOPE: Schema = Schema(&[
    ("name", 1, Kind::Str),
    ("version", 2, Kind::Str),
    ("attributes", 3, Kind::Message(&PAIR)),
    ("droppedattributescount", 4, Kind::Int),
]);

static SPANS: Schema = Schema(&[("resourcespans", 1, Kind::Message(&RESOURCE_SPANS))]);
static RESOURCE_SPANS: Schema = Schema(&[
    ("resource", 1, Kind::Message(&RESOURCE)),
    ("scopespans", 2, Kind::Message(&SCOPE_SPANS)),
    ("instrumentationlibraryspans", 0, Kind::OldScopes(&SCOPE_SPANS)),
    ("schemaurl", 3, Kind::Str),
]);
static SCOPE_SPANS: Schema = Schema(&[
    ("scope", 1, Kind::Message(&SCOPE)),
    ("instrumentationlibrary", 1, Kind::Message(&SCOPE)),
    ("spans", 2, Kind::Message(&SPAN)),
    ("schemaurl", 3, Kind::Str),
]);
static SPAN: Schema = Schema(&[
    ("traceid", 1, Kind::Id),
    ("spanid", 2, Kind::Id),
    ("tracestate", 3, Kind::Str),
    ("parentspanid", 4, Kind::Id),
    ("name", 5, Kind::Str),
    ("kind", 6, Kind::Enum(KINDS)),
    ("starttimeunixnano", 7, Kind::Fixed64),
    ("endtimeunixnano", 8, Kind::Fixed64),
    ("attributes", 9, Kind::Message(&PAIR)),
    ("droppedattributescount", 10, Kind::Int),
    ("events", 11, Kind::Message(&EVENT)),
    ("droppedeventscount", 12, Kind::Int),
    ("links", 13, Kind::Message(&LINK)),
    ("droppedlinkscount", 14, Kind::Int),
    ("status", 15, Kind::Message(&STATUS)),
    ("flags", 16, Kind::Fixed32),
]);
static EVENT: Schema = Schema(&[
    ("timeunixnano", 1, Kind::Fixed64),
    ("name", 2, Kind::Str),
    ("attributes", 3, Kind::Message(&PAIR)),
    ("droppedattributescount", 4, Kind::Int),
]);
static LINK: Schema = Schema(&[
    ("traceid", 1, Kind::Id),
    ("spanid", 2, Kind::Id),
    ("tracestate", 3, Kind::Str),
    ("attributes", 4, Kind::Message(&PAIR)),
    ("droppedattributescount", 5, Kind::Int),
    ("flags", 6, Kind::Fixed32),
]);
static STATUS: Schema = Schema(&[("message", 2, Kind::Str), ("code", 3, Kind::Enum(CODES))]);
const KINDS: &[(&str, u64)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];
const CODES: &[(&str, u64)] = &[("STATUS_CODE_UNSET", 0), ("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)];

static LOGS: Schema = Schema(&[("resourcelogs", 1, Kind::Message(&RESOURCE_LOGS))]);
static RESOURCE_LOGS: Schema = Schema(&[
    ("resource", 1, Kind::Message(&RESOURCE)),
    ("scopelogs", 2, Kind::Message(&SCOPE_LOGS)),
    ("instrumentationlibrarylogs", 0, Kind::OldScopes(&SCOPE_LOGS)),
    ("schemaurl", 3, Kind::Str),
]);
static SCOPE_LOGS: Schema = Schema(&[
    ("scope", 1, Kind::Message(&SCOPE)),
    ("instrumentationlibrary", 1, Kind::Message(&SCOPE)),
    ("logrecords", 2, Kind::Message(&RECORD)),
    ("logs", 2, Kind::Message(&RECORD)),
    ("schemaurl", 3, Kind::Str),
]);
static RECORD: Schema = Schema(&[
    ("timeunixnano", 1, Kind::Fixed64),
    ("severitynumber", 2, Kind::Enum(SEVERITIES)),
    ("severitytext", 3, Kind::Str),
    ("body", 5, Kind::Message(&ANY)),
    ("attributes", 6, Kind::Message(&PAIR)),
    ("droppedattributescount", 7, Kind::Int),
    ("flags", 8, Kind::Fixed32),
    ("traceid", 9, Kind::Id),
    ("spanid", 10, Kind::Id),
    ("observedtimeunixnano", 11, Kind::Fixed64),
    ("eventname", 12, Kind::Str),
]);
const SEVERITIES: &[(&str, u64)] = &[
    ("SEVERITY_NUMBER_UNSPECIFIED", 0),
    ("SEVERITY_NUMBER_TRACE", 1),
    ("SEVERITY_NUMBER_TRACE2", 2),
    ("SEVERITY_NUMBER_TRACE3", 3),
    ("SEVERITY_NUMBER_TRACE4", 4),
    ("SEVERITY_NUMBER_DEBUG", 5),
    ("SEVERITY_NUMBER_DEBUG2", 6),
    ("SEVERITY_NUMBER_DEBUG3", 7),
    ("SEVERITY_NUMBER_DEBUG4", 8),
    ("SEVERITY_NUMBER_INFO", 9),
    ("SEVERITY_NUMBER_INFO2", 10),
    ("SEVERITY_NUMBER_INFO3", 11),
    ("SEVERITY_NUMBER_INFO4", 12),
    ("SEVERITY_NUMBER_WARN", 13),
    ("SEVERITY_NUMBER_WARN2", 14),
    ("SEVERITY_NUMBER_WARN3", 15),
    ("SEVERITY_NUMBER_WARN4", 16),
    ("SEVERITY_NUMBER_ERROR", 17),
    ("SEVERITY_NUMBER_ERROR2", 18),
    ("SEVERITY_NUMBER_ERROR3", 19),
    ("SEVERITY_NUMBER_ERROR4", 20),
    ("SEVERITY_NUMBER_FATAL", 21),
    ("SEVERITY_NUMBER_FATAL2", 22),
    ("SEVERITY_NUMBER_FATAL3", 23),
    ("SEVERITY_NUMBER_FATAL4", 24),
];

static METRICS: Schema = Schema(&[("resourcemetrics", 1, Kind::Message(&RESOURCE_METRICS))]);
static RESOURCE_METRICS: Schema = Schema(&[
    ("resource", 1, Kind::Message(&RESOURCE)),
    ("scopemetrics", 2, Kind::Message(&SCOPE_METRICS)),
    ("instrumentationlibrarymetrics", 0, Kind::OldScopes(&SCOPE_METRICS)),
    ("schemaurl", 3, Kind::Str),
]);
static SCOPE_METRICS: Schema = Schema(&[
    ("scope", 1, Kind::Message(&SCOPE)),
    ("instrumentationlibrary", 1, Kind::Message(&SCOPE)),
    ("metrics", 2, Kind::Message(&METRIC)),
    ("schemaurl", 3, Kind::Str),
]);
static METRIC: Schema = Schema(&[
    ("name", 1, Kind::Str),
    ("description", 2, Kind::Str),
    ("unit", 3, Kind::Str),
    ("gauge", 5, Kind::Message(&NUMBERS)),
    ("sum", 7, Kind::Message(&NUMBERS)),
    ("histogram", 9, Kind::Message(&HISTOGRAMS)),
    ("exponentialhistogram", 10, Kind::Message(&EXPONENTIALS)),
    ("summary", 11, Kind::Message(&SUMMARIES)),
]);
const TEMPORALITIES: &[(&str, u64)] =
    &[("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0), ("AGGREGATION_TEMPORALITY_DELTA", 1), ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2)];
static NUMBERS: Schema = Schema(&[
    ("datapoints", 1, Kind::Message(&NUMBER)),
    ("aggregationtemporality", 2, Kind::Enum(TEMPORALITIES)),
    ("ismonotonic", 3, Kind::Bool),
]);
static HISTOGRAMS: Schema =
    Schema(&[("datapoints", 1, Kind::Message(&HISTOGRAM)), ("aggregationtemporality", 2, Kind::Enum(TEMPORALITIES))]);
static EXPONENTIALS: Schema =
    Schema(&[("datapoints", 1, Kind::Message(&EXPONENTIAL)), ("aggregationtemporality", 2, Kind::Enum(TEMPORALITIES))]);
static SUMMARIES: Schema = Schema(&[("datapoints", 1, Kind::Message(&SUMMARY))]);
static NUMBER: Schema = Schema(&[
    ("starttimeunixnano", 2, Kind::Fixed64),
    ("timeunixnano", 3, Kind::Fixed64),
    ("asdouble", 4, Kind::Double),
    ("exemplars", 5, Kind::Message(&EXEMPLAR)),
    ("asint", 6, Kind::Fixed64),
    ("attributes", 7, Kind::Message(&PAIR)),
    ("flags", 8, Kind::Int),
]);
static HISTOGRAM: Schema = Schema(&[
    ("starttimeunixnano", 2, Kind::Fixed64),
    ("timeunixnano", 3, Kind::Fixed64),
    ("count", 4, Kind::Fixed64),
    ("sum", 5, Kind::Double),
    ("bucketcounts", 6, Kind::Fixed64),
    ("explicitbounds", 7, Kind::Double),
    ("exemplars", 8, Kind::Message(&EXEMPLAR)),
    ("attributes", 9, Kind::Message(&PAIR)),
    ("flags", 10, Kind::Int),
    ("min", 11, Kind::Double),
    ("max", 12, Kind::Double),
]);
static EXPONENTIAL: Schema = Schema(&[
    ("attributes", 1, Kind::Message(&PAIR)),
    ("starttimeunixnano", 2, Kind::Fixed64),
    ("timeunixnano", 3, Kind::Fixed64),
    ("count", 4, Kind::Fixed64),
    ("sum", 5, Kind::Double),
    ("scale", 6, Kind::Zigzag),
    ("zerocount", 7, Kind::Fixed64),
    ("positive", 8, Kind::Message(&BUCKETS)),
    ("negative", 9, Kind::Message(&BUCKETS)),
    ("flags", 10, Kind::Int),
    ("exemplars", 11, Kind::Message(&EXEMPLAR)),
    ("min", 12, Kind::Double),
    ("max", 13, Kind::Double),
    ("zerothreshold", 14, Kind::Double),
]);
static BUCKETS: Schema = Schema(&[("offset", 1, Kind::Zigzag), ("bucketcounts", 2, Kind::Int)]);
static SUMMARY: Schema = Schema(&[
    ("starttimeunixnano", 2, Kind::Fixed64),
    ("timeunixnano", 3, Kind::Fixed64),
    ("count", 4, Kind::Fixed64),
    ("sum", 5, Kind::Double),
    ("quantilevalues", 6, Kind::Message(&QUANTILE)),
    ("attributes", 7, Kind::Message(&PAIR)),
    ("flags", 8, Kind::Int),
]);
static QUANTILE: Schema = Schema(&[("quantile", 1, Kind::Double), ("value", 2, Kind::Double)]);
static EXEMPLAR: Schema = Schema(&[
    ("timeunixnano", 2, Kind::Fixed64),
    ("asdouble", 3, Kind::Double),
    ("spanid", 4, Kind::Id),
    ("traceid", 5, Kind::Id),
    ("asint", 6, Kind::Fixed64),
    ("filteredattributes", 7, Kind::Message(&PAIR)),
]);

/// Writes a request in JSON as protobuf.
pub(super) fn to_protobuf(signal: Signal, body: &[u8], depth_max: usize) -> Result<Vec<u8>> {
    let text = text_of(body);
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let mut writer = Writer { reader: Reader::new(&text), out: Vec::with_capacity(text.len() / 2), scratch: String::new() };
    writer.reader.expect(b'{', "expected an object")?;
    let schema = match signal {
        Signal::Traces => &SPANS,
        Signal::Logs => &LOGS,
        Signal::Metrics => &METRICS,
    };
    // A level of attributes is three of JSON, and some come before.
    writer.members(schema, depth_max.saturating_mul(3).min(1_000) + 16)?;
    writer.reader.finish()?;
    Ok(writer.out)
}

struct Writer<'a> {
    reader: Reader<'a>,
    out: Vec<u8>,
    scratch: String,
}

/// Whether a key is this name, but for case and underscores.
fn is_name(key: &str, name: &str) -> bool {
    let mut name = name.bytes();
    key.bytes().filter(|&b| b != b'_').all(|b| name.next() == Some(b.to_ascii_lowercase())) && name.next().is_none()
}

impl Writer<'_> {
    /// The members of a message whose brace is taken.
    fn members(&mut self, schema: &'static Schema, depth: usize) -> Result<()> {
        if depth == 0 {
            return self.reader.error("nested too deeply");
        }
        if self.reader.take(b'}') {
            return Ok(());
        }
        // Members come in the order of their schema, more or less.
        let mut guess = 0;
        loop {
            let key = self.reader.key(&mut self.scratch)?;
            let n = schema.0.len();
            let found = (0..n).map(|i| (guess + i) % n).find(|&i| is_name(key, schema.0[i].0));
            match found {
                Some(i) => {
                    guess = i + 1;
                    let (_, number, kind) = schema.0[i];
                    self.field(number, kind, depth)?;
                }
                None => self.reader.skip(&mut self.scratch)?,
            }
            if !self.reader.more(b'}')? {
                return Ok(());
            }
        }
    }

    /// A field: one value, or an array of values.
    fn field(&mut self, number: u8, kind: Kind, depth: usize) -> Result<()> {
        if !self.reader.take(b'[') {
            return self.value(number, kind, depth);
        }
        if self.reader.take(b']') {
            return Ok(());
        }
        loop {
            self.value(number, kind, depth)?;
            if !self.reader.more(b']')? {
                return Ok(());
            }
        }
    }

    fn tag(&mut self, number: u8, wire_type: u8) {
        varint(&mut self.out, u64::from(number) << 3 | u64::from(wire_type));
    }

    fn bytes(&mut self, number: u8, bytes: &[u8]) {
        self.tag(number, 2);
        varint(&mut self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn value(&mut self, number: u8, kind: Kind, depth: usize) -> Result<()> {
        let first = self.reader.next();
        if first == b'n' {
            return match self.reader.literal()? {
                // An item of a list keeps its place.
                None if number == 1 && matches!(kind, Kind::Message(schema) if std::ptr::eq(schema, &ANY)) => {
                    self.bytes(number, &[]);
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        match kind {
            Kind::Message(schema) => {
                self.tag(number, 2);
                self.message(schema, depth)?;
            }
            Kind::OldScopes(schema) => {
                varint(&mut self.out, 1000 << 3 | 2);
                self.message(schema, depth)?;
            }
            Kind::Bool => match first {
                b'"' => {
                    let value = self.string()? == "true";
                    self.tag(number, 0);
                    self.out.push(u8::from(value));
                }
                _ => {
                    let value = self.reader.literal()? == Some(true);
                    self.tag(number, 0);
                    self.out.push(u8::from(value));
                }
            },
            Kind::Str | Kind::Bytes | Kind::Id => {
                if first != b'"' {
                    return self.reader.error("expected a string");
                }
                let mut scratch = std::mem::take(&mut self.scratch);
                let at = self.reader.pos;
                let text = self.reader.string(&mut scratch)?;
                let invalid = |what| JsonError { what, at };
                match kind {
                    Kind::Id => self.bytes(number, &id_from_json(text).ok_or(invalid("expected an id in hex digits"))?),
                    Kind::Bytes => self.bytes(number, &from_base64(text).ok_or(invalid("expected base64"))?),
                    _ => self.bytes(number, text.as_bytes()),
                }
                self.scratch = scratch;
            }
            Kind::IntOrDouble => {
                let at = self.reader.pos;
                let value = self.double(first)?;
                let text = self.reader.between(at, self.reader.pos).trim_matches('"').trim();
                match text.parse::<i64>().ok().or_else(|| (value.fract() == 0.0 && value.abs() < 9e18).then_some(value as i64)) {
                    Some(integer) => {
                        self.tag(number, 0);
                        varint(&mut self.out, integer as u64);
                    }
                    None => {
                        self.tag(number + 1, 1);
                        self.out.extend(value.to_bits().to_le_bytes());
                    }
                }
            }
            Kind::Double => {
                let value = self.double(first)?;
                self.tag(number, 1);
                self.out.extend(value.to_bits().to_le_bytes());
            }
            Kind::Int | Kind::Zigzag | Kind::Enum(_) | Kind::Fixed32 | Kind::Fixed64 => {
                let value = self.integer(first, kind)?;
                match kind {
                    Kind::Fixed64 => {
                        self.tag(number, 1);
                        self.out.extend(value.to_le_bytes());
                    }
                    Kind::Fixed32 => {
                        self.tag(number, 5);
                        self.out.extend((value as u32).to_le_bytes());
                    }
                    Kind::Zigzag => {
                        let v = value as i64;
                        self.tag(number, 0);
                        varint(&mut self.out, (v << 1 ^ v >> 63) as u64);
                    }
                    _ => {
                        self.tag(number, 0);
                        varint(&mut self.out, value);
                    }
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, schema: &'static Schema, depth: usize) -> Result<()> {
        /// Bytes kept for the length, which is known later.
        const ROOM: usize = 5;
        self.reader.expect(b'{', "expected an object")?;
        let start = self.out.len() + ROOM;
        self.out.resize(start, 0);
        self.members(schema, depth - 1)?;
        let mut length = self.out.len() - start;
        for (i, byte) in self.out[start - ROOM..start].iter_mut().enumerate() {
            *byte = length as u8 & 0x7f | if i + 1 < ROOM { 0x80 } else { 0 };
            length >>= 7;
        }
        Ok(())
    }

    fn string(&mut self) -> Result<&str> {
        self.reader.string(&mut self.scratch)
    }

    /// A 64-bit number, as a number or a string, or the name of an enum's value.
    fn integer(&mut self, first: u8, kind: Kind) -> Result<u64> {
        let at = self.reader.pos;
        if first == b'"' {
            let text = self.string()?.trim();
            if let Kind::Enum(names) = kind
                && let Some((_, value)) = names.iter().find(|(name, _)| *name == text)
            {
                return Ok(*value);
            }
            let parsed = text.parse::<u64>().or_else(|_| text.parse::<i64>().map(|i| i as u64));
            return parsed.or_else(|_| text.parse::<f64>().map(whole)).map_err(|_| JsonError { what: "expected an integer", at });
        }
        if !matches!(first, b'-' | b'0'..=b'9') {
            return self.reader.error("expected an integer");
        }
        match self.reader.number()? {
            Number::Int(i) => Ok(i as u64),
            // Exact where the text is a whole number of 64 bits.
            Number::Float(f) => Ok(self.reader.between(at, self.reader.pos).parse().unwrap_or_else(|_| whole(f))),
            Number::Huge(_) => Err(JsonError { what: "number out of range", at }),
        }
    }

    fn double(&mut self, first: u8) -> Result<f64> {
        let at = self.reader.pos;
        let float = |text: &str| text.parse::<f64>().map_err(|_| JsonError { what: "expected a number", at });
        if first == b'"' {
            return float(self.string()?.trim());
        }
        if let Some(text) = self.reader.not_finite_if(first) {
            return float(text);
        }
        if !matches!(first, b'-' | b'0'..=b'9') {
            return self.reader.error("expected a number");
        }
        Ok(match self.reader.number()? {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
            Number::Huge(text) => float(text)?,
        })
    }
}

/// The 64 bits of a whole number that came as a float.
fn whole(f: f64) -> u64 {
    if f < 0.0 { f as i64 as u64 } else { f as u64 }
}
