//! Times as text: RFC 3339 to the nanosecond, and decimal seconds; the lengths of buckets that people like.
//!
//! Owns: parsing and writing of times. Never does: read a clock.

use model::{NS_PER_SECOND, TimeNs};

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// The fraction of a second that these digits stand for, in nanoseconds; what is finer is cut off.
fn fraction_ns(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    let mut ns = 0;
    for i in 0..9 {
        ns = ns * 10 + i64::from(text.get(i).copied().unwrap_or(b'0').checked_sub(b'0')?);
    }
    text.iter().all(u8::is_ascii_digit).then_some(ns)
}

/// Reads `2026-09-21T10:20:30.123456789Z`, with any offset; a space may stand for the `T`.
pub(crate) fn parse_rfc3339(text: &str) -> Option<TimeNs> {
    let b = text.as_bytes();
    if b.len() < 20 || b[4] != b'-' || b[7] != b'-' || !matches!(b[10], b'T' | b't' | b' ') || b[13] != b':' || b[16] != b':' {
        return None;
    }
    let (year, month, day) = (digits(&b[..4])?, digits(&b[5..7])?, digits(&b[8..10])?);
    let (hour, minute, second) = (digits(&b[11..13])?, digits(&b[14..16])?, digits(&b[17..19])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if day < 1 || day > month_days || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &b[19..];
    let mut ns = 0;
    if let [b'.' | b',', tail @ ..] = rest {
        let n = tail.iter().take_while(|c| c.is_ascii_digit()).count();
        ns = fraction_ns(&tail[..n])?;
        rest = &tail[n..];
    }
    let offset = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (h, m) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if h > 23 || m > 59 {
                return None;
            }
            (h * 3600 + m * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    seconds.checked_mul(NS_PER_SECOND)?.checked_add(ns)
}

/// Reads decimal seconds since the epoch, exactly: `1789948800.123456789`, `-5`.
pub(crate) fn parse_seconds(text: &str) -> Option<TimeNs> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let ns = digits(whole.as_bytes())?.checked_mul(NS_PER_SECOND)?.checked_add(fraction_ns(fraction.as_bytes())?)?;
    Some(if negative { -ns } else { ns })
}

/// Nanoseconds of a number of seconds, taken as the decimal number that it is written as.
pub(crate) fn seconds_to_ns(seconds: f64) -> Option<i64> {
    parse_seconds(&format!("{seconds}"))
}

/// A time as Unix seconds or as RFC 3339.
#[must_use]
pub fn parse_time(text: &str) -> Option<TimeNs> {
    parse_seconds(text).or_else(|| parse_rfc3339(text))
}

fn push2(out: &mut String, n: u32) {
    out.push((b'0' + (n / 10) as u8) as char);
    out.push((b'0' + (n % 10) as u8) as char);
}

/// Writes RFC 3339 in UTC, with 0, 3, 6 or 9 digits of fraction, as many as needed.
pub(crate) fn format_rfc3339(time: TimeNs) -> String {
    let seconds = time.div_euclid(NS_PER_SECOND);
    let ns = time.rem_euclid(NS_PER_SECOND);
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let second_of_day = seconds.rem_euclid(86_400) as u32;
    let mut out = String::with_capacity(30);
    out.push_str(&format!("{year:04}"));
    out.push('-');
    push2(&mut out, month);
    out.push('-');
    push2(&mut out, day);
    out.push('T');
    push2(&mut out, second_of_day / 3600);
    out.push(':');
    push2(&mut out, second_of_day / 60 % 60);
    out.push(':');
    push2(&mut out, second_of_day % 60);
    if ns != 0 {
        let width = if ns % 1_000_000 == 0 {
            3
        } else if ns % 1_000 == 0 {
            6
        } else {
            9
        };
        let text = format!(".{ns:09}");
        out.push_str(&text[..=width]);
    }
    out.push('Z');
    out
}

/// The length of a bucket for a range: about 120 of them, of a length that people like.
pub(crate) fn auto_granularity_ns(range_ns: i64) -> i64 {
    const MS: i64 = NS_PER_SECOND / 1000;
    const S: i64 = NS_PER_SECOND;
    const NICE: [i64; 31] = [
        MS,
        2 * MS,
        5 * MS,
        10 * MS,
        20 * MS,
        50 * MS,
        100 * MS,
        200 * MS,
        500 * MS,
        S,
        2 * S,
        5 * S,
        10 * S,
        15 * S,
        30 * S,
        60 * S,
        120 * S,
        300 * S,
        600 * S,
        900 * S,
        1800 * S,
        3600 * S,
        7200 * S,
        10_800 * S,
        14_400 * S,
        21_600 * S,
        43_200 * S,
        86_400 * S,
        172_800 * S,
        604_800 * S,
        1_209_600 * S,
    ];
    let wanted = range_ns / 120;
    NICE.into_iter().find(|&g| g >= wanted).unwrap_or_else(|| {
        let weeks = wanted / (604_800 * S) + 1;
        weeks.saturating_mul(604_800 * S)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written_to_the_nanosecond() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-09-21T00:00:00Z", 1_789_948_800 * NS_PER_SECOND),
            ("1969-12-31T23:59:59.5Z", -500_000_000),
            ("2024-02-29T12:00:00.000000001+02:00", 1_709_200_800 * NS_PER_SECOND + 1),
            ("2000-03-01 00:00:00-00:30", 951_870_600 * NS_PER_SECOND),
        ] {
            assert_eq!(parse_rfc3339(text), Some(ns), "{text}");
            assert_eq!(parse_rfc3339(&format_rfc3339(ns)), Some(ns), "{text}");
        }
        for bad in ["", "2026-09-21", "2026-02-30T00:00:00Z", "2026-09-21T00:00:00", "2026-09-21T25:00:00Z", "2026-09-21T00:00:00.Z"] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
        assert_eq!(format_rfc3339(1_789_948_800 * NS_PER_SECOND + 120_000_000), "2026-09-21T00:00:00.120Z");
    }

    #[test]
    fn seconds_keep_the_digits_that_were_written() {
        assert_eq!(seconds_to_ns(1_789_948_800.123_456), Some(1_789_948_800_123_456_000));
        assert_eq!(parse_seconds("1789948800.123456789"), Some(1_789_948_800_123_456_789));
        assert_eq!(parse_seconds("-1.5"), Some(-1_500_000_000));
        assert_eq!(parse_seconds("x"), None);
        assert_eq!(seconds_to_ns(f64::NAN), None);
        assert_eq!(seconds_to_ns(1e300), None);
    }

    #[test]
    fn buckets_have_nice_lengths() {
        assert_eq!(auto_granularity_ns(7200 * NS_PER_SECOND), 60 * NS_PER_SECOND);
        assert_eq!(auto_granularity_ns(86_400 * NS_PER_SECOND), 900 * NS_PER_SECOND);
        assert_eq!(auto_granularity_ns(0), 1_000_000);
        assert!(auto_granularity_ns(i64::MAX) > 0);
    }
}
