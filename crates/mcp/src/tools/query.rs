//! `query`: arguments to a specification, the answer to text.
//!
//! Owns: how the friendly arguments and the specification join, and their defaults. Never does: check the question (the API does).

use super::{CONDITIONS, Context, ToolError, dataset, encoded, flag, items, text, texts, times, whole};
use crate::args::Args;
use crate::render::{Shown, answer};
use crate::{Method, times as ranges};
use model::query::{Combination, QuerySpec};
use serde_json::{Value as Json, json};

/// Groups of an answer that names no limit.
const GROUPS_DEFAULT: usize = 30;
/// The same with a series, where each group is a column.
const SERIES_GROUPS_DEFAULT: usize = 8;
/// Raw events of an answer that names no limit.
const EVENTS_DEFAULT: usize = 10;
const LIMIT_MAX: usize = 10_000;

pub(super) fn properties() -> Vec<(&'static str, Json)> {
    let mut all = vec![
        dataset(),
        (
            "calculations",
            items(
                "COUNT (default), CONCURRENCY, SUM, AVG, MIN, MAX, COUNT_DISTINCT, P50, P90, P95, P99, P999, HEATMAP, RATE_SUM … of a column: \"P99(duration_ms)\", \"SUM(bytes) as total\"; \"EVENTS\" or \"EVENTS(name, duration_ms)\" for raw events, newest first. Or objects {op, column, name, filters}",
            ),
        ),
        ("filters", items(CONDITIONS)),
        (
            "filter_combination",
            json!({ "type": "string", "enum": ["AND", "OR"], "description": "How the items of `filters` join (default AND)" }),
        ),
        ("breakdowns", texts("Columns to group by")),
    ];
    all.extend(times());
    all.extend([
        ("granularity", text("Length of a time bucket, such as 5m: answers a series; with breakdowns a column per group")),
        ("limit", whole("Groups or events in the answer, at most 10000 (default 30; 8 with a series; 10 events)")),
        ("orders", items("\"COUNT desc\", \"service.name\"; default: largest first by the first calculation")),
        ("havings", items("Conditions on results: \"COUNT > 10\"")),
        ("compare", text("Also answer for the same range this much earlier: 1d")),
        ("calculated_fields", items("Fields for this question, to use like columns: \"slow = GTE($duration_ms, 500)\"; functions as Honeycomb's derived columns")),
        ("formulas", items("Results computed from named calculations: \"share = MUL(100, DIV($failed, $all))\"")),
        ("unweighted", flag("Count stored events instead of weighing them by sample rate")),
        ("spec", json!({ "type": "object", "description": "A whole query specification as of Honeycomb's API; the other arguments win over it" })),
    ]);
    all
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<String, ToolError> {
    let dataset = args.dataset()?;
    let now = (context.now_s)();
    let mut spec = base(args)?;
    let mut show = Vec::new();
    if let Some(asked) = args.calculations("calculations")? {
        spec.calculations = Some(asked.calculations);
        show = asked.show;
    }
    if args.get("filters").is_some() {
        (spec.filters, spec.filter_combination) = conditions(args, "filters")?;
    }
    if args.get("breakdowns").is_some() {
        spec.breakdowns = args.columns("breakdowns")?;
    }
    ranges::range(args, &mut spec, now)?;
    if let Some(seconds) = ranges::duration(args, "granularity")? {
        spec.granularity = Some(seconds);
    }
    if let Some(seconds) = ranges::duration(args, "compare")? {
        spec.compare_time_offset_seconds = Some(seconds);
    }
    if args.get("orders").is_some() {
        spec.orders = args.orders("orders")?;
    }
    if args.get("havings").is_some() {
        spec.havings = args.havings("havings")?;
    }
    spec.calculated_fields.extend(args.expressions("calculated_fields")?);
    spec.formulas.extend(args.expressions("formulas")?);
    if let Some(unweighted) = args.flag("unweighted")? {
        spec.usage_mode = Some(unweighted);
    }
    let raw = spec.calculations.as_ref().is_some_and(Vec::is_empty) && spec.breakdowns.is_empty() && spec.formulas.is_empty();
    let series = spec.granularity.is_some() && !raw;
    let default = match (raw, series) {
        (true, _) => EVENTS_DEFAULT,
        (_, true) => SERIES_GROUPS_DEFAULT,
        _ => GROUPS_DEFAULT,
    };
    let named = spec.limit.and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=LIMIT_MAX).contains(n));
    let limit = args.limit(named.unwrap_or(default), LIMIT_MAX)?;
    // One more tells whether there are more.
    spec.limit = Some((limit + 1).min(LIMIT_MAX) as i64);
    if spec.orders.is_empty() && !raw && !spec.breakdowns.is_empty() {
        spec.orders.extend(question::largest_first(spec.calculations.as_deref()));
    }
    let body = json!({ "dataset": dataset, "query": spec, "series": series });
    let found = context.about(&dataset, Method::Post, "/api/v1/query".to_owned(), Some(body)).await?;
    let nothing = found["results"].as_array().is_none_or(Vec::is_empty) || found["meta"]["rows_matched"] == 0;
    let last_written = if nothing { last_written(&dataset, context).await } else { None };
    let shown = Shown { dataset: &dataset, spec: &spec, show: &show, limit, series, last_written };
    Ok(answer(&found, &shown, context.chars_max))
}

/// The specification below the other arguments.
fn base(args: &Args) -> Result<QuerySpec, ToolError> {
    match args.get("spec") {
        None => Ok(QuerySpec::default()),
        Some(given) => serde_json::from_value(given.clone()).map_err(|e| {
            ToolError::arguments(format!("`spec` is no query specification: {e}; the other arguments can say the same in simpler words"))
        }),
    }
}

/// Conditions of an argument, and how they join.
pub(super) fn conditions(args: &Args, name: &str) -> Result<(Vec<model::query::Filter>, Option<Combination>), ToolError> {
    let (filters, joined) = args.filters(name)?;
    let given = match args.text("filter_combination")? {
        None => None,
        Some(text) if text.eq_ignore_ascii_case("and") => Some(Combination::And),
        Some(text) if text.eq_ignore_ascii_case("or") => Some(Combination::Or),
        Some(text) => return Err(ToolError::arguments(format!("`filter_combination` is AND or OR, not '{text}'"))),
    };
    match (joined, given) {
        (Some(a), Some(b)) if a != b => Err(ToolError::arguments(format!(
            "`{name}` joins its conditions by one word and `filter_combination` names the other; leave one out"
        ))),
        (joined, given) => Ok((filters, joined.or(given))),
    }
}

/// When events last came, for one who found none.
async fn last_written(dataset: &str, context: &Context) -> Option<String> {
    if dataset == model::ALL_DATASETS {
        return None;
    }
    let found = context.get(format!("/api/v1/datasets/{}", encoded(dataset))).await.ok()?;
    found["last_written_at"].as_str().map(crate::text::to_second)
}
