"""Jaeger's JSON query API: exact answers to its GETs (docs/jaeger.md)."""
import json
import os
import time
import urllib.parse
import uuid

import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from lib import otlp
from lib.otlp import t
from lib.server import Server
from lib.times import T0

Kind = trace_pb2.Span.SpanKind
Status = trace_pb2.Status
ERROR = Status(code=Status.STATUS_CODE_ERROR, message="it broke")
START = (T0 - 3600) * 1_000_000
END = (T0 + 3600) * 1_000_000


def us(seconds=0.0):
    return t(seconds) // 1000


def get(server, path, status=200, **params):
    """Values that are lists are sent several times."""
    query = urllib.parse.urlencode(params, doseq=True)
    reply = server.get(path + ("?" + query if query else ""), headers={"X-Honeycomb-Team": None})
    assert reply.status == status, reply
    assert reply.headers["Content-Type"] == "application/json"
    return reply.json()


def find(server, service, status=200, **params):
    body = get(server, "/api/traces", status, **({"service": service, "start": START, "end": END} | params))
    return [trace["traceID"] for trace in body["data"]] if status == 200 else body


def envelope(data, total=0, errors=None):
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}


def tag(key, value):
    kind = {bool: "bool", int: "int64", float: "float64", str: "string"}[type(value)]
    return {"key": key, "type": kind, "value": value}


def ship(server, service, *spans, **resource):
    otlp.ship(server, otlp.traces(service, *spans, res=otlp.resource(service, **resource), sc=otlp.scope("my.lib", "1.2")))


@pytest.fixture
def fresh_server(tmp_path):
    """Without the server's own requests, which are traces, too."""
    with Server(tmp_path / "data", args=["--self-telemetry", "false"]) as s:
        yield s


@pytest.fixture
def service():
    return "svc-" + uuid.uuid4().hex[:8]


def test_one_trace(server, service):
    trace_id, root, child, other = os.urandom(16), os.urandom(8), os.urandom(8), os.urandom(16)
    ship(server, service + "-front", otlp.span("GET /", {"http.status_code": 500, "ratio": 0.5, "big": 2**60}, trace_id=trace_id, span_id=root, start=1,
                                               ms=20.5, kind=Kind.SPAN_KIND_SERVER, trace_state="v=x", status=ERROR),
         **{"host.name": "h1", "team": "blue"})
    event = trace_pb2.Span.Event(time_unix_nano=t(1.002), name="retry", attributes=otlp.attributes({"n": 2}))
    link = trace_pb2.Span.Link(trace_id=other, span_id=root)
    ship(server, service, otlp.span("work", trace_id=trace_id, span_id=child, parent=root, start=1.001, ms=2, events=[event], links=[link]))
    expected = {
        "traceID": trace_id.hex(),
        "spans": [
            {"traceID": trace_id.hex(), "spanID": root.hex(), "operationName": "GET /", "references": [], "startTime": us(1), "duration": 20_500,
             "tags": [{"key": "big", "type": "int64", "value": str(2**60)}, tag("error", True), tag("http.status_code", 500), tag("otel.scope.name", "my.lib"),
                      tag("otel.scope.version", "1.2"), tag("otel.status_code", "ERROR"), tag("otel.status_description", "it broke"),
                      tag("ratio", 0.5), tag("span.kind", "server"), tag("team", "blue"), tag("w3c.tracestate", "v=x")],
             "logs": [], "processID": "p1", "warnings": None},
            {"traceID": trace_id.hex(), "spanID": child.hex(), "operationName": "work",
             "references": [{"refType": "CHILD_OF", "traceID": trace_id.hex(), "spanID": root.hex()},
                            {"refType": "FOLLOWS_FROM", "traceID": other.hex(), "spanID": root.hex()}],
             "startTime": us(1.001), "duration": 2_000, "tags": [tag("otel.scope.name", "my.lib"), tag("otel.scope.version", "1.2")],
             "logs": [{"timestamp": us(1.002), "fields": [tag("event", "retry"), tag("n", 2)]}], "processID": "p2", "warnings": None},
        ],
        "processes": {"p1": {"serviceName": service + "-front", "tags": [tag("host.name", "h1")]}, "p2": {"serviceName": service, "tags": []}},
        "warnings": None,
    }
    one = get(server, f"/api/traces/{trace_id.hex()}")
    assert one == envelope([expected])
    assert list(one) == ["data", "total", "limit", "offset", "errors"]
    # A search for any of its spans brings the whole trace.
    assert get(server, "/api/traces", service=service, start=START, end=END) == envelope([expected])
    assert get(server, "/api/traces", traceID=trace_id.hex()) == envelope([expected])
    # Hints may be right or wrong.
    for hints in ({"start": us(0), "end": us(2)}, {"start": us(9_000_000)}, {"end": us(-9_000_000)}):
        assert get(server, f"/api/traces/{trace_id.hex()}", **hints) == envelope([expected])
        assert get(server, "/api/traces", traceID=trace_id.hex(), **hints) == envelope([expected])


