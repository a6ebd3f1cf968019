"""The native API beside the question itself: datasets, columns, values, traces, streaming, health, OpenAPI."""
import json
import time
import urllib.parse

import pytest
import requests

from lib import otlp, times
from lib.times import T0

COUNT = {"op": "COUNT"}


def items(body, *names):
    """A list answer may be bare or in an object."""
    if isinstance(body, list):
        return body
    for name in names:
        if name in body:
            return body[name]
    raise AssertionError(f"no list in {body}")


def test_datasets(server, dataset):
    server.send(dataset, {"a": 1}, {"a": 2})
    reply = server.get("/api/v1/datasets")
    assert reply.status == 200, reply
    [mine] = [d for d in items(reply.json(), "datasets") if d["name"] == dataset]
    assert mine["slug"]


def test_columns_have_types_counts_and_last_seen(server, dataset):
    server.send(dataset, {"i": 1, "f": 0.5, "s": "x", "b": True, "mixed": 5}, {"i": 2, "mixed": "five"}, {"mixed": False})
    reply = server.get(f"/api/v1/datasets/{dataset}/columns")
    assert reply.status == 200, reply
    columns = {c["name"]: c for c in items(reply.json(), "columns")}
    assert set(columns) == {"i", "f", "s", "b", "mixed"}
    text = json.dumps(columns["mixed"])
    assert all(kind in text for kind in ("int", "str", "bool")), text
    assert "2" in json.dumps(columns["i"])
    assert any("last" in k for k in columns["i"]), columns["i"]


def test_columns_of_unknown_dataset_is_404(server):
    assert server.get("/api/v1/datasets/no-such/columns").status == 404
    assert server.get("/1/columns/no-such").status == 404


def values(server, dataset, column, prefix=None, **more):
    query = urllib.parse.urlencode({"column": column} | ({"prefix": prefix} if prefix is not None else {}) | more)
    for path in (f"/api/v1/datasets/{dataset}/values?{query}", f"/api/v1/datasets/{dataset}/columns/{urllib.parse.quote(column, safe='')}/values?{query}"):
        reply = server.get(path)
        if reply.status != 404:
            break
    assert reply.status == 200, reply
    return [v["value"] if isinstance(v, dict) else v[0] if isinstance(v, list) else v for v in items(reply.json(), "values")]


def test_values_for_autocomplete(server, dataset):
    """Of recent events: the question has no time of its own."""
    now = time.time()
    words = ["/cart", "/cart", "/cart/add", "/checkout", "Grüße", "/card"]
    server.batch(dataset, [{"time": now - 10, "data": {"route": w, "n": 5}} for w in words])
    assert set(values(server, dataset, "route")) == set(words)
    assert set(values(server, dataset, "route", "/car")) == {"/cart", "/cart/add", "/card"}
    assert values(server, dataset, "route", "/car")[0] == "/cart", "most frequent first"
    assert values(server, dataset, "route", "Grü") == ["Grüße"]
    assert values(server, dataset, "route", "nothing") == []


def test_trace_endpoint(server, dataset):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    spans = [{"trace.trace_id": trace, "trace.span_id": f"{i:016x}", "name": f"span {i}", "duration_ms": i} | ({"trace.parent_id": f"{0:016x}"} if i else {}) for i in range(50)]
    server.batch(dataset, [{"time": times.at(i), "data": s} for i, s in reversed(list(enumerate(spans)))])
    reply = server.get(f"/api/v1/traces/{trace}")
    assert reply.status == 200, reply
    text = reply.text
    at = [text.index(f'"span {i}"') for i in range(50)]
    assert at == sorted(at), "in order of time"


def test_unknown_trace(server):
    reply = server.get("/api/v1/traces/ffffffffffffffffffffffffffffffff")
    assert reply.status == 404 or (reply.status == 200 and "span" not in reply.json().get("events", "")), reply


def test_meta_of_an_answer(server, dataset):
    server.send(dataset, *[{"n": i} for i in range(10)])
    meta = server.query(dataset, {"calculations": [COUNT]}).meta
    assert meta["rows_scanned"] >= 10 and meta["elapsed_ms"] >= 0 and meta["engine_ms"] >= 0


