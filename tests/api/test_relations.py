"""Relational fields: root. parent. child. any. none. (honeycomb-wire.md 2.4; semantics 20, 22; docs/asking-questions.md)."""
import json
import uuid

import pytest

from lib import otlp, times
from lib.cli import wideye
from lib.server import Server
from lib.times import T0

COUNT = {"op": "COUNT"}


def only(column, op="exists", value=None):
    return {"column": column, "op": op} | ({} if value is None else {"value": value})


def span(trace, span_id, parent, name, service, ms, **more):
    ids = {"trace.trace_id": trace, "trace.span_id": span_id} | ({"trace.parent_id": parent} if parent else {})
    return ids | {"name": name, "service.name": service, "duration_ms": ms} | more


# Two traces, a job outside of any trace, and a span whose parent never came.
SPANS = [
    span("t1", "a", None, "POST /pay", "web", 100),
    span("t1", "b", "a", "cart", "cart", 10),
    span("t1", "c", "a", "charge", "pay", 30),
    span("t1", "d", "c", "sql", "pay", 20, error=True),
    span("t2", "x", None, "GET /", "web", 9),
    span("t2", "y", "lost", "late", "web", 1),
    {"name": "cron", "service.name": "jobs", "duration_ms": 5, "trace.span_id": "l"},
]


@pytest.fixture(scope="module")
def shop(shared_server):
    name = f"relations-{uuid.uuid4().hex[:8]}"
    shared_server.send(name, *SPANS)
    return name


def passing(server, ds, *filters, **query):
    rows = server.query(ds, {"calculations": [COUNT], "breakdowns": ["trace.span_id"], "filters": list(filters)} | query).rows
    return "".join(sorted(r["trace.span_id"] for r in rows))


@pytest.mark.parametrize("filters, expected", [
    ([only("root.name", "=", "POST /pay")], "abcd"),
    ([only("root.name", "!=", "POST /pay")], "xy"),
    ([only("root.duration_ms", ">", 50), only("name", "=", "sql")], "d"),
    ([only("parent.service.name")], "bcd"),
    ([only("parent.service.name", "!=", "web")], "d"),
    ([only("parent.error", "does-not-exist")], "bcd"),
    ([only("child.service.name", "=", "cart")], "a"),
    ([only("child.name", "in", ["sql", "charge"])], "ac"),
    ([only("any.error", "=", True)], "abcd"),
    ([only("any.service.name", "=", "cart"), only("any.duration_ms", ">", 10)], ""),
    ([only("any.service.name", "=", "cart"), only("any2.duration_ms", ">", 10)], "abcd"),
    ([only("any.error", "=", True), only("any2.name", "=", "cart"), only("any3.name", "starts-with", "POST"), only("any4.duration_ms", "<", 11)], "abcd"),
    ([only("none.error", "=", True)], "xy"),
    ([only("none.service.name", "=", "nobody")], "abcdxy"),
    ([only("none.error", "=", True), only("none.name", "=", "late")], "abcdxy"),
    ([only("root.is_root", "=", True)], "abcdxy"),
])
def test_filters(server, shop, filters, expected):
    assert passing(server, shop, *filters) == expected


def test_each_filter_for_itself_when_joined_by_or(server, shop):
    either = {"filter_combination": "OR"}
    assert passing(server, shop, only("any.service.name", "=", "cart"), only("any.name", "=", "late"), **either) == "abcdxy"
    assert passing(server, shop, only("parent.name", "=", "charge"), only("name", "=", "cron"), **either) == "dl"


def test_which_service_calls_which(server, shop):
    answer = server.query(shop, {
        "calculations": [COUNT, {"op": "SUM", "column": "duration_ms"}, {"op": "MAX", "column": "parent.duration_ms"}],
        "breakdowns": ["parent.service.name", "service.name"], "filters": [only("parent.service.name")],
        "orders": [{"op": "MAX", "column": "parent.duration_ms", "order": "descending"}, {"column": "service.name"}],
        "havings": [{"calculate_op": "COUNT", "op": ">", "value": 0}],
    })
    edges = [(r["parent.service.name"], r["service.name"], r["COUNT"], r["SUM(duration_ms)"], r["MAX(parent.duration_ms)"]) for r in answer.rows]
    assert edges == [("web", "cart", 1, 10, 100), ("web", "pay", 1, 30, 100), ("pay", "pay", 1, 20, 30)]


