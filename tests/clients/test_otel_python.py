"""OpenTelemetry Python SDK: HTTP (protobuf) and gRPC exporters, all three signals."""
import json
import logging

import grpc
import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcTraces
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpTraces
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from expect import check, columns
from lib import times

VALUES = {
    "text": "plain", "empty": "", "unicode": "Grüße, 世界, 🦀, e\u0301", "control": "tab\tnew\nnull\u0000quote\"", "long": "ä" * (32 * 1024),
    "int": 42, "negative": -7, "zero": 0, "int_max": 2**63 - 1, "int_min": -(2**63), "odd": 2**53 + 1,
    "float": 0.1, "third": 1 / 3, "tiny": 5e-324, "huge": 1.7976931348623157e308, "whole": 5.0, "yes": True, "no": False,
}
ARRAYS = {"strings": ["a", "", "ü"], "ints": [1, 2**53 + 1], "floats": [0.5, 1e300], "bools": [True, False]}
START = times.T0 * times.SECOND + 123_456_789
WAYS = ["http", "http gzip", "grpc", "grpc gzip"]


class Exporters:
    def __init__(self, server, way):
        team = (("x-honeycomb-team", server.key),)
        if way.startswith("http"):
            more = {"headers": dict(team), "compression": Compression.Gzip if "gzip" in way else Compression.NoCompression, "timeout": 10}
            self.traces = HttpTraces(endpoint=server.url + "/v1/traces", **more)
            self.logs = HttpLogs(endpoint=server.url + "/v1/logs", **more)
            self.metrics = HttpMetrics(endpoint=server.url + "/v1/metrics", **more)
        else:
            more = {"endpoint": server.grpc, "insecure": True, "headers": team, "timeout": 10, "compression": grpc.Compression.Gzip if "gzip" in way else grpc.Compression.NoCompression}
            self.traces, self.logs, self.metrics = GrpcTraces(**more), GrpcLogs(**more), GrpcMetrics(**more)


@pytest.fixture(params=WAYS)
def exporters(server, request):
    return Exporters(server, request.param)


@pytest.fixture(autouse=True)
def no_complaints(caplog):
    """An exporter that fails only logs: make that a failure."""
    yield
    bad = [r.getMessage() for r in caplog.records if r.name.startswith("opentelemetry") and r.levelno >= logging.WARNING]
    assert not bad, bad


def test_traces(server, dataset, exporters):
    resource = Resource({"service.name": dataset, "host.name": "py-host", "process.pid": 4242})
    provider = TracerProvider(resource=resource, span_limits=SpanLimits(max_attributes=2000))
    provider.add_span_processor(BatchSpanProcessor(exporters.traces))
    tracer = provider.get_tracer("py-lib", "1.2.3")
    root = tracer.start_span("root", kind=SpanKind.SERVER, start_time=START, attributes=VALUES | ARRAYS)
    child = tracer.start_span("child", context=trace.set_span_in_context(root), kind=SpanKind.CONSUMER, start_time=START + 10_000_000,
                              links=[Link(root.get_span_context(), {"why": "link"})])
    child.add_event("cache miss", {"key": "k", "n": 5}, timestamp=START + 12_500_000)
    child.record_exception(ValueError("broken"), timestamp=START + 13_000_000)
    child.set_status(Status(StatusCode.ERROR, "it broke"))
    child.end(START + 30_000_000)
    root.end(START + 100_250_000)
    provider.shutdown()

    events = server.events(dataset)
    assert len(events) == 5
    trace_id, root_id, child_id = f"{root.context.trace_id:032x}", f"{root.context.span_id:016x}", f"{child.context.span_id:016x}"
    base = {"service.name": dataset, "host.name": "py-host", "process.pid": 4242, "library.name": "py-lib", "library.version": "1.2.3",
            "meta.signal_type": "trace", "trace.trace_id": trace_id}
    by = {e.data.get("name") or e.data["meta.annotation_type"]: e for e in events}
    check(by["root"].data, base | columns(VALUES) | columns(ARRAYS) | {
        "name": "root", "trace.span_id": root_id, "type": "server", "span.kind": "server", "status_code": 0, "duration_ms": 100.25, "span.num_events": 0, "span.num_links": 0},
        more=["telemetry.*"])
    assert by["root"].time_ns == START
    child_data = dict(by["child"].data)
    assert "ValueError: broken" in child_data.pop("exception.stacktrace")
    check(child_data, base | {
        "name": "child", "trace.span_id": child_id, "trace.parent_id": root_id, "type": "consumer", "span.kind": "consumer", "status_code": 2, "status_message": "it broke",
        "error": True, "duration_ms": 20, "span.num_events": 2, "span.num_links": 1, "exception.type": "ValueError", "exception.message": "broken", "exception.escaped": "False"},
        more=["telemetry.*"])
    assert by["cache miss"].time_ns == START + 12_500_000
    check(by["cache miss"].data, base | {"name": "cache miss", "parent_name": "child", "trace.parent_id": child_id, "meta.annotation_type": "span_event",
                                         "meta.time_since_span_start_ms": 2.5, "error": True, "key": "k", "n": 5}, more=["telemetry.*"])
    link = by["link"].data
    assert (link["trace.parent_id"], link["trace.link.trace_id"], link["trace.link.span_id"], link["why"]) == (child_id, trace_id, root_id, "link")


