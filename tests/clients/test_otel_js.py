"""OpenTelemetry JS SDK, JSON and protobuf exporters (chunked bodies): traces, logs, metrics."""
import pytest

from expect import check, columns

RESOURCE = {"host.name": "js-host", "process.pid": 4242}


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("form", ["json", "proto"])
def test_everything_comes_back(server, dataset, node, form, compression):
    sent = node("otel.mjs", form, server.url, dataset, compression)
    assert sent["failures"] == []
    base = RESOURCE | {"service.name": dataset}
    events = server.events(dataset)

    # Traces
    ids, start_ns = sent["spans"], sent["spans"]["start_ms"] * 1_000_000
    span_base = base | {"library.name": "js-lib", "library.version": "1.2.3", "meta.signal_type": "trace", "trace.trace_id": ids["trace_id"]}
    spans = {e.data["name"]: e for e in events if e.data.get("meta.signal_type") == "trace" and "name" in e.data and "meta.annotation_type" not in e.data}
    assert set(spans) == {"root", "child"}
    root, child = spans["root"], spans["child"]
    assert root.time_ns == start_ns and child.time_ns == start_ns + 10_000_000
    check(root.data, span_base | columns(sent["values"]) | columns(sent["arrays"]) | {
        "name": "root", "trace.span_id": ids["root"], "type": "server", "span.kind": "server", "status_code": 0, "duration_ms": 100.25,
        "span.num_events": 0, "span.num_links": 0}, more=["telemetry.*"])
    check(child.data, span_base | {
        "name": "child", "trace.span_id": ids["child"], "trace.parent_id": ids["root"], "type": "client", "span.kind": "client", "status_code": 2,
        "status_message": "it broke", "error": True, "duration_ms": 20, "span.num_events": 2, "span.num_links": 1,
        "exception.type": "TypeError", "exception.message": "broken", "exception.stacktrace": child.data["exception.stacktrace"]}, more=["telemetry.*"])
    assert "otel.mjs" in child.data["exception.stacktrace"]
    annotations = {e.data.get("name", e.data["meta.annotation_type"]): e for e in events if e.data.get("meta.annotation_type") in ("span_event", "link") and "body" not in e.data}
    assert set(annotations) == {"cache miss", "exception", "link"}
    miss = annotations["cache miss"]
    assert miss.time_ns == start_ns + 12_000_000
    check(miss.data, span_base | {"name": "cache miss", "parent_name": "child", "trace.parent_id": ids["child"], "meta.annotation_type": "span_event",
                                  "meta.time_since_span_start_ms": 2, "error": True, "key": "k", "n": 5}, more=["telemetry.*"])
    link = annotations["link"].data
    assert (link["trace.link.trace_id"], link["trace.link.span_id"], link["why"]) == (ids["trace_id"], ids["root"], "link")

    # Logs
    logs = {e.data["kind"]: e for e in events if e.data.get("meta.signal_type") == "log"}
    assert set(logs) == {"text", "map", "no time"}
    text = logs["text"]
    assert text.time_ns == start_ns + 1_000_000
    check(text.data, base | columns(sent["values"]) | {
        "kind": "text", "body": "a text", "severity": "info", "severity_code": 9, "severity_text": "INFO", "meta.signal_type": "log", "meta.annotation_type": "span_event",
        "trace.trace_id": ids["trace_id"], "trace.parent_id": ids["root"], "library.name": "js-logger", "library.version": "2"}, more=["flags", "telemetry.*"])
    nested = sent["logs"]["nested"]
    want = base | columns({"nested": nested}) | columns({"body": nested}) | {"kind": "map", "severity": "error", "severity_code": 17, "library.name": "js-logger"}
    check({k: v for k, v in logs["map"].data.items() if k != "body"}, want, more=["flags", "meta.*", "library.*", "severity_text", "telemetry.*"])
    assert logs["no time"].data["body"] == "no time" and logs["no time"].time_ns > start_ns

    # Metrics
    metrics = [e.data for e in events if e.data.get("meta.signal_type") == "metric"]
    for m in metrics:
        assert RESOURCE.items() <= m.items() and m["library.name"] == "js-meter" and m["library.version"] == "3"
    by_route = {}
    for m in metrics:
        by_route.setdefault(m["route"], {}).update(m)
    a = by_route["/a"]
    assert (a["requests"], a["queue"], a["load"]) == (7, -2, 0.75) and by_route["/b"]["requests"] == 1
    latency = [v for k, v in a.items() if k.startswith("latency")]
    assert {4, 555.5, 0.5, 500} <= {v for v in latency if not isinstance(v, str)}, a
    assert len(metrics) == 2, "points that share time and attributes are one event"
