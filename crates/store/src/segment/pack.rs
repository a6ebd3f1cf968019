//! Bit packing in chunks of 1,024 values, laid out so that a plain loop over lanes becomes vector code.
//!
//! A chunk of lane type `T` (`B` bits) has `L = 1024 / B` lanes and `B` rows; value `i` is row `i / L`, lane `i % L`.
//! Every lane packs its `B` values of `width` bits one after the other; words of all lanes are interleaved. A chunk
//! is therefore `128 × width` bytes, whatever the lane type. A last chunk of fewer values drops the words it does not need.
//!
//! Owns: packing, unpacking, reading one value. Never does: choose widths or bases.

/// Values in a chunk.
pub(super) const CHUNK: usize = 1024;

/// Lane types by code: bytes of a lane = `1 << code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Lane {
    U8 = 0,
    U16 = 1,
    U32 = 2,
    U64 = 3,
}

impl Lane {
    pub(super) fn from_code(code: u8) -> Option<Lane> {
        [Lane::U8, Lane::U16, Lane::U32, Lane::U64].get(code as usize).copied()
    }

    /// The narrowest lane for values of so many bits.
    pub(super) fn of_width(width: u32) -> Lane {
        match width {
            0..=8 => Lane::U8,
            9..=16 => Lane::U16,
            17..=32 => Lane::U32,
            _ => Lane::U64,
        }
    }

    pub(super) fn bytes(self) -> usize {
        1 << self as u8
    }

    pub(super) fn bits(self) -> usize {
        8 << self as u8
    }
}

/// Bytes of `n` packed values.
pub(super) fn packed_bytes(lane: Lane, width: u32, n: usize) -> usize {
    let whole = n / CHUNK * 128 * width as usize;
    let rest = n % CHUNK;
    whole + if rest == 0 { 0 } else { tail_words(lane, width, rest) * 128 * 8 / lane.bits() * lane.bytes() }
}

/// Word rows that a chunk of `n` < 1024 values needs.
fn tail_words(lane: Lane, width: u32, n: usize) -> usize {
    let rows = n.div_ceil(CHUNK / lane.bits());
    (rows * width as usize).div_ceil(lane.bits())
}

/// A type of lane.
pub(super) trait Packable: Copy + Default + 'static {
    const LANE: Lane;
    /// Appends `values`, each below `2^width`.
    fn pack(values: &[Self], width: u32, out: &mut Vec<u8>);
    /// Unpacks `out.len()` values.  `packed` holds at least [`packed_bytes`] bytes; fewer leave zeros.
    fn unpack(packed: &[u8], width: u32, out: &mut [Self]);
    /// One value.
    fn get(packed: &[u8], width: u32, n: usize, index: usize) -> Option<Self>;
    /// Plain values, as little-endian bytes.
    fn copy(raw: &[u8], out: &mut [Self]);
    fn to_u64(self) -> u64;
    fn to_f64(self) -> f64;
    fn from_u64(v: u64) -> Self;
}

