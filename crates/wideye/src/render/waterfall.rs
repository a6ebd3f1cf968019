//! A trace on the terminal: its tree, and bars over time beside it.
//!
//! Owns: layout, and which rows are folded into one. Never does: compute what the server said.

use super::{list, number, table::fit, text};
use crate::{
    error::CliError,
    term::{Out, Style, grouped, width},
};
use serde_json::Value as Json;
use std::collections::HashMap;

/// Brothers of one name and service that become one row, if they have nothing below them, and if they have.
const FOLD_LEAVES: usize = 3;
const FOLD_TREES: usize = 10;
/// Lines at most, unless all are wanted.
const LINES_MAX: usize = 1_000;
/// Levels that are indented.
const INDENTS_MAX: usize = 24;
/// A duration is unusual from this rank on, among so many at least.
const UNUSUAL: f64 = 0.99;
const UNUSUAL_OF: f64 = 100.0;

/// A trace as the server tells it.
struct Trace<'j> {
    json: &'j Json,
    parent: Vec<Option<usize>>,
    depth: Vec<usize>,
    kind: Vec<&'j str>,
    start: Vec<i64>,
    end: Vec<i64>,
    failed: Vec<bool>,
    /// Stretches of the critical path that were spent in each row.
    critical: HashMap<usize, Vec<(i64, i64)>>,
    /// The last end of anything below a row.
    outlived: Vec<i64>,
    whole: i64,
}

fn ints(json: &Json) -> Vec<i64> {
    list(json).iter().map(|v| v.as_i64().unwrap_or(0)).collect()
}

impl<'j> Trace<'j> {
    fn new(json: &'j Json) -> Trace<'j> {
        let rows = &json["rows"];
        let start = ints(&rows["start_ns"]);
        let end: Vec<i64> = start.iter().zip(ints(&rows["duration_ns"])).map(|(s, d)| s.saturating_add(d)).collect();
        let n = start.len();
        let number = |list: &Json, at: usize| list[at].as_u64().unwrap_or(0) as usize;
        let mut failed = vec![false; n];
        for at in ints(&json["flags"]["error"]) {
            if let Some(f) = failed.get_mut(at as usize) {
                *f = true;
            }
        }
        let parent: Vec<Option<usize>> = ints(&rows["parent"]).into_iter().map(|p| usize::try_from(p).ok()).collect();
        let mut outlived = end.clone();
        for at in (0..n).rev() {
            if let Some(parent) = parent[at] {
                outlived[parent] = outlived[parent].max(outlived[at]);
            }
        }
        let mut critical: HashMap<usize, Vec<(i64, i64)>> = HashMap::new();
        let path = &json["critical_path"];
        let shifts: HashMap<i64, i64> =
            ints(&json["clock_shifts"]["row"]).into_iter().zip(ints(&json["clock_shifts"]["shift_ns"])).collect();
        for ((row, from), to) in ints(&path["row"]).into_iter().zip(ints(&path["start_ns"])).zip(ints(&path["end_ns"])) {
            // Bars are as sent, and so is what is marked of them.
            let shift = shifts.get(&row).copied().unwrap_or(0);
            critical.entry(row as usize).or_default().push((from - shift, to - shift));
        }
        Trace {
            json,
            parent,
            depth: (0..n).map(|at| number(&rows["depth"], at)).collect(),
            kind: (0..n).map(|at| json["kinds"][number(&rows["kind"], at)].as_str().unwrap_or_default()).collect(),
            whole: end.iter().copied().max().unwrap_or(0).max(1),
            start,
            end,
            failed,
            critical,
            outlived,
        }
    }

    fn len(&self) -> usize {
        self.start.len()
    }

    fn is_point(&self, at: usize) -> bool {
        !matches!(self.kind[at], "span" | "missing")
    }

    /// A text of a row that stands as a number in one of its lists.
    fn named(&self, at: usize, numbers: &str, texts: &str) -> &'j str {
        let number = self.json["rows"][numbers][at].as_u64().unwrap_or(0) as usize;
        self.json[texts][number].as_str().unwrap_or_default()
    }

