//! Sequences of integers: constant, plain, or bit-packed above a base, per block or per chunk of 1,024,
//! with a list of exceptions where few values are much larger than the rest.
//!
//! Owns: choosing and reading the encoding of integers, codes and decimal floats. Never does: presence, checksums.

use super::format::{BlockMeta, Encoding};
use super::pack::{CHUNK, Lane, Packable, packed_bytes};

/// Bits needed for a value.
pub(super) fn bits_of(v: u64) -> u32 {
    64 - v.leading_zeros()
}

/// Appends `values` in the smallest encoding; fills in `encoding`, `lane`, `width` and `base` of the block.
/// The value is `base + packed × scale`; the scale is the caller's.
pub(super) fn write(values: &[i64], scale: i64, meta: &mut BlockMeta, out: &mut Vec<u8>) {
    let (min, max) = min_max(values);
    let scale = scale as u64;
    let spread = |a: i64, b: i64| (b.wrapping_sub(a) as u64) / scale;
    meta.base = min;
    let width = bits_of(spread(min, max));
    if width == 0 {
        meta.encoding = Encoding::Const;
        return;
    }
    let lane = Lane::of_width(width);
    let raw = values.len() * lane.bytes();
    let packed = packed_bytes(lane, width, values.len());
    // A base per chunk pays where values drift, as times do.
    let chunks: Vec<(i64, u32)> = if values.len() >= 2 * CHUNK && width > 8 {
        values.chunks(CHUNK).map(min_max).map(|(a, b)| (a, bits_of(spread(a, b)))).collect()
    } else {
        Vec::new()
    };
    let chunked = if chunks.is_empty() {
        usize::MAX
    } else {
        values.chunks(CHUNK).zip(&chunks).map(|(c, &(_, w))| 13 + packed_bytes(Lane::of_width(w), w, c.len())).sum()
    };
    meta.lane = lane;
    meta.width = width as u8;
    if scale == 1
        && values.len() >= CHUNK
        && let Some((narrow, patched)) = patched_width(values, min, width)
        && patched + raw / 32 < packed.min(raw).min(chunked)
    {
        meta.encoding = Encoding::Patched;
        meta.lane = Lane::of_width(narrow);
        meta.width = narrow as u8;
        write_patched(values, min, narrow, width, out);
    } else if chunked.saturating_add(raw / 16) < packed.min(raw) {
        meta.encoding = Encoding::Chunked;
        let mut offset = 13 * chunks.len();
        for (c, &(base, w)) in values.chunks(CHUNK).zip(&chunks) {
            out.extend_from_slice(&base.to_le_bytes());
            out.push(w as u8);
            out.extend_from_slice(&(offset as u32).to_le_bytes());
            offset += packed_bytes(Lane::of_width(w), w, c.len());
        }
        for (c, &(base, w)) in values.chunks(CHUNK).zip(&chunks) {
            pack_as(c, base, scale, Lane::of_width(w), w, out);
        }
    } else if packed < raw {
        meta.encoding = Encoding::Packed;
        pack_as(values, min, scale, lane, width, out);
    } else {
        meta.encoding = Encoding::Plain;
        for v in values {
            let v = v.wrapping_sub(min) as u64 / scale;
            out.extend_from_slice(&v.to_le_bytes()[..lane.bytes()]);
        }
    }
}

/// Bytes of an exception's value.
fn patch_bytes(width: u32) -> usize {
    if width <= 32 { 4 } else { 8 }
}

/// The width at which packing all values, and listing those that do not fit, takes the fewest bytes; and how many.
fn patched_width(values: &[i64], min: i64, width: u32) -> Option<(u32, usize)> {
    let mut of_width = [0usize; 65];
    for v in values {
        of_width[bits_of(v.wrapping_sub(min) as u64) as usize] += 1;
    }
    let mut beyond = 0;
    let mut best = None;
    for w in (1..width).rev() {
        beyond += of_width[w as usize + 1];
        let bytes = packed_bytes(Lane::of_width(w), w, values.len()) + 4 + beyond * (2 + patch_bytes(width));
        if best.is_none_or(|(_, b)| bytes < b) {
            best = Some((w, bytes));
        }
    }
    best
}

