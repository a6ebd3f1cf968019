//! The long chunks in the middle of a range as one piece: they stay for long, and need not be added up each time.
//!
//! Owns: which chunks those are, and when it is put together anew. Never does: read blocks, decide how long pieces are kept.

use super::Asked;
use super::keep::Numbers;
use super::piece::Piece;
use crate::EngineError;
use std::ops::Range;
use std::sync::{Arc, Weak};

/// Pieces of more bytes together are not kept as one as they are, only what decides which groups are in an answer.
pub(crate) const BYTES_MAX: usize = 24 << 20;
/// Fewer long chunks than this are not worth it.
const CHUNKS_MIN: usize = 3;
/// So many more long chunks, and it is put together anew.
const CHUNKS_MORE: usize = 2;

/// Neighbouring pieces as one.
#[derive(Debug)]
pub(super) struct Middle {
    parts: Vec<Weak<Piece>>,
    pub(super) piece: Arc<Piece>,
    /// The piece has nothing but what decides which groups are in an answer.
    pub(super) only: Option<Deciding>,
}

/// What is known of the fields of a piece that has not all of them.
#[derive(Debug)]
pub(super) struct Deciding {
    /// Which fields it has.
    pub(super) fields: Vec<bool>,
    /// Of fields with percentiles, how many numbers each group has, as far as that matters.
    pub(super) numbers: Vec<Option<Vec<u32>>>,
}

/// What takes the place of some pieces while groups are chosen.
pub(super) type Chooser = (Range<usize>, Arc<Middle>);

impl Middle {
    pub(super) fn bytes(&self) -> usize {
        let numbers: usize = self.only.iter().flat_map(|d| &d.numbers).flatten().map(|n| n.len() * 4).sum();
        self.piece.bytes + self.parts.len() * 8 + numbers
    }

    /// Where its parts are.
    fn find(&self, pieces: &[Option<Arc<Piece>>]) -> Option<Range<usize>> {
        let is = |part: &Weak<Piece>, piece: &Option<Arc<Piece>>| piece.as_ref().is_some_and(|p| Arc::as_ptr(p) == part.as_ptr());
        let first = self.parts.first()?;
        let start = pieces.iter().position(|piece| is(first, piece))?;
        let range = start..start + self.parts.len();
        let all = self.parts.iter().zip(pieces.get(range.clone())?).all(|(part, piece)| is(part, piece));
        all.then_some(range)
    }
}

/// One in so many long chunks is left out at the start: the start of the range will soon cut through it.
const LEFT_OUT: usize = 6;

/// The longest run of the longest chunks, without those at its start.
fn longest(lengths: &[i64]) -> Range<usize> {
    let longest_ns = lengths.iter().copied().max().unwrap_or(0);
    let (mut best, mut from) = (0..0, 0);
    for run in lengths.chunk_by(|a, b| a == b) {
        if run[0] == longest_ns && longest_ns > 0 && run.len() > best.len() {
            best = from..from + run.len();
        }
        from += run.len();
    }
    best.start + best.len() / LEFT_OUT..best.end
}

impl Asked<'_> {
    /// Puts one piece in the place of those in the middle; answers it if it is new. `lengths` are those of the pieces' chunks,
    /// 0 where it is none of a whole chunk.
    pub(super) fn shorten(
        &self,
        pieces: &mut Vec<Option<Arc<Piece>>>,
        lengths: &[i64],
        known: Option<Arc<Middle>>,
        n_missing: usize,
        (columns, distinct): Numbers<'_>,
    ) -> Result<(Option<Arc<Middle>>, Option<Chooser>), EngineError> {
        let known = known.and_then(|middle| Some((middle.find(pieces)?, middle)));
        let run = longest(lengths);
        let n_known = known.as_ref().map_or(0, |(range, _)| range.len());
        let parts: Vec<Arc<Piece>> = pieces[run.clone()].iter().flatten().map(Arc::clone).collect();
        let is_fit = parts.len() == run.len() && parts.iter().all(|p| p.complete && p.part_of.is_none());
        let bytes: usize = parts.iter().map(|p| p.bytes).sum();
        // Who asks for the first time may not ask again.
        let is_again = n_missing * 2 < pieces.len();
        if !(is_again && is_fit && run.len() >= (n_known + CHUNKS_MORE).max(CHUNKS_MIN)) {
            return Ok((None, known.and_then(|(range, middle)| self.put(middle, range, pieces))));
        }
        let (piece, only) = match bytes <= self.caches.middle_bytes_max {
            true => (self.join(None, &parts, columns, distinct)?, None),
            false => match self.join_deciding(&parts, columns, distinct)? {
                Some((piece, only)) => (Some(piece), Some(only)),
                None => (None, None),
            },
        };
        let Some(piece) = piece else { return Ok((None, None)) };
        let middle = Arc::new(Middle { parts: parts.iter().map(Arc::downgrade).collect(), piece: Arc::new(piece), only });
        let chooser = self.put(Arc::clone(&middle), run, pieces);
        Ok((Some(middle), chooser))
    }

    /// Puts it in the place of its parts, or answers where it is while groups are chosen, if it has what decides about them.
    fn put(&self, middle: Arc<Middle>, range: Range<usize>, pieces: &mut Vec<Option<Arc<Piece>>>) -> Option<Chooser> {
        let Some(only) = &middle.only else {
            pieces.splice(range, [Some(Arc::clone(&middle.piece))]);
            return None;
        };
        let deciding = self.deciding(middle.piece.n_groups)?;
        let has_all = deciding.iter().zip(&only.fields).all(|(wanted, has)| *has || !*wanted);
        (has_all && pieces.iter().all(Option::is_some)).then_some((range, middle))
    }
}