    /// The first row after a row that is not below it.
    fn after(&self, at: usize) -> usize {
        (at + 1..self.len()).find(|next| self.depth[*next] <= self.depth[at]).unwrap_or(self.len())
    }

    fn name(&self, at: usize) -> String {
        let name = self.named(at, "name", "names");
        match self.kind[at] {
            "missing" => match self.json["rows"]["span_id"][at].as_str() {
                Some(id) => format!("(missing span {id})"),
                None => "(missing root)".to_owned(),
            },
            "link" => format!("→ {}", if name.is_empty() { "link" } else { name }),
            _ if name.is_empty() => format!("({})", self.kind[at].replace('_', " ")),
            _ => text(&Json::from(name)),
        }
    }

    /// How unusual the duration is, if it is.
    fn unusual(&self, at: usize) -> Option<f64> {
        let comparison = &self.json["comparison"];
        let kind = comparison["kind"][at].as_u64()? as usize;
        let among = comparison["kinds"][kind]["n"].as_f64()?;
        comparison["rank"][at].as_f64().filter(|r| *r >= UNUSUAL && among >= UNUSUAL_OF)
    }
}

/// One line of the waterfall: a row, or several of a kind.
struct Line {
    depth: usize,
    rows: Vec<usize>,
    /// Rows that are folded away below them.
    n_below: usize,
}

/// Which lines there are.
fn lines(trace: &Trace<'_>, all: bool) -> Vec<Line> {
    let n = trace.len();
    // Which rows are folded into which, and how much was below them.
    let mut into: Vec<Option<usize>> = vec![None; n];
    if !all {
        let mut numbers: HashMap<(Option<usize>, &str, &str, &str), usize> = HashMap::new();
        let mut brothers: Vec<Vec<usize>> = Vec::new();
        for at in (0..n).filter(|at| trace.kind[*at] != "missing") {
            let key = (trace.parent[at], trace.named(at, "name", "names"), trace.named(at, "service", "services"), trace.kind[at]);
            let number = *numbers.entry(key).or_insert_with(|| {
                brothers.push(Vec::new());
                brothers.len() - 1
            });
            brothers[number].push(at);
        }
        for rows in brothers {
            let leaves = rows.iter().all(|at| *at + 1 == n || trace.parent[*at + 1] != Some(*at));
            if rows.len() >= if leaves { FOLD_LEAVES } else { FOLD_TREES } {
                rows.iter().for_each(|at| into[*at] = Some(rows[0]));
            }
        }
    }
    let mut out: Vec<Line> = Vec::new();
    let mut line_of: HashMap<usize, usize> = HashMap::new();
    let mut at = 0;
    while at < n {
        let Some(first) = into[at] else {
            out.push(Line { depth: trace.depth[at], rows: vec![at], n_below: 0 });
            at += 1;
            continue;
        };
        let line = *line_of.entry(first).or_insert_with(|| {
            out.push(Line { depth: trace.depth[at], rows: Vec::new(), n_below: 0 });
            out.len() - 1
        });
        let next = trace.after(at);
        out[line].rows.push(at);
        out[line].n_below += next - at - 1;
        at = next;
    }
    out
}

