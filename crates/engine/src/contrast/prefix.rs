//! What texts begin with: the beginnings that many events of the selection share ("last name starts with Mc").
//!
//! Owns: finding beginnings worth counting, and what the values below each weigh. Never does: judge them.

use super::stats::{Mass, Pair};
use crate::Cell;

/// Beginnings of one column that are counted.
const PREFIXES_MAX: usize = 64;
/// Share of the selection that a beginning has to cover: what a condition of a conjunction has to.
const COVERS_MIN: f64 = 0.05;
/// Different values of the selection from which on beginnings are looked for; of fewer each is looked at by itself.
const VALUES_MIN: usize = 8;
/// Beyond so many different values a column is no vocabulary: nothing is looked for.
const VALUES_MAX: usize = 1 << 14;

/// Beginnings of texts, in order, with what the values that begin so weigh.
#[derive(Default)]
pub(super) struct Prefixes(Vec<(String, Pair)>);

impl Prefixes {
    /// Those that many events of the selection share and several values have, of values with their weights in the selection.
    pub(super) fn of<'v>(values: impl ExactSizeIterator<Item = (&'v Cell, Mass)>, selection: Mass) -> Prefixes {
        if !(VALUES_MIN..=VALUES_MAX).contains(&values.len()) {
            return Prefixes::default();
        }
        let mut texts: Vec<(&str, f64)> =
            values.filter_map(|(cell, mass)| if let Cell::Str(text) = cell { Some((&**text, mass.weight)) } else { None }).collect();
        texts.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let needed = COVERS_MIN * selection.weight;
        let mut found: Vec<(f64, String)> = Vec::new();
        let mut open: Vec<(&[(&str, f64)], usize)> = vec![(&texts, 0)];
        while let Some((some, known)) = open.pop() {
            let [(first, _), .., (last, _)] = some else { continue };
            let shared = common(first, last);
            let weight: f64 = some.iter().map(|t| t.1).sum();
            if weight < needed {
                continue;
            }
            if shared > known {
                found.push((weight, first[..shared].to_owned()));
            }
            let mut rest = some;
            while let Some((text, _)) = rest.first() {
                let next = text[shared..].chars().next();
                let n = rest.partition_point(|(t, _)| t[shared..].chars().next() == next);
                let (these, others) = rest.split_at(n);
                rest = others;
                if these.len() > 1 {
                    open.push((these, shared));
                }
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        found.truncate(PREFIXES_MAX);
        let mut found: Vec<(String, Pair)> = found.into_iter().map(|(_, text)| (text, Pair::default())).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Prefixes(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The beginnings, by position.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(text, _)| text.as_str())
    }

    /// Counts a value to all beginnings that it has.
    pub(super) fn add(&mut self, text: &str, mass: Pair) {
        // Those that a text has come before it, the longest last, with no others of the same first letters between but their own.
        let end = self.0.partition_point(|(p, _)| p.as_str() <= text);
        let Some(first) = text.chars().next() else { return };
        for (prefix, sum) in self.0[..end].iter_mut().rev() {
            if !prefix.starts_with(first) {
                break;
            }
            if text.starts_with(prefix.as_str()) {
                *sum += mass;
            }
        }
    }

    /// Counts values of the other side to the beginning at a position.
    pub(super) fn add_other(&mut self, at: usize, mass: Mass) {
        self.0[at].1.other += mass;
    }

    /// Beginnings and weights.
    pub(super) fn into_counts(self) -> Vec<(String, Pair)> {
        self.0
    }
}

/// Bytes that two texts begin with alike, whole characters.
fn common(a: &str, b: &str) -> usize {
    a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map_or(a.len().min(b.len()), |((at, _), _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mass(weight: f64) -> Mass {
        Mass { weight, squares: weight }
    }

    #[test]
    fn beginnings_that_many_share_are_found_and_counted() {
        let mut values: Vec<(Cell, Mass)> = Vec::new();
        for c in 'a'..='t' {
            for d in 'a'..='t' {
                let n = if (c, d) == ('m', 'c') { 400.0 } else { 1.0 };
                for e in ["", "x", "y"] {
                    values.push((Cell::Str(format!("{c}{d}{e}").into()), mass(n)));
                }
            }
        }
        let total = values.iter().map(|(_, m)| m.weight).sum();
        let mut found = Prefixes::of(values.iter().map(|(c, m)| (c, *m)), mass(total));
        // All single letters have 5 %.. only where mc is.
        assert_eq!(found.texts().collect::<Vec<_>>(), ["m", "mc"]);
        for (cell, m) in &values {
            let Cell::Str(text) = cell else { unreachable!() };
            found.add(text, Pair { selection: *m, other: mass(1.0) });
        }
        found.add_other(0, mass(5.0));
        let counts: Vec<(String, f64, f64)> =
            found.into_counts().into_iter().map(|(p, m)| (p, m.selection.weight, m.other.weight)).collect();
        assert_eq!(counts, [("m".to_owned(), 1_257.0, 65.0), ("mc".to_owned(), 1_200.0, 3.0)]);
    }

    #[test]
    fn whole_characters_are_compared() {
        assert_eq!([common("äb", "äc"), common("ä", "å"), common("ab", "abc"), common("", "x")], [2, 0, 2, 0]);
    }

    #[test]
    fn few_values_and_no_texts_have_none() {
        let few: Vec<(Cell, Mass)> = (0..5).map(|i| (Cell::Str(format!("mc{i}").into()), mass(10.0))).collect();
        assert!(Prefixes::of(few.iter().map(|(c, m)| (c, *m)), mass(50.0)).is_empty());
        let numbers: Vec<(Cell, Mass)> = (0..50).map(|i| (Cell::Int(i), mass(10.0))).collect();
        assert!(Prefixes::of(numbers.iter().map(|(c, m)| (c, *m)), mass(500.0)).is_empty());
    }
}
