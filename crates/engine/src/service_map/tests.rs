//! What the questions say, and how their answers join. Maps of real spans: `tests/it/service_map.rs`.

use super::questions::Words;
use super::*;
use model::query::{Calculation, FilterOp, QuerySpec};

fn edge(caller: &str, callee: &str, inferred: bool, count: f64) -> ServiceEdge {
    let numbers = CallNumbers { count, errors: 1.0, p50_ms: Some(2.0), p95_ms: Some(3.0) };
    ServiceEdge { caller: caller.into(), callee: callee.into(), inferred, numbers }
}

fn known(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

const SPANS: [&str; 5] = ["service.name", "trace.trace_id", "trace.span_id", "trace.parent_id", "duration_ms"];

#[test]
fn questions_use_the_columns_that_there_are() {
    assert!(Shape::new(&known(&["service.name", "trace.trace_id"])).is_none());
    assert!(Shape::new(&known(&["trace.trace_id", "trace.span_id", "trace.parent_id"])).is_none());
    let query = QuerySpec::default();
    let of = |names: &[&str], then: &dyn Fn(&Words<'_>)| {
        let shape = Shape::new(&known(&[&SPANS, names].concat())).unwrap();
        then(&Words { query: &query, shape: &shape, calls_only: false });
    };
    let keys = |q: &QuerySpec| q.calculations.iter().flatten().map(Calculation::key).collect::<Vec<_>>();
    of(&[], &|q| {
        assert_eq!(q.calls().breakdowns, ["parent.service.name", "service.name"]);
        assert_eq!(keys(&q.calls()), ["count", "p50", "p95"]);
        assert_eq!(keys(&q.requests()), ["count", "p50", "p95", "orphans"]);
        assert_eq!(q.inferred(true), None);
    });
    of(&["error", "meta.annotation_type", "service_name", "span.kind"], &|q| {
        assert_eq!(q.calls().breakdowns, ["parent.wideye.map.service", "wideye.map.service"]);
        assert_eq!(q.calls().calculated_fields[0].expression, "COALESCE($service.name, $service_name)");
        assert_eq!(keys(&q.calls()), ["count", "errors", "p50", "p95"]);
        assert!(q.calls().filters.iter().any(|f| f.column == "meta.annotation_type" && f.op == FilterOp::DoesNotExist));
        assert_eq!(q.inferred(true), None, "nothing names a peer");
    });
    of(&["span.kind", "db.system", "db.name", "server.address"], &|q| {
        let inferred = q.inferred(true).unwrap();
        assert_eq!(inferred.breakdowns, ["service.name", "wideye.map.peer", "wideye.map.peer_kind"]);
        let expression = |name: &str| inferred.calculated_fields.iter().find(|f| f.name == name).unwrap().expression.clone();
        assert_eq!(
            expression("wideye.map.peer"),
            "COALESCE(IF(EXISTS($db.system), CONCAT($db.system, IF(EXISTS($db.name), CONCAT(\"/\", $db.name), \"\"))), $server.address)"
        );
        assert_eq!(expression("wideye.map.peer_kind"), "IF(EXISTS($db.system), \"database\", \"external\")");
    });
}

#[test]
fn nodes_are_who_served_and_who_is_at_an_edge() {
    let node = |name: &str| {
        let numbers = CallNumbers { count: 9.0, ..CallNumbers::default() };
        (Arc::from(name), ServiceNode { name: name.into(), kind: NodeKind::Service, inferred: false, numbers, orphans: 0.0 })
    };
    let edges = [
        edge("a", "b", false, 5.0),
        edge("a", "db", true, 4.0),
        edge("c", "db", true, 2.0),
        edge("a", "b", true, 1.0),
        edge("c", "s3", true, 1.0),
    ];
    let served = BTreeMap::from([node("b"), node("lone")]);
    assert_eq!(shared(&edges, &served), BTreeSet::from([Arc::from("db")]));
    let kinds = HashMap::from([(Arc::from("db"), NodeKind::Database)]);
    let of_all = HashMap::from([(Arc::from("db"), CallNumbers { count: 6.0, errors: 2.0, p50_ms: Some(1.5), p95_ms: None })]);
    let nodes = |services: &[String]| {
        let all = put_nodes(served.clone(), &edges, &kinds, &of_all, services);
        all.into_iter().map(|n| (n.name.to_string(), n.kind.name(), n.inferred, n.numbers.count, n.numbers.p50_ms)).collect::<Vec<_>>()
    };
    let row = |name: &str, kind, inferred, count, p50| (name.to_owned(), kind, inferred, count, p50);
    assert_eq!(
        nodes(&[]),
        [
            row("b", "service", false, 9.0, None),
            row("lone", "service", false, 9.0, None),
            row("db", "database", true, 6.0, Some(1.5)),
            row("s3", "external", true, 1.0, Some(2.0)),
            row("a", "service", false, 0.0, None),
            row("c", "service", false, 0.0, None),
        ]
    );
    assert!(nodes(&["b".to_owned()]).iter().all(|n| n.0 != "lone"));
}

#[test]
fn edges_of_a_peer_of_two_kinds_are_one() {
    let edges = one_of_each(vec![edge("a", "x", true, 2.0), edge("a", "x", true, 3.0), edge("a", "x", false, 4.0)]);
    let told: Vec<_> = edges.iter().map(|e| (e.inferred, e.numbers.count, e.numbers.errors, e.numbers.p50_ms)).collect();
    assert_eq!(told, [(false, 4.0, 1.0, Some(2.0)), (true, 5.0, 2.0, None)]);
}
