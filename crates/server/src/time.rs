//! Times as text: RFC 3339 and HTTP dates.
//!
//! Owns: the calendar. Never does: read the clock, except in `now`, which the server hands to all others.

use model::{NS_PER_SECOND, TimeNs};
use std::time::{SystemTime, UNIX_EPOCH};

/// CPU time of the calling thread.
pub(crate) fn thread_cpu_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Now. The only reader of the clock besides durations.
#[must_use]
pub fn now() -> TimeNs {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(d) => i64::try_from(d.as_nanos()).unwrap_or(i64::MAX),
        Err(e) => -i64::try_from(e.duration().as_nanos()).unwrap_or(i64::MAX),
    }
}

/// Year, month, day of a day number since 1970-01-01.
fn civil(day: i64) -> (i64, u8, u8) {
    // Days are counted in eras of 400 years that begin on March 1, so that the leap day is the last of its year.
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * shifted + 2) / 5 + 1) as u8;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u8;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// As RFC 3339 in UTC, with as many digits of the second as needed.
#[must_use]
pub fn rfc3339(t: TimeNs) -> String {
    let second = t.div_euclid(NS_PER_SECOND);
    let (year, month, day) = civil(second.div_euclid(86_400));
    let of_day = second.rem_euclid(86_400);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let fraction = t.rem_euclid(NS_PER_SECOND);
    if fraction > 0 {
        text.push_str(format!(".{fraction:09}").trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// As a date of HTTP headers.
#[must_use]
pub(crate) fn http_date(t: TimeNs) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let second = t.div_euclid(NS_PER_SECOND);
    let number = second.div_euclid(86_400);
    let (year, month, day) = civil(number);
    let of_day = second.rem_euclid(86_400);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[number.rem_euclid(7) as usize],
        MONTHS[usize::from(month) - 1],
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::{http_date, rfc3339};

    #[test]
    fn known_instants() {
        for (t, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (951_782_400_500_000_000, "2000-02-29T00:00:00.5Z"),
            (1_772_323_199_000_000_000, "2026-02-28T23:59:59Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(t), text);
        }
        assert_eq!(http_date(784_111_777_000_000_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
