//! What tells texts apart without reading them again.
//!
//! Owns: marks of texts, and their places in a table. Never does: hold texts.

/// The lowest bytes of a number, by how many they are.
const LOW: [u128; 16] = {
    let mut low = [0; 16];
    let mut n = 1;
    while n < low.len() {
        low[n] = low[n - 1] << 8 | 0xff;
        n += 1;
    }
    low
};

/// What tells texts apart: of less than 16 bytes, these and how many they are; of others a hash, which only tells that they differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(u128);

impl Mark {
    pub(super) const BYTES: usize = 16;
    const LONG: u128 = 0xff << 120;
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    #[inline(always)]
    pub(super) fn short(bytes: [u8; Mark::BYTES], len: usize) -> Mark {
        Mark(u128::from_le_bytes(bytes) & LOW[len] | (len as u128) << 120)
    }

    #[inline(never)]
    pub(super) fn of(text: &[u8]) -> Mark {
        if text.len() < Mark::BYTES {
            let mut bytes = [0; Mark::BYTES];
            bytes[..text.len()].copy_from_slice(text);
            return Mark::short(bytes, text.len());
        }
        let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(Mark::SPREAD).rotate_left(29);
        let (words, rest) = text.as_chunks::<8>();
        let hash = words.iter().fold(text.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Mark(u128::from(mix(hash, rest)) | Mark::LONG)
    }

    /// The text of an exact mark: so many of these bytes.
    #[inline(always)]
    pub(super) fn text(self) -> ([u8; Mark::BYTES], usize) {
        debug_assert!(self.is_exact());
        (self.0.to_le_bytes(), (self.0 >> 120) as usize)
    }

    /// Whether texts with this mark are equal.
    #[must_use]
    #[inline(always)]
    pub fn is_exact(self) -> bool {
        self.0 < Mark::LONG
    }

    /// A place in a table, in the lower bits.
    #[must_use]
    #[inline(always)]
    pub fn hash(self) -> u64 {
        // Texts differ in their last bytes, which stand high: only the upper half of the product depends on all of them.
        let product = u128::from(self.0 as u64 ^ (self.0 >> 64) as u64) * u128::from(Mark::SPREAD);
        (product >> 64) as u64 ^ product as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn places_are_as_many_as_by_chance_wherever_in_a_text_the_difference_is() {
        let numbers = |at: usize| (0..4096).map(move |n| format!("{}{n:04}{}", "x".repeat(at), "y".repeat(11 - at)));
        for at in 0..12 {
            let places: HashSet<u64> = numbers(at).map(|t| Mark::of(t.as_bytes()).hash() % 8192).collect();
            assert!(places.len() > 2_900, "{at}: {}", places.len());
        }
    }
}
