//! Overlays: computed columns as segments. The values of a computed field on the rows of a segment are encoded as a
//! segment of one column, whose rows and blocks are those of the real one, so that filters, groups, calculations and raw
//! rows read it like any stored column, and as fast.
//!
//! Owns: when an overlay is made, what of it, and that it is kept for the next question. Never does: change what is stored.
//!
//! What fills one is a [`Fill`]: a function from a segment and its blocks to values. It gets the whole source, so that it may
//! look at other rows and segments, too.

pub(crate) mod build;
mod expression;
mod kept;
pub(crate) mod masked;
mod related;
#[cfg(test)]
mod tests;

pub(crate) use kept::Kept;

use crate::EngineError;
use crate::answer::Relations;
use crate::caches::Caches;
use crate::plan::{Computation, Computed, Field, Plan};
use crate::relatives::Relatives;
use crate::run::Run;
use crate::scan::place::Source;
use build::ColumnBuilder;
use model::TimeNs;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use store::Segment;

/// Name of the column of an overlay.
pub(crate) const NAME: &str = "v";

/// Makes the cells of a computed column.
pub(crate) trait Fill {
    /// Puts the cells of some blocks of a segment (by position in the source) into the column.
    fn fill(&self, source: Source<'_>, index: usize, blocks: Range<usize>, run: &Run, out: &mut ColumnBuilder) -> Result<(), EngineError>;
}

/// The computed columns of one question.
#[derive(Debug)]
pub(crate) struct Overlays<'s> {
    columns: Vec<Arc<Computed>>,
    /// By segment and column.
    slots: Box<[OnceLock<Arc<Segment>>]>,
    /// Only blocks with events from here (inclusive) to there (exclusive) are asked for.
    times: (TimeNs, TimeNs),
    /// Only events from here to there are asked for what is found on them by others, if any are.
    reach: (TimeNs, TimeNs),
    relatives: Option<Relatives>,
    run: &'s Run,
    caches: Option<&'s Caches>,
    bytes: AtomicUsize,
}

