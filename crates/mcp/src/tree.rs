//! A trace as text: what stands out, then a tree in which what repeats or lies deep is folded.
//!
//! Owns: what is folded. Never does: compute times (the API's skeleton has them).

use crate::text::{Page, clip, exact, number, points, to_second};
use crate::tools::ToolError;
use serde_json::Value as Json;
use std::collections::HashMap;

/// Children of one kind (service and name) that are told each for itself.
const ALIKE_MAX: usize = 3;
/// Of more of them, those that are told.
const ALIKE_TOLD: usize = 2;
/// Rows of the tree.
const ROWS_MAX: usize = 250;
/// Stretches of the critical path, services, and errors that are told.
const LIST_MAX: usize = 8;
const NAME_CHARS_MAX: usize = 80;
/// A duration that is longer than this share of its kind is worth saying.
const RANK_MIN: f64 = 0.95;

/// The skeleton of a trace, as the API answers it.
#[derive(Debug)]
pub(crate) struct Tree {
    skeleton: Json,
    n: usize,
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    /// Rows of the subtree.
    below: Vec<usize>,
    /// Whether something failed in the subtree.
    failed: Vec<bool>,
    error: Vec<bool>,
    /// Nanoseconds of the critical path.
    critical: Vec<i64>,
}

/// One line of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Row {
        row: usize,
        depth: usize,
        cut: usize,
    },
    /// So many more like the row, from the shortest to the longest, with so many rows below.
    More {
        like: usize,
        depth: usize,
        n: usize,
        shortest_ns: i64,
        longest_ns: i64,
        below: usize,
        failed: usize,
    },
}

fn ms(ns: i64) -> String {
    rounded_ms(ns as f64 / 1e6)
}

fn rounded_ms(ms: f64) -> String {
    number((ms * 1e3).round() / 1e3)
}

impl Tree {
    pub(crate) fn new(skeleton: Json) -> Tree {
        let parents: Vec<Option<usize>> = skeleton["rows"]["parent"]
            .as_array()
            .map(|p| p.iter().map(|v| v.as_i64().and_then(|p| usize::try_from(p).ok())).collect())
            .unwrap_or_default();
        let n = parents.len();
        let mut children = vec![Vec::new(); n];
        for (row, parent) in parents.iter().enumerate() {
            if let Some(list) = parent.and_then(|p| children.get_mut(p)) {
                list.push(row);
            }
        }
        let mut error = vec![false; n];
        for row in skeleton["flags"]["error"].as_array().into_iter().flatten() {
            if let Some(flag) = row.as_u64().and_then(|r| error.get_mut(r as usize)) {
                *flag = true;
            }
        }
        let mut critical = vec![0; n];
        let path = &skeleton["critical_path"];
        for (i, row) in path["row"].as_array().into_iter().flatten().enumerate() {
            let spent = path["end_ns"][i].as_i64().unwrap_or(0) - path["start_ns"][i].as_i64().unwrap_or(0);
            if let Some(sum) = row.as_u64().and_then(|r| critical.get_mut(r as usize)) {
                *sum += spent;
            }
        }
        let (mut below, mut failed) = (vec![1; n], error.clone());
        // Parents come before their children.
        for row in (0..n).rev() {
            if let Some(parent) = parents[row].filter(|p| *p < row) {
                below[parent] += below[row];
                failed[parent] |= failed[row];
            }
        }
        Tree { skeleton, n, parents, children, below, failed, error, critical }
    }

    fn number_at(&self, list: &str, row: usize) -> i64 {
        self.skeleton["rows"][list][row].as_i64().unwrap_or(0)
    }

    fn text_at(&self, list: &str, texts: &str, row: usize) -> &str {
        self.skeleton[texts][self.number_at(list, row) as usize].as_str().unwrap_or("")
    }

    fn kind(&self, row: usize) -> &str {
        self.text_at("kind", "kinds", row)
    }

    fn service(&self, row: usize) -> &str {
        self.text_at("service", "services", row)
    }

    fn name(&self, row: usize) -> &str {
        self.text_at("name", "names", row)
    }

