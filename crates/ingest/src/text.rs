//! Small pieces of text: JSON strings and numbers, hex, base64.
//!
//! Owns: writing them, and reading hex and base64. Never does: whole JSON values.

use std::fmt::Write as _;

/// Appends a JSON string.
pub(crate) fn json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut done = 0;
    for (i, b) in text.bytes().enumerate() {
        let escape = match b {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[done..i]);
        done = i + 1;
        if escape.is_empty() {
            display(out, format_args!("\\u{b:04x}"));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[done..]);
    out.push('"');
}

/// Appends what can be formatted.
pub(crate) fn display(out: &mut String, what: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _infallible = write!(out, "{what}");
}

/// Appends a JSON number; whole ones without a fraction, what is not finite as a string.
pub(crate) fn json_float(out: &mut String, value: f64) {
    if !value.is_finite() {
        json_string(out, crate::rows::not_finite(value));
    } else if value.fract() == 0.0 && value.abs() < 9e15 {
        display(out, value as i64);
    } else {
        display(out, format_args!("{value:?}"));
    }
}

/// Appends lower-case hex digits.
pub(crate) fn hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for b in bytes {
        out.push(DIGITS[(b >> 4) as usize] as char);
        out.push(DIGITS[(b & 15) as usize] as char);
    }
}

/// Reads hex digits of either case; None if there is anything else.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends standard base64, padded.
pub(crate) fn base64(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0, |n, &b| n << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = BASE64[(n >> (18 - 6 * i)) as usize & 63] as char;
            out.push(if i <= chunk.len() { digit } else { '=' });
        }
    }
}

/// Reads base64 in the standard or the URL alphabet, padded or not.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut n_bits) = (0u32, 0);
    for &b in text {
        let digit = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            out.push((bits >> n_bits) as u8);
        }
    }
    (n_bits < 6).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_and_hex_round_trip() {
        for n in 0..40u8 {
            let bytes: Vec<u8> = (0..n).map(|i| i.wrapping_mul(37) ^ n).collect();
            let (mut b, mut h) = (String::new(), String::new());
            base64(&mut b, &bytes);
            hex(&mut h, &bytes);
            assert_eq!(b.len(), bytes.len().div_ceil(3) * 4);
            assert_eq!(from_base64(&b).as_ref(), Some(&bytes));
            assert_eq!(from_hex(&h.to_uppercase()), Some(bytes));
        }
        assert_eq!((from_base64("a"), from_base64("a b="), from_hex("abc"), from_hex("zz")), (None, None, None, None));
    }

    #[test]
    fn json_strings_and_numbers_are_what_serde_reads() {
        let text: String = (0..0x60u8).map(char::from).chain("é\u{2028}😀".chars()).collect();
        let mut out = String::new();
        json_string(&mut out, &text);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        for f in [0.0, -5.0, 5.5, 1e300, -1e-7, 9e15, 0.1 + 0.2] {
            let mut out = String::new();
            json_float(&mut out, f);
            assert_eq!(serde_json::from_str::<f64>(&out).unwrap(), f);
        }
    }
}