/// Number of exceptions, their positions, their values above the base; then all values, those of exceptions as 0.
fn write_patched(values: &[i64], min: i64, narrow: u32, width: u32, out: &mut Vec<u8>) {
    let fits = |v: i64| bits_of(v.wrapping_sub(min) as u64) <= narrow;
    let exceptions: Vec<usize> = (0..values.len()).filter(|i| !fits(values[*i])).collect();
    out.extend_from_slice(&(exceptions.len() as u32 | if patch_bytes(width) == 8 { WIDE } else { 0 }).to_le_bytes());
    for i in &exceptions {
        out.extend_from_slice(&(*i as u16).to_le_bytes());
    }
    for i in &exceptions {
        out.extend_from_slice(&(values[*i].wrapping_sub(min) as u64).to_le_bytes()[..patch_bytes(width)]);
    }
    let kept: Vec<i64> = values.iter().map(|v| if fits(*v) { *v } else { min }).collect();
    pack_as(&kept, min, 1, Lane::of_width(narrow), narrow, out);
}

/// Flag in the number of exceptions: their values take eight bytes instead of four.
const WIDE: u32 = 1 << 31;

/// The exceptions of a `Patched` block (positions, values), and its packed values.
struct Patches<'a> {
    positions: &'a [[u8; 2]],
    values: &'a [u8],
    wide: usize,
    packed: &'a [u8],
}

impl<'a> Patches<'a> {
    fn of(data: &'a [u8]) -> Option<Patches<'a>> {
        let (head, rest) = data.split_first_chunk::<4>()?;
        let head = u32::from_le_bytes(*head);
        let (n, wide) = ((head & !WIDE) as usize, if head & WIDE == 0 { 4 } else { 8 });
        let (positions, rest) = rest.split_at_checked(2 * n)?;
        let (values, packed) = rest.split_at_checked(wide * n)?;
        Some(Patches { positions: positions.as_chunks().0, values, wide, packed })
    }

    fn value(&self, i: usize) -> u64 {
        let mut word = [0; 8];
        word[..self.wide].copy_from_slice(&self.values[i * self.wide..(i + 1) * self.wide]);
        u64::from_le_bytes(word)
    }

    /// (position, value above the base) of each exception.
    fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.positions.iter().enumerate().map(|(i, p)| (u16::from_le_bytes(*p) as usize, self.value(i)))
    }
}

fn pack_as(values: &[i64], base: i64, scale: u64, lane: Lane, width: u32, out: &mut Vec<u8>) {
    fn go<T: Packable>(values: &[i64], base: i64, scale: u64, width: u32, out: &mut Vec<u8>) {
        let shifted: Vec<T> = if scale == 1 {
            values.iter().map(|v| T::from_u64(v.wrapping_sub(base) as u64)).collect()
        } else {
            values.iter().map(|v| T::from_u64(v.wrapping_sub(base) as u64 / scale)).collect()
        };
        T::pack(&shifted, width, out);
    }
    match lane {
        Lane::U8 => go::<u8>(values, base, scale, width, out),
        Lane::U16 => go::<u16>(values, base, scale, width, out),
        Lane::U32 => go::<u32>(values, base, scale, width, out),
        Lane::U64 => go::<u64>(values, base, scale, width, out),
    }
}

fn min_max(values: &[i64]) -> (i64, i64) {
    values.iter().fold((i64::MAX, i64::MIN), |(a, b), &v| (a.min(v), b.max(v)))
}

/// Appends codes, each at most `max_code`, with one width for the whole column.
pub(super) fn write_codes(codes: &[u32], max_code: u32, meta: &mut BlockMeta, out: &mut Vec<u8>) {
    meta.base = 0;
    if let Some(&first) = codes.first()
        && codes.iter().all(|&c| c == first)
    {
        meta.encoding = Encoding::Const;
        meta.base = i64::from(first);
        return;
    }
    let width = bits_of(u64::from(max_code)).max(1);
    let lane = Lane::of_width(width);
    meta.lane = lane;
    meta.width = width as u8;
    fn go<T: Packable>(codes: &[u32], width: u32, meta: &mut BlockMeta, out: &mut Vec<u8>) {
        if packed_bytes(T::LANE, width, codes.len()) < codes.len() * T::LANE.bytes() {
            meta.encoding = Encoding::Packed;
            let narrow: Vec<T> = codes.iter().map(|&c| T::from_u64(u64::from(c))).collect();
            T::pack(&narrow, width, out);
        } else {
            meta.encoding = Encoding::Plain;
            for c in codes {
                out.extend_from_slice(&c.to_le_bytes()[..T::LANE.bytes()]);
            }
        }
    }
    match lane {
        Lane::U8 => go::<u8>(codes, width, meta, out),
        Lane::U16 => go::<u16>(codes, width, meta, out),
        Lane::U32 | Lane::U64 => go::<u32>(codes, width, meta, out),
    }
}

