//! Arguments of a call: lenient in form (a list may be a text, a number may be quoted), strict in names.
//!
//! Owns: reading them, and errors that say what to write. Never does: know what they mean to a tool.

use crate::tools::{Tool, ToolError};
use model::query::{Calculation, Combination, Filter, Having, Order};
use question::Wrong;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

/// What a call was given.
#[derive(Debug)]
pub(crate) struct Args {
    given: Map<String, Json>,
}

impl Args {
    pub(crate) fn new(tool: &Tool, given: Map<String, Json>) -> Result<Args, ToolError> {
        let schema = tool.schema();
        let known: Vec<&String> = schema["properties"].as_object().into_iter().flat_map(Map::keys).collect();
        if let Some(unknown) = given.keys().find(|name| !known.contains(name)) {
            let near = known.iter().min_by_key(|k| question::distance(k, unknown)).filter(|k| question::distance(k, unknown) <= 3);
            let near = near.map(|k| format!("; did you mean `{k}`?")).unwrap_or_default();
            let known: Vec<String> = known.iter().map(|k| format!("`{k}`")).collect();
            return Err(ToolError::arguments(format!("{} has no argument `{unknown}`{near}; it takes {}", tool.name, known.join(", "))));
        }
        let given: Map<String, Json> = given.into_iter().map(|(name, value)| (name, unquoted(value))).collect();
        let args = Args { given };
        for name in tool.required {
            if args.get(name).is_none() {
                return Err(ToolError::arguments(format!("{} needs `{name}`. {}", tool.name, tool.description)));
            }
        }
        Ok(args)
    }