impl<'s> Overlays<'s> {
    /// For a question that asks for these fields, and for relatives in a time that is longer by a margin at both ends.
    pub(crate) fn new<'f>(
        fields: impl Iterator<Item = &'f Field>,
        segments: &[Arc<Segment>],
        times: (TimeNs, TimeNs),
        margin_ns: i64,
        run: &'s Run,
        caches: Option<&'s Caches>,
    ) -> Overlays<'s> {
        let mut columns = Vec::new();
        for field in fields {
            add(field, &mut columns);
        }
        let slots = (0..segments.len() * columns.len()).map(|_| OnceLock::new()).collect();
        let relational = columns.iter().any(|c| c.is_relational());
        let margin_ns = if relational { margin_ns } else { 0 };
        let reach = (times.0.saturating_sub(margin_ns), times.1.saturating_add(margin_ns));
        let relatives = relational.then(|| Relatives::new(times, reach));
        Overlays { columns, slots, times, reach, relatives, run, caches, bytes: AtomicUsize::new(0) }
    }

    /// For a plan.
    pub(crate) fn of_plan(plan: &Plan, segments: &[Arc<Segment>], run: &'s Run, caches: &'s Caches) -> Overlays<'s> {
        let concurrency = plan.calculations.iter().any(|c| c.op == crate::CalcOp::Concurrency);
        let start = if concurrency { TimeNs::MIN } else { plan.start_ns };
        Overlays::new(plan.fields(), segments, (start, plan.end_ns), plan.margin_ns, run, Some(caches))
    }

    /// What is found of relatives. Only columns that were announced ask for it.
    pub(crate) fn relatives(&self) -> Result<&Relatives, EngineError> {
        self.relatives.as_ref().ok_or(EngineError::Internal { what: "relatives were not announced" })
    }

    /// Where relatives were looked for, if they were.
    pub(crate) fn relations(&self) -> Option<Relations> {
        self.relatives.as_ref().map(Relatives::told)
    }

    /// Bytes of all that were needed so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The overlay of a segment (by position in the source).
    pub(crate) fn get(&'s self, source: Source<'s>, index: usize, computed: &Computed) -> Result<&'s Arc<Segment>, EngineError> {
        let Some(column) = self.columns.iter().position(|c| c.key() == computed.key()) else {
            return Err(EngineError::Internal { what: "a computed field was not announced" });
        };
        let slot = &self.slots[index * self.columns.len() + column];
        if let Some(overlay) = slot.get() {
            return Ok(overlay);
        }
        let segment = &source.segments[index];
        // What is found on other events changes with them.
        let relational = computed.is_relational();
        let blocks = self.blocks(segment, if relational { self.times } else { self.reach });
        let caches = self.caches.filter(|_| !relational);
        let kept = caches.and_then(|c| c.overlays.get(segment, computed.key(), &blocks));
        let overlay = match kept {
            Some(overlay) => overlay,
            None => {
                let overlay = self.make(source, index, computed, blocks.clone())?;
                if let Some(caches) = caches {
                    caches.overlays.put(segment, computed.key(), blocks, &overlay);
                }
                overlay
            }
        };
        self.count(overlay.bytes().len())?;
        Ok(slot.get_or_init(|| overlay))
    }

    /// The blocks of a segment that the question may read; all of them if that is most.
    fn blocks(&self, segment: &Segment, times: (TimeNs, TimeNs)) -> Range<usize> {
        let n = segment.n_blocks();
        let first = (0..n).find(|b| segment.block_times(*b).1 >= times.0).unwrap_or(n);
        let end = (first..n).find(|b| segment.block_times(*b).0 >= times.1).unwrap_or(n);
        if (end - first) * 2 >= n { 0..n } else { first..end }
    }

    fn make(&self, source: Source<'_>, index: usize, computed: &Computed, blocks: Range<usize>) -> Result<Arc<Segment>, EngineError> {
        let n_rows = source.segments[index].n_rows();
        // What it takes while it is made: rows and values before they are encoded.
        let room = n_rows * 16;
        self.count(room)?;
        let mut column = ColumnBuilder::new(n_rows, self.free() / self.run.threads.max(1));
        match &computed.how {
            Computation::Expression { expr, inputs } => {
                expression::Expression::new(expr, inputs).fill(source, index, blocks, self.run, &mut column)?;
            }
            Computation::Where { field, conditions, combination } => {
                let masked = masked::Masked { field: field.as_ref(), conditions, combination: *combination };
                masked.fill(source, index, blocks, self.run, &mut column)?;
            }
            Computation::Related { relation, field, conditions } => {
                let (relation, field) = (*relation, field.as_ref());
                let related = related::Related { key: computed.key(), relation, field, conditions, caches: self.caches };
                related.fill(source, index, blocks, self.run, &mut column)?;
            }
        }
        let overlay = column.finish()?;
        self.uncount(room);
        Ok(Arc::new(overlay))
    }

    /// Counts bytes of what relatives are found with.
    pub(crate) fn count_relatives(&self, bytes: usize) -> Result<(), EngineError> {
        self.count(bytes).map_err(|_| self.too_many_relatives())
    }

    /// Gives bytes back.
    pub(crate) fn uncount(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that may still be used.
    pub(crate) fn free(&self) -> usize {
        self.run.memory_bytes_max.saturating_sub(self.bytes())
    }

    /// Finding relatives takes more memory than the question may use.
    pub(crate) fn too_many_relatives(&self) -> EngineError {
        let hint = "narrow the time range, or ask about one dataset";
        EngineError::Memory { limit: self.run.memory_bytes_max, what: "relatives of events in their traces", hint }
    }

    /// Counts bytes towards what the question may use.
    fn count(&self, bytes: usize) -> Result<(), EngineError> {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.run.memory_bytes_max { Err(too_much(self.run)) } else { Ok(()) }
    }
}

/// The values take more memory than the question may use.
fn too_much(run: &Run) -> EngineError {
    let hint = "filter more, narrow the time range, or use fewer calculated fields";
    EngineError::Memory { limit: run.memory_bytes_max, what: "values of calculated fields", hint }
}

/// Adds a field with all computed fields that it needs.
fn add(field: &Field, columns: &mut Vec<Arc<Computed>>) {
    let Field::Computed(computed) = field else { return };
    if columns.iter().any(|c| c.key() == computed.key()) {
        return;
    }
    columns.push(Arc::clone(computed));
    match &computed.how {
        Computation::Expression { inputs, .. } => inputs.iter().for_each(|f| add(f, columns)),
        Computation::Where { field, conditions, .. } | Computation::Related { field, conditions, .. } => {
            field.iter().chain(conditions.iter().map(|c| &c.field)).for_each(|f| add(f, columns));
        }
    }
}