/// The bytes from a value on that starts a chunk.
fn bytes_from<'a>(meta: &BlockMeta, data: &'a [u8], from: usize) -> &'a [u8] {
    let plain = meta.encoding == Encoding::Plain;
    let at = if plain { from * meta.lane.bytes() } else { from / CHUNK * 128 * usize::from(meta.width) };
    data.get(at..).unwrap_or(&[])
}

/// Reads codes of lane type `T` into `out`, one per stored value from `from` on, which starts a chunk.
pub(super) fn read_codes<T: Packable>(meta: &BlockMeta, data: &[u8], from: usize, out: &mut [T]) {
    match meta.encoding {
        Encoding::Const => out.fill(T::from_u64(meta.base as u64)),
        Encoding::Plain => read_plain(meta.lane, bytes_from(meta, data, from), out, |v| v),
        Encoding::Packed if meta.lane == T::LANE => T::unpack(bytes_from(meta, data, from), u32::from(meta.width), out),
        Encoding::Packed | Encoding::Chunked | Encoding::Patched => {
            for (i, o) in out.iter_mut().enumerate() {
                *o = T::from_u64(get(meta, data, 1, from + i).unwrap_or(0) as u64);
            }
        }
    }
}

fn read_plain<T: Packable>(lane: Lane, data: &[u8], out: &mut [T], map: impl Fn(u64) -> u64) {
    if lane == T::LANE {
        T::copy(data, out);
        return;
    }
    let bytes = lane.bytes();
    for (o, b) in out.iter_mut().zip(data.chunks_exact(bytes)) {
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(b);
        *o = T::from_u64(map(u64::from_le_bytes(word)));
    }
}

/// A few plain values, for which the buffer of a chunk would cost more than they do.
fn read_few<T: Packable, O>(data: &[u8], out: &mut [O], value: impl Fn(u64) -> O) {
    for (i, o) in out.iter_mut().enumerate() {
        let mut word = [0; 8];
        if let Some(bytes) = data.get(i * T::LANE.bytes()..(i + 1) * T::LANE.bytes()) {
            word[..bytes.len()].copy_from_slice(bytes);
        }
        *o = value(u64::from_le_bytes(word));
    }
}

/// Reads integers into `out`, one per stored value from `from` on, which starts a chunk.
pub(super) fn read(meta: &BlockMeta, data: &[u8], scale: i64, from: usize, out: &mut [i64]) {
    match meta.encoding {
        Encoding::Const => out.fill(meta.base),
        Encoding::Packed | Encoding::Plain => {
            let (plain, data) = (meta.encoding == Encoding::Plain, bytes_from(meta, data, from));
            widen(meta.lane, plain, data, u32::from(meta.width), meta.base, scale, out);
        }
        Encoding::Patched => {
            let Some(patches) = Patches::of(data) else { return out.fill(0) };
            let packed = bytes_from(meta, patches.packed, from);
            widen(meta.lane, false, packed, u32::from(meta.width), meta.base, scale, out);
            for (position, value) in patches.iter() {
                if let Some(o) = out.get_mut(position.wrapping_sub(from)) {
                    *o = meta.base.wrapping_add(value as i64);
                }
            }
        }
        Encoding::Chunked => {
            for (i, chunk) in out.chunks_mut(CHUNK).enumerate() {
                if let Some((base, width, body)) = chunk_of(data, from / CHUNK + i) {
                    widen(Lane::of_width(width), false, body, width, base, scale, chunk);
                } else {
                    chunk.fill(0);
                }
            }
        }
    }
}

