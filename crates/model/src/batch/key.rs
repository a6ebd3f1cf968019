//! Names of columns as JSON writes them, for comparison in a few instructions.
//!
//! Owns: their form. Never does: know which column is meant.

/// Bytes of JSON that are compared at once with the name that is expected.
pub(super) const KEY_BYTES: usize = 32;

/// Those bytes, or a mask of them.
pub(super) type Key = [u128; KEY_BYTES / 16];

/// Masks of the first n bytes.
pub(super) const MASKS: [Key; KEY_BYTES + 1] = {
    let mut masks = [[0; 2]; KEY_BYTES + 1];
    let mut n = 1;
    while n <= KEY_BYTES {
        masks[n] = masks[n - 1];
        masks[n][(n - 1) / 16] |= 0xff << ((n - 1) % 16 * 8);
        n += 1;
    }
    masks
};

/// The first bytes of a key.
#[inline(always)]
pub(super) fn key(bytes: &[u8; KEY_BYTES]) -> Key {
    let (low, high) = bytes.split_at(16);
    let half = |b: &[u8]| b.first_chunk().map_or(0, |c| u128::from_le_bytes(*c));
    [half(low), half(high)]
}

/// How many bytes the name has that a key of JSON starts with, if its closing quote and its colon are here and it has no escapes.
#[inline(always)]
pub(super) fn name_bytes(key: &Key) -> Option<usize> {
    const fn each(byte: u8) -> u128 {
        byte as u128 * (u128::MAX / 255)
    }
    // The highest bit of each byte that is zero; above the lowest one there may be others.
    let zeros = |word: u128| word.wrapping_sub(each(1)) & !word & each(0x80);
    let ends = |half: u128| zeros(half ^ each(b'"')) | zeros(half ^ each(b'\\'));
    // Not the opening quote.
    let low = ends(key[0] | 0xff);
    let at = if low != 0 { low.trailing_zeros() / 8 } else { 16 + ends(key[1]).trailing_zeros() / 8 } as usize;
    let byte = |at: usize| key.get(at / 16).map(|half| (half >> (at % 16 * 8)) as u8);
    (byte(0) == Some(b'"') && byte(at) == Some(b'"') && byte(at + 1) == Some(b':')).then(|| at - 1)
}
