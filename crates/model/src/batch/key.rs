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
