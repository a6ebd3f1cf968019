//! Assembly of odd traces, the critical path, ranks; and what holds for any trace, however broken.

use super::compare::compare;
use super::forest::{self, Forest, NONE};
use super::rows::{RowKind, Rows};
use super::{Skeleton, assemble, critical, kinds_plan};
use crate::{Answer, Cell};
use model::TimeNs;

/// A row to be: id, parent, start and duration in milliseconds.
#[derive(Clone, Copy)]
struct Span<'a> {
    id: &'a str,
    parent: &'a str,
    start: i64,
    took: i64,
    service: &'a str,
    name: &'a str,
    span_kind: &'a str,
    kind: RowKind,
}

fn span<'a>(id: &'a str, parent: &'a str, start: i64, took: i64) -> Span<'a> {
    Span { id, parent, start, took, service: "s", name: id, span_kind: "internal", kind: RowKind::Span }
}

impl<'a> Span<'a> {
    fn of(self, service: &'a str, span_kind: &'a str) -> Span<'a> {
        Span { service, span_kind, ..self }
    }
    fn named(self, name: &'a str) -> Span<'a> {
        Span { name, ..self }
    }
    fn is(self, kind: RowKind) -> Span<'a> {
        Span { kind, id: "", name: self.id, ..self }
    }
}

const MS: i64 = 1_000_000;

