//! Times of answers on an axis.
//!
//! Owns: reading the one form in which the API writes times. Never does: read a clock or a time zone.

/// Unix seconds of `2026-01-31T08:00:00.5Z`, the form in which the API writes times.
pub(crate) fn epoch_s(text: &str) -> Option<f64> {
    let text = text.strip_suffix('Z')?;
    let (date, clock) = text.split_once('T')?;
    let mut date = date.rsplitn(3, '-').map(|p| p.parse::<i64>().ok());
    let (day, month, year) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.splitn(3, ':');
    let (hour, minute): (i64, i64) = (clock.next()?.parse().ok()?, clock.next()?.parse().ok()?);
    let second: f64 = clock.next()?.parse().ok()?;
    // Years that start in March have their leap day at the end.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 719_469;
    Some((days * 86_400 + hour * 3600 + minute * 60) as f64 + second)
}

/// Time of day (UTC) of Unix seconds, with seconds only if they matter.
pub(crate) fn clock(epoch_s: f64) -> String {
    let s = (epoch_s.floor() as i64).rem_euclid(86_400);
    if s % 60 == 0 { format!("{:02}:{:02}", s / 3600, s / 60 % 60) } else { format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60) }
}