/// Reads decimal floats into `out`, from the value `from` on, which starts a chunk: (base + packed) / power. Integers beyond
/// 2^53 in size do not occur here.
pub(super) fn read_decimals(meta: &BlockMeta, data: &[u8], power: f64, from: usize, out: &mut [f64]) {
    match meta.encoding {
        Encoding::Const => out.fill(meta.base as f64 / power),
        Encoding::Packed | Encoding::Plain => {
            let (plain, data) = (meta.encoding == Encoding::Plain, bytes_from(meta, data, from));
            divide(meta.lane, plain, data, u32::from(meta.width), meta.base, power, out);
        }
        Encoding::Patched => {
            let Some(patches) = Patches::of(data) else { return out.fill(0.0) };
            let packed = bytes_from(meta, patches.packed, from);
            divide(meta.lane, false, packed, u32::from(meta.width), meta.base, power, out);
            for (position, value) in patches.iter() {
                if let Some(o) = out.get_mut(position.wrapping_sub(from)) {
                    *o = meta.base.wrapping_add(value as i64) as f64 / power;
                }
            }
        }
        Encoding::Chunked => {
            for (i, chunk) in out.chunks_mut(CHUNK).enumerate() {
                if let Some((base, width, body)) = chunk_of(data, from / CHUNK + i) {
                    divide(Lane::of_width(width), false, body, width, base, power, chunk);
                } else {
                    chunk.fill(0.0);
                }
            }
        }
    }
}

/// Like [`widen`], to floats. Base and sum are exact in a float, as the writer made sure.
fn divide(lane: Lane, plain: bool, data: &[u8], width: u32, base: i64, power: f64, out: &mut [f64]) {
    fn go<T: Packable>(plain: bool, data: &[u8], width: u32, base: i64, power: f64, out: &mut [f64]) {
        if plain && out.len() < CHUNK / 8 {
            return read_few::<T, _>(data, out, |v| (base as f64 + v as f64) / power);
        }
        let mut buffer = [T::default(); CHUNK];
        let step = if plain { CHUNK * T::LANE.bytes() } else { 128 * width as usize };
        let base = base as f64;
        for (i, chunk) in out.chunks_mut(CHUNK).enumerate() {
            let body = data.get(i * step..).unwrap_or(&[]);
            let buffer = &mut buffer[..chunk.len()];
            if plain {
                T::copy(body, buffer);
            } else {
                T::unpack(&body[..body.len().min(step)], width, buffer);
            }
            for (o, v) in chunk.iter_mut().zip(buffer.iter()) {
                *o = base + v.to_f64();
            }
            if power != 1.0 {
                super::divide::divide(chunk, power);
            }
        }
    }
    match lane {
        Lane::U8 => go::<u8>(plain, data, width, base, power, out),
        Lane::U16 => go::<u16>(plain, data, width, base, power, out),
        Lane::U32 => go::<u32>(plain, data, width, base, power, out),
        Lane::U64 => go::<u64>(plain, data, width, base, power, out),
    }
}

/// Base, width and packed bytes of a chunk of a `Chunked` block.
fn chunk_of(data: &[u8], chunk: usize) -> Option<(i64, u32, &[u8])> {
    let head = data.get(chunk * 13..chunk * 13 + 13)?;
    let base = i64::from_le_bytes(*head.first_chunk::<8>()?);
    let width = u32::from(head[8]);
    let offset = u32::from_le_bytes(*head[9..].first_chunk::<4>()?) as usize;
    (width <= 64).then_some((base, width, data.get(offset..)?))
}

/// Unpacks chunk by chunk through a small buffer and adds the base.
fn widen(lane: Lane, plain: bool, data: &[u8], width: u32, base: i64, scale: i64, out: &mut [i64]) {
    fn go<T: Packable>(plain: bool, data: &[u8], width: u32, base: i64, scale: i64, out: &mut [i64]) {
        if plain && out.len() < CHUNK / 8 {
            return read_few::<T, _>(data, out, |v| base.wrapping_add((v as i64).wrapping_mul(scale)));
        }
        let mut buffer = [T::default(); CHUNK];
        let step = if plain { CHUNK * T::LANE.bytes() } else { 128 * width as usize };
        for (i, chunk) in out.chunks_mut(CHUNK).enumerate() {
            let body = data.get(i * step..).unwrap_or(&[]);
            let buffer = &mut buffer[..chunk.len()];
            if plain {
                T::copy(body, buffer);
            } else {
                T::unpack(&body[..body.len().min(step)], width, buffer);
            }
            if scale == 1 {
                for (o, v) in chunk.iter_mut().zip(buffer.iter()) {
                    *o = base.wrapping_add(v.to_u64() as i64);
                }
            } else {
                for (o, v) in chunk.iter_mut().zip(buffer.iter()) {
                    *o = base.wrapping_add((v.to_u64() as i64).wrapping_mul(scale));
                }
            }
        }
    }
    match lane {
        Lane::U8 => go::<u8>(plain, data, width, base, scale, out),
        Lane::U16 => go::<u16>(plain, data, width, base, scale, out),
        Lane::U32 => go::<u32>(plain, data, width, base, scale, out),
        Lane::U64 => go::<u64>(plain, data, width, base, scale, out),
    }
}

