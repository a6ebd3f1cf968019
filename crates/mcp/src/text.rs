//! Answers as text for a reader who pays by the character: tables without padding, rounded numbers, and a note of what was cut.
//!
//! Owns: how values look, what is said of how far an answer can be trusted, and the bound on its length. Never does: choose what
//! is worth showing.

use serde_json::Value as Json;

/// Characters of one value in a table.
const CELL_CHARS_MAX: usize = 160;
/// Characters kept free for the notes at the end of an answer.
const NOTES_CHARS: usize = 1_200;

/// An answer that is being written; it never grows beyond its limit.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    chars: usize,
    max: usize,
    notes: Vec<String>,
}

impl Page {
    pub(crate) fn new(chars_max: usize) -> Page {
        Page { text: String::new(), chars: 0, max: chars_max, notes: Vec::new() }
    }

    /// Adds a line if there is room for it.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        let n = line.chars().count() + 1;
        if self.chars + n + NOTES_CHARS.min(self.max / 4) > self.max {
            return false;
        }
        self.text.push_str(line);
        self.text.push('\n');
        self.chars += n;
        true
    }

    /// Adds a table, and answers how many of its rows there was room for.
    pub(crate) fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> usize {
        if !self.line(&head.join(" | ")) {
            return 0;
        }
        rows.into_iter().take_while(|row| self.line(&row.join(" | "))).count()
    }

    /// Says something below everything else.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Says how far an answer can be trusted, by its `meta`.
    pub(crate) fn trust(&mut self, meta: &Json) {
        if let Some(coverage) = meta["coverage"].as_f64().filter(|c| *c < 1.0) {
            self.note(format!(
                "PARTIAL: {} % of the events were read before time ran out; ask for a shorter time or less",
                number(coverage * 100.0)
            ));
        }
        for a in list(meta, "approximate") {
            self.note(format!("{} is within {} %", exact(&a["key"]), number(a["relative_error"].as_f64().unwrap_or(0.0) * 100.0)));
        }
        for note in list(meta, "notes").iter().filter_map(Json::as_str) {
            self.note(note);
        }
    }

    pub(crate) fn finish(mut self) -> String {
        for note in std::mem::take(&mut self.notes) {
            let room = self.max.saturating_sub(self.chars + 1);
            let note = clip(&note, room);
            self.chars += note.chars().count() + 1;
            self.text.push_str(&note);
            self.text.push('\n');
        }
        clip(self.text.trim_end(), self.max)
    }
}

/// A list of an answer; empty if there is none.
pub(crate) fn list<'j>(answer: &'j Json, name: &str) -> &'j [Json] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}

/// A text cut to so many characters, with how much is missing.
pub(crate) fn clip(text: &str, chars_max: usize) -> String {
    let n = text.chars().count();
    if n <= chars_max {
        return text.to_owned();
    }
    let mark = format!("…(+{} characters)", n - chars_max.min(n));
    let keep = chars_max.saturating_sub(mark.chars().count());
    text.chars().take(keep).chain(mark.chars()).take(chars_max).collect()
}

/// A value as it was sent. What could be taken for something else, or would tear the table, is written as JSON.
pub(crate) fn exact(value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        Json::String(text) if is_plain(text) => clip(text, CELL_CHARS_MAX),
        Json::String(text) => Json::from(clip(text, CELL_CHARS_MAX)).to_string(),
        other => clip(&other.to_string(), CELL_CHARS_MAX),
    }
}

fn is_plain(text: &str) -> bool {
    let looks_typed = matches!(text, "" | "-" | "true" | "false" | "null") || text.parse::<f64>().is_ok();
    !looks_typed && text.trim() == text && !text.contains(|c: char| c.is_control() || c == '|' || c == '"')
}

/// A calculated value, to four digits that matter.
pub(crate) fn rounded(value: &Json) -> String {
    match value {
        Json::Number(n) if n.is_f64() => number(n.as_f64().unwrap_or(f64::NAN)),
        other => exact(other),
    }
}

/// A float to four digits that matter; whole numbers whole.
pub(crate) fn number(f: f64) -> String {
    let size = f.abs();
    if f.fract() == 0.0 && size < 1e15 {
        return format!("{f:.0}");
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{f:.3e}");
    }
    let digits = (3 - size.log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{f:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A share, in percent.
pub(crate) fn points(share: f64) -> String {
    number((share * 1e4).round() / 1e2)
}

/// An RFC 3339 time to the second.
pub(crate) fn to_second(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, rest)) => format!("{whole}{}", if rest.ends_with('Z') { "Z" } else { "" }),
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, clip, exact, number, rounded, to_second};
    use serde_json::json;

    #[test]
    fn numbers_are_short_and_whole_ones_whole() {
        for (f, text) in [
            (0.0, "0"),
            (5.0, "5"),
            (-1234.0, "-1234"),
            (12_345.678, "12346"),
            (812.345, "812.3"),
            (12.0004, "12"),
            (0.123_456, "0.1235"),
            (0.000_012_34, "1.234e-5"),
            (-3.149_9, "-3.15"),
        ] {
            assert_eq!(number(f), text, "{f}");
        }
        assert_eq!(rounded(&json!(1_234_567_890_123_i64)), "1234567890123");
    }

    #[test]
    fn values_cannot_be_taken_for_others() {
        for (value, text) in [
            (json!("GET /"), "GET /"),
            (json!("500"), "\"500\""),
            (json!(500), "500"),
            (json!("true"), "\"true\""),
            (json!(true), "true"),
            (json!(null), "-"),
            (json!("-"), "\"-\""),
            (json!(""), "\"\""),
            (json!("a | b"), "\"a | b\""),
            (json!("two\nlines"), "\"two\\nlines\""),
        ] {
            assert_eq!(exact(&value), text);
        }
    }

    #[test]
    fn a_page_stays_below_its_limit_whatever_is_put_on_it() {
        for max in [200, 2_000, 20_000] {
            let mut page = Page::new(max);
            let shown = page.table(&["a", "b"], (0..10_000).map(|i| vec![i.to_string(), "ü".repeat(50)]));
            assert!(shown < 10_000);
            for i in 0..200 {
                page.note(format!("note {i} {}", "x".repeat(100)));
            }
            let text = page.finish();
            assert!(text.chars().count() <= max, "{} > {max}", text.chars().count());
        }
        assert_eq!(clip("abc", 3), "abc");
        assert_eq!(clip(&"x".repeat(100), 40).chars().count(), 40);
    }

    #[test]
    fn times_lose_their_fraction_only() {
        assert_eq!(to_second("2026-11-22T17:05:00.123456Z"), "2026-11-22T17:05:00Z");
        assert_eq!(to_second("2026-11-22T17:05:00Z"), "2026-11-22T17:05:00Z");
    }
}
