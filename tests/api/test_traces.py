"""Traces: the skeleton over the API and on the terminal, on traces that are whole and on traces that are not."""
import os
import random

from opentelemetry.proto.trace.v1 import trace_pb2

from lib import otlp, times
from lib.cli import wideye

Kind = trace_pb2.Span.SpanKind


def skeleton(server, trace, **parameters):
    query = "&".join(f"{k}={v}" for k, v in parameters.items())
    reply = server.get(f"/api/v1/traces/{trace}?{query}")
    assert reply.status == 200, reply
    return reply.json()


def drawn(trace):
    """The tree as indented names."""
    rows = trace["rows"]
    kinds = [trace["kinds"][k] for k in rows["kind"]]
    names = [trace["names"][n] or kinds[i] for i, n in enumerate(rows["name"])]
    return [" " * depth + name for depth, name in zip(rows["depth"], names)]


def codes(trace):
    return {w["code"]: w["count"] for w in trace["warnings"]}


def test_what_opentelemetry_sends_is_in_place(server, dataset):
    trace, root, call, served = os.urandom(16), os.urandom(8), os.urandom(8), os.urandom(8)
    event = trace_pb2.Span.Event(time_unix_nano=otlp.t(0.05), name="retry")
    link = trace_pb2.Span.Link(trace_id=os.urandom(16), span_id=os.urandom(8))
    web = [
        otlp.span("GET /", trace_id=trace, span_id=root, start=0, ms=100, kind=Kind.SPAN_KIND_SERVER),
        otlp.span("call", trace_id=trace, span_id=call, parent=root, start=0.01, ms=80, kind=Kind.SPAN_KIND_CLIENT, events=[event], links=[link]),
    ]
    failed = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR)
    otlp.ship(server, otlp.traces(dataset, *web))
    otlp.ship(server, otlp.traces(dataset + "-b", otlp.span("serve", trace_id=trace, span_id=served, parent=call, start=0.02, ms=40, kind=Kind.SPAN_KIND_SERVER, status=failed)))
    otlp.ship(server, otlp.logs(dataset + "-b", otlp.log("no such row", at=0.03, trace_id=trace, span_id=served)))
    found = skeleton(server, trace.hex())
    assert drawn(found) == ["GET /", " call", "  link", "  serve", "   no such row", "  retry"]
    assert [found["kinds"][k] for k in found["rows"]["kind"]] == ["span", "span", "link", "span", "log", "span_event"]
    assert found["warnings"] == [] and found["flags"]["error"] == [3]
    assert found["links"] == {"row": [2], "trace_id": [link.trace_id.hex()], "span_id": [link.span_id.hex()]}
    assert found["summary"]["root"] == {"row": 0, "name": "GET /", "service": dataset, "missing": False, "duration_ms": 100}
    assert [s["service"] for s in found["summary"]["services"]] == [dataset, dataset + "-b"]
    path = found["critical_path"]
    assert path["row"] == [0, 1, 3, 1, 0]
    assert path["start_ns"] == [0] + path["end_ns"][:-1] and path["end_ns"][-1] == 100_000_000, "without gaps or overlaps"
    detail = server.get(f"/api/v1/traces/{trace.hex()}/spans/{call.hex()}").json()
    assert [e["data"]["name"] for e in detail["span_events"]] == ["retry"] and len(detail["links"]) == 1 and detail["n_children"] == 1
    [own] = detail["spans"]
    assert own["data"]["duration_ms"] == 80