def test_logs(server, dataset, exporters):
    provider = LoggerProvider(resource=Resource({"service.name": dataset, "host.name": "py-host"}))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporters.logs))
    logger = provider.get_logger("py-logger", "2")
    nested = {"level": {"one": "x", "two": {"three": 3}}, "list": [1, "a", True]}
    logger.emit(LogRecord(timestamp=START, observed_timestamp=START + 5, severity_number=SeverityNumber.WARN, severity_text="WARN", body="a text", attributes=VALUES | ARRAYS | {"kind": "text"}))
    logger.emit(LogRecord(timestamp=START + 1, severity_number=SeverityNumber.FATAL, body=nested, attributes={"kind": "map", "nested": nested}))
    logger.emit(LogRecord(observed_timestamp=START + 2, body="observed only", attributes={"kind": "observed"}))
    provider.shutdown()
    events = {e.data["kind"]: e for e in server.events(dataset)}
    assert set(events) == {"text", "map", "observed"}
    base = {"service.name": dataset, "host.name": "py-host", "meta.signal_type": "log", "library.name": "py-logger", "library.version": "2"}
    assert (events["text"].time_ns, events["map"].time_ns, events["observed"].time_ns) == (START, START + 1, START + 2)
    check(events["text"].data, base | columns(VALUES) | columns(ARRAYS) | {"kind": "text", "body": "a text", "severity": "warn", "severity_code": 13, "severity_text": "WARN"}, more=["flags", "telemetry.*"])
    data = dict(events["map"].data)
    assert json.loads(data.pop("body")) == nested
    check(data, base | columns({"nested": nested, "body": nested}) | {"kind": "map", "severity": "fatal", "severity_code": 21}, more=["flags", "severity_text", "telemetry.*"])


def test_metrics(server, dataset, exporters):
    reader = PeriodicExportingMetricReader(exporters.metrics, export_interval_millis=3_600_000)
    provider = MeterProvider(metric_readers=[reader], resource=Resource({"service.name": dataset, "host.name": "py-host"}))
    meter = provider.get_meter("py-meter", "3")
    counter = meter.create_counter("requests")
    counter.add(2**53, {"route": "/a"})
    counter.add(1, {"route": "/a"})
    counter.add(1, {"route": "/b"})
    meter.create_up_down_counter("queue").add(-2, {"route": "/a"})
    meter.create_gauge("load").set(0.75, {"route": "/a"})
    latency = meter.create_histogram("latency", explicit_bucket_boundaries_advisory=[1, 10, 100])
    for v in (0.5, 5.0, 50.0, 500.0):
        latency.record(v, {"route": "/a"})
    provider.shutdown()
    by_route = {}
    for e in server.events(dataset):
        assert e.data["meta.signal_type"] == "metric" and e.data["host.name"] == "py-host" and e.data["library.name"] == "py-meter"
        by_route.setdefault(e.data["route"], {}).update(e.data)
    a = by_route["/a"]
    assert (a["requests"], a["queue"], a["load"]) == (2**53 + 1, -2, 0.75) and by_route["/b"]["requests"] == 1
    assert {4, 555.5, 0.5, 500} <= {v for k, v in a.items() if k.startswith("latency") and not isinstance(v, str)}, a


def test_sampled_spans_weigh(server, dataset, exporters):
    """The probability of a sampler that writes it to tracestate is the weight."""
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
    provider = TracerProvider(resource=Resource({"service.name": dataset}))
    provider.add_span_processor(BatchSpanProcessor(exporters.traces))
    parent = SpanContext(trace_id=1 << 100, span_id=5, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("ot", "th:c")]))
    tracer = provider.get_tracer("t")
    for i in range(10):
        tracer.start_span("s", context=trace.set_span_in_context(NonRecordingSpan(parent)), start_time=START + i).end(START + i + 1000)
    provider.shutdown()
    assert server.query(dataset, {"calculations": [{"op": "COUNT"}]}).only() == {"COUNT": 40}