def test_values_of_relatives(server, shop):
    by = lambda name, *filters: {r[name]: r["COUNT"] for r in server.query(shop, {"calculations": [COUNT], "breakdowns": [name], "filters": list(filters)}).rows}
    assert by("root.name") == {"POST /pay": 4, "GET /": 2, None: 1}
    assert by("child.name") == {"cart": 1, "sql": 1, None: 5}
    assert by("child.name", only("child.duration_ms", ">", 15)) == {"charge": 1, "sql": 1}
    assert by("any.name", only("any.duration_ms", "<", 25)) == {"cart": 4, "GET /": 2}


def test_filters_of_one_calculation(server, shop):
    row = server.query(shop, {"calculations": [
        COUNT, COUNT | {"name": "errors", "filters": [only("any.error", "=", True)]},
        {"op": "SUM", "column": "any.duration_ms", "name": "ms", "filters": [only("any.error", "=", True)]},
    ]}).only()
    assert row == {"COUNT": 7, "errors": 4, "ms": 80}


def test_calculated_fields_and_raw_rows(server, shop):
    answer = server.query(shop, {
        "calculations": [], "filters": [only("parent.duration_ms")], "orders": [{"column": "parent.duration_ms"}, {"column": "time"}],
        "calculated_fields": [{"name": "share", "expression": "$duration_ms / $parent.duration_ms"}, {"name": "root.name", "expression": "$root.name"}],
    })
    assert [(e.data["trace.span_id"], e.data["share"], e.data["root.name"]) for e in answer.events()] == [
        ("d", pytest.approx(2 / 3), "POST /pay"), ("b", 0.1, "POST /pay"), ("c", 0.3, "POST /pay")]


def test_contrast(server, shop):
    reply = server.post("/api/v1/contrast", {
        "dataset": shop, "query": {"start_time": T0 - 10, "end_time": T0 + 100}, "selection": {"filters": [only("root.name", "=", "POST /pay")]}})
    assert reply.status == 200, reply
    populations = reply.json()["populations"]
    assert (populations["selection"]["count"], populations["baseline"]["count"]) == (4, 3)
    assert "root.name = POST /pay" in populations["selection"]["words"]


def test_traces_that_the_range_cuts_are_whole(server, shop):
    answer = server.query(shop, {"calculations": [COUNT], "breakdowns": ["root.name"], "start_time": T0 + 2, "end_time": T0 + 4})
    assert answer.only() == {"root.name": "POST /pay", "COUNT": 2}
    told = answer.body["meta"]["relations"]
    assert told["without_root"] == 0
    assert times.parse_ns(told["events_from"]) < T0 * times.SECOND and times.parse_ns(told["events_to"]) > (T0 + 4) * times.SECOND


def test_what_is_missing_is_counted(server, shop):
    answer = server.query(shop, {"calculations": [COUNT], "breakdowns": ["parent.name", "root.name"]})
    assert answer.body["meta"]["relations"] | {"events_from": "", "events_to": ""} == {"events_from": "", "events_to": "", "without_root": 0, "without_parent": 1}
    assert "relations" not in server.query(shop, {"calculations": [COUNT]}).body["meta"]


