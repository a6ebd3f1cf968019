//! Sizes and times as people write them: `64MiB`, `1.5GB`, `100ms`, `2h`.
//!
//! Owns: the units. Never does: anything else.

const BYTES: &[(&str, f64)] = &[
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("B", 1.0),
];

const SECONDS: &[(&str, f64)] = &[("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

pub(super) fn parse_bytes(text: &str) -> Result<usize, String> {
    match scaled(text, BYTES) {
        Some(n) if n < 9e15 => Ok(n.round() as usize),
        _ => Err(format!("'{text}' is not a size; write it like 64MiB or 1048576")),
    }
}

pub(super) fn parse_seconds(text: &str) -> Result<f64, String> {
    scaled(text, SECONDS).ok_or_else(|| format!("'{text}' is not a time; write it like 500ms, 30s or 7d"))
}

fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let (number, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor))).unwrap_or((text, 1.0));
    let n: f64 = number.trim().replace('_', "").parse().ok()?;
    (n.is_finite() && n >= 0.0).then_some(n * factor)
}

pub(super) fn bytes_text(n: usize) -> String {
    for (unit, factor) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if n > 0 && n.trailing_zeros() >= factor {
            return format!("{}{unit}", n >> factor);
        }
    }
    n.to_string()
}

pub(super) fn seconds_text(s: f64) -> String {
    if s >= 86_400.0 && s % 86_400.0 == 0.0 {
        format!("{}d", s / 86_400.0)
    } else if s > 0.0 && s < 1.0 {
        format!("{}ms", s * 1e3)
    } else {
        format!("{s}s")
    }
}
