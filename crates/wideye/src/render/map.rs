//! A service map on the terminal: each service with the calls that it makes below it.
//!
//! Owns: its layout. Never does: compute.

use super::{Align, Table, footer, list, number, text};
use crate::{error::CliError, term::Out};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Prints an answer of `/api/v1/service-map`.
pub(crate) fn map(out: &mut Out, answer: &Json) -> Result<(), CliError> {
    let (nodes, edges) = (list(&answer["nodes"]), list(&answer["edges"]));
    if nodes.is_empty() {
        out.line(format_args!("no spans of services matched"))?;
        return footer(out, answer);
    }
    let right = |name: &str| (name.to_owned(), Align::Right);
    let mut table = Table::new([
        ("service".to_owned(), Align::Left),
        right("calls"),
        right("per second"),
        right("errors"),
        right("share"),
        right("P50 ms"),
        right("P95 ms"),
    ]);
    for (name, of) in lines(nodes, edges) {
        table.row(std::iter::once(name).chain(numbers(of)));
    }
    table.print(out)?;
    if answer["truncated"] == Json::Bool(true) {
        out.line(format_args!("… and calls that are less frequent: --limit shows more"))?;
    }
    let orphans: f64 = nodes.iter().filter_map(|n| n["orphans"].as_f64()).sum();
    if orphans > 0.0 {
        out.line(format_args!("{} requests name a parent that is not there: who made them is unknown", number(orphans)))?;
    }
    footer(out, answer)
}

/// The name of a node; ~: it sends no spans itself.
fn name(of: &Json, name: &Json, kind: &Json) -> String {
    let inferred = of["inferred"] == Json::Bool(true);
    let kind = if inferred && !kind.is_null() && kind != "service" { format!(" ({})", text(kind)) } else { String::new() };
    format!("{}{}{kind}", if inferred { "~" } else { "" }, text(name))
}

/// What stands in front of each line, and of what it tells: services in the order in which requests come to them, each with its
/// calls; then what services call.
fn lines<'j>(nodes: &'j [Json], edges: &'j [Json]) -> Vec<(String, &'j Json)> {
    let kinds: BTreeMap<&str, &Json> = nodes.iter().filter_map(|n| Some((n["name"].as_str()?, &n["kind"]))).collect();
    let called: BTreeSet<&str> = edges.iter().filter_map(|e| e["callee"].as_str()).collect();
    let is_called = |n: &&Json| n["name"].as_str().is_some_and(|n| called.contains(n));
    let inferred = |n: &&Json| n["inferred"] == Json::Bool(true);
    let services: Vec<&Json> = nodes.iter().filter(|n| !inferred(n)).collect();
    let (inner, outer): (Vec<&Json>, Vec<&Json>) = services.into_iter().partition(is_called);
    let (mut out, mut seen) = (Vec::new(), BTreeSet::new());
    for first in outer.into_iter().chain(inner) {
        let mut queue = VecDeque::from([first]);
        while let Some(node) = queue.pop_front() {
            let Some(caller) = node["name"].as_str().filter(|n| seen.insert((*n).to_owned())) else { continue };
            out.push((name(node, &node["name"], &node["kind"]), node));
            let calls: Vec<&Json> = edges.iter().filter(|e| e["caller"] == caller).collect();
            for (i, call) in calls.iter().enumerate() {
                let callee = call["callee"].as_str().unwrap_or_default();
                let branch = if i + 1 == calls.len() { "└─" } else { "├─" };
                let kind = kinds.get(callee).copied().unwrap_or(&Json::Null);
                out.push((format!("{branch} {}", name(call, &call["callee"], kind)), *call));
                queue.extend(nodes.iter().find(|n| n["name"] == callee && !inferred(n)));
            }
        }
    }
    out.extend(nodes.iter().filter(inferred).map(|n| (name(n, &n["name"], &n["kind"]), n)));
    out
}

fn numbers(of: &Json) -> [String; 6] {
    let float = |name: &str| of[name].as_f64().unwrap_or(0.0);
    let ms = |name: &str| of[name].as_f64().map_or_else(|| "–".to_owned(), number);
    let share = match float("error_share") * 100.0 {
        0.0 => String::new(),
        share if share < 1.0 => format!("{share:.2} %"),
        share => format!("{share:.1} %"),
    };
    [number(float("count").round()), number(float("rate_per_second")), number(float("errors").round()), share, ms("p50_ms"), ms("p95_ms")]
}

#[cfg(test)]
mod tests {
    use super::{lines, numbers};
    use serde_json::{Value as Json, json};

    #[test]
    fn services_stand_in_the_order_of_requests_with_their_calls() {
        let node = |name: &str, kind: &str| json!({ "name": name, "kind": kind, "inferred": kind != "service" });
        let edge = |caller: &str, callee: &str, inferred: bool| json!({ "caller": caller, "callee": callee, "inferred": inferred });
        let nodes = [node("cart", "service"), node("redis", "database"), node("web", "service"), node("lone", "service")];
        // A circle must end, and a call may fail before its service sees it.
        let edges = [edge("web", "cart", false), edge("cart", "redis", true), edge("cart", "web2", false), edge("web", "cart", true)];
        let names: Vec<String> = lines(&nodes, &edges).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["web", "├─ cart", "└─ ~cart", "cart", "├─ ~redis (database)", "└─ web2", "lone", "~redis (database)"]);
        let circle = [edge("cart", "web", false), edge("web", "cart", false)];
        assert_eq!(lines(&nodes[..3], &circle).len(), 5);
    }

    #[test]
    fn numbers_are_for_people() {
        let of =
            json!({ "count": 1234, "rate_per_second": 0.5, "errors": 3, "error_share": 0.0024, "p50_ms": 12.345, "p95_ms": Json::Null });
        assert_eq!(numbers(&of), ["1,234", "0.500", "3", "0.24 %", "12.35", "–"].map(str::to_owned));
    }
}
