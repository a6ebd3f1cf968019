//! `wideye map`: text and flags to a service map, the server's answer to the terminal.
//!
//! Owns: how text and flags join. Never does: the grammar (question), drawing (render).

use super::{
    ALL,
    query::{add_conditions, parse},
};
use crate::{cli::MapArgs, client::Client, error::CliError, render, term::Out};
use model::query::QuerySpec;
use serde_json::{Value as Json, json};

pub(super) fn run(args: &MapArgs, out: &mut Out) -> Result<(), CliError> {
    let body = request(args)?;
    if args.show_spec {
        return out.line(format_args!("{body:#}"));
    }
    let client = Client::new(&args.server.url, args.server.key.as_deref())?;
    let answer = client.post_json("/api/v1/service-map", &body)?;
    if args.json {
        return out.line(format_args!("{answer:#}"));
    }
    render::map(out, &answer)
}

/// The request that text and flags state.
fn request(args: &MapArgs) -> Result<Json, CliError> {
    let q = parse(&args.text.join(" "))?;
    let mut spec = q.spec;
    let plain = QuerySpec {
        filters: spec.filters.clone(),
        filter_combination: spec.filter_combination,
        time_range: spec.time_range,
        start_time: spec.start_time.clone(),
        end_time: spec.end_time.clone(),
        usage_mode: spec.usage_mode,
        ..QuerySpec::default()
    };
    if spec != plain {
        return Err(CliError::Usage("a map takes the clauses `in`, `where`, `last`, `from … to …` and `unweighted` only".into()));
    }
    if let Some(text) = &args.conditions {
        add_conditions(&mut spec, text)?;
    }
    args.time.put_into(&mut spec)?;
    let mut body = json!({
        "dataset": args.dataset.clone().or(q.dataset).unwrap_or_else(|| ALL.to_owned()),
        "query": spec,
    });
    if !args.services.is_empty() {
        body["services"] = json!(args.services);
    }
    if args.no_inferred {
        body["inferred"] = false.into();
    }
    if let Some(limit) = args.limit {
        body["limit"] = limit.into();
    }
    Ok(body)
}
