//! The inner loops of the JSON reader: the end of a string, numbers, `\u` escapes.
//!
//! Owns: speed. Never does: keep a position.

use super::Number;

/// A byte in all eight places of a word.
const fn each(byte: u8) -> u64 {
    byte as u64 * 0x0101_0101_0101_0101
}

/// The highest bit of each byte that is zero; above the lowest such byte there may be others set, too.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(each(1)) & !word & each(0x80)
}

/// The position of the next double quote or backslash, or the end.
#[inline(always)]
pub(super) fn quote_or_backslash(bytes: &[u8], at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    while let Some((chunk, after)) = rest.split_first_chunk() {
        let word = u64::from_le_bytes(*chunk);
        let found = zeros(word ^ each(b'"')) | zeros(word ^ each(b'\\'));
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = after;
    }
    bytes.len() - rest.len() + rest.iter().take_while(|&&b| b != b'"' && b != b'\\').count()
}

/// The character of the `\uXXXX` (or the pair of them) that `bytes` start with, and its length in bytes. A lone
/// surrogate becomes U+FFFD.
pub(super) fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |n, &d| Some(n << 4 | (d as char).to_digit(16)?))
    };
    let high = unit(0)?;
    if let 0xd800..0xdc00 = high
        && let Some(low @ 0xdc00..0xe000) = unit(6)
    {
        let c = 0x10000 + ((high - 0xd800) << 10 | (low - 0xdc00));
        return Some((char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER), 12));
    }
    Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
}

const POW10: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];

/// The number at `start`, and its length in bytes.
#[inline(always)]
pub(super) fn number(text: &str, start: usize) -> Result<(Number<'_>, usize), &'static str> {
    let bytes = text.as_bytes().get(start..).unwrap_or_default();
    let negative = bytes.first() == Some(&b'-');
    let sign = usize::from(negative);
    let (mut mantissa, n_whole) = digits(bytes, sign, 0);
    if n_whole == 0 || (n_whole > 1 && bytes[sign] == b'0') {
        return Err("expected a number");
    }
    let mut at = sign + n_whole;
    let after = bytes.get(at).copied().unwrap_or(0);
    if after != b'.' && after | 0x20 != b'e' {
        if n_whole > 18 {
            return Ok((large(&text[start..start + at]), at));
        }
        let value = mantissa as i64;
        return Ok((Number::Int(if negative { -value } else { value }), at));
    }
    let mut n_fraction = 0;
    if after == b'.' {
        (mantissa, n_fraction) = digits(bytes, at + 1, mantissa);
        if n_fraction == 0 {
            return Err("expected digits after the decimal point");
        }
        at += 1 + n_fraction;
    }
    let mut exponent = 0i64;
    if bytes.get(at).copied().unwrap_or(0) | 0x20 == b'e' {
        let down = bytes.get(at + 1) == Some(&b'-');
        at += 1 + usize::from(down || bytes.get(at + 1) == Some(&b'+'));
        let (_, n) = digits(bytes, at, 0);
        if n == 0 {
            return Err("expected digits in the exponent");
        }
        exponent = bytes[at..at + n].iter().fold(0i64, |e, d| e.saturating_mul(10).saturating_add(i64::from(d - b'0')));
        if down {
            exponent = -exponent;
        }
        at += n;
    }
    // Exact operands and one rounding give the nearest float.
    let scale = exponent.saturating_sub(n_fraction as i64);
    if n_whole + n_fraction <= 19 && mantissa <= 1 << 53 && (-22..=22).contains(&scale) {
        let m = mantissa as f64;
        let value = if scale < 0 { m / POW10[-scale as usize] } else { m * POW10[scale as usize] };
        return Ok((Number::Float(if negative { -value } else { value }), at));
    }
    Ok((large(&text[start..start + at]), at))
}

/// Appends the digits at `at` to a number that wraps around if there are too many; and their count.
#[inline(always)]
fn digits(bytes: &[u8], at: usize, mut number: u64) -> (u64, usize) {
    let digits = bytes.get(at..).unwrap_or_default();
    let mut rest = digits;
    while let [d @ b'0'..=b'9', after @ ..] = rest {
        number = number.wrapping_mul(10).wrapping_add(u64::from(d - b'0'));
        rest = after;
    }
    (number, digits.len() - rest.len())
}

#[cold]
fn large(text: &str) -> Number<'_> {
    if let Ok(i) = text.parse() {
        return Number::Int(i);
    }
    match text.parse::<f64>() {
        Ok(f) if f.is_finite() => Number::Float(f),
        _ => Number::Huge(text),
    }
}
