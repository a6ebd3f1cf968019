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

/// Texts that together weigh enough.
struct Group<'t> {
    texts: Vec<&'t (&'t str, Pair)>,
    /// Bytes that all of them begin with.
    alike: usize,
    /// Bytes of the longest of their beginnings that was found.
    found: usize,
}

impl Prefixes {
    /// Those that many events of the selection share and several values have, of all values of the selection.
    pub(super) fn of<'v>(values: impl ExactSizeIterator<Item = (&'v Cell, Pair)>, selection: Mass) -> Prefixes {
        if !(VALUES_MIN..=VALUES_MAX).contains(&values.len()) {
            return Prefixes::default();
        }
        let text = |(cell, mass): (&'v Cell, Pair)| if let Cell::Str(text) = cell { Some((&**text, mass)) } else { None };
        let texts: Vec<(&str, Pair)> = values.filter_map(text).collect();
        let needed = COVERS_MIN * selection.weight;
        let mut found: Vec<(&str, Pair)> = Vec::new();
        let mut open: Vec<Group<'_>> = Vec::new();
        if texts.iter().map(|(_, mass)| mass.selection.weight).sum::<f64>() >= needed {
            open.push(Group { texts: texts.iter().collect(), alike: 0, found: 0 });
        }
        while let Some(Group { texts, alike, found: known }) = open.pop() {
            let [(first, _), others @ ..] = texts.as_slice() else { continue };
            let shared =
                others.iter().fold(first.len(), |n, (text, _)| alike + common(&first.as_bytes()[alike..n], &text.as_bytes()[alike..]));
            let whole = first.floor_char_boundary(shared);
            if whole > known {
                let mut sum = Pair::default();
                texts.iter().for_each(|(_, mass)| sum += *mass);
                found.push((&first[..whole], sum));
            }
            let next = |text: &str| text.as_bytes().get(shared).map(|b| usize::from(*b));
            let mut parts = [(0.0, 0); 256];
            for (mass, byte) in texts.iter().filter_map(|(text, mass)| Some((mass, next(text)?))) {
                parts[byte].0 += mass.selection.weight;
                parts[byte].1 += 1;
            }
            let parts = parts.map(|(weight, n)| {
                (n > 1 && weight >= needed).then(|| {
                    open.push(Group { texts: Vec::with_capacity(n), alike: shared + 1, found: whole });
                    open.len() - 1
                })
            });
            for text in texts {
                if let Some(part) = next(text.0).and_then(|byte| parts[byte]) {
                    open[part].texts.push(text);
                }
            }
        }
        let weight = |mass: &Pair| mass.selection.weight;
        found.sort_by(|a, b| weight(&b.1).total_cmp(&weight(&a.1)).then_with(|| a.0.cmp(b.0)));
        found.truncate(PREFIXES_MAX);
        found.sort_unstable_by_key(|(text, _)| *text);
        Prefixes::new(found)
    }

    /// Of texts in order, none empty.
    fn new(texts: Vec<(&str, Pair)>) -> Prefixes {
        let mut parents: Vec<Option<usize>> = Vec::with_capacity(texts.len());
        for (at, (text, _)) in texts.iter().enumerate() {
            let parent = chain(at.checked_sub(1), &parents).find(|p| text.starts_with(texts[*p].0));
            parents.push(parent);
        }
        Prefixes { counts: texts.into_iter().map(|(text, mass)| (text.to_owned(), mass)).collect(), parents }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The beginnings, by position.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.counts.iter().map(|(text, _)| text.as_str())
    }

    /// Counts a value that the selection does not have to all beginnings that it has.
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

/// How many bytes of `a`, from the first one on, `b` has too.
fn common(a: &[u8], b: &[u8]) -> usize {
    if b.starts_with(a) { a.len() } else { a.iter().zip(b).take_while(|(x, y)| x == y).count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mass(weight: f64) -> Mass {
        Mass { weight, squares: weight }
    }

    fn text(text: &str) -> Cell {
        Cell::Str(text.into())
    }

    #[test]
    fn beginnings_that_many_share_are_found_and_counted() {
        let mut values: Vec<(Cell, Pair)> = Vec::new();
        for c in 'a'..='t' {
            for d in 'a'..='t' {
                let n = if (c, d) == ('m', 'c') { 400.0 } else { 1.0 };
                for e in ["", "x", "y"] {
                    values.push((text(&format!("{c}{d}{e}")), Pair { selection: mass(n), other: mass(1.0) }));
                }
            }
        }
        let total = values.iter().map(|(_, m)| m.selection.weight).sum();
        let mut found = Prefixes::of(values.iter().map(|(c, m)| (c, *m)), mass(total));
        // Of all the letters that values begin with, only m weighs enough.
        assert_eq!(found.texts().collect::<Vec<_>>(), ["m", "mc"]);
        found.add("mz", Pair { selection: mass(0.0), other: mass(2.0) });
        found.add("n", Pair { selection: mass(0.0), other: mass(2.0) });
        found.add_other(0, mass(5.0));
        let counts: Vec<(String, f64, f64)> =
            found.into_counts().into_iter().map(|(p, m)| (p, m.selection.weight, m.other.weight)).collect();
        assert_eq!(counts, [("m".to_owned(), 1_257.0, 67.0), ("mc".to_owned(), 1_200.0, 3.0)]);
    }

    /// All texts of up to four of these letters, two of which begin with the same byte.
    fn words() -> Vec<String> {
        let letters = ["", "a", "b", "c", "ä", "å"];
        let mut words = Vec::new();
        for a in letters {
            for b in letters {
                for c in letters {
                    for d in letters {
                        words.push(format!("{a}{b}{c}{d}"));
                    }
                }
            }
        }
        words.sort();
        words.dedup();
        words
    }

    fn texts_of(values: &[(Cell, Pair)]) -> Vec<(&str, Pair)> {
        values.iter().filter_map(|(cell, mass)| if let Cell::Str(text) = cell { Some((&**text, *mass)) } else { None }).collect()
    }

    #[test]
    fn those_are_found_that_a_look_at_all_finds() {
        for seed in 0..200_u64 {
            let chance = |i: usize| model::hash64(&(seed << 32 | i as u64).to_le_bytes()) % 100;
            let picked = words().into_iter().enumerate().filter(|(i, _)| chance(*i) < 1 + seed % 20);
            let values: Vec<(Cell, Pair)> = picked
                .map(|(i, w)| (text(&w), Pair { selection: mass(1.0 + (chance(i + 9_999) / 30) as f64), other: mass(i as f64) }))
                .collect();
            let total: f64 = values.iter().map(|v| v.1.selection.weight).sum();
            let texts: Vec<(&str, Pair)> = texts_of(&values);
            let mut naive: Vec<(String, Pair)> = Vec::new();
            for (of, _) in texts.iter().filter(|_| values.len() >= VALUES_MIN) {
                for end in of.char_indices().map(|(at, c)| at + c.len_utf8()) {
                    let with: Vec<_> = texts.iter().filter(|(t, _)| t.starts_with(&of[..end])).collect();
                    let mut sum = Pair::default();
                    with.iter().for_each(|t| sum += t.1);
                    let next = |text: &str| text[end..].chars().next();
                    let all_go_on_alike = with.iter().all(|(t, _)| next(t) == next(with[0].0));
                    if with.len() > 1 && sum.selection.weight >= COVERS_MIN * total && !all_go_on_alike {
                        naive.push((of[..end].to_owned(), sum));
                    }
                }
            }
            naive.sort_by(|a, b| b.1.selection.weight.total_cmp(&a.1.selection.weight).then_with(|| a.0.cmp(&b.0)));
            naive.dedup_by(|a, b| a.0 == b.0);
            naive.truncate(PREFIXES_MAX);
            naive.sort_by(|a, b| a.0.cmp(&b.0));
            let found = Prefixes::of(values.iter().map(|(c, m)| (c, *m)), mass(total)).into_counts();
            assert_eq!(found, naive, "seed {seed}");
        }
    }

    #[test]
    fn a_value_counts_to_just_those_that_it_begins_with() {
        let prefixes = ["a", "ab", "aba", "abc", "b", "ba", "bab", "baba", "c", "ca", "cab", "ä", "äb"];
        let mut prefixes = Prefixes::new(prefixes.iter().map(|p| (*p, Pair::default())).collect());
        for (n, value) in words().iter().enumerate() {
            prefixes.add(value, Pair { selection: mass(n as f64), other: mass(1.0) });
        }
        for (prefix, counted) in prefixes.into_counts() {
            let mut naive = Pair::default();
            for (n, _) in words().iter().enumerate().filter(|(_, v)| v.starts_with(&prefix)) {
                naive += Pair { selection: mass(n as f64), other: mass(1.0) };
            }
            assert_eq!(counted, naive, "{prefix}");
        }
    }

    #[test]
    fn few_values_and_no_texts_have_none() {
        let pair = Pair { selection: mass(10.0), other: mass(0.0) };
        let few: Vec<Cell> = (0..5).map(|i| text(&format!("mc{i}"))).collect();
        assert!(Prefixes::of(few.iter().map(|c| (c, pair)), mass(50.0)).is_empty());
        let numbers: Vec<Cell> = (0..50).map(Cell::Int).collect();
        assert!(Prefixes::of(numbers.iter().map(|c| (c, pair)), mass(500.0)).is_empty());
    }
}