@pytest.mark.parametrize("query, parts", [
    ({"breakdowns": ["root.nope"]}, ["root.nope"]),
    ({"filters": [only("any.servicename")]}, ["any.servicename", "any.service.name"]),
    ({"calculations": [{"op": "SUM", "column": "parent.nope"}]}, ["parent.nope"]),
    ({"calculations": [COUNT | {"filters": [only("none.nope")]}]}, ["none.nope"]),
    ({"calculated_fields": [{"name": "x", "expression": "$child.nope"}]}, ["child.nope", "calculated field 'x'"]),
    ({"breakdowns": ["any.name"]}, ["any.name", "filter"]),
    ({"breakdowns": ["any.name"], "filters": [only("any2.name")]}, ["any.name"]),
    ({"breakdowns": ["none.name"], "filters": [only("none.name")]}, ["none.name"]),
])
def test_what_is_refused(server, shop, query, parts):
    text = server.refused(shop, {"calculations": [COUNT]} | query)
    assert all(part in text for part in parts), text


def test_the_compatible_api_takes_them(server, shop):
    query = {"calculations": [COUNT], "breakdowns": ["root.name"], "filters": [only("any.error", "=", True)], "start_time": T0 - 10, "end_time": T0 + 100}
    reply = server.post(f"/1/queries/{shop}", query)
    assert reply.status in (200, 201), reply
    result = server.post(f"/1/query_results/{shop}", {"query_id": reply.json()["id"], "disable_series": True})
    assert result.status == 201, result
    body = result.json()
    while not body["complete"]:
        body = server.get(f"/1/query_results/{shop}/{body['id']}").json()
    assert body["data"]["results"] == [{"data": {"root.name": "POST /pay", "COUNT": 4}}]
    refused = server.post(f"/1/queries/{shop}", query | {"breakdowns": ["root.nope"]})
    assert refused.status == 422 and "root.nope" in refused.text


def test_the_command_line_takes_them(server, shop):
    text = "COUNT, MAX(parent.duration_ms) by root.name where root.service.name = web and any.error = true"
    r = wideye("query", "--dataset", shop, "--url", server.url, "--json", f"{text} from {T0 - 10} to {T0 + 100}")
    assert r.returncode == 0, r.stderr
    [row] = json.loads(r.stdout)["results"]
    assert row["data"] == {"root.name": "POST /pay", "COUNT": 4, "MAX(parent.duration_ms)": 100}
    text = f"EVENTS(name, root.name) where parent.name = charge from {T0 - 10} to {T0 + 100}"
    r = wideye("query", "--dataset", shop, "--url", server.url, text)
    assert r.returncode == 0 and "sql" in r.stdout and "POST /pay" in r.stdout, r.stdout + r.stderr


def test_across_datasets(tmp_path):
    """A root in one dataset, its children in others; each dataset alone does not see the others."""
    trace, root, child = b"t" * 16, b"r" * 8, b"c" * 8
    with Server(tmp_path / "data", args=["--self-telemetry", "false"]) as s:
        otlp.ship(s, otlp.traces("web", otlp.span("GET /", trace_id=trace, span_id=root, ms=50)))
        otlp.ship(s, otlp.traces("pay", otlp.span("charge", trace_id=trace, span_id=child, parent=root, start=0.01, ms=20)))
        otlp.ship(s, otlp.traces("db", otlp.span("sql", {"rows": 3}, trace_id=trace, parent=child, start=0.02, ms=5)))
        ask = lambda ds: s.query(ds, {"calculations": [COUNT], "breakdowns": ["root.service.name", "parent.service.name", "service.name"]})
        edges = {(r["root.service.name"], r["parent.service.name"], r["service.name"]) for r in ask("__all__").rows}
        assert edges == {("web", None, "web"), ("web", "web", "pay"), ("web", "pay", "db")}
        alone = ask("pay")
        assert alone.only()["root.service.name"] is None and alone.only()["parent.service.name"] is None
        assert alone.body["meta"]["relations"]["without_parent"] == 1 == alone.body["meta"]["relations"]["without_root"]
        assert s.count("__all__", [only("any.rows", "=", 3), only("root.meta.dataset", "=", "web")]) == 3
        # The same after everything was sealed.
        s.restart()
        assert {(r["root.service.name"], r["service.name"]) for r in ask("__all__").rows} == {("web", "web"), ("web", "pay"), ("web", "db")}
