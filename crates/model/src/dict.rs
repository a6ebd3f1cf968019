//! Distinct texts with a code each, as they come.
//!
//! Owns: finding the code of a text fast. Never does: order them, forget any but the last ones.

/// Texts of [`StrDict::of_few`] that get by without a table.
const FEW: usize = 16;

/// Distinct texts of a column, in order of first appearance.
#[derive(Clone, Debug, Default)]
pub struct StrDict {
    bytes: Vec<u8>,
    /// Where each text starts, and at last where the last one ends; empty if there is no text.
    starts: Vec<u32>,
    /// Open addressing; 0 is free, else the hash in the upper half and code + 1 in the lower.
    table: Vec<u64>,
    seed: u64,
}

impl StrDict {
    /// An empty one whose hashes depend on a seed. Codes never do.
    #[must_use]
    pub fn with_seed(seed: u64) -> StrDict {
        StrDict { seed, ..StrDict::default() }
    }

    /// A dictionary of a few texts that may repeat, which are compared with each other: without a table until another
    /// one comes. They have so many bytes in all. Appends the code of each.
    #[must_use]
    pub fn of_few<'a>(texts: impl ExactSizeIterator<Item = &'a [u8]>, n_bytes: usize, seed: u64, codes: &mut Vec<u32>) -> StrDict {
        let mut hashes = [0; FEW];
        let mut dict = StrDict::with_seed(seed);
        dict.bytes.reserve(n_bytes);
        dict.starts.reserve(texts.len() + 1);
        for text in texts {
            let hash = hash(text, seed);
            let n = dict.len();
            let known = hashes[..n.min(FEW)].iter().zip(0..).find(|(h, code)| **h == hash && same(dict.get(*code), text));
            let code = match known {
                Some((_, code)) => code,
                None if n < FEW => {
                    hashes[n] = hash;
                    dict.append(text);
                    n as u32
                }
                None => dict.insert(text),
            };
            codes.push(code);
        }
        dict
    }

    /// Number of distinct texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.len() < 2
    }

    /// The bytes (UTF-8) of a code.
    #[must_use]
    pub fn get(&self, code: u32) -> &[u8] {
        let code = code as usize;
        &self.bytes[self.starts[code] as usize..self.starts[code + 1] as usize]
    }

    /// The code of a text, if known.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<u32> {
        if self.table.is_empty() {
            return (0..self.len() as u32).find(|code| self.get(*code) == text);
        }
        self.probe(text, hash(text, self.seed)).ok()
    }

    /// The code of a text, of which `is_it` says whether it is meant: asked for few others.
    #[inline]
    pub(crate) fn find_by(&self, text: &[u8], is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = hash(text, self.seed);
        let mask = self.table.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(&slot) = self.table.get(at)
            && slot != 0
        {
            let code = (slot as u32).wrapping_sub(1);
            if (slot >> 32) as u32 == hash && is_it(code) {
                return Some(code);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// The code of a text, new or known.
    #[inline]
    pub fn insert(&mut self, text: &[u8]) -> u32 {
        let hash = hash(text, self.seed);
        match self.probe(text, hash) {
            Ok(code) => code,
            Err(at) => self.add(text, hash, at),
        }
    }

    /// The code of a text, or else the free slot where its probing ended.
    #[inline]
    fn probe(&self, text: &[u8], hash: u32) -> Result<u32, usize> {
        let mask = self.table.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(&slot) = self.table.get(at) {
            if slot == 0 {
                break;
            }
            let code = slot as u32 - 1;
            if (slot >> 32) as u32 == hash && same(self.get(code), text) {
                return Ok(code);
            }
            at = (at + 1) & mask;
        }
        Err(at)
    }

    /// Adds a text without entering it into the table.
    #[inline]
    fn append(&mut self, text: &[u8]) {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.bytes.extend_from_slice(text);
        self.starts.push(self.bytes.len() as u32);
    }

    fn add(&mut self, text: &[u8], hash: u32, mut at: usize) -> u32 {
        let code = self.len();
        if (code + 1) * 2 > self.table.len() {
            let had_table = !self.table.is_empty();
            self.grow();
            if !had_table && let Ok(known) = self.probe(text, hash) {
                return known;
            }
            at = self.free(hash);
        }
        self.append(text);
        self.table[at] = u64::from(hash) << 32 | (code as u64 + 1);
        code as u32
    }

    fn free(&self, hash: u32) -> usize {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        while self.table[at] != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    #[cold]
    fn grow(&mut self) {
        // Large ones grow slowly, to stay in the cache.
        let factor = if self.table.len() < 4096 { 4 } else { 2 };
        let size = (self.table.len() * factor).max(16).max(((self.len() + 1) * 2).next_power_of_two());
        let slots = std::mem::replace(&mut self.table, vec![0; size]);
        if slots.is_empty() {
            for code in 0..self.len() {
                let hash = hash(self.get(code as u32), self.seed);
                let at = self.free(hash);
                self.table[at] = u64::from(hash) << 32 | (code as u64 + 1);
            }
        }
        for slot in slots.into_iter().filter(|&slot| slot != 0) {
            let at = self.free((slot >> 32) as u32);
            self.table[at] = slot;
        }
    }

    /// Forgets the texts from code `len` on.
    pub fn truncate(&mut self, len: usize) {
        let mask = self.table.len().wrapping_sub(1);
        for code in (len..self.len()).rev() {
            if !self.table.is_empty() {
                let mut at = hash(self.get(code as u32), self.seed) as usize & mask;
                while self.table[at] as u32 != code as u32 + 1 {
                    at = (at + 1) & mask;
                }
                self.remove(at);
            }
            self.bytes.truncate(self.starts[code] as usize);
            self.starts.pop();
        }
    }

    /// Frees a slot, and moves up those after it that had to step over it.
    fn remove(&mut self, mut hole: usize) {
        let mask = self.table.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.table[at];
            if slot == 0 {
                break;
            }
            let home = (slot >> 32) as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.table[hole] = slot;
                hole = at;
            }
        }
        self.table[hole] = 0;
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + 4 * self.starts.capacity() + 8 * self.table.capacity()
    }
}

#[inline(always)]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |c| u64::from_le_bytes(*c))
}

