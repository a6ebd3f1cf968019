//! A comparison as users write it: a selection of events against a baseline, over many columns.
//!
//! Owns: names and JSON form. Never does: checks against data or execution (engine).

use crate::query::{Combination, Filter, QuerySpec};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What to compare. `query` gives time and filters that hold for all events looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContrastSpec {
    /// Time range and filters; nothing else of it is used.
    pub query: QuerySpec,
    /// The events in question.
    pub selection: Population,
    /// `"rest"` (all other events of the query; the default) or a population of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Json>,
    /// Columns to compare; all if absent. Given ones are answered in full, whatever their rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Columns in the answer, if `columns` is absent; default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Conditions that a finding may join: 1 to 4 (the default); 0: no findings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_conditions: Option<i64>,
}

/// Some events of the query: those that pass the filters, in a time of their own if one is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Population {
    /// Which events belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// How they combine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_combination: Option<Combination>,
    /// As in a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_range: Option<f64>,
    /// As in a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Json>,
    /// As in a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Json>,
}
