//! The answer of a comparison, and its JSON (architecture: `POST /api/v1/contrast`).
//!
//! Owns: the shape. Never does: compute it.

use crate::{Cell, Meta};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContrastAnswer {
    /// Both sides, in words and with counts.
    pub populations: Populations,
    /// Explanations across columns. None are made yet: read `columns`.
    pub findings: Vec<serde_json::Value>,
    /// Columns, those that differ most first.
    pub columns: Vec<ContrastColumn>,
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

/// A column on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContrastColumn {
    /// Name.
    pub column: Arc<str>,
    /// `number`, `text`, `boolean`, `id` or `mixed`.
    pub kind: &'static str,
    /// Lower bound of the largest difference of shares (text) or of distributions (numbers); 0 if chance explains it.
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
