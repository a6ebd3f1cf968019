//! Pieces that are kept between questions, within a budget of bytes; the questions asked longest ago go first.
//!
//! Owns: what a piece is kept under. Never does: make pieces.

use super::QUESTION_BYTES_MAX;
use super::chunks::{Chunk, Chunks};
use super::middle::Middle;
use super::piece::Piece;
use crate::caches::ColumnIds;
use crate::plan::Plan;
use crate::scan::place::Source;
use hashbrown::HashMap;
use model::query::Combination;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The columns whose numbers the pieces of a question use: of breakdowns, and of values that are counted.
pub(super) type Numbers<'a> = (&'a [Arc<ColumnIds>], &'a [Option<Arc<ColumnIds>>]);

/// A piece and what it depends on beside the question.
#[derive(Debug)]
struct Kept {
    segments: Box<[u64]>,
    piece: Arc<Piece>,
}

/// The pieces of one question.
#[derive(Debug, Default)]
struct Question {
    /// By the length of the chunk and its position in all time.
    pieces: HashMap<(i64, i64), Kept>,
    middle: Option<Arc<Middle>>,
    context: Vec<u8>,
    numbers: Vec<Arc<ColumnIds>>,
    /// It is better answered without pieces.
    refused: bool,
    bytes: usize,
    last_used: u64,
}

impl Question {
    fn piece(&mut self, chunks: &Chunks, chunk: &Chunk) -> Option<Arc<Piece>> {
        let kept = self.pieces.get_mut(&chunk.place?)?;
        if *kept.segments != *chunk.segments {
            if !chunks.are_the_same(chunk, &kept.segments) {
                return None;
            }
            // Its segments were merged, and it is kept under what they became.
            kept.segments = chunk.segments.as_slice().into();
            let mut segments = kept.piece.segments.lock();
            segments.iter_mut().for_each(|id| *id = chunks.now(chunk, *id));
            segments.sort_unstable();
            segments.dedup();
        }
        Some(Arc::clone(&kept.piece))
    }

    /// What is known of chunks, or of parts of them.
    fn known(&mut self, chunks: &Chunks) -> Known {
        let mut known = Known { middle: self.middle.clone(), ..Known::default() };
        for chunk in &chunks.list {
            let from = known.parts.len();
            self.add(chunks, chunk, &mut known);
            known.of.push(from..known.parts.len());
        }
        known
    }

    fn add(&mut self, chunks: &Chunks, chunk: &Chunk, known: &mut Known) {
        let (piece, from) = (self.piece(chunks, chunk), known.parts.len());
        if piece.is_none() && !self.pieces.is_empty() {
            for part in chunks.parts(chunk) {
                self.add(chunks, &part, known);
            }
            if known.pieces[from..].iter().any(Option::is_some) {
                return;
            }
            known.parts.truncate(from);
            known.pieces.truncate(from);
        }
        known.parts.push(chunk.clone());
        known.pieces.push(piece);
    }

    fn measure(&mut self) {
        let middle = self.middle.as_ref().map_or(0, |middle| middle.bytes());
        self.bytes = 512 + middle + self.pieces.values().map(|k| k.piece.bytes + k.segments.len() * 8 + 64).sum::<usize>();
    }
}

/// Chunks whose pieces are known, and those that have to be read.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) parts: Vec<Chunk>,
    pub(super) pieces: Vec<Option<Arc<Piece>>>,
    /// For each chunk of the question its parts: itself, unless some parts of it are known and it is not.
    pub(super) of: Vec<Range<usize>>,
    pub(super) middle: Option<Arc<Middle>>,
}

/// All pieces that are kept.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    questions: Mutex<HashMap<String, Question>>,
    tick: AtomicU64,
    /// Pieces that were made, ever.
    made: AtomicU64,
}

/// What makes two questions the same one, whatever their range, order and limit, and the length of their chunks.
pub(super) fn key(source: Source<'_>, plan: &Plan, totals: bool) -> String {
    let dataset = source.datasets.first().map_or("", |d| d);
    let several = source.datasets.iter().any(|d| **d != *dataset);
    let step_ns = plan.granularity_ns.filter(|_| plan.series);
    let any = plan.combination == Combination::Or;
    let Plan { conditions, breakdowns, calculations, usage_mode, .. } = plan;
    let calculations: Vec<_> = calculations.iter().map(|c| (c.op, &c.field, c.exact)).collect();
    format!("{dataset:?} {several} {totals} {step_ns:?} {any} {usage_mode} {conditions:?} {breakdowns:?} {calculations:?}")
}

/// The same for chunks of one length.
pub(super) fn with_length(key: &str, length_ns: i64) -> String {
    format!("{key} {length_ns}")
}

fn flat((columns, distinct): Numbers<'_>) -> impl Iterator<Item = &Arc<ColumnIds>> {
    columns.iter().chain(distinct.iter().flatten())
}

