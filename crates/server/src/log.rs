//! Lines on standard error: start, stop, and what a person must look at.
//!
//! Owns: their form, `time level event key=value …`. Never does: a line per request (dataset `wideye` has those).

use crate::time::now;
use model::time::rfc3339;
use std::fmt::Display;
use std::io::Write as _;

fn line(level: &str, event: &str, fields: &[(&str, &dyn Display)]) {
    let mut text = format!("{} {level} {event}", rfc3339(now() / 1_000_000 * 1_000_000));
    for (name, value) in fields {
        let value = value.to_string();
        if value.is_empty() || value.contains([' ', '"', '=', '\n']) {
            text.push_str(&format!(" {name}={value:?}"));
        } else {
            text.push_str(&format!(" {name}={value}"));
        }
    }
    text.push('\n');
    // Nobody hears us if standard error is closed.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

pub(crate) fn info(event: &str, fields: &[(&str, &dyn Display)]) {
    line("INFO", event, fields);
}

pub(crate) fn error(event: &str, fields: &[(&str, &dyn Display)]) {
    line("ERROR", event, fields);
}