/// The stored values at places that ascend, one after the other: cheaper than decoding all if they are few. A place beyond the
/// values gives 0.
pub(super) fn gather(meta: &BlockMeta, data: &[u8], scale: i64, places: &[u32], out: &mut Vec<i64>) {
    fn packed<T: Packable>(data: &[u8], width: u32, base: i64, scale: i64, n: usize, places: &[u32], out: &mut Vec<i64>) {
        out.extend(places.iter().map(|at| {
            let v = T::get(data, width, n, *at as usize).unwrap_or_default();
            base.wrapping_add((v.to_u64() as i64).wrapping_mul(scale))
        }));
    }
    let n = meta.n_stored as usize;
    let any = |data: &[u8], out: &mut Vec<i64>| {
        let width = u32::from(meta.width);
        match meta.lane {
            Lane::U8 => packed::<u8>(data, width, meta.base, scale, n, places, out),
            Lane::U16 => packed::<u16>(data, width, meta.base, scale, n, places, out),
            Lane::U32 => packed::<u32>(data, width, meta.base, scale, n, places, out),
            Lane::U64 => packed::<u64>(data, width, meta.base, scale, n, places, out),
        }
    };
    out.clear();
    match meta.encoding {
        Encoding::Const => out.resize(places.len(), meta.base),
        Encoding::Packed => any(data, out),
        Encoding::Patched => {
            let Some(patches) = Patches::of(data) else { return out.resize(places.len(), 0) };
            any(patches.packed, out);
            let mut patched = patches.iter().peekable();
            for (o, at) in out.iter_mut().zip(places) {
                while patched.next_if(|(p, _)| *p < *at as usize).is_some() {}
                if let Some((_, value)) = patched.peek().filter(|(p, _)| *p == *at as usize) {
                    *o = meta.base.wrapping_add(*value as i64);
                }
            }
        }
        Encoding::Plain | Encoding::Chunked => {
            out.extend(places.iter().map(|at| get(meta, data, scale, *at as usize).unwrap_or(0)));
        }
    }
}

/// One stored value.
pub(super) fn get(meta: &BlockMeta, data: &[u8], scale: i64, index: usize) -> Option<i64> {
    let n = meta.n_stored as usize;
    if index >= n {
        return None;
    }
    let packed = |lane: Lane, data: &[u8], width: u32, n: usize, index: usize| match lane {
        Lane::U8 => u8::get(data, width, n, index).map(u64::from),
        Lane::U16 => u16::get(data, width, n, index).map(u64::from),
        Lane::U32 => u32::get(data, width, n, index).map(u64::from),
        Lane::U64 => u64::get(data, width, n, index),
    };
    let value = match meta.encoding {
        Encoding::Const => return Some(meta.base),
        Encoding::Plain => {
            let bytes = meta.lane.bytes();
            let mut word = [0; 8];
            word[..bytes].copy_from_slice(data.get(index * bytes..(index + 1) * bytes)?);
            u64::from_le_bytes(word)
        }
        Encoding::Packed => packed(meta.lane, data, u32::from(meta.width), n, index)?,
        Encoding::Patched => {
            let patches = Patches::of(data)?;
            match patches.positions.binary_search_by_key(&index, |p| u16::from_le_bytes(*p) as usize) {
                Ok(i) => patches.value(i),
                Err(_) => packed(meta.lane, patches.packed, u32::from(meta.width), n, index)?,
            }
        }
        Encoding::Chunked => {
            let (base, width, body) = chunk_of(data, index / CHUNK)?;
            let v = packed(Lane::of_width(width), body, width, CHUNK, index % CHUNK)?;
            return Some(base.wrapping_add((v as i64).wrapping_mul(scale)));
        }
    };
    Some(meta.base.wrapping_add((value as i64).wrapping_mul(scale)))
}
