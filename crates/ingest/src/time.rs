//! Event times as senders write them.
//!
//! Owns: RFC 3339 and epoch numbers, to the nanosecond. Never does: read a clock.

use model::time::{days_of_date, is_date, write_date_time};
use model::{NS_PER_SECOND, TimeNs};

/// What a time text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// A time.
    At(TimeNs),
    /// Nothing: empty text.
    Missing,
    /// A time that 64 bits of nanoseconds cannot hold (before 1677 or after 2262).
    OutOfRange,
    /// Not a time.
    Unreadable,
}

/// Reads RFC 3339 (with any offset; UTC if there is none), digits (the first 10 are seconds, the rest is the
/// fraction), or decimal seconds.
pub(crate) fn parse(text: &str) -> When {
    let b = text.trim().as_bytes();
    if b.is_empty() {
        return When::Missing;
    }
    if b.len() > 4 && b[4] == b'-' && b[0] != b'-' {
        return rfc3339(b).unwrap_or(When::Unreadable);
    }
    number(b).unwrap_or(When::Unreadable)
}

fn at(seconds: i64, ns: i64) -> When {
    let time = i128::from(seconds) * i128::from(NS_PER_SECOND) + i128::from(ns);
    TimeNs::try_from(time).map_or(When::OutOfRange, When::At)
}

fn two(b: &[u8], i: usize) -> Option<i64> {
    let (x, y) = (b.get(i)?.wrapping_sub(b'0'), b.get(i + 1)?.wrapping_sub(b'0'));
    (x < 10 && y < 10).then_some(i64::from(x) * 10 + i64::from(y))
}

/// Nanoseconds of the digits after a decimal point (more than 9 are cut), and how many digits there are.
fn fraction(b: &[u8]) -> (i64, usize) {
    let n = b.iter().take_while(|d| d.is_ascii_digit()).count();
    let ns = (0..9).fold(0, |ns, i| ns * 10 + if i < n { i64::from(b[i] - b'0') } else { 0 });
    (ns, n)
}

fn rfc3339(b: &[u8]) -> Option<When> {
    let (year, month, day) = (two(b, 0)? * 100 + two(b, 2)?, two(b, 5)?, two(b, 8)?);
    if b.get(7) != Some(&b'-') || !is_date(year, month, day) {
        return None;
    }
    let days = days_of_date(year, month, day);
    if b.len() == 10 {
        return Some(at(days * 86_400, 0));
    }
    if !matches!(b[10], b'T' | b't' | b' ') || b.get(13) != Some(&b':') {
        return None;
    }
    let (hour, minute) = (two(b, 11)?, two(b, 14)?);
    let (mut second, mut ns, mut i) = (0, 0, 16);
    if b.get(16) == Some(&b':') {
        second = two(b, 17)?;
        i = 19;
        if matches!(b.get(19), Some(b'.' | b',')) {
            let (fraction, n) = fraction(&b[20..]);
            if n == 0 {
                return None;
            }
            ns = fraction;
            i = 20 + n;
        }
    }
    // 60 is a leap second.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = match &b[i..] {
        [] | [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let (hours, minutes) = match rest.len() {
                2 => (two(rest, 0)?, 0),
                4 => (two(rest, 0)?, two(rest, 2)?),
                5 if rest[2] == b':' => (two(rest, 0)?, two(rest, 3)?),
                _ => return None,
            };
            let offset = hours * 3_600 + minutes * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    Some(at(days * 86_400 + hour * 3_600 + minute * 60 + second - offset, ns))
}

fn number(b: &[u8]) -> Option<When> {
    let n = b.iter().take_while(|d| d.is_ascii_digit()).count();
    let seconds = |digits: &[u8]| digits.iter().fold(0, |s, d| s * 10 + i64::from(d - b'0'));
    match b.get(n) {
        None if n > 10 => return Some(at(seconds(&b[..10]), fraction(&b[10..]).0)),
        None if n > 0 => return Some(at(seconds(b), 0)),
        Some(b'.') if (1..=10).contains(&n) => {
            let (ns, m) = fraction(&b[n + 1..]);
            if n + 1 + m == b.len() {
                return Some(at(seconds(&b[..n]), ns));
            }
        }
        _ => {}
    }
    let float: f64 = std::str::from_utf8(b).ok()?.parse().ok()?;
    let ns = (float * NS_PER_SECOND as f64).round();
    if !float.is_finite() {
        return None;
    }
    Some(if ns.abs() < 9.2e18 { When::At(ns as i64) } else { When::OutOfRange })
}

/// Appends RFC 3339 in UTC, with as many digits of the fraction as are needed.
pub(crate) fn write_rfc3339(out: &mut String, time: TimeNs) {
    write_date_time(out, time.div_euclid(NS_PER_SECOND));
    let ns = time.rem_euclid(NS_PER_SECOND);
    if ns != 0 {
        let digits = format!("{ns:09}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
    out.push('Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_accepted_forms() {
        const T: i64 = 1_700_000_000;
        let check = |text: &str, expect: When| assert_eq!(parse(text), expect, "{text}");
        let ns = |n: i64| When::At(T * NS_PER_SECOND + n);
        check("2023-11-14T22:13:20Z", ns(0));
        check("2023-11-14T22:13:20.123456789Z", ns(123_456_789));
        check("2023-11-14T22:13:20.1234567894Z", ns(123_456_789));
        check("2023-11-15T00:13:20.5+02:00", ns(500_000_000));
        check("2023-11-14T16:43:20-0530", ns(0));
        check("2023-11-14 22:13:20", ns(0));
        check("2023-11-14T22:13Z", When::At((T - 20) * NS_PER_SECOND));
        check("2023-11-14", When::At(1_699_920_000 * NS_PER_SECOND));
        check("1969-12-31T23:59:59.999999999Z", When::At(-1));
        check("1700000000", ns(0));
        check("1700000000123", ns(123_000_000));
        check("1700000000123456", ns(123_456_000));
        check("1700000000123456789", ns(123_456_789));
        check("170000000012345678901", ns(123_456_789));
        check("1700000000.123456789", ns(123_456_789));
        check(" 1700000000 ", ns(0));
        check("1.7e9", ns(0));
        check("0", When::At(0));
        check("12.5", When::At(12_500_000_000));
        check("-1.5", When::At(-1_500_000_000));
        check("", When::Missing);
        check("0001-01-01T00:00:00Z", When::OutOfRange);
        check("2263-01-01T00:00:00Z", When::OutOfRange);
        check("99999999999999999999e9", When::OutOfRange);
        for text in [
            "yesterday",
            "2023-13-01",
            "2023-02-29",
            "2023-11-14T24:00:00Z",
            "2023-11-14T22:13:20.Z",
            "2023-11-14T22:13:20X",
            "1e400",
            "NaN",
            "-",
            "2023-11-14T22:13:20+1",
            "\u{e9}\u{e9}\u{e9}-\u{e9}",
            "20é3-11-14T22:13:20Z",
        ] {
            check(text, When::Unreadable);
        }
    }

    #[test]
    fn written_times_are_read_back() {
        for t in [0, -1, 1, 1_700_000_000_123_456_789, i64::MIN, i64::MAX, 951_782_400_000_000_000, -62_135_596_800 * 148] {
            let mut text = String::new();
            write_rfc3339(&mut text, t);
            assert_eq!(parse(&text), When::At(t), "{text}");
        }
    }
}