/// A bar over the time of the whole trace.
fn bar(trace: &Trace<'_>, line: &Line, width: usize) -> String {
    let mut cells = vec![' '; width];
    let place = |t: i64| (t.max(0) as f64 / trace.whole as f64 * width as f64) as usize;
    let mut paint = |from: i64, to: i64, with: char| {
        let first = place(from).min(width - 1);
        let last = place(to.saturating_sub(1)).clamp(first, width - 1);
        cells[first..=last].fill(with);
    };
    for at in &line.rows {
        if trace.outlived[*at] > trace.end[*at] {
            paint(trace.end[*at], trace.outlived[*at], '─');
        }
    }
    for at in &line.rows {
        let with = match trace.kind[*at] {
            "missing" => '┄',
            _ if trace.is_point(*at) => '◆',
            _ => '▒',
        };
        paint(trace.start[*at], trace.end[*at], with);
    }
    for (from, to) in line.rows.iter().filter_map(|at| trace.critical.get(at)).flatten() {
        if line.rows.iter().any(|at| trace.kind[*at] != "missing") {
            paint(*from, *to, '█');
        }
    }
    cells.into_iter().collect()
}

/// A duration as people read it.
fn took(ns: i64) -> String {
    match ns {
        ns if ns >= 60_000_000_000 => format!("{} min", number((ns as f64 / 6e8).round() / 100.0)),
        ns if ns >= 1_000_000_000 => format!("{:.2} s", ns as f64 / 1e9),
        ns if ns >= 1_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        ns if ns >= 1_000 => format!("{:.1} µs", ns as f64 / 1e3),
        ns => format!("{ns} ns"),
    }
}

/// 0.9987 is p99.8: never more than it is.
fn rank_text(rank: f64) -> String {
    format!("p{}", (rank * 1000.0 + 1e-6).floor() / 10.0)
}

/// The tree's part of a line: the name and, where it changes, the service.
fn label(trace: &Trace<'_>, line: &Line) -> (String, String) {
    let at = line.rows[0];
    let mut name = format!("{}{}", " ".repeat(line.depth.min(INDENTS_MAX)), trace.name(at));
    if line.rows.len() > 1 {
        name.push_str(&format!(" ×{}", grouped(line.rows.len() as u64)));
    }
    if line.n_below > 0 {
        name.push_str(&format!(" (+{} below)", grouped(line.n_below as u64)));
    }
    let service = trace.named(at, "service", "services");
    let above = trace.parent[at].map(|p| trace.named(p, "service", "services"));
    (name, if above == Some(service) { String::new() } else { service.to_owned() })
}

/// Prints an answer of `/api/v1/traces/{id}`.
pub(crate) fn waterfall(out: &mut Out, json: &Json, all: bool) -> Result<(), CliError> {
    let trace = Trace::new(json);
    head(out, json)?;
    let lines = lines(&trace, all);
    let shown = if all { lines.len() } else { lines.len().min(LINES_MAX) };
    // Bars get what names leave, and names no more than half.
    let width = width();
    let (took_width, rank_width) = (10, 6);
    let room = width.saturating_sub(took_width + rank_width + 4);
    let labels: Vec<(String, String)> = lines[..shown].iter().map(|l| label(&trace, l)).collect();
    let wanted = |(name, service): &(String, String)| name.chars().count() + service.chars().count() + 4;
    let tree = labels.iter().map(wanted).max().unwrap_or(0).min(room * 11 / 20).max(12);
    let bar_width = room.saturating_sub(tree).max(8);
    for (line, (name, service)) in lines.iter().zip(&labels) {
        let n_failed = line.rows.iter().filter(|at| trace.failed[**at]).count();
        let mark = if n_failed > 0 { "✖ " } else { "" };
        let room_of_name = tree.saturating_sub(mark.chars().count());
        // A long name leaves room for the service, up to a third.
        let kept = if service.is_empty() { 0 } else { (service.chars().count() + 2).min(room_of_name / 3) };
        let name = fit(name, room_of_name - kept);
        let left = room_of_name - name.chars().count();
        let service = if service.is_empty() || left < 4 { String::new() } else { format!("  {}", fit(service, left - 2)) };
        let pad = " ".repeat(left - service.chars().count());
        let indent: String = name.chars().take_while(|c| *c == ' ').collect();
        let name = &name[indent.len()..];
        let (mark, name) =
            if n_failed > 0 { (out.paint(Style::Bad, mark), out.paint(Style::Bad, name)) } else { (String::new(), name.to_owned()) };
        let service = out.paint(Style::Dim, &service);
        let sum: i64 = line.rows.iter().map(|at| trace.end[*at] - trace.start[*at]).sum();
        let time = match line.rows.as_slice() {
            [at, ..] if trace.is_point(*at) => String::new(),
            [_] => took(sum),
            _ => format!("Σ {}", took(sum)),
        };
        let rank = line.rows.iter().filter_map(|at| trace.unusual(*at)).fold(None, |a: Option<f64>, b| Some(a.map_or(b, |a| a.max(b))));
        let rank = rank.map(rank_text).unwrap_or_default();
        let bar = bar(&trace, line, bar_width);
        let text = format!("{indent}{mark}{name}{service}{pad} {bar} {time:>took_width$} {rank:>rank_width$}");
        out.line(format_args!("{}", text.trim_end()))?;
    }
    foot(out, &lines, shown, &trace)
}

