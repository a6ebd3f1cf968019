//! `wideye map`: text and flags to a service map, the server's answer to the terminal.
//!
//! Owns: how text and flags join. Never does: the grammar (question), drawing (render).

use super::{ALL, query::parse_events};
use crate::{cli::MapArgs, error::CliError, render, term::Out};
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
    let mut q = parse_events(&args.text.join(" "), "a map")?;
    args.scope.put_into(&mut q)?;
    let spec = q.spec;
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