fn table(spans: &[Span<'_>]) -> Rows {
    let mut spans = spans.to_vec();
    spans.sort_by_key(|s| s.start);
    let mut rows = Rows::default();
    for s in spans {
        rows.start_ns.push(s.start * MS);
        rows.duration_ns.push(s.took * MS);
        rows.kind.push(s.kind);
        let (id, parent) = (rows.ids.text(s.id), rows.ids.text(s.parent));
        rows.span.push(id);
        rows.parent.push(parent);
        let (name, service, span_kind) = (rows.names.add(s.name), rows.services.add(s.service), rows.span_kinds.add(s.span_kind));
        rows.name.push(name);
        rows.service.push(service);
        rows.span_kind.push(span_kind);
        rows.error.push(s.name.starts_with("bad"));
    }
    rows
}

/// The tree as indented names, `?` for what is missing.
fn drawn(out: &Skeleton) -> Vec<String> {
    let name = |at: usize| match out.kind[at] {
        RowKind::Missing => format!("?{}", out.span[at]),
        _ => out.names[out.name[at] as usize].clone(),
    };
    (0..out.len()).map(|at| format!("{}{}", " ".repeat(out.depth[at] as usize), name(at))).collect()
}

fn codes(out: &Skeleton) -> Vec<(&'static str, usize)> {
    out.warnings.iter().map(|w| (w.code, w.count)).collect()
}

fn check(spans: &[Span<'_>], tree: &[&str], warnings: &[(&str, usize)]) -> Skeleton {
    let (out, _) = assemble(&table(spans));
    assert_eq!(drawn(&out), tree);
    assert_eq!(codes(&out), warnings);
    out
}

#[test]
fn children_come_below_their_parents_in_order_of_time() {
    let out = check(
        &[span("c", "b", 3, 1), span("a", "", 0, 10), span("d", "a", 6, 2), span("b", "a", 2, 3), span("e", "a", 1, 1)],
        &["a", " e", " b", "  c", " d"],
        &[],
    );
    assert_eq!((out.n_roots, out.root, out.depth_max, out.duration_ns), (1, Some(0), 2, 10 * MS));
    assert_eq!(out.parent, [NONE, 0, 0, 2, 0]);
    assert_eq!(out.offset_ns, [0, MS, 2 * MS, 3 * MS, 6 * MS]);
}

#[test]
fn what_names_no_parent_that_is_there_hangs_below_a_ghost() {
    let out = check(
        &[span("a", "", 0, 10), span("b", "x", 2, 3), span("c", "x", 4, 5), span("d", "y", 1, 1)],
        &["a", " ?y", "  d", " ?x", "  b", "  c"],
        &[("missing_parent", 3)],
    );
    assert_eq!(out.orphans, [2, 4, 5]);
    // What is missing took, as far as is known, from the start of its first child to the end of its last.
    assert_eq!((out.offset_ns[3], out.took_ns[3]), (2 * MS, 7 * MS));
}

/// What would take hours if each were compared with each.
#[test]
fn one_id_for_all_spans_of_a_large_trace() {
    let n = 200_000;
    let mut spans: Vec<_> = (0..n).map(|i| span("a", "b", i, 1)).collect();
    spans.push(span("b", "", 0, n));
    let (out, _) = assemble(&table(&spans));
    assert_eq!((out.len(), out.duplicates.len(), out.n_of_kind[0], out.n_roots), (n as usize + 1, n as usize, n as usize + 1, 1));
    let mut twice: Vec<_> = (0..n).map(|_| span("a", "b", 1, 1)).collect();
    twice.extend((0..n).map(|i| span("b", "a", i, 1)));
    let (out, _) = assemble(&table(&twice));
    assert_eq!((out.len(), out.duplicates.len()), (n as usize + 1, n as usize));
}

#[test]
fn a_missing_root_is_a_ghost_too() {
    let one = check(&[span("b", "x", 2, 3), span("c", "x", 4, 5)], &["?x", " b", " c"], &[("no_root", 0), ("missing_parent", 2)]);
    assert_eq!((one.root, one.n_roots), (Some(0), 0));
    check(&[span("b", "x", 2, 3), span("c", "y", 4, 5)], &["?", " ?x", "  b", " ?y", "  c"], &[("no_root", 0), ("missing_parent", 2)]);
}

#[test]
fn several_roots_stay_several() {
    let out = check(
        &[span("a", "", 0, 1), span("b", "", 5, 9), span("c", "b", 6, 1), span("d", "gone", 7, 1)],
        &["a", "b", " c", "?gone", " d"],
        &[("several_roots", 2), ("missing_parent", 1)],
    );
    assert_eq!(out.root, Some(1), "the larger tree");
}

#[test]
fn events_and_links_and_logs_are_in_place() {
    let spans = [
        span("a", "", 0, 10),
        span("b", "a", 2, 3),
        span("event", "b", 3, 0).is(RowKind::SpanEvent),
        span("link", "b", 2, 0).is(RowKind::Link),
        span("log", "a", 1, 0).is(RowKind::Log),
        span("log without span", "", 6, 0).is(RowKind::Log),
        span("other", "", 7, 0).is(RowKind::Other),
    ];
    let out = check(&spans, &["a", " log", " b", "  link", "  event", " log without span", "other"], &[]);
    assert_eq!(out.n_of_kind, [2, 1, 1, 2, 1, 0]);
    check(&[span("x", "", 0, 0).is(RowKind::Log)], &["x"], &[("no_spans", 0)]);
}

#[test]
fn repetitions_are_folded_and_differences_kept() {
    let twice = span("b", "a", 2, 3);
    check(&[span("a", "", 0, 10), twice, twice, twice], &["a", " b"], &[("duplicate_spans", 2)]);
    let out = check(
        &[span("a", "", 0, 10), twice, Span { took: 4, name: "b again", ..twice }],
        &["a", " b", " b again"],
        &[("duplicate_ids", 2)],
    );
    assert_eq!(out.duplicates, [1, 2]);
}

#[test]
fn both_sides_of_a_call_may_share_an_id() {
    let spans = [
        span("a", "", 0, 10).of("web", "server"),
        span("b", "a", 1, 8).of("web", "client").named("call"),
        span("b", "a", 2, 6).of("cart", "server").named("serve"),
        span("c", "b", 3, 1).of("cart", "internal"),
        span("d", "b", 4, 1).of("web", "internal"),
    ];
    check(&spans, &["a", " call", "  serve", "   c", "  d"], &[("duplicate_ids", 2)]);
}

#[test]
fn circles_are_cut_at_their_earliest_span() {
    let out =
        check(&[span("b", "c", 3, 5), span("c", "b", 2, 9), span("d", "c", 4, 1)], &["c", " b", " d"], &[("no_root", 0), ("cycle", 1)]);
    assert_eq!(out.cycles, [0]);
    check(&[span("a", "", 0, 10), span("b", "c", 3, 5), span("c", "b", 2, 9)], &["a", " c", "  b"], &[("cycle", 1)]);
    check(&[span("a", "a", 0, 10), span("b", "a", 3, 5)], &["a", " b"], &[("no_root", 0), ("cycle", 1)]);
}

#[test]
fn a_parent_of_zeros_is_none_unless_it_is_there() {
    let zeros = "0000000000000000";
    check(&[span("a", zeros, 0, 10), span("b", "a", 1, 1)], &["a", " b"], &[]);
    check(&[span(zeros, "", 0, 10), span("b", zeros, 1, 1)], &[zeros, " b"], &[]);
}

#[test]
fn clocks_that_disagree_are_said_and_a_shift_is_suggested() {
    let spans = [
        span("a", "", 100, 100).of("web", "server"),
        span("b", "a", 110, 80).of("web", "client"),
        span("c", "b", 60, 60).of("cart", "server"),
        span("d", "c", 70, 10).of("cart", "internal"),
    ];
    let out = check(&spans, &["a", " b", "  c", "   d"], &[("clock_skew", 1)]);
    // Between request and answer 20 ms are left, 10 on each side: c would start at 120.
    assert_eq!(out.shifts, [(2, 60 * MS), (3, 60 * MS)]);
    assert_eq!((out.early.as_slice(), out.late.as_slice()), ([2].as_slice(), [].as_slice()));
    assert_eq!(out.warnings[0].message, "1 event starts before its parent, by up to 50 ms: clocks disagree; times are shown as sent");
    assert_eq!(out.offset_ns, [40 * MS, 50 * MS, 0, 10 * MS], "times are as sent");

    // An answer that came after the caller had it is skew, what goes on by itself is not.
    let answered = |service, kind| [span("a", "", 0, 100).of("web", "client"), span("b", "a", 60, 60).of(service, kind)];
    assert_eq!(check(&answered("cart", "server"), &["a", " b"], &[("clock_skew", 1)]).shifts, [(1, -40 * MS)]);
    let consumed = check(&answered("queue", "consumer"), &["a", " b"], &[]);
    assert_eq!((consumed.shifts.len(), consumed.late.as_slice()), (0, [1].as_slice()));
}

fn slices(out: &Skeleton) -> Vec<(String, i64, i64)> {
    let name = |at: u32| out.names[out.name[at as usize] as usize].clone();
    out.critical_path.iter().map(|s| (name(s.row), s.start_ns / MS, s.end_ns / MS)).collect()
}

#[test]
fn the_critical_path_is_walked_back_from_the_end() {
    let spans = [
        span("root", "", 0, 100),
        span("early", "root", 5, 30),
        span("parallel", "root", 40, 40),
        span("last", "root", 50, 45),
        span("inner", "last", 60, 10),
        // It goes on by itself: nobody waits.
        span("behind", "root", 90, 50),
    ];
    let (out, _) = assemble(&table(&spans));
    let expected =
        [("root", 0, 5), ("early", 5, 35), ("root", 35, 50), ("last", 50, 60), ("inner", 60, 70), ("last", 70, 95), ("root", 95, 100)];
    assert_eq!(slices(&out), expected.map(|(n, a, b)| (n.to_owned(), a, b)));
    assert_eq!(out.shares[0].critical_ns, 100 * MS);
}

#[test]
fn a_child_that_ends_a_moment_too_late_was_still_waited_for() {
    let (out, _) = assemble(&table(&[span("root", "", 0, 200), span("child", "root", 50, 151), span("inner", "child", 60, 141)]));
    let expected = [("root", 0, 50), ("child", 50, 60), ("inner", 60, 200)];
    assert_eq!(slices(&out), expected.map(|(n, a, b)| (n.to_owned(), a, b)));
}

/// Numbers that depend on a seed alone.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::intern::mix(self.0) % n
    }
}

