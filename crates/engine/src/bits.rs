//! Sets of small numbers as words of bits, lowest first.
//!
//! Owns: counting what is set, going through it. Never does: know what the numbers stand for.

/// How many bits are set.
pub(crate) fn ones(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

/// Calls `f` with the position of every bit that is set, ascending.
#[inline(always)]
pub(crate) fn each_one(words: &[u64], mut f: impl FnMut(usize)) {
    for (i, word) in words.iter().enumerate() {
        let mut left = *word;
        while left != 0 {
            f(i * 64 + left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_set_is_met_once_in_order() {
        let words = [1 << 63 | 1, 0, u64::MAX, 0b1010];
        let mut met = Vec::new();
        each_one(&words, |bit| met.push(bit));
        let expected: Vec<usize> = (0..256).filter(|bit| words[bit / 64] >> (bit % 64) & 1 == 1).collect();
        assert_eq!(met, expected);
        assert_eq!((ones(&words), ones(&[])), (met.len(), 0));
    }
}
