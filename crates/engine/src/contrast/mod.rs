//! Contrast: what is different about a selection of events, over every column at once.
//!
//! Owns: the two populations, counting them per column, and the order of columns. Never does: read all rows where
//! segments already know their counts: only selected rows are touched.

mod answer;
mod buckets;
mod column;
mod plan;
mod rows;
#[cfg(test)]
mod tests;

pub use answer::{ContrastAnswer, ContrastColumn, ContrastValue, PopulationCount, Populations, Quantiles};
pub use plan::{ContrastPlan, Side, check_contrast};

use crate::overlay::Overlays;
use crate::run::parallel;
use crate::scan::place::Source;
use crate::{EngineError, Meta, Run};
use column::Totals;
use rows::Picked;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::Segment;

/// A segment and the rows of both populations in it.
pub(crate) struct Part<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) selection: Picked,
    pub(crate) other: Picked,
}

/// Compares the populations of a plan. `datasets` are the names of the segments' datasets, one each.
pub fn contrast(segments: &[Arc<Segment>], datasets: &[Arc<str>], plan: &ContrastPlan, run: &Run) -> Result<ContrastAnswer, EngineError> {
    let began = (run.clock)();
    let stopped = || -> Result<(), EngineError> {
        if run.cancel.load(Ordering::Relaxed) {
            return Err(EngineError::Cancelled);
        }
        if run.deadline.is_some_and(|d| (run.clock)() >= d) {
            return Err(EngineError::Deadline);
        }
        Ok(())
    };
    let times = (plan.selection.start_ns.min(plan.other.start_ns), plan.selection.end_ns.max(plan.other.end_ns));
    let overlays = Overlays::new(plan.fields(), segments, times, run, None);
    let source = Source { segments, datasets, overlays: &overlays };
    let picked = parallel(run.threads, segments.len(), |i| {
        stopped()?;
        let segment = &*segments[i];
        Ok(Part { segment, selection: rows::pick(source, i, &plan.selection)?, other: rows::pick(source, i, &plan.other)? })
    });
    let parts: Vec<Part<'_>> = picked.into_iter().collect::<Result<_, EngineError>>()?;
    let memory: usize = parts.iter().map(|p| p.selection.memory() + p.other.memory()).sum();
    if memory > run.memory_bytes_max {
        return Err(EngineError::Memory {
            limit: run.memory_bytes_max,
            what: "the rows of both populations",
            hint: "narrow the time range or the selection",
        });
    }
    let totals = Totals::of(&parts, plan)?;
    let names: Vec<Arc<str>> = match &plan.columns {
        Some(columns) => columns.clone(),
        None => {
            let names: BTreeSet<&str> = parts.iter().flat_map(|p| p.segment.columns().map(|c| c.name)).collect();
            names.into_iter().filter(|n| !plan.selected_by(n)).map(Arc::from).collect()
        }
    };
    let compared = parallel(run.threads, names.len(), |i| {
        stopped()?;
        column::compare(&names[i], &parts, &totals, plan)
    });
    let mut columns: Vec<ContrastColumn> = compared.into_iter().collect::<Result<_, EngineError>>()?;
    if totals.selection.events == 0 || totals.baseline.events == 0 {
        columns.iter_mut().for_each(|c| (c.score, c.significant) = (0.0, false));
    }
    columns.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.column.cmp(&b.column)));
    if plan.columns.is_none() {
        columns.truncate(plan.limit);
        if totals.selection.events == 0 {
            columns.clear();
        }
    }
    let rows_scanned = parts.iter().map(|p| p.segment.n_rows() as u64).sum();
    Ok(ContrastAnswer {
        populations: Populations {
            selection: PopulationCount { count: totals.selection.weight, words: plan.selection_words() },
            baseline: PopulationCount { count: totals.baseline.weight, words: plan.baseline_words() },
        },
        findings: Vec::new(),
        columns,
        meta: Meta {
            rows_scanned,
            rows_matched: totals.selection.events + totals.baseline.events,
            segments: parts.len() as u64,
            engine_ms: (run.clock)().duration_since(began).as_secs_f64() * 1e3,
            coverage: 1.0,
            ..Meta::default()
        },
    })
}
