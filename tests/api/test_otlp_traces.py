"""OTLP spans -> columns, row by row (honeycomb-wire.md 2.3), by every transport."""
import json

import grpc
import pytest
from opentelemetry.proto.trace.v1 import trace_pb2

from lib import otlp
from lib.otlp import t
from lib.server import CLASSIC_KEY

TRACE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
SPAN = bytes.fromhex("b7ad6b7169203331")
PARENT = bytes.fromhex("00f067aa0ba902b7")
Kind = trace_pb2.Span.SpanKind
Status = trace_pb2.Status

TRANSPORTS = ["protobuf", "protobuf gzip", "protobuf zstd", "json", "json gzip", "json numbers", "json base64 ids", "grpc", "grpc gzip"]


def ship(server, message, transport):
    form, _, rest = transport.partition(" ")
    if form == "grpc":
        response = otlp.call(server, message, compression=grpc.Compression.Gzip if rest else None)
        assert not response.partial_success.error_message
    elif form == "protobuf":
        otlp.ship(server, message, encoding=rest or None)
    else:
        otlp.ship(server, message, form="json", encoding="gzip" if rest == "gzip" else None,
                  ints="number" if rest == "numbers" else "string", ids="base64" if rest == "base64 ids" else "hex")


def rich_span():
    return otlp.span(
        "GET /cart", {"http.status_code": 200, "ratio": 0.25, "ok": True, "text": "Grüße 🦀", "empty": "", "big": 2**53 - 1, "list": ["a", 1, True, 0.5],
                      "bytes": b"\x00\x01\xff", "map": {"inner": {"deep": 1}, "list": [1]}, "negative": -5},
        trace_id=TRACE, span_id=SPAN, parent=PARENT, start=1.5, ms=12.25, kind=Kind.SPAN_KIND_SERVER, trace_state="vendor=x",
        status=Status(code=Status.STATUS_CODE_ERROR, message="it broke"))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_span_by_every_transport(server, dataset, transport):
    message = otlp.traces(dataset, rich_span(), res=otlp.resource(dataset, **{"host.name": "h1", "process.pid": 4242}),
                          sc=otlp.scope("my.lib", "1.2.3", **{"scope.attr": "s"}), resource_url="https://example/res", scope_url="https://example/scope")
    ship(server, message, transport)
    event = server.event(dataset)
    assert event.time_ns == t(1.5) and event.sample_rate == 1
    data = dict(event.data)
    assert json.loads(data.pop("list")) == ["a", 1, True, 0.5]
    assert json.loads(data.pop("map.list")) == [1]
    assert "AAH/" in data.pop("bytes")
    assert data == {
        "trace.trace_id": TRACE.hex(), "trace.span_id": SPAN.hex(), "trace.parent_id": PARENT.hex(), "trace.trace_state": "vendor=x",
        "name": "GET /cart", "type": "server", "span.kind": "server", "status_code": 2, "status_message": "it broke", "error": True,
        "duration_ms": 12.25, "span.num_links": 0, "span.num_events": 0, "meta.signal_type": "trace",
        "service.name": dataset, "host.name": "h1", "process.pid": 4242, "resource.schema_url": "https://example/res",
        "library.name": "my.lib", "library.version": "1.2.3", "scope.attr": "s", "scope.schema_url": "https://example/scope",
        "http.status_code": 200, "ratio": 0.25, "ok": True, "text": "Grüße 🦀", "empty": "", "big": 2**53 - 1, "negative": -5, "map.inner.deep": 1}


@pytest.mark.parametrize("transport", ["protobuf", "json", "grpc"])
def test_integers_keep_64_bits(server, dataset, transport):
    ship(server, otlp.traces(dataset, otlp.span(attrs={"max": 2**63 - 1, "min": -(2**63), "odd": 2**53 + 1})), transport)
    data = server.event(dataset).data
    assert (data["max"], data["min"], data["odd"]) == (2**63 - 1, -(2**63), 2**53 + 1)


