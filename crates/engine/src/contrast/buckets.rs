//! Weights of both sides per bucket of a number column.
//!
//! Owns: a table with a page per octave, so that adding costs two loads and nothing is paid for octaves without numbers.
//! Never does: read numbers.

use super::stats::Pair;

/// Buckets of one octave of numbers.
const PAGE: usize = 64;
/// Pages that all buckets take.
const PAGES: usize = (1 << 18) / PAGE;

/// Weights by bucket.
#[derive(Default)]
pub(super) struct Buckets {
    /// One more than the place of a page; 0 where there is none. Empty before the first number.
    index: Vec<u16>,
    pages: Vec<[Pair; PAGE]>,
}

impl Buckets {
    /// The weights of a bucket.
    #[inline]
    pub(super) fn slot(&mut self, bucket: u32) -> &mut Pair {
        if self.index.is_empty() {
            self.index.resize(PAGES, 0);
        }
        let place = &mut self.index[bucket as usize / PAGE % PAGES];
        if *place == 0 {
            self.pages.push([Pair::default(); PAGE]);
            *place = self.pages.len() as u16;
        }
        &mut self.pages[*place as usize - 1][bucket as usize % PAGE]
    }

    /// All buckets with weight, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Pair)> {
        self.index.iter().enumerate().filter(|(_, place)| **place > 0).flat_map(|(i, place)| {
            let slots = self.pages[*place as usize - 1].iter().enumerate();
            slots.filter(|(_, p)| p.selection.weight != 0.0 || p.other.weight != 0.0).map(move |(k, p)| ((i * PAGE + k) as u32, *p))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_come_back_in_order_with_what_was_added() {
        let mut b = Buckets::default();
        assert!(b.iter().next().is_none());
        let added = [(262_143u32, 1.0), (0, 2.0), (131_072, 3.0), (131_073, 4.0), (0, 5.0)];
        for (bucket, w) in added {
            b.slot(bucket).other.add(w);
        }
        b.slot(64).selection.add(9.0);
        let got: Vec<(u32, f64, f64)> = b.iter().map(|(k, p)| (k, p.selection.weight, p.other.weight)).collect();
        assert_eq!(got, [(0, 0.0, 7.0), (64, 9.0, 0.0), (131_072, 0.0, 3.0), (131_073, 0.0, 4.0), (262_143, 0.0, 1.0)]);
    }
}
