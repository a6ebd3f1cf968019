//! The range of a question, cut at fixed times, and the segments that have events in each part.
//!
//! Owns: where the cuts are. Never does: know what is asked.

use crate::caches::Caches;
use crate::plan::Plan;
use crate::scan::place::Source;
use hashbrown::HashMap;
use model::TimeNs;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use store::Segment;
use store::segment::Origin;

/// Short chunks of a question at most.
const CHUNKS_MAX: i64 = 512;
/// With fewer chunks than this nothing is kept: reading is as fast.
const CHUNKS_MIN: i64 = 4;
/// Chunks that the next longer one takes the place of, where it is whole and no longer new.
const WIDER: i64 = 4;
/// The longest chunk is no longer than this part of the range: several threads have enough to do.
const LONGEST: i64 = 8;
/// The shortest chunk of a question without granularity.
const SHORTEST_NS: i64 = 1 << 30;

/// One part of the range.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) start_ns: TimeNs,
    pub(super) end_ns: TimeNs,
    /// Its length and which one it is of all chunks of this length; none if the range covers only a part of it.
    pub(super) place: Option<(i64, i64)>,
    /// The segments with events in it, ascending.
    pub(super) segments: Vec<u64>,
}

impl Chunk {
    /// Where the bucket begins that it is only a part of.
    pub(super) fn part_of(&self, plan: &Plan) -> Option<TimeNs> {
        let step_ns = plan.granularity_ns.filter(|_| plan.series)?;
        let bucket = self.start_ns.div_euclid(step_ns);
        let is_part = bucket == (self.end_ns - 1).div_euclid(step_ns) && self.end_ns - self.start_ns < step_ns;
        is_part.then_some(bucket * step_ns)
    }
}

/// The parts of a range, in order of time, as long ones as there can be; those without events are left out.
#[derive(Debug)]
pub(super) struct Chunks {
    pub(super) length_ns: i64,
    pub(super) list: Vec<Chunk>,
    /// Short chunks, ascending, each with a segment that has events in it.
    segments: Vec<(i64, u64)>,
    /// Segments that are known to be made of others, by id.
    made: HashMap<u64, Arc<Segment>>,
}

/// Whether the events of a segment in a chunk are those of some segments, which are then no longer `left`.
fn is_covered(id: u64, origins: &[Origin], chunk: &Chunk, by: &[u64], left: &mut usize) -> bool {
    if by.binary_search(&id).is_ok() {
        *left = left.saturating_sub(1);
        return true;
    }
    let is_outside = |o: &Origin| o.times.1 < chunk.start_ns || o.times.0 >= chunk.end_ns;
    !origins.is_empty() && origins.iter().all(|o| is_outside(o) || is_covered(o.id, o.origins(), chunk, by, left))
}

/// Whether a segment is among the origins of another.
fn is_origin(id: u64, origins: &[Origin]) -> bool {
    origins.iter().any(|o| o.id == id || is_origin(id, o.origins()))
}

/// The chunks in which a segment has events.
type Occupied = (Weak<Segment>, Arc<[i64]>);

/// In which chunks segments have events, by their id and the length of chunks.
#[derive(Debug, Default)]
pub(crate) struct Occupancy(Mutex<HashMap<(u64, i64), Occupied>>);

