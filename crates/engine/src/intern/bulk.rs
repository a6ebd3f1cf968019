//! Values that got their numbers together.
//!
//! Most questions need nothing of them but the number, and the text of a few. So they lie here as they came, without
//! hashes and tables; those are made when a value is looked for by what it is.
//!
//! Owns: such values, by number. Never does: find out which are equal.

use super::key::{Key, TEXT};
use super::{SHARDS, shard_of};
use model::hash128;
use store::segment::Texts;

/// Different values of one kind, one after the other.
#[derive(Debug)]
pub(crate) enum Values {
    Texts(Texts),
    /// With the tag of their keys.
    Ids(u8, Box<[u128]>),
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Texts(texts) => texts.len(),
            Values::Ids(_, ids) => ids.len(),
        }
    }

    fn tag(&self) -> u8 {
        match self {
            Values::Texts(_) => TEXT,
            Values::Ids(tag, _) => *tag,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Values::Texts(texts) => texts.memory(),
            Values::Ids(_, ids) => ids.len() * 16,
        }
    }

    /// Empty for what is no text.
    pub(super) fn text(&self, i: usize) -> &[u8] {
        match self {
            Values::Texts(texts) => texts.get(i as u32),
            Values::Ids(..) => &[],
        }
    }

    pub(super) fn key(&self, i: usize) -> Key {
        match self {
            Values::Texts(_) => Key::text_hash(hash128(self.text(i))),
            Values::Ids(tag, ids) => Key { tag: *tag, bits: ids[i] },
        }
    }

    fn entry(&self, i: usize) -> BulkEntry<'_> {
        match self {
            Values::Texts(texts) => BulkEntry::Text(texts.get(i as u32)),
            Values::Ids(tag, ids) => BulkEntry::Id(*tag, &ids[i]),
        }
    }
}

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum BulkEntry<'b> {
    Text(&'b [u8]),
    Id(u8, &'b u128),
}

impl BulkEntry<'_> {
    /// Whether it is this one; to hash a text would take longer than to compare it.
    pub(super) fn is<'t>(self, key: Key, text: impl Fn() -> &'t [u8]) -> bool {
        match self {
            BulkEntry::Text(own) => key.tag == TEXT && own == text(),
            BulkEntry::Id(tag, id) => tag == key.tag && *id == key.bits,
        }
    }
}

/// Keys of values, sorted by the shard that each belongs to.
#[derive(Debug)]
pub(crate) struct Sorted {
    tag: u8,
    bits: Vec<u128>,
    /// Their positions before they were sorted.
    order: Vec<u32>,
    starts: [u32; SHARDS + 1],
}

impl Sorted {
    pub(crate) fn new(values: &Values) -> Sorted {
        let keys: Vec<Key> = (0..values.len()).map(|i| values.key(i)).collect();
        let (mut order, mut hashes) = (Vec::new(), Vec::new());
        let starts = sort_by_shard(keys.len(), |i| keys[i], &mut hashes, &mut order);
        let bits = order.iter().map(|i| keys[*i as usize].bits).collect();
        Sorted { tag: values.tag(), bits, order, starts }
    }

    /// Key and position of the values of a shard.
    pub(super) fn of(&self, shard: usize) -> impl ExactSizeIterator<Item = (Key, u32)> {
        let range = self.starts[shard] as usize..self.starts[shard + 1] as usize;
        let of = self.bits[range.clone()].iter().zip(&self.order[range]);
        of.map(|(bits, at)| (Key { tag: self.tag, bits: *bits }, *at))
    }
}

/// Writes the hashes of values, and their positions by shard; answers where each shard's begin.
pub(super) fn sort_by_shard(n: usize, key: impl Fn(usize) -> Key, hashes: &mut Vec<u64>, order: &mut Vec<u32>) -> [u32; SHARDS + 1] {
    hashes.clear();
    hashes.extend((0..n).map(|i| key(i).hash()));
    let mut ends = [0u32; SHARDS + 1];
    for hash in hashes.iter() {
        ends[shard_of(*hash) + 1] += 1;
    }
    for i in 1..=SHARDS {
        ends[i] += ends[i - 1];
    }
    let mut next = ends;
    order.clear();
    order.resize(n, 0);
    for (i, hash) in hashes.iter().enumerate() {
        let at = &mut next[shard_of(*hash)];
        order[*at as usize] = i as u32;
        *at += 1;
    }
    ends
}

/// Lists of values, all different, numbered through.
#[derive(Debug)]
pub(super) struct Bulk {
    pub(super) lists: Vec<Values>,
    /// The number of the first value of each list.
    pub(super) firsts: Vec<u32>,
    len: u32,
}

impl Bulk {
    pub(super) fn new(lists: Vec<Values>) -> Bulk {
        let mut len = 0;
        let mut next = |list: &Values| {
            let first = len;
            len += list.len() as u32;
            first
        };
        let firsts = lists.iter().map(&mut next).collect();
        Bulk { lists, firsts, len }
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.lists.iter().map(Values::bytes).sum()
    }

    fn place(&self, number: u32) -> (&Values, usize) {
        let list = self.firsts.partition_point(|first| *first <= number) - 1;
        (&self.lists[list], (number - self.firsts[list]) as usize)
    }

    pub(super) fn key(&self, number: u32) -> Key {
        let (list, i) = self.place(number);
        list.key(i)
    }

    pub(super) fn entry(&self, number: u32) -> BulkEntry<'_> {
        let (list, i) = self.place(number);
        list.entry(i)
    }

    pub(super) fn text(&self, number: u32) -> &[u8] {
        let (list, i) = self.place(number);
        list.text(i)
    }
}
