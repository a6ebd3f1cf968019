//! What is odd about a trace, in words.
//!
//! Owns: which oddities are worth a sentence. Never does: find them (`forest`).

use super::Skeleton;
use super::forest::{Forest, NONE};
use crate::trace::RowKind;

/// Something odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// A word for programs.
    pub code: &'static str,
    /// How many events it is about.
    pub count: usize,
    /// For people.
    pub message: String,
}

fn warning(code: &'static str, count: usize, message: String) -> Warning {
    Warning { code, count, message }
}

/// `n` of something: "1 span", "2 spans".
fn n_of(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn milliseconds(ns: i64) -> String {
    let ms = (ns as f64 / 1e3).round() / 1e3;
    format!("{ms} ms")
}

pub(super) fn of_reading(n: usize, truncated: bool, stopped: bool) -> Vec<Warning> {
    let mut out = Vec::new();
    if truncated {
        let message = format!("the trace has more than {n} events: these are the earliest; raise `limit` to see more");
        out.push(warning("truncated", n, message));
    }
    if stopped {
        let message = "time ran out before all events were looked at; name a time near the trace (ts=), or one dataset";
        out.push(warning("stopped", n, message.to_owned()));
    }
    out
}

pub(super) fn of_forest(out: &Skeleton, forest: &Forest) -> Vec<Warning> {
    let n_spans = out.n_of_kind[RowKind::Span as usize];
    let mut all = Vec::new();
    if n_spans == 0 {
        all.push(warning("no_spans", 0, "there is no span in it, only other events that name the trace".to_owned()));
    } else if forest.n_roots == 0 {
        let message = "the root is missing: no span is without a parent; it was lost, is still under way, or was not sent here";
        all.push(warning("no_root", 0, message.to_owned()));
    }
    if forest.n_roots > 1 {
        let message = format!("there are {} roots: spans without a parent", forest.n_roots);
        all.push(warning("several_roots", forest.n_roots, message));
    }
    if forest.n_missing > 0 {
        let n = out.orphans.len();
        let message = format!(
            "{} {} a parent that is not there; {} missing",
            n_of(n, "event"),
            if n == 1 { "names" } else { "name" },
            if forest.n_missing == 1 { "1 span is".to_owned() } else { format!("{} spans are", forest.n_missing) },
        );
        all.push(warning("missing_parent", n, message));
    }
    if forest.n_folded > 0 {
        let were = if forest.n_folded == 1 { "was" } else { "were" };
        let message = format!("{} {were} sent more than once, and {were} left out", n_of(forest.n_folded, "span"));
        all.push(warning("duplicate_spans", forest.n_folded, message));
    }
    if !out.duplicates.is_empty() {
        let n = out.duplicates.len();
        all.push(warning("duplicate_ids", n, format!("{n} spans share their id with another, different one; all are kept")));
    }
    if !out.cycles.is_empty() {
        let n = out.cycles.len();
        let message = format!(
            "{} own ancestor; the way to the parent was cut there",
            if n == 1 { "1 span is its".to_owned() } else { format!("{n} spans are their") }
        );
        all.push(warning("cycle", n, message));
    }
    skew(out, &mut all);
    all
}

fn skew(out: &Skeleton, all: &mut Vec<Warning>) {
    let before = |at: &u32| {
        let (at, parent) = (*at as usize, out.parent[*at as usize]);
        if parent == NONE { 0 } else { out.offset_ns[parent as usize] - out.offset_ns[at] }
    };
    let most = out.early.iter().map(before).max();
    if let Some(most) = most {
        let n = out.early.len();
        let verb = if n == 1 { "starts before its parent" } else { "start before their parents" };
        let message = format!("{} {verb}, by up to {}: clocks disagree; times are shown as sent", n_of(n, "event"), milliseconds(most));
        all.push(warning("clock_skew", n, message));
    } else if !out.shifts.is_empty() {
        let n = out.shifts.len();
        let verb = if n == 1 { "lies" } else { "lie" };
        let message = format!("{} {verb} outside of the calls that led there: clocks disagree; times are shown as sent", n_of(n, "span"));
        all.push(warning("clock_skew", n, message));
    }
}
