//! `wideye map`: text and flags to a service map, the server's answer to the terminal.
//!
//! Owns: how text and flags join. Never does: the grammar (question), drawing (render).

use super::{ALL, query::parse};
use crate::{cli::MapArgs, error::CliError, render, term::Out};
use model::query::QuerySpec;
use serde_json::{Value as Json, json};

pub(super) fn run(args: &MapArgs, out: &mut Out) -> Result<(), CliError> {
    let body = request(args)?;
    if args.ask.show_spec {
        return out.line(format_args!("{body:#}"));
    }
    args.ask.post("/api/v1/service-map", &body, out, render::map)
}

/// The request that text and flags state.
fn request(args: &MapArgs) -> Result<Json, CliError> {
    let mut q = parse(&args.text.join(" "))?;
    args.scope.put_into(&mut q)?;
    let spec = q.spec;
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
    let mut body = json!({
        "dataset": q.dataset.unwrap_or_else(|| ALL.to_owned()),
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