fn head(out: &mut Out, json: &Json) -> Result<(), CliError> {
    let summary = &json["summary"];
    let count = |name: &str| summary[name].as_u64().unwrap_or(0);
    let of = |n: u64, one: &str| format!("{} {one}{}", grouped(n), if n == 1 { "" } else { "s" });
    let root = &summary["root"];
    let title = match root["name"].as_str().filter(|n| !n.is_empty()) {
        Some(name) => format!("{name}  {}", text(&root["service"])),
        None => format!("trace {}", text(&json["trace_id"])),
    };
    let title = out.paint(Style::Bold, &format!("{title}  {}", text(&summary["start_time"])));
    let mut parts = vec![
        took((summary["duration_ms"].as_f64().unwrap_or(0.0) * 1e6) as i64),
        of(count("n_spans"), "span"),
        of(list(&summary["services"]).len() as u64, "service"),
    ];
    parts.extend([("n_errors", "error"), ("n_span_events", "span event"), ("n_links", "link"), ("n_logs", "log")].into_iter().filter_map(
        |(name, one)| {
            let n = count(name);
            (n > 0).then(|| of(n, one))
        },
    ));
    out.line(format_args!("{title}"))?;
    out.line(format_args!("{}", parts.join(" · ")))?;
    for warning in list(&json["warnings"]) {
        out.line(format_args!("! {}", text(&warning["message"])))?;
    }
    out.line(format_args!(""))
}

fn foot(out: &mut Out, lines: &[Line], shown: usize, trace: &Trace<'_>) -> Result<(), CliError> {
    let summary = &trace.json["summary"];
    let path_ms = |s: &Json| s["critical_path_ms"].as_f64().unwrap_or(0.0);
    let total: f64 = list(&summary["services"]).iter().map(path_ms).sum();
    let most = list(&summary["services"]).iter().filter(|s| total > 0.0 && path_ms(s) / total >= 0.01).take(4);
    let most: Vec<String> = most.map(|s| format!("{} {:.0} %", text(&s["service"]), path_ms(s) / total * 100.0)).collect();
    if !most.is_empty() {
        out.line(format_args!("\ncritical path: {}", most.join(" · ")))?;
    }
    let mut notes = vec!["█ critical path  ▒ other time  ─ goes on below  ◆ event, link, log  ✖ failed".to_owned()];
    if lines.iter().any(|l| (0..l.rows.len()).any(|i| trace.unusual(l.rows[i]).is_some())) {
        notes.push("p99.8: slower than 99.8 % of its kind (service and name) around that time".to_owned());
    }
    let folded = lines.iter().any(|l| l.rows.len() > 1);
    match (lines.len() - shown, folded) {
        (0, false) => {}
        (0, true) => notes.push("repeated spans are folded: --all shows each".to_owned()),
        (more, _) => notes.push(format!("{} more lines: --all shows every span", grouped(more as u64))),
    }
    for note in notes {
        let note = out.paint(Style::Dim, &note);
        out.line(format_args!("{note}"))?;
    }
    Ok(())
}

