//! Questions become answers here, over one pinned snapshot: filter, group, calculate, raw rows, traces.
//!
//! Owns: what a question means. Never does: write anything, speak HTTP, read the wall clock.

mod answer;
mod check;
mod error;
mod plan;
mod run;
mod time;

pub use answer::{Answer, Approximate, Cell, Heatmap, HeatmapScale, Meta, RawEvent, Row, Rows, Series};
pub use check::{Columns, check};
pub use error::EngineError;
pub use plan::{Calc, CalcOp, Condition, Field, HavingIf, OrderBy, OrderKey, Plan};
pub use run::{OnPartial, OnProgress, Progress, Run, SeriesMode};

use std::sync::Arc;
use store::Segment;

/// What the engine keeps between questions.
#[derive(Debug, Default)]
pub struct Caches {}

/// Answers a checked question from the segments of a snapshot.
pub fn run(_segments: &[Arc<Segment>], _plan: &Plan, _run: &Run, _caches: &Caches) -> Result<Answer, EngineError> {
    todo!()
}
