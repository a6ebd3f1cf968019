//! Times of answers on an axis.
//!
//! Owns: how an instant is shown. Never does: read a clock or a time zone.

/// Time of day (UTC) of Unix seconds, with seconds only if they matter.
pub(crate) fn clock(epoch_s: f64) -> String {
    let s = (epoch_s.floor() as i64).rem_euclid(86_400);
    if s % 60 == 0 { format!("{:02}:{:02}", s / 3600, s / 60 % 60) } else { format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60) }
}
