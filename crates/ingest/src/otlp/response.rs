//! What an exporter is answered.
//!
//! Owns: `Export…ServiceResponse` in both encodings. Never does: status codes.

use super::{Encoding, OtlpDecoded, Signal};
use crate::text::{display, json_string};

/// The body of a successful answer (`Export…ServiceResponse`), with `partial_success` if something was refused or there is a message.
#[must_use]
pub fn response(encoding: Encoding, signal: Signal, decoded: &OtlpDecoded) -> Vec<u8> {
    let partial = decoded.rejected > 0 || !decoded.message.is_empty();
    match encoding {
        Encoding::Json if !partial => b"{}".to_vec(),
        Encoding::Json => {
            let count = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics => "rejectedDataPoints",
            };
            let mut out = String::new();
            // 64-bit numbers are strings in protobuf's JSON.
            display(&mut out, format_args!("{{\"partialSuccess\":{{\"{count}\":\"{}\",\"errorMessage\":", decoded.rejected));
            json_string(&mut out, &decoded.message);
            out.push_str("}}");
            out.into_bytes()
        }
        Encoding::Protobuf if !partial => Vec::new(),
        Encoding::Protobuf => {
            let mut inner = Vec::new();
            if decoded.rejected > 0 {
                inner.push(1 << 3);
                varint(&mut inner, decoded.rejected as u64);
            }
            bytes(&mut inner, 2, decoded.message.as_bytes());
            let mut out = Vec::new();
            bytes(&mut out, 1, &inner);
            out
        }
    }
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
