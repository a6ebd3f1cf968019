//! What makes two cells the same value.
//!
//! Owns: the identity of values. Never does: number them.

use crate::Cell;
use model::{ColumnKind, IdKind, Value, hash128, write_id};

/// What makes two cells the same value. Text is known by its hash, everything else by its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) tag: u8,
    pub(crate) bits: u128,
}

const BOOL: u8 = 1;
const INT: u8 = 2;
const FLOAT: u8 = 3;
pub(super) const TEXT: u8 = 4;
const HEX8: u8 = 5;
const HEX16: u8 = 6;
const UUID: u8 = 7;

impl Key {
    pub(crate) fn bool(b: bool) -> Key {
        Key { tag: BOOL, bits: u128::from(b) }
    }

    pub(crate) fn int(i: i64) -> Key {
        Key { tag: INT, bits: u128::from(i as u64) }
    }

    /// 5 and 5.0 are one value.
    pub(crate) fn float(f: f64) -> Key {
        match Value::Float(f).canonical() {
            Value::Int(i) => Key::int(i),
            _ => Key { tag: FLOAT, bits: u128::from(f.to_bits()) },
        }
    }

    pub(crate) fn text_hash(hash: u128) -> Key {
        Key { tag: TEXT, bits: hash }
    }

    /// An id by its raw bits as `Segment::read_ids` answers them.
    pub(crate) fn id(kind: ColumnKind, bits: u128) -> Key {
        let tag = match kind {
            ColumnKind::Hex8 => HEX8,
            ColumnKind::Hex16 => HEX16,
            _ => UUID,
        };
        Key { tag, bits }
    }

    /// A text, whatever it looks like.
    pub(crate) fn text(text: &str) -> Key {
        match model::parse_id(text.as_bytes()) {
            Some((kind, raw)) => Key::id(kind.into(), id_bits(kind, &raw)),
            None => Key::text_hash(hash128(text.as_bytes())),
        }
    }

    /// The entry of a dictionary, as bytes: text, or a raw id.
    pub(crate) fn of_entry(kind: ColumnKind, raw: &[u8]) -> Key {
        if kind.id().is_none() {
            return Key::text_hash(hash128(raw));
        }
        Key::id(kind, raw.iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))
    }

    /// 64 bits: the id itself if it has no more, else a hash.
    pub(crate) fn short(self) -> u64 {
        if self.tag == HEX8 { self.bits as u64 } else { self.hash() }
    }

    /// The value itself; `text` if it is one.
    pub(crate) fn cell(self, text: &[u8]) -> Cell {
        let id = |kind| {
            let mut text = String::new();
            id_text(kind, self.bits, &mut text);
            Cell::Str(text.into())
        };
        match self.tag {
            BOOL => Cell::Bool(self.bits != 0),
            INT => Cell::Int(self.bits as u64 as i64),
            FLOAT => Cell::Float(f64::from_bits(self.bits as u64)),
            HEX8 => id(IdKind::Hex8),
            HEX16 => id(IdKind::Hex16),
            UUID => id(IdKind::Uuid),
            _ => Cell::Str(String::from_utf8_lossy(text).into()),
        }
    }

    pub(crate) fn hash(self) -> u64 {
        let (low, high) = (self.bits as u64, (self.bits >> 64) as u64);
        mix(low ^ high.rotate_left(29) ^ (u64::from(self.tag) << 59))
    }
}

/// Spreads the bits of a number over all 64.
pub(crate) fn mix(x: u64) -> u64 {
    let m = u128::from(x ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xd6e8_feb8_6659_fd93_u64);
    ((m >> 64) as u64) ^ m as u64
}

/// The raw bytes of an id as one number, as `Segment::read_ids` answers it.
pub(crate) fn id_bits(kind: IdKind, raw: &[u8; 16]) -> u128 {
    let all = u128::from_be_bytes(*raw);
    if kind == IdKind::Hex8 { all >> 64 } else { all }
}

/// The text of an id.
pub(crate) fn id_text(kind: IdKind, bits: u128, out: &mut String) {
    let raw = if kind == IdKind::Hex8 { bits << 64 } else { bits }.to_be_bytes();
    write_id(kind, &raw, out);
}