impl Pieces {
    /// The pieces of a question, as far as they are known; none if it is not to be answered from pieces.
    pub(super) fn find(&self, key: &str, chunks: &Chunks, context: &[u8], numbers: Numbers<'_>) -> Option<Known> {
        let mut questions = self.questions.lock();
        let Some(question) = questions.get_mut(key) else { return Some(Question::default().known(chunks)) };
        if question.refused {
            return None;
        }
        let same = question.context == context
            && question.numbers.len() == flat(numbers).count()
            && question.numbers.iter().zip(flat(numbers)).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same {
            questions.remove(key);
            return Some(Question::default().known(chunks));
        }
        question.last_used = self.tick.fetch_add(1, Ordering::Relaxed);
        Some(question.known(chunks))
    }

    /// The best length of chunks, or half of it if chunks of that were used last: as events come and go, the best one may
    /// change with every question.
    pub(super) fn length(&self, key: &str, best_ns: i64) -> i64 {
        let questions = self.questions.lock();
        let used = |length_ns: i64| questions.get(&with_length(key, length_ns)).filter(|q| !q.refused).map(|q| q.last_used);
        let half_ns = best_ns / 2;
        if best_ns % 2 == 0 && used(half_ns) > used(best_ns) { half_ns } else { best_ns }
    }

    /// Keeps the pieces of whole chunks.
    pub(super) fn keep(
        &self,
        key: String,
        chunks: &Chunks,
        context: &[u8],
        numbers: Numbers<'_>,
        pieces: &[(&Chunk, Arc<Piece>)],
        middle: Option<Arc<Middle>>,
    ) {
        let mut questions = self.questions.lock();
        let question = questions.entry(key).or_default();
        question.context = context.to_vec();
        question.numbers = flat(numbers).map(Arc::clone).collect();
        question.last_used = self.tick.fetch_add(1, Ordering::Relaxed);
        // A window that moves on leaves pieces behind.
        if let (Some(first), Some(last)) = (chunks.list.first(), chunks.list.last()) {
            let length_ns = last.end_ns.saturating_sub(first.start_ns);
            let (from, to) = (first.start_ns.saturating_sub(length_ns), last.end_ns.saturating_add(length_ns));
            question.pieces.retain(|(length_ns, index), _| {
                let start_ns = length_ns.saturating_mul(*index);
                start_ns < to && start_ns.saturating_add(*length_ns) > from
            });
        }
        for (chunk, piece) in pieces {
            if let Some(place) = chunk.place.filter(|_| piece.complete) {
                question.pieces.insert(place, Kept { segments: chunk.segments.as_slice().into(), piece: Arc::clone(piece) });
            }
        }
        question.middle = middle.or(question.middle.take());
        question.measure();
        // Parts of longer chunks are kept for late events, and for when the start of the range cuts through; not at any price.
        if question.bytes > QUESTION_BYTES_MAX {
            question.pieces.retain(|place, _| chunks.list.iter().any(|c| c.place == Some(*place)));
            question.measure();
        }
        if question.bytes > QUESTION_BYTES_MAX {
            question.middle = None;
            question.measure();
        }
        if question.bytes > QUESTION_BYTES_MAX {
            *question = Question { refused: true, bytes: 512, last_used: question.last_used, ..Question::default() };
        }
    }

    /// Remembers that a question is better answered without pieces.
    pub(super) fn refuse(&self, key: String) {
        let last_used = self.tick.fetch_add(1, Ordering::Relaxed);
        self.questions.lock().insert(key, Question { refused: true, bytes: 512, last_used, ..Question::default() });
    }

    /// Counts pieces that were made.
    pub(super) fn count_made(&self, n: usize) {
        self.made.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// The lengths of kept chunks that begin at a time or later.
    #[cfg(test)]
    pub(super) fn lengths_from(&self, from_ns: i64) -> std::collections::BTreeSet<i64> {
        let questions = self.questions.lock();
        let places = questions.values().flat_map(|q| q.pieces.keys());
        places.filter(|(length_ns, index)| length_ns * index >= from_ns).map(|place| place.0).collect()
    }

    /// Questions with a middle that has all, or only what decides about groups.
    #[cfg(test)]
    pub(super) fn n_middles(&self, only_deciding: bool) -> usize {
        self.questions.lock().values().filter_map(|q| q.middle.as_ref()).filter(|m| m.only.is_some() == only_deciding).count()
    }

    #[cfg(test)]
    pub(super) fn n_kept(&self) -> usize {
        self.questions.lock().values().map(|q| q.pieces.len()).sum()
    }

    /// Drops questions until no more than `bytes_max` are kept, and those whose numbers are `stale`; answers what stays.
    pub(crate) fn tidy(&self, bytes_max: usize, stale: impl Fn(&Arc<ColumnIds>) -> bool) -> usize {
        let mut questions = self.questions.lock();
        questions.retain(|_, q| !q.numbers.iter().any(&stale));
        let mut total: usize = questions.iter().map(|(key, q)| key.len() + q.bytes).sum();
        if total > bytes_max {
            let mut ages: Vec<(u64, String)> = questions.iter().map(|(key, q)| (q.last_used, key.clone())).collect();
            ages.sort_unstable();
            for (_, key) in ages {
                if total <= bytes_max {
                    break;
                }
                total -= key.len() + questions.remove(&key).map_or(0, |q| q.bytes);
            }
        }
        total
    }
}
