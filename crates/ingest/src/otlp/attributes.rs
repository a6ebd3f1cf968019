//! OTLP attributes as cells: flattening, JSON text for arrays and bytes, ids, the sample rate among them.
//!
//! Owns: what all three signals share. Never does: know a signal's own fields.

use super::wire::{Piece, Result, Value};
use crate::rows::Rows;
use crate::text::{base64, display, from_hex, hex, json_float, json_string};
use model::ColumnId;
use std::borrow::Cow;

/// An `AnyValue`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Any<'a> {
    Nil,
    Str(Piece<'a>),
    Bool(bool),
    Int(i64),
    Float(f64),
    Array(Piece<'a>),
    Map(Piece<'a>),
    Bytes(Piece<'a>),
}

/// A `KeyValue`.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyValue<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: Any<'a>,
}

/// Text of bytes; what is not UTF-8 is replaced.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

impl<'a> Any<'a> {
    pub(super) fn read(piece: Piece<'a>) -> Result<Any<'a>> {
        let mut any = Any::Nil;
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            any = match (number, value) {
                (1, Value::Bytes(p)) => Any::Str(p),
                (2, Value::Varint(v)) => Any::Bool(v != 0),
                (3, Value::Varint(v)) => Any::Int(v as i64),
                (4, Value::Fixed64(v)) => Any::Float(f64::from_bits(v)),
                (5, Value::Bytes(p)) => Any::Array(p),
                (6, Value::Bytes(p)) => Any::Map(p),
                (7, Value::Bytes(p)) => Any::Bytes(p),
                _ => any,
            };
        }
        Ok(any)
    }

    /// Appends it as JSON. False if it nests deeper than `depth`; then `out` is of no use.
    pub(super) fn json(self, out: &mut String, depth: usize) -> Result<bool> {
        let mut fits = true;
        match self {
            Any::Nil => out.push_str("null"),
            Any::Str(p) => json_string(out, &text(p.bytes)),
            Any::Bool(b) => display(out, b),
            Any::Int(i) => display(out, i),
            Any::Float(f) => json_float(out, f),
            Any::Bytes(p) => {
                out.push('"');
                base64(out, p.bytes);
                out.push('"');
            }
            Any::Array(_) | Any::Map(_) if depth == 0 => return Ok(false),
            Any::Array(p) => {
                out.push('[');
                let mut fields = p.fields();
                while let Some((number, value)) = fields.next()? {
                    if number == 1 && fits {
                        if !out.ends_with('[') {
                            out.push(',');
                        }
                        fits = Any::read(value.piece())?.json(out, depth - 1)?;
                    }
                }
                out.push(']');
            }
            Any::Map(p) => {
                out.push('{');
                let mut fields = p.fields();
                while let Some((number, value)) = fields.next()? {
                    if number == 1 && fits {
                        if !out.ends_with('{') {
                            out.push(',');
                        }
                        let pair = KeyValue::read(value.piece())?;
                        json_string(out, &text(pair.key));
                        out.push(':');
                        fits = pair.value.json(out, depth - 1)?;
                    }
                }
                out.push('}');
            }
        }
        Ok(fits)
    }

    /// The text of a string value.
    pub(super) fn as_text(self) -> Option<Cow<'a, str>> {
        if let Any::Str(p) = self { Some(text(p.bytes)) } else { None }
    }
}

impl<'a> KeyValue<'a> {
    #[inline]
    pub(super) fn read(piece: Piece<'a>) -> Result<KeyValue<'a>> {
        let mut pair = KeyValue { key: &[], value: Any::Nil };
        let mut fields = piece.fields();
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => pair.key = value.piece().bytes,
                2 => pair.value = Any::read(value.piece())?,
                _ => {}
            }
        }
        Ok(pair)
    }
}

/// Sets a cell. Arrays and bytes become JSON text.
pub(super) fn set(rows: &mut Rows<'_>, column: ColumnId, value: Any<'_>) -> Result<()> {
    match value {
        Any::Nil => {}
        Any::Str(p) => rows.str(column, &text(p.bytes)),
        Any::Bool(b) => rows.bool(column, b),
        Any::Int(i) => rows.int(column, i),
        Any::Float(f) => rows.float(column, f),
        Any::Array(_) | Any::Map(_) | Any::Bytes(_) => {
            let depth_max = rows.context().limits.nesting_depth_max;
            let mut out = String::new();
            if value.json(&mut out, depth_max)? {
                rows.str(column, &out);
            } else {
                rows.refuse(400, format!("Event is nested too deeply. The limit is {depth_max} levels."));
            }
        }
    }
    Ok(())
}

/// Finds the columns of an attribute, which are several if it is a map, and hands each with its value to `emit`.
#[inline]
pub(super) fn flatten<'a>(
    rows: &mut Rows<'_>,
    pair: KeyValue<'a>,
    emit: &mut impl FnMut(&mut Rows<'_>, ColumnId, Any<'a>) -> Result<()>,
) -> Result<()> {
    match pair.value {
        Any::Nil => Ok(()),
        Any::Map(_) if !pair.key.is_empty() => flatten_map(rows, &mut text(pair.key).into_owned(), pair.value, 0, emit),
        _ if pair.key.is_empty() => Ok(()),
        _ => match rows.predict(|name| name == pair.key).or_else(|| rows.column(&text(pair.key))) {
            Some(column) => emit(rows, column, pair.value),
            None => Ok(()),
        },
    }
}

