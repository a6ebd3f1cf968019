//! The clock, and dates of HTTP headers.
//!
//! Owns: `now`, which the server hands to all others. Never does: RFC 3339 (model).

use model::time::date_of_days;
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

/// As a date of HTTP headers.
#[must_use]
pub(crate) fn http_date(t: TimeNs) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let second = t.div_euclid(NS_PER_SECOND);
    let number = second.div_euclid(86_400);
    let (year, month, day) = date_of_days(number);
    let of_day = second.rem_euclid(86_400);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[number.rem_euclid(7) as usize],
        MONTHS[month as usize - 1],
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_of_headers_have_their_days() {
        assert_eq!(super::http_date(784_111_777_000_000_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