/// Prints an answer of `/api/v1/traces/{id}/spans/{span}`: every field of every event.
pub(crate) fn span(out: &mut Out, json: &Json) -> Result<(), CliError> {
    for (name, title) in [("spans", "span"), ("span_events", "span event"), ("links", "link"), ("logs", "log")] {
        for event in list(&json[name]) {
            let heading = format!("{title} at {}", text(&event["time"]));
            let heading = out.paint(Style::Bold, &heading);
            out.line(format_args!("{heading}"))?;
            let fields = event["data"].as_object();
            let longest = fields.into_iter().flatten().map(|(n, _)| n.chars().count()).max().unwrap_or(0).min(40);
            for (field, value) in fields.into_iter().flatten() {
                let pad = " ".repeat(longest.saturating_sub(field.chars().count()));
                out.line(format_args!("  {field}{pad}  {}", text(value)))?;
            }
        }
    }
    let n = json["n_children"].as_u64().unwrap_or(0);
    let note = out.paint(Style::Dim, &format!("{} span{} below it", grouped(n), if n == 1 { "" } else { "s" }));
    out.line(format_args!("{note}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn trace() -> Json {
        json!({
            "kinds": ["span", "span_event", "link", "log", "event", "missing"],
            "names": ["", "GET /", "SELECT", "late"], "services": ["", "web", "db"],
            "rows": {
                "span_id": ["a", "b", "c", "d", "e", null], "parent": [-1, 0, 0, 0, 0, 4], "depth": [0, 1, 1, 1, 1, 2],
                "kind": [0, 0, 0, 0, 0, 3], "name": [1, 2, 2, 2, 3, 3], "service": [1, 2, 2, 2, 1, 1],
                "start_ns": [0, 10, 20, 30, 60, 80], "duration_ns": [80, 5, 5, 5, 40, 0]
            },
            "flags": { "error": [2] }, "critical_path": { "row": [0], "start_ns": [0], "end_ns": [40] },
            "clock_shifts": { "row": [], "shift_ns": [] },
            "comparison": { "kind": [0, -1, -1, -1, 0, -1], "rank": [0.99876, null, null, null, 0.5, null], "kinds": [{ "n": 1000.0 }] }
        })
    }

    #[test]
    fn brothers_of_a_kind_are_folded_unless_all_are_wanted() {
        let json = trace();
        let trace = Trace::new(&json);
        let folded = lines(&trace, false);
        assert_eq!(folded.iter().map(|l| l.rows.clone()).collect::<Vec<_>>(), [vec![0], vec![1, 2, 3], vec![4], vec![5]]);
        assert_eq!(label(&trace, &folded[1]), (" SELECT ×3".to_owned(), "db".to_owned()));
        assert_eq!(lines(&trace, true).len(), 6);
    }

    #[test]
    fn bars_show_the_critical_path_and_what_goes_on() {
        let json = trace();
        let trace = Trace::new(&json);
        let drawn: Vec<String> = lines(&trace, false).iter().map(|l| bar(&trace, l, 10)).collect();
        assert_eq!(drawn, ["████▒▒▒▒──", " ▒▒▒      ", "      ▒▒▒▒", "        ◆ "]);
    }

    #[test]
    fn numbers_are_short() {
        for (ns, shown) in
            [(5, "5 ns"), (1_500, "1.5 µs"), (12_345_678, "12.3 ms"), (1_940_000_000, "1.94 s"), (90_000_000_000, "1.500 min")]
        {
            assert_eq!(took(ns), shown);
        }
        assert_eq!((rank_text(0.99876), rank_text(0.998), rank_text(0.99)), ("p99.8".to_owned(), "p99.8".to_owned(), "p99".to_owned()));
        let json = trace();
        assert_eq!((Trace::new(&json).unusual(0), Trace::new(&json).unusual(4)), (Some(0.99876), None));
    }
}
