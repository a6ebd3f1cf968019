//! Times as text: RFC 3339 read, strftime written, both in UTC.
//!
//! Owns: what `%` specifiers stand for. Never does: read a clock, know zones or languages.

use model::time::{date_of_days, days_of_date, read_rfc3339};
use std::fmt::Write as _;

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
/// What may follow a `%`.
const SPECIFIERS: &str = "%AaBbhCcDdeFfGgHIjklMmnpRrSsTtUuVvWwXxYyZz";

/// Unix seconds of `2017-07-20T11:22:44.888Z` and the like.
pub(crate) fn unix_seconds(text: &str) -> Option<f64> {
    let (seconds, ns) = read_rfc3339(text)?;
    Some(seconds as f64 + ns as f64 / 1e9)
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
    let (year, month, day) = date_of_days(days);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let weekday = (days + 4).rem_euclid(7);
    let of_year = days - days_of_date(year, 1, 1);
    // The week of a year that has its Thursday.
    let thursday = days - (weekday + 6) % 7 + 3;
    let week_year = date_of_days(thursday).0;
    let week = (thursday - days_of_date(week_year, 1, 1)) / 7 + 1;
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