#[inline(always)]
fn u32_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |c| u64::from(u32::from_le_bytes(*c)))
}

/// Equality of short texts, without a call.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    let n = a.len();
    if n != b.len() {
        return false;
    }
    if n >= 8 {
        let mut at = 0;
        while at + 8 < n {
            if u64_at(a, at) != u64_at(b, at) {
                return false;
            }
            at += 8;
        }
        u64_at(a, n - 8) == u64_at(b, n - 8)
    } else if n >= 4 {
        u32_at(a, 0) == u32_at(b, 0) && u32_at(a, n - 4) == u32_at(b, n - 4)
    } else {
        a == b
    }
}

const K: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9];

#[inline(always)]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// A hash for tables of short texts: few multiplications, and unknown to senders by its seed.
#[inline]
fn hash(text: &[u8], seed: u64) -> u32 {
    let n = text.len();
    let mut state = seed ^ (n as u64).wrapping_mul(K[0]);
    let (a, b) = if n >= 8 {
        let mut at = 0;
        while at + 16 < n {
            state = mix(u64_at(text, at) ^ state, u64_at(text, at + 8) ^ K[1]);
            at += 16;
        }
        // The last 16 bytes, which may overlap with what is mixed in already.
        (u64_at(text, n.saturating_sub(16)), u64_at(text, n - 8))
    } else if n >= 4 {
        (u32_at(text, 0), u32_at(text, n - 4))
    } else if n > 0 {
        (u64::from(text[0]) << 8 | u64::from(text[n / 2]), u64::from(text[n - 1]))
    } else {
        (0, 0)
    };
    let h = mix(a ^ state ^ K[2], b ^ K[1] ^ seed);
    (h >> 32) as u32 ^ h as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(n: usize) -> Vec<Vec<u8>> {
        (0..n).map(|i| format!("{}{}", "x".repeat(i % 70), i).into_bytes()).collect()
    }

    #[test]
    fn codes_come_in_order_of_first_appearance() {
        let mut dict = StrDict::with_seed(7);
        assert!(dict.is_empty() && dict.find(b"").is_none());
        let texts = texts(5_000);
        for round in 0..2 {
            for (i, t) in texts.iter().enumerate() {
                assert_eq!(dict.insert(t), i as u32, "round {round}");
            }
        }
        assert_eq!((dict.len(), dict.get(4_321)), (5_000, &*texts[4_321]));
        assert_eq!(dict.insert(b""), 5_000);
        assert_eq!(dict.find(b""), Some(5_000));
    }

    #[test]
    fn truncation_undoes_insertions() {
        let texts = texts(3_000);
        for keep in [0, 1, 15, 16, 1_000, 2_999] {
            let mut dict = StrDict::with_seed(keep as u64);
            for t in &texts {
                dict.insert(t);
            }
            dict.truncate(keep);
            assert_eq!(dict.len(), keep);
            for (i, t) in texts.iter().enumerate() {
                assert_eq!(dict.find(t), (i < keep).then_some(i as u32));
            }
            for (i, t) in texts.iter().enumerate().skip(keep) {
                assert_eq!(dict.insert(t), i as u32);
            }
        }
    }

    #[test]
    fn a_dictionary_of_few_is_like_any_other() {
        let texts = texts(40);
        for n in [0, 1, 2, 15, 16, 17, 40] {
            let mut codes = Vec::new();
            let mut dict = StrDict::of_few([&texts[..n], &texts[..n / 2]].concat().iter().map(|t| t.as_slice()), 7 * n, 5, &mut codes);
            let expected: Vec<u32> = (0..n as u32).chain(0..n as u32 / 2).collect();
            assert_eq!((codes, dict.len()), (expected, n));
            for (i, t) in texts.iter().enumerate() {
                assert_eq!(dict.find(t), (i < n).then_some(i as u32));
            }
            let mut cut = dict.clone();
            cut.truncate(n / 2);
            assert_eq!((cut.len(), cut.find(&texts[39])), (n / 2, None));
            for (i, t) in texts.iter().enumerate() {
                assert_eq!((dict.insert(t), cut.insert(t)), (i as u32, i as u32), "{n}");
            }
        }
    }

    #[test]
    fn equality_looks_at_every_byte() {
        for n in 0..40 {
            let a = vec![b'a'; n];
            assert!(same(&a, &a));
            for i in 0..n {
                let mut b = a.clone();
                b[i] = b'b';
                assert!(!same(&a, &b), "{n} {i}");
            }
        }
    }
}
