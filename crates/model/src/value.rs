//! One cell of an event, and the kinds of column that cells live in.
//!
//! Owns: equality and order of values as questions see them. Never does: storage.

use crate::ident::IdKind;
use serde_json::Value as Json;

/// A cell. A missing cell is `Null`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Missing.
    Null,
    /// A truth value; never equal to a number.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A 64-bit float; finite.
    Float(f64),
    /// Text.
    Str(String),
}

impl Value {
    /// As JSON. A float without fraction is written without one, as 5 and 5.0 are one value.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(i) => Json::from(*i),
            Value::Float(f) => float_json(*f),
            Value::Str(s) => Json::String(s.clone()),
        }
    }

    /// From a JSON scalar; arrays and objects are `None`.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Value> {
        Some(match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => match n.as_i64() {
                Some(i) => Value::Int(i),
                None => Value::Float(n.as_f64()?),
            },
            Json::String(s) => Value::Str(s.clone()),
            Json::Array(_) | Json::Object(_) => return None,
        })
    }

    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Int(i) => Some(*i as f64),
            Value::Float(f) => Some(*f),
            _ => None,
        }
    }

    /// A float that is a whole number of 64 bits becomes that integer: 5 and 5.0 are one value when grouped.
    #[must_use]
    pub fn canonical(self) -> Value {
        match self {
            Value::Float(f) => whole(f).map_or(Value::Float(f), Value::Int),
            v => v,
        }
    }
}

/// The integer that a float is exactly, if any.
#[must_use]
pub(crate) fn whole(f: f64) -> Option<i64> {
    let i = f as i64;
    (i as f64 == f && i != i64::MAX).then_some(i)
}

/// A JSON number for a float; whole numbers are written as integers, what is not finite as null.
pub(crate) fn float_json(f: f64) -> Json {
    if let Some(i) = whole(f)
        && i.unsigned_abs() < 1 << 53
    {
        return Json::from(i);
    }
    serde_json::Number::from_f64(f).map_or(Json::Null, Json::Number)
}

/// The physical kind of a column: one name may have several, each row has a cell in at most one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ColumnKind {
    /// Text, dictionary-coded.
    Str = 0,
    /// 64-bit integers.
    Int = 1,
    /// 64-bit floats.
    Float = 2,
    /// Truth values.
    Bool = 3,
    /// Text of 16 hex digits, kept as 8 bytes.
    Hex8 = 4,
    /// Text of 32 hex digits, kept as 16 bytes.
    Hex16 = 5,
    /// Text of a UUID, kept as 16 bytes.
    Uuid = 6,
}

impl ColumnKind {
    /// All kinds, in the order of their codes.
    pub const ALL: [ColumnKind; 7] =
        [ColumnKind::Str, ColumnKind::Int, ColumnKind::Float, ColumnKind::Bool, ColumnKind::Hex8, ColumnKind::Hex16, ColumnKind::Uuid];

    /// The kind with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<ColumnKind> {
        ColumnKind::ALL.get(code as usize).copied()
    }

    /// The form of id that the column holds, if it holds ids.
    #[must_use]
    pub fn id(self) -> Option<IdKind> {
        match self {
            ColumnKind::Hex8 => Some(IdKind::Hex8),
            ColumnKind::Hex16 => Some(IdKind::Hex16),
            ColumnKind::Uuid => Some(IdKind::Uuid),
            _ => None,
        }
    }

    /// The name of the type as users see it: ids are strings.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            ColumnKind::Int => "integer",
            ColumnKind::Float => "float",
            ColumnKind::Bool => "boolean",
            ColumnKind::Str | ColumnKind::Hex8 | ColumnKind::Hex16 | ColumnKind::Uuid => "string",
        }
    }
}

impl From<IdKind> for ColumnKind {
    fn from(kind: IdKind) -> Self {
        match kind {
            IdKind::Hex8 => ColumnKind::Hex8,
            IdKind::Hex16 => ColumnKind::Hex16,
            IdKind::Uuid => ColumnKind::Uuid,
        }
    }
}
