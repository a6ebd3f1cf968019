//! `wideye query`: text and flags to a specification, the server's answer to the terminal.
//!
//! Owns: how text and flags join. Never does: the grammar (question), drawing (render).

use super::ALL;
use crate::{
    cli::{AskArgs, QueryArgs, ScopeArgs},
    client::Client,
    error::CliError,
    render,
    term::Out,
};
use model::query::{CalculatedField, Combination, QuerySpec, relational};
use question::{Question, Wrong};
use serde_json::{Value as Json, json};
use std::io::Read;

/// Rows of a grouped answer where the question names no limit: what fits a screen or two.
const LIMIT_DEFAULT: i64 = 100;

pub(super) fn run(args: &QueryArgs, out: &mut Out) -> Result<(), CliError> {
    let question = question(args)?;
    let spec = serde_json::to_value(&question.spec).map_err(|e| CliError::Usage(e.to_string()))?;
    let dataset = question.dataset.unwrap_or_else(|| ALL.to_owned());
    if args.ask.show_spec {
        return out.line(format_args!("{:#}", json!({"dataset": dataset, "query": spec})));
    }
    if let Some(n) = args.slowest {
        let calculated = question.spec.calculations.iter().flatten().find_map(|c| c.column.clone());
        let column = calculated.unwrap_or_else(|| "duration_ms".to_owned());
        let body = json!({ "dataset": dataset, "query": spec, "column": column, "limit": n });
        return args.ask.post("/api/v1/examples", &body, out, render::examples);
    }
    let chart = !args.no_chart && !args.ask.json;
    let body = json!({
        "dataset": dataset,
        "query": spec,
        "stream": false,
        "cache": !args.no_cache,
        "series": chart,
    });
    args.ask.post("/api/v1/query", &body, out, |out, answer| render::answer(out, answer, &question.spec.breakdowns, &question.show, chart))
}

/// The question that text, flags or a file state.
fn question(args: &QueryArgs) -> Result<Question, CliError> {
    if let Some(path) = &args.spec {
        let mut q = Question { spec: from_file(path)?, ..Question::default() };
        let time = &args.scope.time;
        if [&time.last, &time.from, &time.to].iter().any(|t| t.is_some()) {
            (q.spec.time_range, q.spec.start_time, q.spec.end_time) = (None, None, None);
        }
        args.scope.put_into(&mut q)?;
        put_numbers(args, &mut q.spec)?;
        return Ok(q);
    }
    let mut q = parse(&args.text.join(" "))?;
    args.scope.put_into(&mut q)?;
    let spec = &mut q.spec;
    if let Some(text) = &args.calculate {
        let calculated = parse(text)?;
        spec.calculations = calculated.spec.calculations;
        q.show = calculated.show;
    }
    for text in &args.fields {
        spec.calculated_fields.push(field(text)?);
    }
    if let Some(text) = &args.by {
        spec.breakdowns.extend(read(text, question::parse_breakdowns)?);
    }
    if let Some(text) = &args.having {
        spec.havings.extend(read(text, question::parse_havings)?);
    }
    if let Some(text) = &args.order {
        spec.orders = read(text, question::parse_orders)?;
    }
    put_numbers(args, spec)?;
    // Events hold their own columns only; those of their relatives are asked for as fields.
    for name in q.show.iter().filter(|name| relational(name).is_some()) {
        if spec.calculated_fields.iter().all(|f| f.name != *name) {
            spec.calculated_fields.push(CalculatedField { name: name.clone(), expression: format!("$`{name}`") });
        }
    }
    let raw = spec.calculations.as_ref().is_some_and(Vec::is_empty);
    if raw || !spec.breakdowns.is_empty() {
        spec.limit = spec.limit.or(Some(if raw { 20 } else { LIMIT_DEFAULT }));
    }
    if spec.orders.is_empty() && !raw && !spec.breakdowns.is_empty() {
        spec.orders.extend(question::largest_first(spec.calculations.as_deref()));
    }
    Ok(q)
}

/// Puts limit, buckets, comparison and weights into a question, where given.
fn put_numbers(args: &QueryArgs, spec: &mut QuerySpec) -> Result<(), CliError> {
    spec.limit = args.limit.or(spec.limit);
    if let Some(text) = &args.every {
        spec.granularity = Some(duration(text, "--every")?);
    }
    if let Some(text) = &args.compare {
        spec.compare_time_offset_seconds = Some(duration(text, "--compare")?);
    }
    if args.unweighted {
        spec.usage_mode = Some(true);
    }
    Ok(())
}

