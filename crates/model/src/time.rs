//! The calendar, and times as text: RFC 3339 to the nanosecond, decimal seconds since 1970.
//!
//! Owns: days and dates, reading and writing of times. Never does: read a clock, know time zones.

use crate::{NS_PER_SECOND, TimeNs};

const SECONDS_PER_DAY: i64 = 86_400;

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
#[must_use]
pub fn days_of_date(year: i64, month: i64, day: i64) -> i64 {
    // Years that start in March end with the leap day.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 719_469
}

/// Year, month and day of a number of days since 1970-01-01.
#[must_use]
pub fn date_of_days(days: i64) -> (i64, i64, i64) {
    // Days since 0000-03-01, split into eras of 400 years, after which the calendar repeats.
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * m + 2) / 5 + 1, if m < 10 { m + 3 } else { m - 9 });
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Whether there is such a date.
#[must_use]
pub fn is_date(year: i64, month: i64, day: i64) -> bool {
    let last = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=last).contains(&day)
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

/// Reads `2026-09-21T10:20:30.123456789Z`, with any offset, as seconds since 1970 and nanoseconds; a space may stand for the `T`.
#[must_use]
pub fn read_rfc3339(text: &str) -> Option<(i64, i64)> {
    let b = text.as_bytes();
    if b.len() < 20 || b[4] != b'-' || b[7] != b'-' || !matches!(b[10], b'T' | b't' | b' ') || b[13] != b':' || b[16] != b':' {
        return None;
    }
    let (year, month, day) = (digits(&b[..4])?, digits(&b[5..7])?, digits(&b[8..10])?);
    let (hour, minute, second) = (digits(&b[11..13])?, digits(&b[14..16])?, digits(&b[17..19])?);
    // 60 is a leap second.
    if !is_date(year, month, day) || hour > 23 || minute > 59 || second > 60 {
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
            (h * 3_600 + m * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    Some((days_of_date(year, month, day) * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second - offset, ns))
}

/// Like [`read_rfc3339`], as one number; none for what it cannot hold (before 1678, after 2262).
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<TimeNs> {
    let (seconds, ns) = read_rfc3339(text)?;
    seconds.checked_mul(NS_PER_SECOND)?.checked_add(ns)
}

/// Reads decimal seconds since 1970, exactly: `1789948800.123456789`, `-5`.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<TimeNs> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let ns = digits(whole.as_bytes())?.checked_mul(NS_PER_SECOND)?.checked_add(fraction_ns(fraction.as_bytes())?)?;
    Some(if negative { -ns } else { ns })
}

/// Nanoseconds of a number of seconds, taken as the decimal number that it is written as.
#[must_use]
pub fn seconds_to_ns(seconds: f64) -> Option<i64> {
    parse_seconds(&format!("{seconds}"))
}

/// A time as decimal seconds since 1970 or as RFC 3339.
#[must_use]
pub fn parse_time(text: &str) -> Option<TimeNs> {
    parse_seconds(text).or_else(|| parse_rfc3339(text))
}

fn push_two_digits(out: &mut String, n: i64) {
    out.push(char::from(b'0' + (n / 10) as u8));
    out.push(char::from(b'0' + (n % 10) as u8));
}

/// Appends `2026-09-21T10:20:30` for seconds since 1970, in UTC: RFC 3339 but for fraction and offset.
pub fn write_date_time(out: &mut String, seconds: i64) {
    let (year, month, day) = date_of_days(seconds.div_euclid(SECONDS_PER_DAY));
    let of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    if (0..10_000).contains(&year) {
        push_two_digits(out, year / 100);
        push_two_digits(out, year % 100);
    } else {
        out.push_str(&format!("{year:04}"));
    }
    for (before, n) in [('-', month), ('-', day), ('T', of_day / 3_600), (':', of_day / 60 % 60), (':', of_day % 60)] {
        out.push(before);
        push_two_digits(out, n);
    }
}

/// RFC 3339 in UTC, with 0, 3, 6 or 9 digits of fraction, as many as needed.
#[must_use]
pub fn rfc3339(time: TimeNs) -> String {
    let mut out = String::with_capacity(30);
    write_date_time(&mut out, time.div_euclid(NS_PER_SECOND));
    let ns = time.rem_euclid(NS_PER_SECOND);
    if ns != 0 {
        let width = match ns {
            _ if ns % 1_000_000 == 0 => 3,
            _ if ns % 1_000 == 0 => 6,
            _ => 9,
        };
        out.push_str(&format!(".{ns:09}")[..=width]);
    }
    out.push('Z');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        let mut before = date_of_days(-1_000_001);
        for day in -1_000_000..1_000_000 {
            let (year, month, date) = date_of_days(day);
            assert_eq!(days_of_date(year, month, date), day);
            assert!(is_date(year, month, date) && before < (year, month, date), "{day}");
            let ends = !is_date(before.0, before.1, before.2 + 1);
            assert_eq!(date == 1, ends, "{day}");
            before = (year, month, date);
        }
        assert_eq!([date_of_days(0), date_of_days(-1), date_of_days(11_016)], [(1970, 1, 1), (1969, 12, 31), (2000, 2, 29)]);
    }

    #[test]
    fn times_are_read_and_written_to_the_nanosecond() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-09-21T00:00:00Z", 1_789_948_800 * NS_PER_SECOND),
            ("1969-12-31T23:59:59.5Z", -500_000_000),
            ("2024-02-29T12:00:00.000000001+02:00", 1_709_200_800 * NS_PER_SECOND + 1),
            ("2000-03-01 00:00:00-00:30", 951_870_600 * NS_PER_SECOND),
            ("2100-03-01T00:00:00Z", 4_107_542_400 * NS_PER_SECOND),
        ] {
            assert_eq!(parse_rfc3339(text), Some(ns), "{text}");
            assert_eq!(parse_rfc3339(&rfc3339(ns)), Some(ns), "{text}");
        }
        for bad in [
            "",
            "2026-09-21",
            "2026-02-30T00:00:00Z",
            "2026-09-21T00:00:00",
            "2026-09-21T25:00:00Z",
            "2026-09-21T00:00:00.Z",
            "2026-09-21T00:00:00+24:00",
            "3000-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
        assert_eq!(read_rfc3339("3000-01-01T00:00:00.5Z"), Some((32_503_680_000, 500_000_000)));
        for (ns, text) in [
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (951_782_400_500_000_000, "2000-02-29T00:00:00.500Z"),
            (1_772_323_199_000_001_000, "2026-02-28T23:59:59.000001Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
        ] {
            assert_eq!(rfc3339(ns), text);
        }
        let mut far = String::new();
        write_date_time(&mut far, 300_000_000_000);
        write_date_time(&mut far, -62_167_219_201);
        assert_eq!(far, "11476-08-15T05:20:00-001-12-31T23:59:59");
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
}