/// The same for the value of this name, which lies in `dots` maps.
pub(super) fn flatten_map<'a>(
    rows: &mut Rows<'_>,
    name: &mut String,
    value: Any<'a>,
    dots: usize,
    emit: &mut impl FnMut(&mut Rows<'_>, ColumnId, Any<'a>) -> Result<()>,
) -> Result<()> {
    match value {
        Any::Nil => {}
        Any::Map(piece) if dots < rows.context().flatten_depth => {
            let mut fields = piece.fields();
            while let Some((number, value)) = fields.next()? {
                if number == 1 {
                    let pair = KeyValue::read(value.piece())?;
                    let prefix = name.len();
                    name.push('.');
                    name.push_str(&text(pair.key));
                    flatten_map(rows, name, pair.value, dots + 1, emit)?;
                    name.truncate(prefix);
                }
            }
        }
        _ => {
            if let Some(column) = rows.column_next(name) {
                emit(rows, column, value)?;
            }
        }
    }
    Ok(())
}

/// Sample rates found among attributes, which do not become columns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rate {
    /// `sampleRate`, which is preferred.
    lower: Option<f64>,
    /// `SampleRate`.
    upper: Option<f64>,
}

impl Rate {
    /// Takes the attribute if it is a sample rate.
    #[inline]
    pub(super) fn take(&mut self, pair: &KeyValue<'_>) -> bool {
        if pair.key.len() != 10 || !pair.key.ends_with(b"ampleRate") {
            return false;
        }
        let slot = match pair.key[0] {
            b's' => &mut self.lower,
            b'S' => &mut self.upper,
            _ => return false,
        };
        let rate = match pair.value {
            Any::Nil => return true,
            Any::Int(i) => i as f64,
            Any::Float(f) => (f + 0.5).floor(),
            Any::Str(p) => (text(p.bytes).trim().parse().unwrap_or(1.0f64) + 0.5).floor(),
            _ => 1.0,
        };
        *slot = Some(if rate >= 1.0 { rate.min(f64::from(i32::MAX)) } else { 1.0 });
        true
    }

    /// These rates, where not set those of `under`.
    pub(super) fn over(self, under: Rate) -> Rate {
        Rate { lower: self.lower.or(under.lower), upper: self.upper.or(under.upper) }
    }

    pub(super) fn get(self) -> Option<f64> {
        self.lower.or(self.upper)
    }
}

/// The adjusted count of a tracestate with OpenTelemetry's sampling threshold (`ot=th:c` or the older `th=c`).
pub(super) fn threshold_rate(tracestate: &[u8]) -> Option<f64> {
    let state = std::str::from_utf8(tracestate).ok()?;
    let th = state.split(',').find_map(|member| {
        let (key, value) = member.trim().split_once('=')?;
        match key {
            "ot" => value.split(';').find_map(|v| v.strip_prefix("th:")),
            _ => member.trim().split(';').find_map(|v| v.strip_prefix("th=")),
        }
    })?;
    if th.is_empty() || th.len() > 14 || !th.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let rejected = u64::from_str_radix(th, 16).ok()? << (4 * (14 - th.len()));
    let all = 1u64 << 56;
    Some(all as f64 / (all - rejected) as f64)
}

fn is_zero(id: &[u8]) -> bool {
    id.iter().all(|&b| b == 0)
}

/// Whether an id says anything: neither empty nor all zeros.
pub(super) fn is_id(id: &[u8]) -> bool {
    !is_zero(id)
}

/// A trace id as text; 8 leading zero bytes are left out.
pub(super) fn trace_id_text(id: &[u8]) -> String {
    let mut out = String::new();
    match id.len() {
        16 if is_zero(&id[..8]) => hex(&mut out, &id[8..]),
        // Someone took the hex digits for base64.
        24 => base64(&mut out, id),
        _ => hex(&mut out, id),
    }
    out
}

/// A span id as text.
pub(super) fn span_id_text(id: &[u8]) -> String {
    let mut out = String::new();
    if id.len() == 12 {
        base64(&mut out, id)
    } else {
        hex(&mut out, id)
    }
    out
}

/// Sets a trace id.
pub(super) fn set_trace_id(rows: &mut Rows<'_>, column: ColumnId, id: &[u8]) {
    match id.first_chunk::<16>() {
        Some(whole) if id.len() == 16 && !is_zero(&id[..8]) => rows.hex16(column, *whole),
        Some(_) if id.len() == 16 => set_span_id(rows, column, &id[8..]),
        _ if id.len() == 8 => set_span_id(rows, column, id),
        _ if id.is_empty() => {}
        _ => rows.str(column, &trace_id_text(id)),
    }
}

/// Sets a span id.
pub(super) fn set_span_id(rows: &mut Rows<'_>, column: ColumnId, id: &[u8]) {
    match id.first_chunk::<8>() {
        Some(whole) if id.len() == 8 => rows.hex8(column, *whole),
        _ if id.is_empty() => {}
        _ => rows.str(column, &span_id_text(id)),
    }
}

/// The bytes of an id in JSON: hex, or else base64.
pub(super) fn id_from_json(text: &str) -> Option<Vec<u8>> {
    from_hex(text).or_else(|| crate::text::from_base64(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_become_adjusted_counts() {
        let check = |state: &str, rate: Option<f64>| assert_eq!(threshold_rate(state.as_bytes()), rate, "{state}");
        check("ot=th:8", Some(2.0));
        check("vendor=x:y, ot=rv:abcdef;th:c", Some(4.0));
        check("ot=th:0", Some(1.0));
        check("ot=th:00000000000000", Some(1.0));
        check("th=e", Some(8.0));
        check("rv=1;th=8", Some(2.0));
        check("ot=th:ffffffffffffff", Some((1u64 << 56) as f64));
        check("ot=th:55555555555556", Some(1.5));
        for none in ["", "ot=th:", "ot=th:x", "ot=th:123456789abcdef", "ot=p:8", "other=th:8"] {
            check(none, None);
        }
    }
}
