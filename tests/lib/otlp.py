"""Short ways to write OTLP messages (opentelemetry-proto) and to send them by every transport."""
import base64
import gzip
import json
import os

import grpc
import zstandard
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from . import times

ID_FIELDS = ("traceId", "spanId", "parentSpanId")


def value(v):
    """A Python value as AnyValue; None is an empty one."""
    out = common_pb2.AnyValue()
    if isinstance(v, bool):
        out.bool_value = v
    elif isinstance(v, int):
        out.int_value = v
    elif isinstance(v, float):
        out.double_value = v
    elif isinstance(v, str):
        out.string_value = v
    elif isinstance(v, bytes):
        out.bytes_value = v
    elif isinstance(v, (list, tuple)):
        out.array_value.SetInParent()
        out.array_value.values.extend(value(x) for x in v)
    elif isinstance(v, dict):
        out.kvlist_value.SetInParent()
        out.kvlist_value.values.extend(attributes(v))
    elif v is not None:
        raise TypeError(type(v))
    return out


def attributes(d):
    return [common_pb2.KeyValue(key=k, value=value(v)) for k, v in d.items()]


def resource(service=None, **attrs):
    """Attribute names with dots are passed as **{"a.b": 1}."""
    all_attrs = ({"service.name": service} if service is not None else {}) | attrs
    return resource_pb2.Resource(attributes=attributes(all_attrs))


def scope(name="", version="", **attrs):
    return common_pb2.InstrumentationScope(name=name, version=version, attributes=attributes(attrs))


def t(seconds=0.0):
    """Seconds after T0 as unix nanoseconds."""
    return times.T0 * times.SECOND + round(seconds * times.SECOND)


def span(name="span", attrs=None, *, trace_id=None, span_id=None, parent=b"", start=0.0, ms=10.0, **more):
    return trace_pb2.Span(
        trace_id=os.urandom(16) if trace_id is None else trace_id, span_id=os.urandom(8) if span_id is None else span_id,
        parent_span_id=parent, name=name, start_time_unix_nano=t(start), end_time_unix_nano=t(start) + round(ms * 1e6),
        attributes=attributes(attrs or {}), **more)


def traces(service, *spans, res=None, sc=None, resource_url="", scope_url=""):
    return trace_service_pb2.ExportTraceServiceRequest(resource_spans=[trace_pb2.ResourceSpans(
        resource=res or resource(service), schema_url=resource_url,
        scope_spans=[trace_pb2.ScopeSpans(scope=sc, schema_url=scope_url, spans=spans)])])


def log(body=None, attrs=None, *, at=0.0, observed=None, **more):
    return logs_pb2.LogRecord(time_unix_nano=0 if at is None else t(at), observed_time_unix_nano=0 if observed is None else t(observed),
                              body=None if body is None else value(body), attributes=attributes(attrs or {}), **more)


def logs(service, *records, res=None, sc=None):
    return logs_service_pb2.ExportLogsServiceRequest(resource_logs=[logs_pb2.ResourceLogs(
        resource=res or resource(service), scope_logs=[logs_pb2.ScopeLogs(scope=sc, log_records=records)])])


def metrics(service, *all_metrics, res=None, sc=None):
    return metrics_service_pb2.ExportMetricsServiceRequest(resource_metrics=[metrics_pb2.ResourceMetrics(
        resource=res or resource(service), scope_metrics=[metrics_pb2.ScopeMetrics(scope=sc, metrics=all_metrics)])])


def point(v, attrs=None, *, at=0.0, exemplars=()):
    kind = {"as_int": v} if isinstance(v, int) else {"as_double": v}
    return metrics_pb2.NumberDataPoint(time_unix_nano=t(at), start_time_unix_nano=t(at - 60), attributes=attributes(attrs or {}),
                                       exemplars=exemplars, **kind)


def gauge(name, *points, **more):
    return metrics_pb2.Metric(name=name, gauge=metrics_pb2.Gauge(data_points=points), **more)


def counter(name, *points, monotonic=True, **more):
    return metrics_pb2.Metric(name=name, sum=metrics_pb2.Sum(
        data_points=points, is_monotonic=monotonic, aggregation_temporality=metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE), **more)


PATHS = {"ExportTraceServiceRequest": "/v1/traces", "ExportLogsServiceRequest": "/v1/logs", "ExportMetricsServiceRequest": "/v1/metrics"}
STUBS = {"ExportTraceServiceRequest": trace_service_pb2_grpc.TraceServiceStub,
         "ExportLogsServiceRequest": logs_service_pb2_grpc.LogsServiceStub,
         "ExportMetricsServiceRequest": metrics_service_pb2_grpc.MetricsServiceStub}
RESPONSES = {"ExportTraceServiceRequest": trace_service_pb2.ExportTraceServiceResponse,
             "ExportLogsServiceRequest": logs_service_pb2.ExportLogsServiceResponse,
             "ExportMetricsServiceRequest": metrics_service_pb2.ExportMetricsServiceResponse}


def kind(message):
    return message.DESCRIPTOR.name


def path(message):
    return PATHS[kind(message)]


def to_json(message, ids="hex", ints="string"):
    """OTLP/JSON as senders write it. ids: hex (the specification) or base64 (plain protojson). ints: string, or number (the JS SDK)."""

    def fix(node):
        if isinstance(node, list):
            return [fix(x) for x in node]
        if not isinstance(node, dict):
            return node
        out = {}
        for k, v in node.items():
            if k in ID_FIELDS and ids == "hex":
                v = base64.b64decode(v).hex()
            elif k == "intValue" and ints == "number":
                v = int(v)
            out[k] = fix(v)
        return out

    return json.dumps(fix(json_format.MessageToDict(message, use_integers_for_enums=True)), ensure_ascii=False).encode()


COMPRESS = {None: bytes, "gzip": gzip.compress, "zstd": zstandard.compress, "zst": zstandard.compress}


def post(server, message, *, form="protobuf", encoding=None, dataset=None, headers=None, **json_options):
    """Send over HTTP; returns the reply."""
    body = message.SerializeToString() if form == "protobuf" else to_json(message, **json_options)
    all_headers = {"Content-Type": "application/x-protobuf" if form == "protobuf" else "application/json"}
    if encoding:
        all_headers["Content-Encoding"] = encoding
    if dataset:
        all_headers["X-Honeycomb-Dataset"] = dataset
    return server.post(path(message), COMPRESS[encoding](body), headers=all_headers | (headers or {}))


def call(server, message, *, compression=None, metadata=(), timeout=30):
    """Send over gRPC; returns the response message or raises grpc.RpcError."""
    with grpc.insecure_channel(server.grpc, compression=compression or grpc.Compression.NoCompression,
                               options=[("grpc.max_send_message_length", -1)]) as channel:
        stub = STUBS[kind(message)](channel)
        return stub.Export(message, timeout=timeout, metadata=[("x-honeycomb-team", server.key), *metadata])


def ship(server, message, **kw):
    """Send over HTTP; everything must be taken."""
    reply = post(server, message, **kw)
    assert reply.status == 200, reply
    if kw.get("form", "protobuf") == "protobuf":
        response = RESPONSES[kind(message)].FromString(reply.body)
    else:
        response = json_format.Parse(reply.body or b"{}", RESPONSES[kind(message)]())
    partial = response.partial_success
    assert not partial.error_message, partial
    return response
