//! `wideye trace`: one trace as a waterfall, or one span of it with all its fields.
//!
//! Owns: which route is asked. Never does: drawing (render).

use crate::{
    cli::TraceArgs,
    client::{Client, segment},
    error::CliError,
    render,
    term::Out,
};

pub(super) fn run(args: &TraceArgs, out: &mut Out) -> Result<(), CliError> {
    let client = Client::new(&args.list.server.url, args.list.server.key.as_deref())?;
    let mut path = format!("/api/v1/traces/{}", segment(&args.id));
    if let Some(span) = &args.span {
        path.push_str(&format!("/spans/{}", segment(span)));
    }
    let compare = if args.span.is_none() && !args.no_compare { "true" } else { "" };
    let given = [("compare", Some(compare)), ("dataset", args.dataset.as_deref()), ("ts", args.near.as_deref())];
    let given = given.iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value.filter(|v| !v.is_empty())?))));
    let parameters = given.collect::<Vec<_>>().join("&");
    if !parameters.is_empty() {
        path.push_str(&format!("?{parameters}"));
    }
    let answer = client.get_json(&path)?;
    match &args.span {
        _ if args.list.json => out.line(format_args!("{answer:#}")),
        Some(_) => render::span(out, &answer),
        None => render::waterfall(out, &answer, args.all),
    }
}