def test_streaming_answer(server, dataset):
    """NDJSON: it names the run first, and its last message is the answer that the plain form gives."""
    server.send(dataset, *[{"g": i % 3} for i in range(90)])
    spec = {"calculations": [COUNT], "breakdowns": ["g"], "orders": [{"column": "g"}], "start_time": T0, "end_time": T0 + 100}
    reply = server.ask(dataset, spec, stream=True)
    assert reply.status == 200, reply
    messages = [json.loads(line) for line in reply.text.splitlines() if line.strip()]
    assert len(messages) >= 2, messages
    assert any(isinstance(v, str) and v for v in messages[0].values()), messages[0]
    plain = server.query(dataset, spec)
    assert json.dumps([r for r in plain.body["results"]])[1:-1] in json.dumps(messages[-1]), messages[-1]


def test_streaming_error_is_told(server, dataset):
    server.send(dataset, {"a": 1})
    reply = server.ask(dataset, {"calculations": [COUNT], "breakdowns": ["no_such_column"]}, stream=True)
    assert "no_such_column" in reply.text


@pytest.mark.parametrize("cache", [True, False])
def test_cache_changes_nothing(server, dataset, cache):
    server.send(dataset, *[{"g": i % 3, "v": i} for i in range(90)])
    spec = {"calculations": [COUNT, {"op": "SUM", "column": "v"}], "breakdowns": ["g"], "orders": [{"column": "g"}]}
    first = server.query(dataset, spec, cache=cache).rows
    assert server.query(dataset, spec, cache=cache).rows == first == [{"g": g, "COUNT": 30, "SUM(v)": sum(range(g, 90, 3))} for g in range(3)]
    server.send(dataset, {"g": 0, "v": 1000})
    assert server.query(dataset, spec, cache=cache).rows[0] == {"g": 0, "COUNT": 31, "SUM(v)": sum(range(0, 90, 3)) + 1000}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health(server, path):
    assert server.request("GET", path, headers={"X-Honeycomb-Team": None}).status == 200


def test_metrics_of_the_server(server):
    text = server.get("/metrics").text
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines and all(len(line.rsplit(" ", 1)) == 2 for line in lines), text[:500]


def test_openapi_document(server):
    for path in ("/api/v1/openapi.json", "/openapi.json", "/api/openapi.json"):
        reply = server.get(path)
        if reply.status == 200:
            break
    assert reply.status == 200
    document = reply.json()
    assert document["openapi"].startswith("3.")
    assert "/api/v1/query" in document["paths"]


def test_the_server_watches_itself(server):
    """One wide event a request in dataset `wideye`."""
    server.get("/1/auth")
    end = time.monotonic() + 15
    while time.monotonic() < end:
        reply = server.ask("wideye", {"calculations": [COUNT], "time_range": 3600})
        if reply.status == 200 and reply.json()["results"] and reply.json()["results"][0]["data"]["COUNT"] > 0:
            return
        time.sleep(0.2)
    pytest.fail(f"no events in dataset wideye: {reply}")


def test_hanging_up_leaves_the_server_well(server, dataset):
    server.batch(dataset, [{"time": times.at(i % 3600), "data": {"id": f"{i:06}", "v": i}} for i in range(10_000)])
    body = {"dataset": dataset, "query": {"calculations": [{"op": "P99", "column": "v"}], "breakdowns": ["id"], "start_time": T0, "end_time": T0 + 3600, "granularity": 4}, "stream": True}
    for _ in range(10):
        try:
            requests.post(server.url + "/api/v1/query", json=body, timeout=0.005, stream=True).close()
        except requests.RequestException:
            pass
    assert server.count(dataset) == 10_000


def test_trace_over_grpc_and_batch_together(server, dataset):
    trace = bytes.fromhex("aaaabbbbccccddddeeeeffff00001111")
    otlp.call(server, otlp.traces(dataset, otlp.span("from otlp", trace_id=trace, start=1)))
    server.send(dataset, {"trace.trace_id": trace.hex(), "name": "from batch"}, at=0)
    text = server.get(f"/api/v1/traces/{trace.hex()}").text
    assert text.index("from batch") < text.index("from otlp")