    fn duration(&self, row: usize) -> i64 {
        self.number_at("duration_ns", row)
    }

    /// A row number that exists.
    pub(crate) fn known(&self, row: usize) -> Result<usize, ToolError> {
        if row < self.n {
            Ok(row)
        } else {
            Err(ToolError::arguments(format!("the trace has rows 0 to {}, not {row}", self.n.saturating_sub(1))))
        }
    }

    pub(crate) fn row_of(&self, span_id: &str) -> Result<usize, ToolError> {
        let ids = self.skeleton["rows"]["span_id"].as_array().map_or(&[][..], Vec::as_slice);
        let row = ids.iter().position(|id| id.as_str() == Some(span_id));
        row.ok_or_else(|| ToolError::arguments(format!("the trace has no span '{span_id}'")))
    }

    pub(crate) fn span_id(&self, row: usize) -> Result<String, ToolError> {
        let id = &self.skeleton["rows"]["span_id"][self.known(row)?];
        let id = id.as_str().map(str::to_owned);
        id.ok_or_else(|| ToolError::arguments(format!("row {row} is no span ({}); ask for the row above it", self.kind(row))))
    }

    /// The lines of the rows below `tops`, down to a depth.
    fn lines(&self, tops: &[usize], depth_max: usize) -> Vec<Line> {
        let mut out = Vec::new();
        // Lines that are still to be written, last first.
        let mut stack: Vec<Line> = Vec::new();
        self.fold(tops, 0, &mut stack);
        while let Some(line) = stack.pop() {
            match line {
                Line::Row { row, depth, .. } if depth < depth_max => {
                    out.push(line);
                    self.fold(&self.children[row], depth + 1, &mut stack);
                }
                Line::Row { row, depth, .. } => out.push(Line::Row { row, depth, cut: self.below[row] - 1 }),
                more => out.push(more),
            }
            if out.len() > ROWS_MAX {
                break;
            }
        }
        out
    }

