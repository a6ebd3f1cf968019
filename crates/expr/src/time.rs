//! Times as text: RFC 3339 read, strftime written, both in UTC.
//!
//! Owns: the calendar. Never does: read a clock, know zones or languages.

use std::fmt::Write as _;

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
/// What may follow a `%`.
const SPECIFIERS: &str = "%AaBbhCcDdeFfGgHIjklMmnpRrSsTtUuVvWwXxYyZz";

/// Days since 1970 of a date.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March: the day that leap years add is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970.
fn date_of(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Unix seconds of `2017-07-20T11:22:44.888Z` and the like.
pub(crate) fn unix_seconds(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 {
        return None;
    }
    let digits = |range: std::ops::Range<usize>| -> Option<i64> {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    let separated =
        bytes[4] == b'-' && bytes[7] == b'-' && matches!(bytes[10], b'T' | b't' | b' ') && bytes[13] == b':' && bytes[16] == b':';
    let real = (1..=12).contains(&month) && day >= 1 && date_of(days_of(year, month, day)) == (year, month, day);
    if !separated || !real || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    let mut micros = 0.0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let n = fraction.bytes().take_while(u8::is_ascii_digit).count();
        micros = format!("0.{}", fraction.get(..n).filter(|d| !d.is_empty())?).parse::<f64>().ok()?;
        rest = &fraction[n..];
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = match rest.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let at = text.len() - rest.len();
            let (h, m) = (digits(at + 1..at + 3)?, digits(at + 4..at + 6)?);
            if rest.len() != 6 || rest.as_bytes()[3] != b':' || h > 23 || m > 59 {
                return None;
            }
            sign * (h * 3_600 + m * 60)
        }
    };
    Some((days_of(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset) as f64 + micros)
}

/// The first specifier of a format that there is not.
pub(crate) fn unknown_specifier(format: &str) -> Option<String> {
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c == '%' {
            match chars.next() {
                Some(s) if SPECIFIERS.contains(s) => {}
                Some(s) => return Some(format!("%{s}")),
                None => return Some("%".into()),
            }
        }
    }
    None
}

/// A time in Unix seconds as strftime writes it; none beyond the years that have four digits, more or less.
pub(crate) fn format(format: &str, seconds: f64) -> Option<String> {
    if !(-62_167_219_200.0..253_402_300_800.0).contains(&seconds) {
        return None;
    }
    let whole = seconds.floor();
    let micros = (((seconds - whole) * 1e6).round() as i64).min(999_999);
    let whole = whole as i64;
    let (days, of_day) = (whole.div_euclid(86_400), whole.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let weekday = (days + 4).rem_euclid(7);
    let of_year = days - days_of(year, 1, 1);
    // The week of a year that has its Thursday.
    let thursday = days - (weekday + 6) % 7 + 3;
    let week_year = date_of(thursday).0;
    let week = (thursday - days_of(week_year, 1, 1)) / 7 + 1;
    let hour12 = (hour + 11) % 12 + 1;
    let (day_name, month_name) = (DAYS[weekday as usize], MONTHS[month as usize - 1]);
    let half = if hour < 12 { "AM" } else { "PM" };
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        // Writing to a text cannot fail.
        let written = match chars.next() {
            Some('A') => write!(out, "{day_name}"),
            Some('a') => write!(out, "{}", &day_name[..3]),
            Some('B') => write!(out, "{month_name}"),
            Some('b' | 'h') => write!(out, "{}", &month_name[..3]),
            Some('C') => write!(out, "{:02}", year / 100),
            Some('c') => write!(out, "{} {} {day:2} {hour:02}:{minute:02}:{second:02} {year}", &day_name[..3], &month_name[..3]),
            Some('D' | 'x') => write!(out, "{month:02}/{day:02}/{:02}", year % 100),
            Some('d') => write!(out, "{day:02}"),
            Some('e') => write!(out, "{day:2}"),
            Some('F') => write!(out, "{year:04}-{month:02}-{day:02}"),
            Some('f') => write!(out, "{micros:06}"),
            Some('G') => write!(out, "{week_year:04}"),
            Some('g') => write!(out, "{:02}", week_year % 100),
            Some('H') => write!(out, "{hour:02}"),
            Some('I') => write!(out, "{hour12:02}"),
            Some('j') => write!(out, "{:03}", of_year + 1),
            Some('k') => write!(out, "{hour:2}"),
            Some('l') => write!(out, "{hour12:2}"),
            Some('M') => write!(out, "{minute:02}"),
            Some('m') => write!(out, "{month:02}"),
            Some('n') => writeln!(out),
            Some('p') => write!(out, "{half}"),
            Some('R') => write!(out, "{hour:02}:{minute:02}"),
            Some('r') => write!(out, "{hour12:02}:{minute:02}:{second:02} {half}"),
            Some('S') => write!(out, "{second:02}"),
            Some('s') => write!(out, "{whole}"),
            Some('T' | 'X') => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            Some('t') => write!(out, "\t"),
            Some('U') => write!(out, "{:02}", (of_year + 7 - weekday) / 7),
            Some('u') => write!(out, "{}", (weekday + 6) % 7 + 1),
            Some('V') => write!(out, "{week:02}"),
            Some('v') => write!(out, "{day:2}-{}-{year:04}", &month_name[..3]),
            Some('W') => write!(out, "{:02}", (of_year + 7 - (weekday + 6) % 7) / 7),
            Some('w') => write!(out, "{weekday}"),
            Some('Y') => write!(out, "{year:04}"),
            Some('y') => write!(out, "{:02}", year % 100),
            Some('Z') => write!(out, "UTC"),
            Some('z') => write!(out, "+0000"),
            Some('%') => write!(out, "%"),
            Some(other) => write!(out, "%{other}"),
            None => write!(out, "%"),
        };
        written.ok()?;
    }
    Some(out)
}