/// A trace as bad as they come: few ids for many spans, so that parents are missing, repeated, circular.
fn odd_trace(seed: u64) -> Vec<(String, String, Span<'static>)> {
    let mut rng = Rng(seed);
    let n = 1 + rng.below(60);
    let n_ids = 1 + rng.below(n + 5);
    let mut spans = Vec::new();
    for _ in 0..n {
        let id = |rng: &mut Rng, none: u64| if rng.below(none) == 0 { String::new() } else { format!("i{}", rng.below(n_ids)) };
        let (own, parent) = (id(&mut rng, 12), id(&mut rng, 6));
        let kind = [RowKind::Span, RowKind::Span, RowKind::Span, RowKind::Log, RowKind::SpanEvent, RowKind::Other][rng.below(6) as usize];
        let service = ["web", "cart", "db", ""][rng.below(4) as usize];
        let span_kind = ["client", "server", "internal", "consumer", ""][rng.below(5) as usize];
        let took = if kind == RowKind::Span { rng.below(40) as i64 } else { 0 };
        let one = Span { id: "", parent: "", start: rng.below(100) as i64, took, service, name: "n", span_kind, kind };
        let times = if rng.below(10) == 0 { 2 } else { 1 };
        spans.extend(std::iter::repeat_n((own, parent, one), times));
    }
    spans
}

