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

/// Beginnings of texts, with what the values that begin so weigh.
#[derive(Default)]
pub(super) struct Prefixes {
    /// In order of the texts.
    counts: Vec<(String, Pair)>,
    /// Of each, the position of the longest other one that it begins with.
    parents: Vec<Option<usize>>,
}

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
        let mut texts: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
        texts.sort_unstable();
        Prefixes::new(texts)
    }

    /// Of texts in order, none empty.
    fn new(texts: Vec<String>) -> Prefixes {
        let mut parents: Vec<Option<usize>> = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            let parent = chain(at.checked_sub(1), &parents).find(|p| text.starts_with(texts[*p].as_str()));
            parents.push(parent);
        }
        Prefixes { counts: texts.into_iter().map(|text| (text, Pair::default())).collect(), parents }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The beginnings, by position.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.counts.iter().map(|(text, _)| text.as_str())
    }

    /// Counts a value to all beginnings that it has.
    pub(super) fn add(&mut self, text: &str, mass: Pair) {
        // Each that a text has is the last one that does not come after it, or one that this begins with.
        let last = self.counts.partition_point(|(p, _)| p.as_str() <= text).checked_sub(1);
        let longest = chain(last, &self.parents).find(|p| text.starts_with(self.counts[*p].0.as_str()));
        for at in chain(longest, &self.parents) {
            self.counts[at].1 += mass;
        }
    }

    /// Counts values of the other side to the beginning at a position.
    pub(super) fn add_other(&mut self, at: usize, mass: Mass) {
        self.counts[at].1.other += mass;
    }

    /// Beginnings and weights.
    pub(super) fn into_counts(self) -> Vec<(String, Pair)> {
        self.counts
    }
}

/// A position, and those of all that it begins with, the longest first.
fn chain(from: Option<usize>, parents: &[Option<usize>]) -> impl Iterator<Item = usize> {
    std::iter::successors(from, |at| parents[*at])
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
        // Of all the letters that values begin with, only m weighs enough.
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
    fn a_value_counts_to_just_those_that_it_begins_with() {
        let texts = ["a", "ab", "abc", "abd", "b", "ba", "bab", "baba", "c", "ca", "cab", "ä", "äb"].map(str::to_owned);
        let mut prefixes = Prefixes::new(texts.to_vec());
        let letters = ["", "a", "b", "c", "d", "ä"];
        let mut values = Vec::new();
        for a in letters {
            for b in letters {
                for c in letters {
                    for d in letters {
                        values.push(format!("{a}{b}{c}{d}"));
                    }
                }
            }
        }
        for (n, value) in values.iter().enumerate() {
            prefixes.add(value, Pair { selection: mass(n as f64), other: mass(1.0) });
        }
        for (prefix, counted) in prefixes.into_counts() {
            let mut naive = Pair::default();
            for (n, _) in values.iter().enumerate().filter(|(_, v)| v.starts_with(&prefix)) {
                naive += Pair { selection: mass(n as f64), other: mass(1.0) };
            }
            assert_eq!(counted, naive, "{prefix}");
        }
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