impl Occupancy {
    fn of(&self, segment: &Arc<Segment>, length_ns: i64) -> Option<Arc<[i64]>> {
        let (first, last) = segment.times();
        let (first, last) = (first.div_euclid(length_ns), last.div_euclid(length_ns));
        if last - first < 2 {
            return Some((first..=last).collect());
        }
        let key = (segment.id(), length_ns);
        if let Some((_, known)) = self.0.lock().get(&key) {
            return Some(Arc::clone(known));
        }
        let found: Arc<[i64]> = occupied(segment, length_ns)?.into();
        let mut all = self.0.lock();
        if all.len() >= all.capacity() {
            all.retain(|_, (segment, _)| segment.strong_count() > 0);
        }
        all.insert(key, (Arc::downgrade(segment), Arc::clone(&found)));
        Some(found)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.lock().values().map(|(_, list)| list.len() * 8 + 64).sum()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// The chunks in which a segment has events; none if its times can't be read (the scan will say why).
fn occupied(segment: &Segment, length_ns: i64) -> Option<Vec<i64>> {
    let mut out: Vec<i64> = Vec::new();
    let mut add = |chunk: i64| {
        if out.last() != Some(&chunk) {
            out.push(chunk);
        }
    };
    for block in 0..segment.n_blocks() {
        let (first, last) = segment.block_times(block);
        let (first, last) = (first.div_euclid(length_ns), last.div_euclid(length_ns));
        add(first);
        let mut chunk = first;
        while last - chunk > 1 {
            let next = segment.row_from(block, (chunk + 1).checked_mul(length_ns)?).ok()?;
            chunk = segment.time_of(block, next).ok()?.div_euclid(length_ns);
            add(chunk);
        }
        add(last);
    }
    Some(out)
}

impl Chunks {
    /// The chunks of a question; none if it is too small, or too large, for keeping pieces of it.
    pub(super) fn of(source: Source<'_>, plan: &Plan, caches: &Caches, key: &str) -> Option<Chunks> {
        let step_ns = plan.granularity_ns.filter(|_| plan.series).unwrap_or(SHORTEST_NS);
        let overlapping = source.segments.iter().filter(|s| s.n_rows() > 0 && s.times().0 < plan.end_ns && s.times().1 >= plan.start_ns);
        let (mut rows, mut first, mut last) = (0u64, TimeNs::MAX, TimeNs::MIN);
        for segment in overlapping.clone() {
            for block in 0..segment.n_blocks() {
                let (a, b) = segment.block_times(block);
                if a < plan.end_ns && b >= plan.start_ns {
                    rows += segment.block_rows(block) as u64;
                    (first, last) = (first.min(a), last.max(b));
                }
            }
        }
        let (first, last) = (first.max(plan.start_ns), last.min(plan.end_ns - 1));
        let most = ((rows / caches.chunk_rows.max(1)) as i64).min(CHUNKS_MAX);
        if most < CHUNKS_MIN || first > last {
            return None;
        }
        let steps = |length_ns: i64| last.div_euclid(length_ns).checked_sub(first.div_euclid(length_ns));
        let mut length_ns = step_ns;
        while steps(length_ns)? >= most {
            length_ns = length_ns.checked_mul(2)?;
        }
        // What is in a long bucket is put together from shorter chunks.
        while length_ns <= step_ns && length_ns % 2 == 0 && length_ns / 2 >= SHORTEST_NS && steps(length_ns / 2)? < most {
            length_ns /= 2;
        }
        let length_ns = caches.pieces.length(key, length_ns);
        let (first, last) = (first.div_euclid(length_ns), last.div_euclid(length_ns));
        let longest_ns = plan.end_ns.saturating_sub(plan.start_ns) / LONGEST;
        let mut segments = Vec::new();
        let mut made = HashMap::new();
        // Oldest first: then little is out of order.
        for segment in overlapping.rev() {
            if !segment.origins().is_empty() {
                made.insert(segment.id(), Arc::clone(segment));
            }
            let occupied = caches.occupancy.of(segment, length_ns)?;
            segments.extend(occupied.iter().filter(|index| (first..=last).contains(*index)).map(|index| (*index, segment.id())));
        }
        segments.sort();
        let mut chunks = Chunks { length_ns, list: Vec::new(), segments, made };
        let mut index = first;
        while index <= last {
            let start_ns = index.checked_mul(length_ns)?;
            let mut n = 1;
            loop {
                let wider = n * WIDER;
                let end_ns = start_ns.checked_add(length_ns.checked_mul(wider)?)?;
                let fits = index.rem_euclid(wider) == 0 && index + wider <= last && end_ns.saturating_sub(start_ns) <= longest_ns;
                if !fits || start_ns < plan.start_ns || end_ns > plan.end_ns {
                    break;
                }
                n = wider;
            }
            let end_ns = start_ns.checked_add(length_ns * n)?;
            let is_whole = start_ns >= plan.start_ns && end_ns <= plan.end_ns;
            let place = is_whole.then(|| (length_ns * n, index.div_euclid(n)));
            let part = Chunk { start_ns: start_ns.max(plan.start_ns), end_ns: end_ns.min(plan.end_ns), place, segments: Vec::new() };
            chunks.list.extend(chunks.inhabited(part, index, n));
            index += n;
        }
        Some(chunks)
    }

    /// A chunk of `n` short ones from `index` on with its segments; none if it has no events.
    fn inhabited(&self, mut chunk: Chunk, index: i64, n: i64) -> Option<Chunk> {
        let from = self.segments.partition_point(|s| s.0 < index);
        chunk.segments = self.segments[from..].iter().take_while(|s| s.0 < index + n).map(|s| s.1).collect();
        chunk.segments.sort_unstable();
        chunk.segments.dedup();
        (!chunk.segments.is_empty()).then_some(chunk)
    }

    /// Whether some segments, ascending, hold the same events of a chunk as those that it has now, which were made of them.
    pub(super) fn are_the_same(&self, chunk: &Chunk, segments: &[u64]) -> bool {
        let mut left = segments.len();
        let origins = |id| self.made.get(id).map_or(&[][..], |s| s.origins());
        chunk.segments.iter().all(|id| is_covered(*id, origins(id), chunk, segments, &mut left)) && left == 0
    }

    /// What a segment of a chunk has become.
    pub(super) fn now(&self, chunk: &Chunk, id: u64) -> u64 {
        let made_of_it = |now: &&u64| self.made.get(*now).is_some_and(|s| is_origin(id, s.origins()));
        if chunk.segments.contains(&id) { id } else { chunk.segments.iter().find(made_of_it).copied().unwrap_or(id) }
    }

    /// The shorter chunks in the place of a long one; nothing for the shortest.
    pub(super) fn parts(&self, chunk: &Chunk) -> Vec<Chunk> {
        let Some((length_ns, index)) = chunk.place.filter(|(length_ns, _)| *length_ns > self.length_ns) else { return Vec::new() };
        let (length_ns, n) = (length_ns / WIDER, length_ns / WIDER / self.length_ns);
        let part = |i: i64| {
            let index = index * WIDER + i;
            let (start_ns, end_ns) = (index * length_ns, (index + 1) * length_ns);
            let part = Chunk { start_ns, end_ns, place: Some((length_ns, index)), segments: Vec::new() };
            self.inhabited(part, index * n, n)
        };
        (0..WIDER).filter_map(part).collect()
    }
}