fn holds(rows: &Rows, forest: &Forest, out: &Skeleton) {
    let n = forest.len();
    let mut met = vec![false; rows.len()];
    for at in 0..n {
        if forest.row[at] != NONE {
            assert!(!std::mem::replace(&mut met[forest.row[at] as usize], true), "a row is shown once");
        }
        // Depth first: the parent is the row before, or one of its ancestors.
        match forest.parent[at] {
            NONE => assert_eq!(forest.depth[at], 0),
            parent => {
                assert_eq!(forest.depth[at], forest.depth[parent as usize] + 1);
                let mut above = at as u32 - 1;
                while above != parent {
                    above = forest.parent[above as usize];
                    assert_ne!(above, NONE, "row {at}: its parent is not above it");
                }
            }
        }
    }
    let shown = met.iter().filter(|m| **m).count();
    assert_eq!(shown + forest.n_folded, rows.len(), "every row is shown, or counted as a repetition");
    // Brothers come in order of time.
    let mut last: std::collections::HashMap<u32, TimeNs> = std::collections::HashMap::new();
    for at in 0..n {
        let before = last.insert(forest.parent[at], forest.start_ns[at]);
        assert!(before.is_none_or(|t| t <= forest.start_ns[at]));
    }
    for (row, parent) in forest.row.iter().zip(&forest.parent).filter(|(row, parent)| **row != NONE && **parent != NONE) {
        let above = forest.row[*parent as usize];
        if above != NONE && rows.parent[*row as usize] != 0 && forest.flags[forest.row.iter().position(|r| r == row).unwrap()] == 0 {
            assert_eq!(rows.parent[*row as usize], rows.span[above as usize], "the parent has the id that was named");
        }
    }
    let Some(root) = out.root else {
        assert!(out.critical_path.is_empty());
        return;
    };
    let shift = out.shifts.iter().find(|(row, _)| *row == root).map_or(0, |s| s.1);
    let start = forest.start_ns[root as usize] + shift;
    let end = forest.end_ns[root as usize] + shift;
    let mut at = start;
    for slice in &out.critical_path {
        assert_eq!(slice.start_ns, at, "slices follow each other");
        assert!(slice.end_ns > slice.start_ns);
        at = slice.end_ns;
    }
    assert_eq!(at, end, "and cover the root");
}

#[test]
fn whatever_is_sent_becomes_a_forest() {
    for seed in 0..3_000 {
        let spans = odd_trace(seed);
        let spans: Vec<Span<'_>> = spans.iter().map(|(id, parent, s)| Span { id, parent, ..*s }).collect();
        let rows = table(&spans);
        let forest = forest::build(&rows);
        let (out, order) = assemble(&rows);
        assert_eq!(order, forest.row);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| holds(&rows, &forest, &out)));
        assert!(outcome.is_ok(), "seed {seed}: {:#?}", drawn(&out));
    }
}

#[test]
fn a_chain_of_a_hundred_thousand_spans_ends() {
    let mut rows = Rows::default();
    let n = 100_000;
    for i in 0..n {
        rows.start_ns.push(i);
        rows.duration_ns.push(2 * n - 2 * i);
        rows.kind.push(RowKind::Span);
        let (id, parent) = (rows.ids.text(&format!("{i}")), if i == 0 { 0 } else { rows.ids.text(&format!("{}", i - 1)) });
        rows.span.push(id);
        rows.parent.push(parent);
        for list in [&mut rows.name, &mut rows.service, &mut rows.span_kind] {
            list.push(0);
        }
        rows.error.push(false);
    }
    let (out, _) = assemble(&rows);
    assert_eq!(out.depth_max, n as u32 - 1);
    assert_eq!(out.critical_path.iter().map(|s| s.end_ns - s.start_ns).sum::<i64>(), 2 * n);
    assert!(critical::shifts(&rows, &forest::build(&rows)).iter().all(|s| *s == 0));
}

#[test]
fn a_rank_is_the_share_of_those_that_took_less() {
    let (out, _) =
        assemble(&table(&[span("a", "", 0, 500).named("x"), span("b", "a", 1, 3).named("x"), span("c", "a", 1, 250).named("y")]));
    let plan = kinds_plan(&out, (0, 1), 10).unwrap();
    // Of 1,000 spans called x the i-th took i milliseconds; of y all took 250.
    let share = |key: &str| key.parse::<f64>().unwrap();
    let x = plan.calculations[2..].iter().map(|c| Cell::Float(1000.0 * share(&c.key)));
    let y = plan.calculations[2..].iter().map(|_| Cell::Float(250.0));
    let head = |name: &str, max: f64| [Cell::Str("s".into()), Cell::Str(name.into()), Cell::Float(1000.0), Cell::Float(max)];
    let results = vec![head("x", 1000.0).into_iter().chain(x).collect(), head("y", 250.0).into_iter().chain(y).collect()];
    let ranks = compare(&out, (0, 1), 10, &Answer { results, ..Answer::default() });
    assert_eq!(ranks.kinds.len(), 2);
    assert_eq!((ranks.kinds[0].n, ranks.kinds[0].p50_ms, ranks.kinds[0].p99_ms), (1000.0, 500.0, 990.0));
    for (rank, expected) in ranks.rank.iter().zip([0.5, 0.0044, 0.5]) {
        assert!((rank - expected).abs() < 0.001, "{:?}", ranks.rank);
    }
    let kind = &ranks.kinds[0];
    for (ms, low, high) in [(0.5, 0.0, 0.001), (930.0, 0.929, 0.931), (999.95, 0.999, 0.9999), (5000.0, 0.9994, 0.9996)] {
        assert!((low..=high).contains(&kind.rank(ms)), "{ms}: {}", kind.rank(ms));
    }
}
