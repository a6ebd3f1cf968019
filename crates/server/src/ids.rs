//! Short names for runs, results and documents.
//!
//! Owns: their alphabet and length. Never does: promise secrecy.

use model::hash128;
use std::sync::atomic::{AtomicU64, Ordering};

const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const LEN: usize = 13;

fn letters(mut n: u128) -> String {
    let mut text = String::with_capacity(LEN);
    for _ in 0..LEN {
        text.push(char::from(ALPHABET[(n & 31) as usize]));
        n >>= 5;
    }
    text
}

/// A name that was not given before.
pub(crate) fn random() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0u8; 24];
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    if getrandom::fill(&mut bytes[8..]).is_err() {
        bytes[8..16].copy_from_slice(&crate::time::now().to_le_bytes());
    }
    bytes[..8].copy_from_slice(&count.to_le_bytes());
    letters(hash128(&bytes))
}

/// The name of a content: the same content has the same name.
pub(crate) fn of(content: &[u8]) -> String {
    letters(hash128(content))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_differ_and_contents_keep_theirs() {
        assert_ne!(super::random(), super::random());
        assert_eq!(super::of(b"x"), super::of(b"x"));
        assert_ne!(super::of(b"x"), super::of(b"y"));
    }
}