    /// An argument that is there and says something.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        self.given.get(name).filter(|v| match v {
            Json::Null => false,
            Json::String(text) => !text.trim().is_empty(),
            _ => true,
        })
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, ToolError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(Json::Number(n)) => Ok(Some(n.to_string())),
            Some(other) => Err(ToolError::arguments(format!("`{name}` is a text, not {other}"))),
        }
    }

    pub(crate) fn dataset(&self) -> Result<String, ToolError> {
        Ok(self.text("dataset")?.unwrap_or_else(|| model::ALL_DATASETS.to_owned()))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ToolError> {
        let Some(given) = self.get(name) else { return Ok(None) };
        let n = match given {
            Json::String(text) => text.trim().parse().ok(),
            other => other.as_i64(),
        };
        n.map(Some).ok_or_else(|| ToolError::arguments(format!("`{name}` is a whole number, not {given}")))
    }

    /// How many rows are wanted.
    pub(crate) fn limit(&self, default: usize, max: usize) -> Result<usize, ToolError> {
        match self.number("limit")? {
            None => Ok(default),
            Some(n) => match usize::try_from(n) {
                Ok(n) if (1..=max).contains(&n) => Ok(n),
                _ => Err(ToolError::arguments(format!("`limit` is 1 to {max}, not {n}"))),
            },
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ToolError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::Bool(b)) => Ok(Some(*b)),
            Some(Json::String(text)) if matches!(text.as_str(), "true" | "false") => Ok(Some(text == "true")),
            Some(other) => Err(ToolError::arguments(format!("`{name}` is true or false, not {other}"))),
        }
    }

    /// The items of a list; one that stands alone is a list, too.
    fn items(&self, name: &str) -> Vec<&Json> {
        match self.get(name) {
            None => Vec::new(),
            Some(Json::Array(items)) => items.iter().collect(),
            Some(one) => vec![one],
        }
    }

    /// Column names: a list, or one text with commas.
    pub(crate) fn columns(&self, name: &str) -> Result<Vec<String>, ToolError> {
        match self.get(name) {
            Some(Json::String(text)) => read(name, text, question::parse_breakdowns),
            _ => self
                .items(name)
                .into_iter()
                .map(|item| match item {
                    Json::String(text) => Ok(text.clone()),
                    other => Err(ToolError::arguments(format!("`{name}` holds names of columns, not {other}"))),
                })
                .collect(),
        }
    }

    /// Items that are texts of the grammar or objects of the specification.
    fn either<T: DeserializeOwned>(
        &self,
        name: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<Vec<T>, ToolError>,
    ) -> Result<Vec<T>, ToolError> {
        let mut all = Vec::new();
        for item in self.items(name) {
            match item {
                Json::String(text) => all.extend(parse(text)?),
                other => all.push(
                    serde_json::from_value(other.clone())
                        .map_err(|e| ToolError::arguments(format!("`{name}`: {other} cannot be read ({e}); write {example}")))?,
                ),
            }
        }
        Ok(all)
    }

    /// Conditions: texts (`error = true and duration_ms > 500`), or objects with column, op and value.
    pub(crate) fn filters(&self, name: &str) -> Result<(Vec<Filter>, Option<Combination>), ToolError> {
        let (mut all, mut combination) = (Vec::new(), None);
        let items = self.items(name);
        for item in &items {
            match item {
                Json::String(text) => {
                    let (filters, joined) = read(name, text, question::parse_conditions)?;
                    if items.len() > 1 && joined == Some(Combination::Or) {
                        return Err(ToolError::arguments(format!(
                            "`{name}`: a list is joined by `and`; write conditions with `or` as one text, or use `in (a, b)`"
                        )));
                    }
                    combination = combination.or(joined);
                    all.extend(filters);
                }
                other => all.push(serde_json::from_value((*other).clone()).map_err(|e| {
                    ToolError::arguments(format!(
                        "`{name}`: {other} is no condition ({e}); write \"http.status_code >= 500\" or {{\"column\": …, \"op\": \">=\", \"value\": …}}"
                    ))
                })?),
            }
        }
        Ok((all, combination))
    }

    /// None: none were given.
    pub(crate) fn calculations(&self, name: &str) -> Result<Option<Asked>, ToolError> {
        if self.get(name).is_none() {
            return Ok(None);
        }
        let mut show = Vec::new();
        let mut all = Vec::new();
        for item in self.items(name) {
            match item {
                Json::String(text) => {
                    let asked = read(name, text, question::parse)?;
                    let only = model::query::QuerySpec { calculations: asked.spec.calculations.clone(), ..Default::default() };
                    if asked.dataset.is_some() || asked.spec != only {
                        return Err(ToolError::arguments(format!(
                            "`{name}` holds calculations such as \"P99(duration_ms)\"; conditions, groups and times have arguments of their own: '{text}'"
                        )));
                    }
                    all.extend(asked.spec.calculations.unwrap_or_default());
                    show.extend(asked.show);
                }
                other => all.push(serde_json::from_value(other.clone()).map_err(|e| {
                    ToolError::arguments(format!(
                        "`{name}`: {other} is no calculation ({e}); write \"P99(duration_ms)\" or {{\"op\": \"P99\", \"column\": \"duration_ms\"}}"
                    ))
                })?),
            }
        }
        Ok(Some(Asked { calculations: all, show }))
    }

    pub(crate) fn orders(&self, name: &str) -> Result<Vec<Order>, ToolError> {
        self.either(name, "\"COUNT desc\"", |text| read(name, text, question::parse_orders))
    }

    pub(crate) fn havings(&self, name: &str) -> Result<Vec<Having>, ToolError> {
        self.either(name, "\"COUNT > 10\"", |text| read(name, text, question::parse_havings))
    }

    /// `name = expression` texts, or objects with both.
    pub(crate) fn expressions<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, ToolError> {
        let example = "\"slow = GTE($duration_ms, 500)\"";
        self.either(name, example, |text| {
            let parts = question::named_expression(text);
            let (field, expression) = parts.ok_or_else(|| ToolError::arguments(format!("`{name}`: write {example}, not '{text}'")))?;
            let object = serde_json::json!({ "name": field, "expression": expression });
            serde_json::from_value(object).map(|one| vec![one]).map_err(|e| ToolError::arguments(e.to_string()))
        })
    }
}

/// What is to be computed, and columns of raw events to show (`EVENTS(name, duration_ms)`).
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) calculations: Vec<Calculation>,
    pub(crate) show: Vec<String>,
}

/// Some clients put lists and objects into texts.
fn unquoted(value: Json) -> Json {
    match value {
        Json::String(text) if text.trim_start().starts_with(['[', '{']) => match serde_json::from_str(&text) {
            Ok(inner @ (Json::Array(_) | Json::Object(_))) => inner,
            _ => Json::String(text),
        },
        other => other,
    }
}

/// Reads a text of the grammar; an error shows the place.
pub(crate) fn read<T>(name: &str, text: &str, parse: impl Fn(&str) -> Result<T, Wrong>) -> Result<T, ToolError> {
    parse(text).map_err(|wrong| ToolError::arguments(format!("`{name}`: {}", wrong.shown(text))))
}