def test_damage_is_shown_and_said(server, dataset):
    trace = os.urandom(16).hex()

    def span(at, name, own, parent=None, ms=10, **more):
        data = {"trace.trace_id": trace, "trace.span_id": own, "name": name, "duration_ms": ms} | more
        return {"time": times.at(at), "data": data | ({"trace.parent_id": parent} if parent else {})}

    twice = span(0.02, "twice", "t", "r")
    server.batch(dataset, [
        span(0.01, "orphan", "o", "gone"), span(0, "root", "r", ms=100), twice, twice,
        span(0.03, "ping", "p", "q"), span(0.04, "pong", "q", "p"),
        span(-0.005, "early", "e", "r", **{"service.name": "other"}),
        span(0.05, "same id", "s", "r"), span(0.06, "same id, later", "s", "r"),
    ])
    found = skeleton(server, trace)
    assert drawn(found) == ["root", " early", " missing", "  orphan", " twice", " ping", "  pong", " same id", " same id, later"]
    assert codes(found) == {"missing_parent": 1, "duplicate_spans": 1, "duplicate_ids": 2, "cycle": 1, "clock_skew": 1}
    assert found["n_events"] == 9 and found["n_rows"] == 9
    assert found["flags"]["starts_before_parent"] == [1] and found["rows"]["start_ns"][0] == 5_000_000, "times are as sent"
    assert found["clock_shifts"] == {"row": [1], "shift_ns": [50_000_000]}
    first = skeleton(server, trace, limit=3)
    assert first["truncated"] and first["n_events"] == 3 and "truncated" in codes(first)


def test_every_event_of_a_random_trace_is_there_once(server, dataset):
    """Ten thousand events in several writes, in any order, with parents that come later, never, or in circles."""
    rng = random.Random(11)
    trace, n = os.urandom(16).hex(), 10_000
    events = []
    for i in range(n):
        data = {"trace.trace_id": trace, "trace.span_id": f"{i:016x}", "name": f"n{i % 50}", "service.name": f"s{i % 7}", "duration_ms": rng.random() * 100}
        if i and rng.random() < 0.99:
            data["trace.parent_id"] = f"{rng.randrange(n) if rng.random() < 0.02 else rng.randrange(i):016x}"
        events.append({"time": times.at(rng.random() * 60), "data": data})
    rng.shuffle(events)
    for a in range(0, n, 2_500):
        server.batch(dataset, events[a:a + 2_500])
    found = skeleton(server, trace)
    rows = found["rows"]
    assert sorted(filter(None, rows["span_id"])) == [f"{i:016x}" for i in range(n)]
    for i, parent in enumerate(rows["parent"]):
        assert parent < i and rows["depth"][i] == (rows["depth"][parent] + 1 if parent >= 0 else 0)
    path = found["critical_path"]
    root = found["summary"]["root"]
    assert sum(path["end_ns"]) - sum(path["start_ns"]) == rows["duration_ns"][root["row"]]
    assert path["start_ns"][1:] == path["end_ns"][:-1]


def test_a_waterfall(server, dataset):
    trace = os.urandom(16).hex()

    def span(at, name, own, parent=None, ms=10.0, **more):
        data = {"trace.trace_id": trace, "trace.span_id": own, "name": name, "duration_ms": ms, "service.name": "web"} | more
        return {"time": times.at(at), "data": data | ({"trace.parent_id": parent} if parent else {})}

    queries = [span(0.01 * i, "SELECT", f"q{i}", "r", 8.0) for i in range(1, 7)]
    server.batch(dataset, [span(0, "GET /cart", "r", ms=100), *queries, span(0.08, "POST /pay", "f", "r", 15.0, error=True), span(0.09, "x", "o", "gone")])

    def run(*args):
        out = wideye("trace", trace, *args, env={"WIDEYE_URL": server.url, "WIDEYE_KEY": server.key, "COLUMNS": "80"})
        assert out.returncode == 0, out.stderr
        return out.stdout

    text = run()
    assert "GET /cart" in text and "SELECT ×6" in text and "✖ POST /pay" in text and "(missing span gone)" in text, text
    assert "! 1 event names a parent that is not there" in text and "100.0 ms" in text and "█" in text, text
    assert "\x1b" not in text
    assert run("--all").count("SELECT") == 6
    fields = run("--span", "f")
    assert "duration_ms" in fields and "POST /pay" in fields, fields
    assert trace in run("--json")
    slowest = wideye("query", "-d", dataset, "COUNT", "--from", times.at(-5), "--to", times.at(5), "--slowest", "3",
                     env={"WIDEYE_URL": server.url, "WIDEYE_KEY": server.key})
    assert slowest.returncode == 0 and trace in slowest.stdout and "GET /cart" in slowest.stdout, slowest
