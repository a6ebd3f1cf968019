//! A protobuf writer for tests: messages from fields.
//!
//! Owns: the wire format. Never does: know OTLP.

pub(crate) type Field = Vec<u8>;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn tagged(number: u64, wire_type: u64) -> Field {
    let mut out = Vec::new();
    varint(&mut out, number << 3 | wire_type);
    out
}

/// A varint field.
pub(crate) fn int(number: u64, value: i64) -> Field {
    let mut out = tagged(number, 0);
    varint(&mut out, value as u64);
    out
}

/// A fixed64 field.
pub(crate) fn fixed(number: u64, value: u64) -> Field {
    [tagged(number, 1), value.to_le_bytes().to_vec()].concat()
}

/// A double field.
pub(crate) fn double(number: u64, value: f64) -> Field {
    fixed(number, value.to_bits())
}

/// A string, bytes or message field.
pub(crate) fn bytes(number: u64, value: impl AsRef<[u8]>) -> Field {
    let mut out = tagged(number, 2);
    varint(&mut out, value.as_ref().len() as u64);
    out.extend(value.as_ref());
    out
}

/// A field that is a message of these fields.
pub(crate) fn msg(number: u64, fields: &[Field]) -> Field {
    bytes(number, fields.concat())
}

/// An attribute, in field `number`, whose `AnyValue` is this field.
pub(crate) fn attr(number: u64, key: &str, value: Field) -> Field {
    msg(number, &[bytes(1, key), bytes(2, value)])
}

/// An attribute that is a text.
pub(crate) fn text(number: u64, key: &str, value: &str) -> Field {
    attr(number, key, bytes(1, value))
}