def test_json_forms_of_real_senders(server, dataset):
    """Pretty-printed, ints as numbers, enums as names or numbers, unknown fields, nulls, snake case."""
    text = """{
      "resourceSpans": [ { "resource": { "attributes": [ {"key":"service.name","value":{"stringValue":"%s"}} ], "droppedAttributesCount": 0 },
        "scopeSpans": [ { "scope": {"name": "s"}, "spans": [ {
           "traceId": "0AF7651916CD43DD8448EB211C80319C", "spanId": "b7ad6b7169203331", "parentSpanId": "", "name": "n", "kind": 3, "flags": 257,
           "startTimeUnixNano": "%d", "endTimeUnixNano": %d, "unknownField": {"x": [1]}, "traceState": null,
           "attributes": [ {"key":"number","value":{"intValue": 7}}, {"key":"string","value":{"intValue": "8"}}, {"key":"whole","value":{"doubleValue": 3}},
                           {"key":"nan","value":{"doubleValue": "NaN"}}, {"key":"none","value":{}}, {"key":"null","value":null} ],
           "status": {"code": 1} } ] } ] } ] }""" % (dataset, t(0), t(0) + 1_000_000)
    reply = server.post("/v1/traces", text, headers={"Content-Type": "application/json"})
    assert reply.status == 200, reply
    data = server.event(dataset).data
    assert data["trace.trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert data["number"] == 7 and data["string"] == 8 and data["whole"] == 3
    assert data["type"] == "client" and data["status_code"] == 1 and data["duration_ms"] == 1
    assert "trace.parent_id" not in data and "none" not in data and "null" not in data and "error" not in data


def test_absent_things_make_no_columns(server, dataset):
    otlp.ship(server, otlp.traces(dataset, otlp.span("root", trace_id=TRACE, span_id=SPAN)))
    data = server.event(dataset).data
    for name in ("trace.parent_id", "trace.trace_state", "status_message", "error", "resource.schema_url", "scope.schema_url"):
        assert name not in data, name
    assert data["status_code"] == 0 and data["type"] == data["span.kind"] == "unspecified"


@pytest.mark.parametrize("number,word", [(0, "unspecified"), (1, "internal"), (2, "server"), (3, "client"), (4, "producer"), (5, "consumer")])
def test_kinds(server, dataset, number, word):
    otlp.ship(server, otlp.traces(dataset, otlp.span(kind=number)))
    data = server.event(dataset).data
    assert data["type"] == data["span.kind"] == word


@pytest.mark.parametrize("code,error", [(0, None), (1, None), (2, True)])
def test_status(server, dataset, code, error):
    otlp.ship(server, otlp.traces(dataset, otlp.span(status=Status(code=code))))
    data = server.event(dataset).data
    assert data["status_code"] == code and data.get("error") is error


def test_negative_duration_is_zero_and_says_so(server, dataset):
    otlp.ship(server, otlp.traces(dataset, otlp.span(start=5, ms=-3)))
    data = server.event(dataset).data
    assert data["duration_ms"] == 0 and data["meta.invalid_duration"] is True


def test_durations_keep_nanoseconds(server, dataset):
    otlp.ship(server, otlp.traces(dataset, otlp.span(ms=0.000001), otlp.span(start=1, ms=1234.567891)))
    assert [e.data["duration_ms"] for e in server.events(dataset)] == [0.000001, 1234.567891]


def test_precedence_of_attributes(server, dataset):
    """Last write wins: what OTLP gives < resource < scope < span."""
    message = otlp.traces(dataset, otlp.span("n", {"who": "span", "name": "own name"}),
                          res=otlp.resource(dataset, who="resource", both="resource", only="resource", duration_ms="text"),
                          sc=otlp.scope("lib", who="scope", both="scope"))
    otlp.ship(server, message)
    data = server.event(dataset).data
    assert (data["who"], data["both"], data["only"], data["name"]) == ("span", "scope", "resource", "own name")
    assert data["duration_ms"] == "text"


def test_span_events_and_links_are_rows_before_the_span(server, dataset):
    link_trace, link_span = bytes(range(16)), bytes(range(1, 9))
    s = otlp.span("parent", {"own": 1}, trace_id=TRACE, span_id=SPAN, parent=PARENT, start=10, ms=100, status=Status(code=2))
    s.events.add(name="cache miss", time_unix_nano=t(10.025), attributes=otlp.attributes({"key": "k1", "n": 5}))
    s.events.add(name="too early", time_unix_nano=t(9))
    s.links.add(trace_id=link_trace, span_id=link_span, attributes=otlp.attributes({"why": "retry"}))
    otlp.ship(server, otlp.traces(dataset, s, res=otlp.resource(dataset, host="h"), sc=otlp.scope("lib", "9")))
    events = server.events(dataset)
    assert len(events) == 4
    by_name = {(e.data.get("meta.annotation_type"), e.data.get("name")): e for e in events}

    miss = by_name[("span_event", "cache miss")]
    assert miss.time_ns == t(10.025)
    assert miss.data == {"trace.trace_id": TRACE.hex(), "trace.parent_id": SPAN.hex(), "name": "cache miss", "parent_name": "parent",
                         "meta.annotation_type": "span_event", "meta.signal_type": "trace", "meta.time_since_span_start_ms": 25, "error": True,
                         "key": "k1", "n": 5, "service.name": dataset, "host": "h", "library.name": "lib", "library.version": "9"}
    early = by_name[("span_event", "too early")]
    assert early.time_ns == t(9) and early.data["meta.time_since_span_start_ms"] == 0 and early.data["meta.invalid_time_since_span_start"] is True

    [link] = [e for e in events if e.data.get("meta.annotation_type") == "link"]
    assert link.time_ns == t(10)
    want = {"trace.trace_id": TRACE.hex(), "trace.parent_id": SPAN.hex(), "trace.link.trace_id": link_trace.hex(), "trace.link.span_id": link_span.hex(),
            "parent_name": "parent", "meta.annotation_type": "link", "meta.signal_type": "trace", "error": True, "why": "retry", "service.name": dataset}
    assert want.items() <= link.data.items(), link.data
    assert "trace.span_id" not in link.data

    own = by_name[(None, "parent")]
    assert own.data["span.num_events"] == 2 and own.data["span.num_links"] == 1 and own.data["own"] == 1
    assert "key" not in own.data


def test_first_exception_is_copied_to_the_span_and_overwrites_nothing(server, dataset):
    s = otlp.span("work", {"exception.type": "mine"}, start=1)
    s.events.add(name="exception", time_unix_nano=t(1.001), attributes=otlp.attributes(
        {"exception.message": "first", "exception.type": "E1", "exception.stacktrace": "at a\nat b", "exception.escaped": True, "other": 1}))
    s.events.add(name="exception", time_unix_nano=t(1.002), attributes=otlp.attributes({"exception.message": "second"}))
    otlp.ship(server, otlp.traces(dataset, s))
    [own] = [e.data for e in server.events(dataset) if e.data["name"] == "work"]
    assert own["exception.message"] == "first" and own["exception.stacktrace"] == "at a\nat b" and own["exception.escaped"] is True
    assert own["exception.type"] == "mine" and "other" not in own


def test_ids(server, dataset):
    """A 16-byte trace id with eight leading zero bytes is 16 digits; others are 32."""
    short = bytes(8) + bytes.fromhex("8448eb211c80319c")
    otlp.ship(server, otlp.traces(dataset, otlp.span("short", trace_id=short, start=0), otlp.span("long", trace_id=TRACE, start=1)))
    assert [e.data["trace.trace_id"] for e in server.events(dataset)] == ["8448eb211c80319c", TRACE.hex()]


def test_instrumentation_library_is_marked(server, dataset):
    otlp.ship(server, otlp.traces(dataset, otlp.span(), sc=otlp.scope("@opentelemetry/instrumentation-http", "1")))
    assert server.event(dataset).data["telemetry.instrumentation_library"] is True


@pytest.mark.parametrize("attrs,state,weight,gone", [
    ({"sampleRate": 10}, "", 10, "sampleRate"),
    ({"SampleRate": 7}, "", 7, "SampleRate"),
    ({"sampleRate": 3.6}, "", 4, "sampleRate"),
    ({"sampleRate": 0}, "", 1, "sampleRate"),
    ({"sampleRate": -5}, "", 1, "sampleRate"),
    ({"sampleRate": 10}, "ot=th:8", 10, "sampleRate"),
    ({}, "ot=th:8", 2, None),
    ({}, "ot=th:c", 4, None),
    ({}, "vendor=1,ot=rv:abc;th:f", 16, None),
    ({}, "ot=th:0", 1, None),
    ({}, "th=c", 4, None),
    ({}, "ot=th:zz", 1, None),
    ({}, "other=th:c", 1, None),
])
def test_sample_rate_of_a_span(server, dataset, attrs, state, weight, gone):
    s = otlp.span("s", attrs, trace_state=state)
    s.events.add(name="e", time_unix_nano=t(0))
    s.links.add(trace_id=TRACE, span_id=SPAN)
    otlp.ship(server, otlp.traces(dataset, s))
    events = server.events(dataset)
    assert {e.sample_rate for e in events} == {weight}, "events and links inherit the rate"
    assert all(gone not in e.data for e in events)
    assert server.query(dataset, {"calculations": [{"op": "COUNT"}], "filters": [{"column": "name", "op": "=", "value": "s"}]}).only() == {"COUNT": weight}


def test_mean_weight_over_many_spans_is_the_adjusted_count(server, dataset):
    """A third of the spans: threshold 0xaaaaaaaaaaaaaa, adjusted count 3; and one of 1.5."""
    otlp.ship(server, otlp.traces(dataset, *[otlp.span("third", trace_state="ot=th:aaaaaaaaaaaaaa") for _ in range(3000)],
                                  *[otlp.span("two thirds", trace_state="ot=th:55555555555555") for _ in range(3000)]))
    rows = server.query(dataset, {"calculations": [{"op": "COUNT"}], "breakdowns": ["name"]}).by("name")
    assert rows["third"]["COUNT"] / 3000 == pytest.approx(3, rel=0.03)
    assert rows["two thirds"]["COUNT"] / 3000 == pytest.approx(1.5, rel=0.03)


def test_dropped_counts_are_a_column(server, dataset):
    s = otlp.span("s", dropped_attributes_count=3, dropped_events_count=4, dropped_links_count=5)
    otlp.ship(server, otlp.traces(dataset, s))
    data = server.event(dataset).data
    found = {k: v for k, v in data.items() if "dropped" in k}
    assert any("attributes" in k and v == 3 for k, v in found.items()), data


@pytest.mark.parametrize("service,header,want", [
    ("shop", None, "shop"), ("shop", "header-ds", "shop"), (" shop ", None, "shop"), ("", None, "unknown_service"), (None, None, "unknown_service"),
    ("unknown_service", None, "unknown_service"), ("unknown_service:node", None, "unknown_service"),
])
def test_dataset_of_a_span(fresh_server, service, header, want):
    """Without a Classic key the service names the dataset."""
    otlp.ship(fresh_server, otlp.traces(service, otlp.span()), dataset=header)
    assert [d["name"] for d in fresh_server.get("/1/datasets").json() if d["name"] != "wideye"] == [want]


@pytest.mark.parametrize("make", [lambda: otlp.traces("shop", otlp.span()), lambda: otlp.metrics("shop", otlp.gauge("m", otlp.point(1)))], ids=["traces", "metrics"])
def test_with_a_classic_key_the_header_names_the_dataset(fresh_server, make):
    otlp.ship(fresh_server, make(), dataset="from header", headers={"X-Honeycomb-Team": CLASSIC_KEY})
    assert [d["name"] for d in fresh_server.get("/1/datasets").json() if d["name"] != "wideye"] == ["from header"]


def test_services_of_one_request_go_to_their_datasets(server, dataset):
    message = otlp.traces(dataset + "-a", otlp.span("1"))
    message.resource_spans.extend(otlp.traces(dataset + "-b", otlp.span("2"), otlp.span("3")).resource_spans)
    otlp.ship(server, message)
    assert server.count(dataset + "-a") == 1 and server.count(dataset + "-b") == 2


def test_partial_success_counts_what_is_refused(server, dataset):
    """One span too large: the others are kept, the answer says how many were not and why."""
    huge = otlp.span("huge", {f"k{i}": "x" * 60_000 for i in range(20)})
    message = otlp.traces(dataset, otlp.span("a"), huge, otlp.span("b", start=1))
    for send in (lambda: otlp.RESPONSES["ExportTraceServiceRequest"].FromString(otlp.post(server, message).body), lambda: otlp.call(server, message)):
        partial = send().partial_success
        assert partial.rejected_spans == 1 and partial.error_message
    reply = otlp.post(server, message, form="json")
    assert reply.status == 200 and int(reply.json()["partialSuccess"]["rejectedSpans"]) == 1
    assert sorted({e.data["name"] for e in server.events(dataset)}) == ["a", "b"]


def test_trace_is_found_by_its_id(server, dataset):
    root = otlp.span("root", trace_id=TRACE[::-1], span_id=SPAN, start=0, ms=100)
    child = otlp.span("child", trace_id=TRACE[::-1], parent=SPAN, start=0.01, ms=50)
    other = otlp.span("other", start=0.02)
    otlp.ship(server, otlp.traces(dataset, child, root, other))
    otlp.ship(server, otlp.traces(dataset + "-2", otlp.span("far child", trace_id=TRACE[::-1], parent=SPAN, start=0.02)))
    reply = server.get(f"/api/v1/traces/{TRACE[::-1].hex()}")
    assert reply.status == 200, reply
    text = json.dumps(reply.json())
    assert text.index('"root"') < text.index('"child"') < text.index('"far child"'), "in order of time, over all datasets"
    assert '"other"' not in text


def test_grpc_refuses_garbage_as_a_client_error(server):
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError) as e:
            call(b"\x0a\xff\xff\xff\xff\x0f", timeout=10)
    assert e.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.NoSuch/Export")
        with pytest.raises(grpc.RpcError) as e:
            call(b"", timeout=10)
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_grpc_takes_twenty_mebibytes_and_refuses_more(server, dataset):
    otlp.call(server, otlp.traces(dataset, *[otlp.span(attrs={"text": "x" * 60_000}) for _ in range(300)]))
    assert server.count(dataset) == 300
    with pytest.raises(grpc.RpcError) as e:
        otlp.call(server, otlp.traces(dataset, *[otlp.span(attrs={"text": "x" * 60_000}) for _ in range(700)]))
    assert e.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.INVALID_ARGUMENT)
    assert server.count(dataset) == 300
