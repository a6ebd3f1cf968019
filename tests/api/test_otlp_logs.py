"""OTLP logs -> columns (honeycomb-wire.md 2.3, semantics 9)."""
import json
import time

import pytest

from lib import otlp
from lib.otlp import t

TRACE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
SPAN = bytes.fromhex("b7ad6b7169203331")


def send(server, message, how, dataset=None):
    if how == "grpc":
        otlp.call(server, message, metadata=[("x-honeycomb-dataset", dataset)] if dataset else [])
    else:
        otlp.ship(server, message, form=how, dataset=dataset)


@pytest.mark.parametrize("how", ["protobuf", "json", "grpc"])
def test_a_log(server, dataset, how):
    record = otlp.log("user logged in", {"user.id": 2**63 - 1, "ok": True, "list": [1, 2], "map": {"k": "v"}}, at=2, observed=3,
                      severity_number=9, severity_text="Information", flags=1, trace_id=TRACE, span_id=SPAN, event_name="login")
    send(server, otlp.logs(dataset, record, res=otlp.resource(dataset, host="h"), sc=otlp.scope("logger", "2")), how)
    event = server.event(dataset)
    assert event.time_ns == t(2)
    data = dict(event.data)
    assert json.loads(data.pop("list")) == [1, 2]
    want = {"body": "user logged in", "severity": "info", "severity_code": 9, "severity_text": "Information", "flags": 1, "event.name": "login",
            "meta.signal_type": "log", "meta.annotation_type": "span_event", "trace.trace_id": TRACE.hex(), "trace.parent_id": SPAN.hex(),
            "user.id": 2**63 - 1, "ok": True, "map.k": "v", "service.name": dataset, "host": "h", "library.name": "logger", "library.version": "2"}
    assert want.items() <= data.items(), data
    assert "trace.span_id" not in data


def test_a_log_without_trace_is_no_annotation(server, dataset):
    otlp.ship(server, otlp.logs(dataset, otlp.log("x")))
    data = server.event(dataset).data
    assert "meta.annotation_type" not in data and "trace.trace_id" not in data and "trace.parent_id" not in data


@pytest.mark.parametrize("numbers,word", [((0,), "unspecified"), ((1, 4), "trace"), ((5, 8), "debug"), ((9, 12), "info"), ((13, 16), "warn"), ((17, 20), "error"), ((21, 24), "fatal")])
def test_severities(server, dataset, numbers, word):
    otlp.ship(server, otlp.logs(dataset, *[otlp.log("x", severity_number=n) for n in numbers]))
    assert [(e.data["severity"], e.data["severity_code"]) for e in server.events(dataset)] in ([(word, n) for n in numbers], [(word, n) for n in numbers[::-1]])


def test_time_falls_back_to_observed_then_to_now(server, dataset):
    otlp.ship(server, otlp.logs(dataset, otlp.log("observed", at=None, observed=7)))
    assert server.event(dataset).time_ns == t(7)
    before = time.time_ns()
    otlp.ship(server, otlp.logs(dataset, otlp.log("now", at=None)))
    assert before - 10_000_000 <= server.events(dataset)[1].time_ns <= time.time_ns() + 10_000_000


@pytest.mark.parametrize("how", ["protobuf", "json"])
def test_bodies_of_every_type(server, dataset, how):
    bodies = ["", "Grüße 🦀", 5, 2**63 - 1, 0.5, True, [1, "a"], {"msg": "m", "ctx": {"n": 1, "list": [1]}}]
    send(server, otlp.logs(dataset, *[otlp.log(b, {"i": i}, at=i) for i, b in enumerate(bodies)]), how)
    got = [e.data for e in server.events(dataset)]
    text = [g.get("body") for g in got]
    assert text[0] in ("", None) and text[1] == "Grüße 🦀"
    assert str(text[2]) == "5" and str(text[3]) == str(2**63 - 1) and float(text[4]) == 0.5 and str(text[5]).lower() == "true"
    assert json.loads(text[6]) == [1, "a"]
    assert json.loads(text[7]) == {"msg": "m", "ctx": {"n": 1, "list": [1]}}
    assert got[7]["body.msg"] == "m" and got[7]["body.ctx.n"] == 1


def test_sample_rate_of_a_log(server, dataset):
    otlp.ship(server, otlp.logs(dataset, otlp.log("x", {"sampleRate": 20})))
    event = server.event(dataset)
    assert event.sample_rate == 20 and "sampleRate" not in event.data


@pytest.mark.parametrize("how", ["protobuf", "json", "grpc"])
@pytest.mark.parametrize("service,header,want", [
    ("shop", "header-ds", "shop"), ("", "header-ds", "header-ds"), (None, "header-ds", "header-ds"), ("unknown_service:java", "header-ds", "header-ds"),
    (None, None, "unknown_log_source"), ("unknown_service", None, "unknown_log_source"), (" ", None, "unknown_log_source"),
])
def test_dataset_of_a_log(fresh_server, how, service, header, want):
    send(fresh_server, otlp.logs(service, otlp.log("x")), how, header)
    assert [d["name"] for d in fresh_server.get("/1/datasets").json() if d["name"] != "wideye"] == [want]


def test_dropped_attributes_are_a_column(server, dataset):
    otlp.ship(server, otlp.logs(dataset, otlp.log("x", dropped_attributes_count=2)))
    assert any("dropped" in k and v == 2 for k, v in server.event(dataset).data.items())