    /// Puts the lines of siblings on the stack: of many of one kind those that failed, that were waited for, or that took longest.
    fn fold(&self, siblings: &[usize], depth: usize, stack: &mut Vec<Line>) {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut at: HashMap<(i64, i64, i64), usize> = HashMap::new();
        for &row in siblings {
            let key = (self.number_at("kind", row), self.number_at("service", row), self.number_at("name", row));
            let i = *at.entry(key).or_insert(groups.len());
            match groups.get_mut(i) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        let mut lines: Vec<(usize, Line)> = Vec::new();
        for mut group in groups {
            let told = if group.len() > ALIKE_MAX { ALIKE_TOLD } else { group.len() };
            group.sort_by_key(|&r| (!self.error[r], !self.failed[r], std::cmp::Reverse((self.critical[r], self.duration(r)))));
            let rest = group.split_off(told);
            for &row in &group {
                lines.push((row, Line::Row { row, depth, cut: 0 }));
            }
            if let Some(&like) = rest.first() {
                let durations = || rest.iter().map(|&r| self.duration(r));
                let more = Line::More {
                    like,
                    depth,
                    n: rest.len(),
                    shortest_ns: durations().min().unwrap_or(0),
                    longest_ns: durations().max().unwrap_or(0),
                    below: rest.iter().map(|&r| self.below[r] - 1).sum(),
                    failed: rest.iter().filter(|&&r| self.failed[r]).count(),
                };
                lines.push((group.iter().copied().max().unwrap_or(like), more));
            }
        }
        // In order of time, which is that of rows; what was folded after those like it.
        lines.sort_by_key(|(row, line)| (*row, matches!(line, Line::More { .. })));
        stack.extend(lines.into_iter().rev().map(|(_, line)| line));
    }

    /// As deep as there is room for.
    fn deepest(&self, tops: &[usize]) -> Vec<Line> {
        let mut best = self.lines(tops, 0);
        for depth in 1..=64 {
            let deeper = self.lines(tops, depth);
            if deeper.len() > ROWS_MAX || deeper == best {
                break;
            }
            best = deeper;
        }
        best
    }

    pub(crate) fn told(&self, below: Option<usize>, chars_max: usize) -> String {
        let mut page = Page::new(chars_max);
        let tops: Vec<usize> = match below {
            Some(row) => vec![row],
            None => (0..self.n).filter(|&r| self.parents[r].is_none()).collect(),
        };
        if below.is_none() {
            self.summary(&mut page);
        }
        let lines = self.deepest(&tops);
        let columns: Vec<&String> = self.skeleton["rows"]["columns"].as_object().into_iter().flat_map(serde_json::Map::keys).collect();
        page.line("row, service and name (the service where it changes), +start, duration in ms:");
        let mut told = 0;
        let mut full = false;
        for line in &lines {
            let text = match line {
                Line::Row { row, depth, cut } => self.row_told(*row, *depth, *cut, &columns),
                Line::More { like, depth, n, shortest_ns, longest_ns, below, failed } => {
                    let mut text =
                        format!("{}… {n} more {}: {} to {} ms", "  ".repeat(*depth), self.named(*like), ms(*shortest_ns), ms(*longest_ns));
                    if *below > 0 {
                        text.push_str(&format!(", {below} rows below them"));
                    }
                    if *failed > 0 {
                        text.push_str(&format!(", {failed} with errors"));
                    }
                    text
                }
            };
            full = !page.line(&text);
            if full {
                break;
            }
            told += usize::from(matches!(line, Line::Row { .. }));
        }
        let all: usize = tops.iter().map(|&r| self.below[r]).sum();
        if told < all {
            let why = if full || lines.len() > ROWS_MAX { "there was no room for the others" } else { "the others are folded" };
            page.note(format!(
                "{told} of {all} rows, {why}: `below` with a row number shows the tree from there, `span` one span with all its fields"
            ));
        } else {
            page.note("`span` with a row number answers that span with all its fields");
        }
        page.finish()
    }

    fn named(&self, row: usize) -> String {
        let name = clip(self.name(row), NAME_CHARS_MAX);
        match self.kind(row) {
            "span" => name,
            "missing" if self.skeleton["rows"]["span_id"][row].is_null() => "(missing root)".to_owned(),
            "missing" => "(missing span)".to_owned(),
            "link" => format!("[link] {name}{}to trace {}", if name.is_empty() { "" } else { " " }, self.linked(row).unwrap_or("(none)")),
            kind => format!("[{kind}] {name}"),
        }
    }

    /// The trace that a link leads to.
    fn linked(&self, row: usize) -> Option<&str> {
        let links = &self.skeleton["links"];
        let at = links["row"].as_array()?.iter().position(|r| r.as_u64() == Some(row as u64))?;
        links["trace_id"][at].as_str()
    }

    fn row_told(&self, row: usize, depth: usize, cut: usize, columns: &[&String]) -> String {
        let mut text = format!("{}#{row} ", "  ".repeat(depth));
        let service = self.service(row);
        if !service.is_empty() && self.parents[row].is_none_or(|p| depth == 0 || self.service(p) != service) {
            text.push_str(service);
            text.push(' ');
        }
        text.push_str(&self.named(row));
        text.push_str(&format!(" +{}", ms(self.number_at("start_ns", row))));
        if self.kind(row) == "span" {
            text.push_str(&format!(" {}", ms(self.duration(row))));
        }
        if self.error[row] {
            text.push_str(" ERROR");
        }
        if self.critical[row] > 0 {
            text.push_str(&format!(" critical {}", ms(self.critical[row])));
        }
        if let Some(rank) = self.skeleton["comparison"]["rank"][row].as_f64().filter(|r| *r >= RANK_MIN) {
            text.push_str(&format!(" slower than {} %", points(rank)));
        }
        for column in columns {
            let value = &self.skeleton["rows"]["columns"][column.as_str()][row];
            if !value.is_null() {
                text.push_str(&format!(" {column}={}", exact(value)));
            }
        }
        if cut > 0 {
            text.push_str(&format!(" (+{cut} rows below)"));
        }
        text
    }

    /// The trace in a few lines: what it is, what is odd, where the time went, what failed.
    fn summary(&self, page: &mut Page) {
        let s = &self.skeleton["summary"];
        let root = &s["root"];
        let start = to_second(s["start_time"].as_str().unwrap_or_default());
        let texts = [root["service"].as_str(), root["name"].as_str()].map(|t| t.filter(|t| !t.is_empty()));
        let title = match texts {
            _ if root["missing"] == true => "(missing root)".to_owned(),
            [service, name] => format!("{} {}", service.unwrap_or("(no service)"), name.unwrap_or("(no name)")),
        };
        let counts = [("n_spans", "span"), ("n_errors", "error"), ("n_span_events", "span event"), ("n_links", "link"), ("n_logs", "log")];
        let counts = counts.map(|(count, noun)| {
            let n = s[count].as_u64().unwrap_or(0);
            format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
        });
        page.line(&format!("{title}: {} ms, started {start}; {}", rounded_ms(s["duration_ms"].as_f64().unwrap_or(0.0)), counts.join(", ")));
        for warning in self.skeleton["warnings"].as_array().into_iter().flatten().filter_map(|w| w["message"].as_str()) {
            page.line(&format!("odd: {warning}"));
        }
        let services = s["services"].as_array().map_or(&[][..], Vec::as_slice);
        page.line("where the time went (critical path):");
        page.table(
            &["service", "spans", "errors", "ms"],
            services.iter().take(LIST_MAX).map(|s| {
                let spent = s["critical_path_ms"].as_f64().unwrap_or(0.0);
                vec![exact(&s["service"]), exact(&s["n_spans"]), exact(&s["n_errors"]), rounded_ms(spent)]
            }),
        );
        if services.len() > LIST_MAX {
            page.line(&format!("… and {} services more", services.len() - LIST_MAX));
        }
        let mut waited: Vec<usize> = (0..self.n).filter(|&r| self.critical[r] > 0).collect();
        waited.sort_by_key(|&r| std::cmp::Reverse(self.critical[r]));
        let waited: Vec<String> = waited
            .iter()
            .take(LIST_MAX)
            .map(|&r| format!("#{r} {} {} {} ms", self.service(r), self.named(r), ms(self.critical[r])))
            .collect();
        if !waited.is_empty() {
            page.line(&format!("most of it in: {}", waited.join("; ")));
        }
        // The deepest ones are where it began.
        let first: Vec<usize> = (0..self.n).filter(|&r| self.error[r] && !self.children[r].iter().any(|&c| self.failed[c])).collect();
        if !first.is_empty() {
            let names: Vec<String> = first.iter().take(LIST_MAX).map(|&r| format!("#{r} {} {}", self.service(r), self.named(r))).collect();
            let more = if first.len() > LIST_MAX { format!("; and {} more", first.len() - LIST_MAX) } else { String::new() };
            page.line(&format!("errors began in: {}{more}", names.join("; ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;
    use serde_json::{Value as Json, json};

    /// A root with a call that failed and `n` reads of a cache.
    fn wide(n: usize) -> Json {
        let rows = n + 3;
        let list = |f: &dyn Fn(usize) -> i64| (0..rows).map(f).collect::<Vec<i64>>();
        let ids: Vec<String> = (0..rows).map(|r| format!("{r:016x}")).collect();
        json!({
            "kinds": ["span", "span_event", "link", "log", "event", "missing"], "names": ["", "GET /", "call", "read"], "services": ["", "web", "cache"],
            "summary": {"root": {"service": "web", "name": "GET /"}, "start_time": "2026-09-21T00:00:00.5Z", "duration_ms": 100.0, "n_spans": rows,
                "n_errors": 1, "n_span_events": 0, "n_logs": 0, "services": [{"service": "web", "n_spans": 3, "n_errors": 1, "critical_path_ms": 100.0}]},
            "warnings": [{"code": "x", "message": "something is odd"}], "flags": {"error": [2]},
            "critical_path": {"row": [0, 1, 0], "start_ns": [0, 10_000_000, 60_000_000], "end_ns": [10_000_000, 60_000_000, 100_000_000]},
            "rows": {
                "span_id": ids, "parent": list(&|r| if r == 0 { -1 } else if r == 2 { 1 } else { 0 }), "kind": list(&|_| 0),
                "name": list(&|r| if r == 0 { 1 } else if r < 3 { 2 } else { 3 }), "service": list(&|r| if r < 3 { 1 } else { 2 }),
                "start_ns": list(&|r| r as i64 * 1_000_000), "duration_ns": list(&|r| if r == 0 { 100_000_000 } else { 1_500_000 + r as i64 * 1_000 }),
                "columns": {"key": (0..rows).map(|r| if r == 3 { json!("k") } else { Json::Null }).collect::<Vec<_>>()},
            },
        })
    }

    #[test]
    fn what_repeats_is_folded_and_what_matters_is_told() {
        let text = Tree::new(wide(50)).told(None, 20_000);
        assert!(text.starts_with("web GET /: 100 ms, started 2026-09-21T00:00:00Z; 53 spans, 1 error, 0 span events"), "{text}");
        assert!(text.contains("odd: something is odd") && text.contains("errors began in: #2 web call"), "{text}");
        assert!(text.contains("most of it in: #0 web GET / 50 ms; #1 web call 50 ms"), "{text}");
        assert!(text.contains("\n#0 web GET / +0 100 critical 50\n  #1 call +1 1.501 critical 50\n    #2 call +2 1.502 ERROR\n"), "{text}");
        // The two that took longest, and the others in a line.
        assert!(text.contains("\n  #52 cache read +52 1.552\n  … 48 more read: 1.503 to 1.55 ms\n"), "{text}");
        assert!(text.contains("5 of 53 rows, the others are folded"), "{text}");
    }

    #[test]
    fn what_is_missing_and_where_links_lead_is_told() {
        let mut skeleton = wide(0);
        skeleton["rows"]["kind"] = json!([5, 5, 2]);
        skeleton["rows"]["name"] = json!([0, 0, 0]);
        skeleton["rows"]["span_id"] = json!([null, "ab", null]);
        skeleton["summary"]["root"] = json!({"row": 0, "name": "", "service": "", "missing": true});
        skeleton["links"] = json!({"row": [2], "trace_id": ["cafe"], "span_id": ["babe"]});
        let text = Tree::new(skeleton).told(None, 5_000);
        assert!(text.starts_with("(missing root): 100 ms"), "{text}");
        assert!(text.contains("#0 web (missing root) +0") && text.contains("#1 (missing span) +1"), "{text}");
        assert!(text.contains("#2 [link] to trace cafe +2"), "{text}");
    }

    #[test]
    fn a_part_of_a_tree_can_be_asked_for() {
        let tree = Tree::new(wide(3));
        let text = tree.told(Some(1), 20_000);
        assert!(text.contains("\n#1 web call +1 1.501 critical 50\n  #2 call") && !text.contains("read"), "{text}");
        assert!(tree.told(None, 20_000).contains("#3 cache read +3 1.503 key=k"));
        assert_eq!(tree.span_id(3).unwrap(), "0000000000000003");
        assert_eq!(tree.row_of("0000000000000004").unwrap(), 4);
        assert!(tree.span_id(99).unwrap_err().to_string().contains("rows 0 to 5"));
        assert!(tree.row_of("no").unwrap_err().to_string().contains("no span 'no'"));
    }

    #[test]
    fn a_deep_or_damaged_trace_stays_below_the_limit() {
        let mut deep = wide(100_000);
        // A chain instead of a fan.
        deep["rows"]["parent"] = (0..100_003).map(|r| r - 1).collect::<Vec<i64>>().into();
        for skeleton in [deep, wide(100_000), json!({}), json!({"rows": {"parent": [-1, 5, 7]}})] {
            let text = Tree::new(skeleton).told(None, 5_000);
            assert!(text.chars().count() <= 5_000, "{text}");
        }
    }
}
