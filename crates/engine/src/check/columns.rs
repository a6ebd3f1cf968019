//! Names of columns: which exist, and what a misspelt one was meant to be.
//!
//! Owns: resolving of names that are no calculated fields. Never does: read columns.

use super::relatives::{Relative, split};
use crate::{EngineError, Field};
use model::columns::{DATASET, IS_ROOT};
use std::collections::{BTreeSet, HashSet};

/// The columns that the events of a dataset ever had.
pub trait Columns {
    /// Whether there is a column of this name.
    fn contains(&self, name: &str) -> bool;
    /// All names; asked for only to suggest near ones.
    fn names(&self) -> Vec<String>;
    /// The expression of the saved calculated field of this name.
    fn calculated(&self, _name: &str) -> Option<String> {
        None
    }
}

impl Columns for [String] {
    fn contains(&self, name: &str) -> bool {
        self.iter().any(|n| n == name)
    }
    fn names(&self) -> Vec<String> {
        self.to_vec()
    }
}

impl Columns for Vec<String> {
    fn contains(&self, name: &str) -> bool {
        self.as_slice().iter().any(|n| n == name)
    }
    fn names(&self) -> Vec<String> {
        self.clone()
    }
}

impl Columns for HashSet<String> {
    fn contains(&self, name: &str) -> bool {
        HashSet::contains(self, name)
    }
    fn names(&self) -> Vec<String> {
        self.iter().cloned().collect()
    }
}

impl Columns for BTreeSet<String> {
    fn contains(&self, name: &str) -> bool {
        BTreeSet::contains(self, name)
    }
    fn names(&self) -> Vec<String> {
        self.iter().cloned().collect()
    }
}

/// Whether a name stands for a stored or built-in column.
pub(super) fn is_column(name: &str, known: &dyn Columns) -> bool {
    known.contains(name) || matches!(name, IS_ROOT | DATASET)
}

/// What the name of a column stands for. A real column hides a built-in one of the same name.
pub(super) fn column(name: &str, known: &dyn Columns) -> Result<Field, EngineError> {
    if known.contains(name) {
        return Ok(Field::Column(name.into()));
    }
    match name {
        IS_ROOT => return Ok(Field::IsRoot),
        DATASET => return Ok(Field::Dataset),
        _ => {}
    }
    let mut near_names = Vec::new();
    if let Some(Relative { prefix, column, .. }) = split(name) {
        near_names = near(column, known.names()).into_iter().map(|n| format!("{prefix}.{n}")).collect();
    }
    if near_names.is_empty() {
        near_names = near(name, known.names());
    }
    Err(EngineError::UnknownColumn { column: name.to_owned(), near: near_names, inside: String::new() })
}

/// Up to three names that may have been meant, best first.
fn near(name: &str, mut names: Vec<String>) -> Vec<String> {
    names.push(IS_ROOT.to_owned());
    let wanted = fold(name);
    let mut scored: Vec<(usize, String)> = names.into_iter().filter_map(|n| Some((score(&wanted, &fold(&n))?, n))).collect();
    scored.sort();
    scored.dedup();
    scored.into_iter().take(3).map(|(_, n)| n).collect()
}

/// Case and separators do not count.
fn fold(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '.' | '_' | '-' | ' ')).flat_map(char::to_lowercase).take(200).collect()
}

/// How far two names are apart; none if they have nothing in common.
fn score(a: &[char], b: &[char]) -> Option<usize> {
    let close = a.len().max(b.len()) / 3 + 1;
    if a.len().abs_diff(b.len()) <= close {
        let d = distance(a, b);
        if d <= close {
            return Some(d * 2);
        }
    }
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.len() < 3 {
        return None;
    }
    if long.starts_with(short) || long.ends_with(short) {
        return Some(7);
    }
    long.windows(short.len()).any(|w| w == short).then_some(9)
}

/// Edits (insert, delete, replace, swap of neighbours) between two names.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let names = || {
            ["service.name", "http.status_code", "duration_ms", "user.id", "trace.trace_id", "db.duration_ms"].map(String::from).to_vec()
        };
        assert_eq!(near("servicename", names()), ["service.name"]);
        assert_eq!(near("Duration_MS", names())[0], "duration_ms");
        assert_eq!(near("status_code", names()), ["http.status_code"]);
        assert_eq!(near("http.statsu_code", names()), ["http.status_code"]);
        assert_eq!(near("zzz", names()), Vec::<String>::new());
    }
}