macro_rules! packable {
    ($t:ty, $lane:expr) => {
        impl Packable for $t {
            const LANE: Lane = $lane;

            fn pack(values: &[Self], width: u32, out: &mut Vec<u8>) {
                const BITS: usize = <$t>::BITS as usize;
                const LANES: usize = CHUNK / BITS;
                let width = width as usize;
                if width == 0 {
                    return;
                }
                for chunk in values.chunks(CHUNK) {
                    let mut words = [0 as $t; CHUNK];
                    for (row, lanes) in chunk.chunks(LANES).enumerate() {
                        let (word, shift) = (row * width / BITS, row * width % BITS);
                        for (w, &v) in words[word * LANES..(word + 1) * LANES].iter_mut().zip(lanes) {
                            *w |= v << shift;
                        }
                        if shift + width > BITS {
                            for (w, &v) in words[(word + 1) * LANES..(word + 2) * LANES].iter_mut().zip(lanes) {
                                *w |= v >> (BITS - shift);
                            }
                        }
                    }
                    let used = if chunk.len() == CHUNK { width } else { tail_words($lane, width as u32, chunk.len()) };
                    for w in &words[..used * LANES] {
                        out.extend_from_slice(&w.to_le_bytes());
                    }
                }
            }

            fn unpack(packed: &[u8], width: u32, out: &mut [Self]) {
                const BITS: usize = <$t>::BITS as usize;
                const BYTES: usize = BITS / 8;
                const LANES: usize = CHUNK / BITS;
                let width = width as usize;
                if width == 0 || width > BITS {
                    out.fill(0);
                    return;
                }
                let mask: $t = <$t>::MAX >> (BITS - width);
                let mut words = [0 as $t; CHUNK];
                let mut sources = packed.chunks(128 * width);
                for chunk in out.chunks_mut(CHUNK) {
                    let source = sources.next().unwrap_or(&[]);
                    let (filled, _) = source.as_chunks::<BYTES>();
                    for (w, b) in words.iter_mut().zip(filled) {
                        *w = <$t>::from_le_bytes(*b);
                    }
                    if filled.len() < width * LANES {
                        words[filled.len()..width * LANES].fill(0);
                    }
                    for (row, lanes) in chunk.chunks_mut(LANES).enumerate() {
                        let (word, shift) = (row * width / BITS, row * width % BITS);
                        let low = &words[word * LANES..(word + 1) * LANES];
                        if shift + width > BITS {
                            let high = &words[(word + 1) * LANES..(word + 2) * LANES];
                            for ((o, &a), &b) in lanes.iter_mut().zip(low).zip(high) {
                                *o = ((a >> shift) | (b << (BITS - shift))) & mask;
                            }
                        } else {
                            for (o, &a) in lanes.iter_mut().zip(low) {
                                *o = (a >> shift) & mask;
                            }
                        }
                    }
                }
            }

            fn get(packed: &[u8], width: u32, n: usize, index: usize) -> Option<Self> {
                const BITS: usize = <$t>::BITS as usize;
                const BYTES: usize = BITS / 8;
                const LANES: usize = CHUNK / BITS;
                let width = width as usize;
                if index >= n || width > BITS {
                    return None;
                }
                if width == 0 {
                    return Some(0);
                }
                let chunk = packed.get(index / CHUNK * 128 * width..)?;
                let (row, lane) = (index % CHUNK / LANES, index % LANES);
                let (word, shift) = (row * width / BITS, row * width % BITS);
                let at = |word: usize| {
                    let (bytes, _) = chunk.get((word * LANES + lane) * BYTES..)?.split_first_chunk::<BYTES>()?;
                    Some(<$t>::from_le_bytes(*bytes))
                };
                let mut v = at(word)? >> shift;
                if shift + width > BITS {
                    v |= at(word + 1)? << (BITS - shift);
                }
                Some(v & (<$t>::MAX >> (BITS - width)))
            }

            fn copy(raw: &[u8], out: &mut [Self]) {
                let (values, _) = raw.as_chunks::<{ <$t>::BITS as usize / 8 }>();
                for (o, b) in out.iter_mut().zip(values) {
                    *o = <$t>::from_le_bytes(*b);
                }
            }

            fn to_u64(self) -> u64 {
                u64::from(self)
            }

            fn to_f64(self) -> f64 {
                self as f64
            }

            fn from_u64(v: u64) -> Self {
                v as $t
            }
        }
    };
}

packable!(u8, Lane::U8);
packable!(u16, Lane::U16);
packable!(u32, Lane::U32);
packable!(u64, Lane::U64);

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Packable + PartialEq + std::fmt::Debug>(width: u32, n: usize) {
        let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
        let values: Vec<T> = (0..n as u64).map(|i| T::from_u64(i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) & mask)).collect();
        let mut packed = Vec::new();
        T::pack(&values, width, &mut packed);
        assert_eq!(packed.len(), packed_bytes(T::LANE, width, n), "{:?} width {width} n {n}", T::LANE);
        let mut back = vec![T::default(); n];
        T::unpack(&packed, width, &mut back);
        assert_eq!(back, values, "{:?} width {width} n {n}", T::LANE);
        for i in (0..n).step_by(37) {
            assert_eq!(T::get(&packed, width, n, i), Some(values[i]));
        }
        assert_eq!(T::get(&packed, width, n, n), None);
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        for n in [0, 1, 31, 64, 129, 1000, 1023, 1024, 1025, 5000] {
            (0..=8).for_each(|w| check::<u8>(w, n));
            (0..=16).for_each(|w| check::<u16>(w, n));
            (0..=32).for_each(|w| check::<u32>(w, n));
            (0..=64).for_each(|w| check::<u64>(w, n));
        }
    }
}
