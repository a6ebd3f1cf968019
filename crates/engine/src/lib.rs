//! Questions become answers here, over one pinned snapshot: filter, group, calculate, raw rows, traces.
//!
//! Owns: what a question means. Never does: write anything, speak HTTP, read the wall clock.

mod answer;
mod answer_json;
mod bits;
mod caches;
mod calc;
mod check;
mod contrast;
mod engine;
mod error;
mod examples;
mod execute;
mod formula;
mod intern;
mod memory;
mod newest;
mod overlay;
mod partial;
mod plan;
mod points;
mod rank;
mod raw;
mod relatives;
mod run;
mod scan;
mod service_map;
#[cfg(test)]
mod tests;
mod trace;
mod turns;
mod values;
mod view;

pub use answer::{Answer, Approximate, Cell, Heatmap, HeatmapScale, Meta, RawEvent, Relations, Row, Rows, Series};
pub use caches::Caches;
pub use check::{Columns, check, check_expression};
pub use contrast::{
    ContrastAnswer, ContrastColumn, ContrastPlan, ContrastValue, Example, Finding, OnContrast, PopulationCount, Populations, Quantiles,
    Share, Side, check_contrast, contrast, contrast_with,
};
pub use engine::{Engine, EngineOptions, SavedField};
pub use error::EngineError;
pub use examples::{ExamplesRequest, SlowExample};
pub use memory::Memory;
pub use newest::FoundTraces;
pub use plan::{Calc, CalcOp, Computation, Computed, Condition, Field, Formula, HavingIf, OrderBy, OrderKey, Plan, Relation};
pub use points::{NO_GROUP, Points, SeriesPoints};
pub use run::{OnPartial, OnProgress, Progress, Run, SeriesMode};
pub use service_map::{CallNumbers, NodeKind, ServiceEdge, ServiceMap, ServiceMapSpec, ServiceNode};
pub use trace::{Comparison, Kind, RowKind, ServiceShare, Skeleton, Slice, SpanDetails, TraceRequest, Warning};
pub use turns::{Turn, Turns};
pub use values::values;

use overlay::Overlays;
use scan::place::Source;
use std::sync::Arc;
use store::Segment;

/// Answers a checked question from segments.
pub fn run(segments: &[Arc<Segment>], plan: &Plan, run: &Run, caches: &Caches) -> Result<Answer, EngineError> {
    run_on(segments, &[], plan, run, caches)
}

/// Answers a checked question from segments; `datasets` names the dataset of each, or is empty.
pub fn run_on(segments: &[Arc<Segment>], datasets: &[Arc<str>], plan: &Plan, run: &Run, caches: &Caches) -> Result<Answer, EngineError> {
    let began = (run.clock)();
    let answer = |plan: &Plan, run: &Run| {
        if plan.start_ns >= plan.end_ns {
            return Ok(formula::finish(plan, Answer { start_ns: plan.start_ns, end_ns: plan.end_ns, ..nothing(plan) }));
        }
        let overlays = Overlays::of_plan(plan, segments, run, caches);
        let source = Source { segments, datasets, overlays: &overlays };
        let found = if plan.is_raw() { raw::rows(source, plan, run, caches) } else { execute::table(source, plan, run, caches) };
        found.map(|mut answer| {
            answer.meta.relations = overlays.relations();
            formula::finish(plan, answer)
        })
    };
    let mut out = answer(plan, run)?;
    if let Some(offset) = plan.compare_offset_ns {
        // Progress and partial answers are about the question's own range.
        out.compare = Some(Box::new(answer(&plan.shifted(offset), &run.quiet(run.threads))?));
    }
    caches.tidy();
    out.meta.engine_ms = (run.clock)().duration_since(began).as_secs_f64() * 1e3;
    Ok(out)
}

/// The newest traces with an event that satisfies the conditions of a plan; of the plan, only range and conditions count.
pub fn newest_traces(
    segments: &[Arc<Segment>],
    datasets: &[Arc<str>],
    plan: &Plan,
    limit: usize,
    run: &Run,
    caches: &Caches,
) -> Result<FoundTraces, EngineError> {
    let overlays = Overlays::of_plan(plan, segments, run, caches);
    let found = newest::newest(Source { segments, datasets, overlays: &overlays }, plan, limit, run, caches);
    caches.tidy();
    found
}

/// Which service calls which. Its questions share what is computed for them, parents above all.
fn service_map_on(
    segments: &[Arc<Segment>],
    datasets: &[Arc<str>],
    plan: &service_map::ServiceMapPlan<'_>,
    run: &Run,
    caches: &Caches,
) -> Result<ServiceMap, EngineError> {
    let began = (run.clock)();
    let overlays = Overlays::new(plan.fields(), segments, plan.times(), plan.margin_ns(), run, Some(caches));
    let source = Source { segments, datasets, overlays: &overlays };
    let mut map = plan.answer(|plan| execute::table(source, plan, run, caches))?;
    caches.tidy();
    map.meta.relations = overlays.relations();
    map.meta.engine_ms = (run.clock)().duration_since(began).as_secs_f64() * 1e3;
    Ok(map)
}

/// The answer about an empty range.
fn nothing(plan: &Plan) -> Answer {
    Answer {
        columns: plan.breakdowns.iter().map(|b| b.name().into()).chain(plan.calculations.iter().map(|c| Arc::clone(&c.key))).collect(),
        granularity_ns: plan.granularity_ns.filter(|_| plan.series),
        raw: plan.is_raw().then(Vec::new),
        meta: Meta { coverage: 1.0, ..Meta::default() },
        ..Answer::default()
    }
}
