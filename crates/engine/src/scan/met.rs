//! Numbers for the values that a question meets, where it meets few of a large dictionary.
//!
//! Which codes it meets is found first; then their values are read, and nothing else of the dictionary is kept. Where a
//! filter has to be gone through for it, that is done once: a later question that meets others has the dictionary decoded as
//! a whole, and kept.
//!
//! Owns: finding the codes, numbering their values. Never does: decide for which columns.

use super::Buffers;
use super::keys::{SINGLE_ROWS, each_code};
use super::place::Place;
use super::prepare::Ready;
use crate::EngineError;
use crate::bits::{each_one, ones};
use crate::caches::{CodeMap, ColumnIds};
use crate::intern::{InternBuffers, Key};
use crate::run::Run;
use model::TimeNs;
use std::sync::Arc;

/// If more than one value in so many is met, all get numbers: together that costs less for each.
const MET_SHARE: usize = 8;
/// The same where other values have numbers already, among which each is looked for.
const MET_SHARE_KNOWN: usize = 2;

/// A column whose values are to be numbered, in one segment.
pub(super) struct Unmet<'s> {
    pub(super) column: Place<'s>,
    pub(super) map: Arc<CodeMap>,
    /// Codes that are met, as bits.
    codes: Vec<u64>,
}

impl<'s> Unmet<'s> {
    pub(super) fn new(column: Place<'s>, map: Arc<CodeMap>) -> Unmet<'s> {
        let codes = vec![0; map.len() / 64 + 1];
        Unmet { column, map, codes }
    }

    fn n_met(&self) -> usize {
        ones(&self.codes)
    }

    /// Numbers the values that are met.
    pub(super) fn number(&self, ids: &ColumnIds) -> Result<(), EngineError> {
        let mut codes = Vec::with_capacity(self.n_met());
        each_one(&self.codes, |code| {
            if code < self.map.len() && self.map.get(code).is_none() {
                codes.push(code as u32);
            }
        });
        let kind = self.column.kind;
        let (mut keys, mut texts, mut starts) = (Vec::with_capacity(codes.len()), Vec::new(), Vec::with_capacity(codes.len()));
        self.column.dict_pages()?.read(&codes, |raw| {
            starts.push(texts.len());
            keys.push(Key::of_entry(kind, raw));
            if kind.id().is_none() {
                texts.extend_from_slice(raw);
            }
        })?;
        let text = |i: usize| &texts[starts[i]..starts.get(i + 1).copied().unwrap_or(texts.len())];
        let number = |i: usize, number| self.map.set(codes[i] as usize, number);
        ids.interner.intern_all(keys.len(), |i| keys[i], text, &mut InternBuffers::default(), number);
        Ok(())
    }
}

/// Whether a question meets so few values of a column that only those are worth numbers.
pub(super) fn are_few(of_segments: &[Unmet<'_>], ids: &ColumnIds) -> bool {
    let n_met: usize = of_segments.iter().map(Unmet::n_met).sum();
    let share = if ids.interner.bound() > 0 { MET_SHARE_KNOWN } else { MET_SHARE };
    n_met <= of_segments.iter().map(|u| u.map.len()).sum::<usize>() / share
}

/// Finds what the rows of a segment up to a time have in some columns.
pub(super) fn meet(
    ready: &Ready<'_>,
    end_ns: TimeNs,
    columns: &mut [(usize, Unmet<'_>)],
    buffers: &mut Buffers,
    run: &Run,
) -> Result<(), EngineError> {
    let Buffers { scratch, filter, .. } = buffers;
    for block in 0..ready.segment.n_blocks() {
        let (first, last) = ready.segment.block_times(block);
        if first >= end_ns || last < ready.lead_ns {
            continue;
        }
        run.check()?;
        let low = ready.segment.row_from(block, ready.lead_ns)?;
        let high = ready.segment.row_from(block, end_ns)?.max(low);
        scratch.want(low, high);
        let rows = ready.filter.select(ready.segment.block_rows(block), block, (low, high), filter, scratch)?;
        if rows.len() == 0 {
            continue;
        }
        for (_, Unmet { column, codes, .. }) in &mut *columns {
            // A missing cell has the code after the last.
            let mut meet = |code: usize| codes[code / 64] |= 1 << (code % 64);
            if rows.len() <= SINGLE_ROWS {
                each_code(column, block, rows, |_, code| meet(code))?;
                continue;
            }
            rows.each_code(column.codes(block, scratch)?, |_, code| meet(code));
        }
    }
    Ok(())
}