/// What --field says.
fn field(text: &str) -> Result<CalculatedField, CliError> {
    match question::named_expression(text) {
        Some((name, expression)) => Ok(CalculatedField { name: name.to_owned(), expression: expression.to_owned() }),
        None => Err(CliError::Usage(format!("--field {text}: expected NAME = EXPRESSION, such as 'slow = GTE($duration_ms, 500)'"))),
    }
}

impl ScopeArgs {
    /// Puts what was given into a question.
    pub(super) fn put_into(&self, question: &mut Question) -> Result<(), CliError> {
        let Question { spec, dataset, .. } = question;
        if self.dataset.is_some() {
            dataset.clone_from(&self.dataset);
        }
        if let Some(text) = &self.conditions {
            add_conditions(spec, text)?;
        }
        if let Some(text) = &self.time.last {
            spec.time_range = Some(duration(text, "--last")?);
        }
        if let Some(text) = &self.time.from {
            spec.start_time = Some(instant(text, "--from")?);
        }
        if let Some(text) = &self.time.to {
            spec.end_time = Some(instant(text, "--to")?);
        }
        Ok(())
    }
}

impl AskArgs {
    /// Asks, and shows the answer.
    pub(super) fn post(
        &self,
        path: &str,
        body: &Json,
        out: &mut Out,
        show: impl FnOnce(&mut Out, &Json) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let answer = Client::new(&self.server.url, self.server.key.as_deref())?.post_json(path, body)?;
        if self.json { out.line(format_args!("{answer:#}")) } else { show(out, &answer) }
    }
}

/// Adds the conditions of --where to those of the text.
fn add_conditions(spec: &mut QuerySpec, text: &str) -> Result<(), CliError> {
    let (filters, combination) = read(text, question::parse_conditions)?;
    if !spec.filters.is_empty() && [combination, spec.filter_combination].contains(&Some(Combination::Or)) {
        return Err(CliError::Usage("conditions of the text and of --where are joined by `and`; with `or`, put all in one place".into()));
    }
    spec.filters.extend(filters);
    spec.filter_combination = spec.filter_combination.or(combination);
    Ok(())
}

pub(super) fn parse(text: &str) -> Result<Question, CliError> {
    read(text, question::parse)
}

/// A question that says which events are meant, and nothing else; `what` is made of them.
pub(super) fn parse_events(text: &str, what: &str) -> Result<Question, CliError> {
    let q = parse(text)?;
    let plain = QuerySpec {
        filters: q.spec.filters.clone(),
        filter_combination: q.spec.filter_combination,
        time_range: q.spec.time_range,
        start_time: q.spec.start_time.clone(),
        end_time: q.spec.end_time.clone(),
        usage_mode: q.spec.usage_mode,
        ..QuerySpec::default()
    };
    if q.spec == plain && q.show.is_empty() {
        return Ok(q);
    }
    Err(CliError::Usage(format!("{what} takes the clauses `in`, `where`, `last`, `from … to …` and `unweighted` only")))
}

pub(super) fn read<T>(text: &str, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Result<T, CliError> {
    parse(text).map_err(|wrong| CliError::Question(wrong.shown(text)))
}

pub(super) fn duration(text: &str, flag: &str) -> Result<f64, CliError> {
    question::duration_s(text).ok_or_else(|| CliError::Usage(format!("{flag} {text}: expected a duration such as 30s, 10m, 2h or 1d")))
}

pub(super) fn instant(text: &str, flag: &str) -> Result<Json, CliError> {
    question::instant(text)
        .ok_or_else(|| CliError::Usage(format!("{flag} {text}: expected a time such as 2026-01-31T08:00:00Z, 2026-01-31 or Unix seconds")))
}

fn from_file(path: &std::path::Path) -> Result<QuerySpec, CliError> {
    let shown = path.display();
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_string(&mut text).map_err(CliError::io("read", "standard input"))?;
    } else {
        text = std::fs::read_to_string(path).map_err(CliError::io("read", shown.to_string()))?;
    }
    serde_json::from_str(&text).map_err(|e| CliError::Question(format!("{shown} is not a query specification: {e}")))
}
