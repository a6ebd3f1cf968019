//! `wideye contrast`: text and flags to a comparison, the server's answer to the terminal.
//!
//! Owns: how text and flags join. Never does: the grammar (question), drawing (render).

use super::{
    ALL,
    query::{duration, instant, parse_events, read},
};
use crate::{cli::ContrastArgs, error::CliError, render, term::Out};
use model::query::QuerySpec;
use serde_json::{Map, Value as Json, json};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn run(args: &ContrastArgs, out: &mut Out) -> Result<(), CliError> {
    let body = request(args)?;
    if args.ask.show_spec {
        return out.line(format_args!("{body:#}"));
    }
    args.ask.post("/api/v1/contrast", &body, out, render::contrast)
}

/// The request that text and flags state.
fn request(args: &ContrastArgs) -> Result<Json, CliError> {
    let mut q = parse_events(&args.text.join(" "), "a comparison")?;
    args.scope.put_into(&mut q)?;
    let mut spec = q.spec;
    let mut selection = population(args.select.as_deref())?;
    for (name, value, flag) in [("start_time", &args.select_from, "--select-from"), ("end_time", &args.select_to, "--select-to")] {
        if let Some(text) = value {
            selection.insert(name.into(), instant(text, flag)?);
        }
    }
    if selection.contains_key("start_time") != selection.contains_key("end_time") {
        // The other end is that of the question.
        let (start, end) = fixed(&mut spec)?;
        selection.entry("start_time").or_insert(json!(start));
        selection.entry("end_time").or_insert(json!(end));
    }
    if let Some(text) = &args.select_last {
        let (_, end) = fixed(&mut spec)?;
        let length = duration(text, "--select-last")?;
        selection.insert("start_time".into(), json!(end - length));
        selection.insert("end_time".into(), json!(end));
    }
    let mut baseline = match &args.against {
        Some(text) => Some(population(Some(text))?),
        None => args.against_earlier.as_ref().map(|_| population(args.select.as_deref())).transpose()?,
    };
    if let (Some(text), Some(baseline)) = (&args.against_earlier, &mut baseline) {
        let earlier = duration(text, "--against-earlier")?;
        let (start, end) = fixed(&mut spec)?;
        let of = |name: &str, otherwise: f64| selection.get(name).and_then(question::seconds).unwrap_or(otherwise);
        let (start, end) = (of("start_time", start), of("end_time", end));
        baseline.insert("start_time".into(), json!(start - earlier));
        baseline.insert("end_time".into(), json!(end - earlier));
    }
    if selection.is_empty() && baseline.is_none() {
        return Err(CliError::Usage(
            "say which events are in question: --select 'error = true', --select-last 10m, or --against-earlier 1d".into(),
        ));
    }
    let mut body = json!({
        "dataset": q.dataset.unwrap_or_else(|| ALL.to_owned()),
        "query": spec,
        "selection": selection,
    });
    if let Some(baseline) = baseline {
        body["baseline"] = baseline.into();
    }
    if let Some(text) = &args.columns {
        body["columns"] = json!(read(text, question::parse_breakdowns)?);
    }
    for (name, value) in [("limit", args.limit), ("max_conditions", args.max_conditions)] {
        if let Some(n) = value {
            body[name] = n.into();
        }
    }
    Ok(body)
}

fn population(text: Option<&str>) -> Result<Map<String, Json>, CliError> {
    let mut population = Map::new();
    if let Some(text) = text {
        let (filters, combination) = read(text, question::parse_conditions)?;
        population.insert("filters".into(), json!(filters));
        if let Some(combination) = combination {
            population.insert("filter_combination".into(), json!(combination));
        }
    }
    Ok(population)
}

/// Makes the time range of the question an absolute one.
fn fixed(spec: &mut QuerySpec) -> Result<(f64, f64), CliError> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64().floor());
    question::fix_range(spec, now_s).map_err(CliError::Usage)
}
