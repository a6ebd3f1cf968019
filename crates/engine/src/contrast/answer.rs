//! The answer of a comparison, and its JSON (architecture: `POST /api/v1/contrast`).
//!
//! Owns: the shape. Never does: compute it.

use crate::{Cell, Meta};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContrastAnswer {
    /// Both sides, in words and with counts.
    pub populations: Populations,
    /// Conditions, alone or together, that hold for far more of the selection: the best explanations first.
    pub findings: Vec<Finding>,
    /// Columns, those that differ most first.
    pub columns: Vec<ContrastColumn>,
    /// Columns whose values hardly repeat: ids explain nothing. Empty if the columns were named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<Arc<str>>,
    /// How the answer came about.
    pub meta: Meta,
}

/// Both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Populations {
    /// The events in question.
    pub selection: PopulationCount,
    /// What they are compared with.
    pub baseline: PopulationCount,
}

/// One side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PopulationCount {
    /// Weight of its events.
    #[serde(serialize_with = "number")]
    pub count: f64,
    /// Which events these are.
    pub words: String,
}

/// What explains the selection: conditions that hold together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The conditions, as filters of a question.
    pub conditions: Vec<Json>,
    /// How much of the selection meets them.
    pub selection: Share,
    /// How much of the baseline does.
    pub baseline: Share,
    /// Difference of the shares, with events compared at the same times, or with their neighbours in time.
    pub effect: f64,
    /// What it is at least.
    pub lower_bound: f64,
    /// Probability that chance alone, slow wandering included, makes such a difference.
    pub chance: f64,
    /// Share of the selection divided by that of the baseline; null if the baseline has none.
    pub lift: Option<f64>,
    /// Share of the selection among all events that meet the conditions.
    pub precision: f64,
    /// The same in words.
    pub sentence: String,
    /// Conditions on other columns that hold for nearly the same events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub same_as: Vec<Json>,
    /// An event of the selection that meets them.
    pub example: Option<Example>,
    /// Filters of a question to go on with: those of this one, and the conditions.
    pub filters: Vec<Json>,
}

/// Part of a population.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// Weight of its events.
    #[serde(serialize_with = "number")]
    pub count: f64,
    /// Share of the population, 0 to 1.
    pub share: f64,
}

/// An event that shows a finding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// Event time, RFC 3339.
    pub time: String,
    /// Its ids, its name, and the columns of the conditions.
    pub data: BTreeMap<String, Cell>,
}

/// A column on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContrastColumn {
    /// Name.
    pub column: Arc<str>,
    /// `number`, `text`, `boolean`, `id` (hardly any value repeats) or `mixed`.
    pub kind: &'static str,
    /// Lower bound of the largest difference that one condition on it makes; 0 if chance explains it.
    pub score: f64,
    /// Whether chance does not explain the difference.
    pub significant: bool,
    /// Values that are no numbers, and the missing one (null), those that explain most first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ContrastValue>,
    /// How its numbers are distributed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Quantiles>,
}

/// A value on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContrastValue {
    /// The value; null where the column is missing.
    pub value: Cell,
    /// Weight of events with it in the selection.
    #[serde(serialize_with = "number")]
    pub selection: f64,
    /// Weight of events with it in the baseline.
    #[serde(serialize_with = "number")]
    pub baseline: f64,
}

/// Quantiles on both sides: `P05` to `P95`, null without numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// Of the selection.
    pub selection: BTreeMap<&'static str, Cell>,
    /// Of the baseline.
    pub baseline: BTreeMap<&'static str, Cell>,
}

/// Whole numbers are written without a fraction.
fn number<S: serde::Serializer>(v: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Cell::number(*v).serialize(serializer)
}