def test_ids_in_every_spelling(server, service):
    short, long = os.urandom(7), b"\x0a" + os.urandom(15)
    ship(server, service, otlp.span(trace_id=bytes(9) + short), otlp.span(trace_id=long))
    kept = "00" + short.hex()
    for spelling in (short.hex(), kept, short.hex().upper(), kept.rjust(32, "0"), short.hex().lstrip("0")):
        assert [x["traceID"] for x in get(server, f"/api/traces/{spelling}")["data"]] == [kept]
    for spelling in (long.hex(), long.hex().upper(), long.hex()[1:]):
        assert [x["traceID"] for x in get(server, f"/api/traces/{spelling}")["data"]] == [long.hex()]
    both = get(server, "/api/traces", traceID=[long.hex().upper(), "ffffffff", kept])
    assert [x["traceID"] for x in both["data"]] == [long.hex(), kept]
    assert both["errors"] == [{"msg": "trace not found", "traceID": "ffffffff"}]
    missing = {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": 404, "msg": "trace not found"}]}
    assert get(server, "/api/traces/ffffffff", 404) == missing
    assert get(server, "/api/traces/no-such-id", 404) == missing


def test_services_and_operations(fresh_server):
    server = fresh_server
    assert get(server, "/api/services") == envelope([])
    assert get(server, "/api/services/x/operations") == envelope([])
    assert get(server, "/api/operations", service="x") == envelope([])
    assert get(server, "/api/traces", service="x") == envelope([])
    now = time.time() - T0
    event = trace_pb2.Span.Event(time_unix_nano=t(now), name="not an operation")
    ship(server, "b/c d", otlp.span("GET /", start=now, kind=Kind.SPAN_KIND_SERVER, events=[event]), otlp.span("GET /", start=now, kind=Kind.SPAN_KIND_CLIENT),
         otlp.span("work", start=now))
    ship(server, "a", otlp.span("other", start=now, kind=Kind.SPAN_KIND_INTERNAL))
    server.send("plain", {"trace.trace_id": "t1", "trace.span_id": "s1", "name": "job", "duration_ms": 3}, at=now)
    server.send("no-spans", {"n": 1}, at=now)
    otlp.ship(server, otlp.logs("logs-only", otlp.log("hello", at=now, trace_id=os.urandom(16), span_id=os.urandom(8))))
    assert get(server, "/api/services") == envelope(["a", "b/c d", "plain"], 3)
    path = "/api/services/" + urllib.parse.quote("b/c d", safe="") + "/operations"
    assert get(server, path) == envelope(["GET /", "work"], 2)
    assert get(server, "/api/operations", service="b/c d") == envelope(
        [{"name": "GET /", "spanKind": "client"}, {"name": "GET /", "spanKind": "server"}, {"name": "work", "spanKind": ""}], 3)
    assert get(server, "/api/operations", service="b/c d", spanKind="server") == envelope([{"name": "GET /", "spanKind": "server"}], 1)
    # Who names no service is known by the dataset.
    assert get(server, "/api/operations", service="plain") == envelope([{"name": "job", "spanKind": ""}], 1)
    assert find(server, "plain", end=int(time.time() + 60) * 1_000_000, start=0) == ["t1"]
    assert get(server, "/api/operations", service="none") == envelope([])
    # What newer front ends ask for.
    assert get(server, "/api/v3/services") == {"services": ["a", "b/c d", "plain"]}
    assert get(server, "/api/v3/operations", service="a") == {"operations": [{"name": "other", "spanKind": "internal"}]}
    # Without a range: the last two days.
    assert len(get(server, "/api/traces", service="b/c d")["data"]) == 3


def test_old_services_are_there_if_there_are_no_others(fresh_server):
    ship(fresh_server, "old", otlp.span("op"))
    assert get(fresh_server, "/api/services") == envelope(["old"], 1)
    assert get(fresh_server, "/api/services/old/operations") == envelope(["op"], 1)


def test_what_is_found(server, service):
    ids = {name: os.urandom(16) for name in ("plain", "slow", "failed", "tagged")}
    span = lambda name, at, attrs=None, **more: otlp.span(name, attrs, trace_id=ids[name], start=at, **({"ms": 10} | more))
    ship(server, service, span("plain", 1), span("slow", 2, ms=1500), span("failed", 3, status=ERROR, kind=Kind.SPAN_KIND_CLIENT),
         span("tagged", 4, {"n": 500, "yes": True, "f": 1.5, "text": "a b", "quoted": 'x"y'}), **{"host.name": "h-" + service})
    # A second span with the tag, older; and one of another service in the trace.
    ship(server, service, otlp.span("more", {"n": 500}, trace_id=ids["tagged"], start=0))
    ship(server, service + "-x", otlp.span("elsewhere", {"n": 500}, trace_id=ids["plain"], start=5))
    names = {v.hex(): k for k, v in ids.items()}
    found = lambda **params: [names[i] for i in find(server, service, **params)]
    assert found() == ["tagged", "failed", "slow", "plain"]
    assert found(limit=2) == ["tagged", "failed"]
    assert found(limit=0) == ["tagged", "failed", "slow", "plain"]
    assert found(operation="slow") == ["slow"]
    assert found(operation="none") == []
    assert found(minDuration="1s") == ["slow"]
    assert found(minDuration="1.5s", maxDuration="1500ms") == ["slow"]
    assert found(maxDuration="10000us") == ["tagged", "failed", "plain"]
    assert found(minDuration="10ms", maxDuration="20ms") == ["tagged", "failed", "plain"]
    assert found(start=us(2), end=us(3)) == ["failed", "slow"]
    assert found(start=us(2) + 1, end=us(3) - 1) == []
    assert found(end=us(3), start="", lookback="1s") == ["failed", "slow"]
    for tags in ({"n": "500"}, {"n": 500}, {"yes": "true"}, {"yes": True}, {"f": "1.5"}, {"text": "a b"}, {"quoted": 'x"y'}, {"n": "500", "text": "a b"}):
        assert found(tags=json.dumps(tags)) == ["tagged"], tags
    for tags in ({"n": "501"}, {"yes": "false"}, {"no.such.column." + service: "1"}, {"n": "500", "text": "a"}, {"otel.status_code": "x"}):
        assert found(tags=json.dumps(tags)) == [], tags
    assert found(tags=json.dumps({"error": "true"})) == ["failed"]
    assert found(tags=json.dumps({"error": "false"})) == ["tagged", "slow", "plain"]
    assert found(tags=json.dumps({"otel.status_code": "ERROR"})) == ["failed"]
    assert found(tags=json.dumps({"otel.status_description": "it broke"})) == ["failed"]
    assert found(tags=json.dumps({"span.kind": "client"})) == ["failed"]
    assert found(tags=json.dumps({"otel.scope.name": "my.lib", "host.name": "h-" + service})) == ["tagged", "failed", "slow", "plain"]
    assert found(tag=["n:500", "text:a b"]) == ["tagged"]
    assert find(server, service + "-none") == []
    # The tag is on a span of another service.
    assert find(server, service + "-x", tags='{"n":"500"}') == [ids["plain"].hex()]


def test_dependencies(fresh_server):
    server = fresh_server
    assert get(server, "/api/dependencies", endTs=END // 1000) == envelope([])
    trace_id, ids = os.urandom(16), [os.urandom(8) for _ in range(4)]
    span = lambda i, parent, start=0: otlp.span("x", trace_id=trace_id, span_id=ids[i], parent=ids[parent] if parent is not None else b"", start=start)
    ship(server, "a", span(0, None), span(1, 0))
    ship(server, "b", span(2, 1, 1), otlp.span("y", trace_id=trace_id, parent=ids[1], start=2))
    ship(server, "c", span(3, 2, 3), otlp.span("orphan", trace_id=trace_id, parent=os.urandom(8)))
    edges = lambda **params: sorted((e["parent"], e["child"], e["callCount"]) for e in get(server, "/api/dependencies", **params)["data"])
    both = {"endTs": (T0 + 10) * 1000, "lookback": 60_000}
    assert edges(**both) == [("a", "b", 2), ("b", "c", 1)]
    assert edges(**both, service="c") == [("b", "c", 1)]
    # When the called span began counts, and ends are inclusive.
    assert edges(endTs=(T0 + 2) * 1000, lookback=1_000) == [("a", "b", 2)]
    assert edges(endTs=(T0 + 2) * 1000, lookback=999) == [("a", "b", 1)]
    assert edges() == []
    assert get(server, "/api/dependencies", 400, endTs="x")["errors"][0]["code"] == 400


def test_what_is_wrong_is_said_as_jaeger_says_it(server):
    for params in ({}, {"service": "x", "start": "now"}, {"service": "x", "limit": "many"}, {"service": "x", "limit": 10_001}, {"service": "x", "minDuration": "5"},
                   {"service": "x", "minDuration": "2s", "maxDuration": "1s"}, {"service": "x", "tag": "no-colon"}, {"service": "x", "tags": "{"}):
        body = get(server, "/api/traces", 400, **params)
        assert set(body) == {"data", "total", "limit", "offset", "errors"} and body["data"] is None
        assert body["errors"][0]["code"] == 400 and body["errors"][0]["msg"], body
    assert get(server, "/api/operations", 400)["errors"][0]["msg"] == "parameter 'service' is required"
    assert get(server, "/api/nothing-here", 404)["errors"][0]["code"] == 404
    assert server.post("/api/services", {}).status == 405


def test_a_trace_too_large_is_cut_and_says_so(fresh_server):
    big, small = os.urandom(16), os.urandom(16)
    n = 50_000
    for i in range(0, n, 5_000):
        ship(fresh_server, "s", *[otlp.span("x", trace_id=big, start=k / 1000) for k in range(i, i + 5_000)])
    ship(fresh_server, "s", otlp.span("y", trace_id=small, start=60), otlp.span("z", trace_id=big, start=30))
    [one] = get(fresh_server, f"/api/traces/{big.hex()}")["data"]
    assert len(one["spans"]) == n and "too large" in one["warnings"][0]
    both = get(fresh_server, "/api/traces", service="s", start=START, end=END)
    assert [x["traceID"] for x in both["data"]] == [small.hex()] and "1 of 2" in both["errors"][0]["msg"]


def test_keys(tmp_path):
    data = tmp_path / "data"
    with Server(data) as server:
        ship(server, "s", otlp.span())
        keys = {scope: server.post("/api/v1/keys", {"name": scope, "scopes": [scope]}).json()["key"] for scope in ("query", "ingest")}
    with Server(data, args=["--require-keys", "true"]) as server:
        for path in ("/api/services", "/api/services/s/operations", "/api/operations?service=s", "/api/traces?service=s", "/api/traces/1"):
            for headers in ({}, {"Authorization": "Bearer " + keys["ingest"]}):
                reply = server.get(path, headers={"X-Honeycomb-Team": None} | headers)
                assert reply.status == 401 and reply.json()["errors"][0]["code"] == 401, reply
            assert server.get(path, headers={"X-Honeycomb-Team": None, "Authorization": "Bearer " + keys["query"]}).status in (200, 404)
