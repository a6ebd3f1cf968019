"""Odd but legal, and illegal but likely: never a 5xx, never the end of the server."""
import math
import struct
import urllib.parse

import grpc
import msgpack
import pytest

from lib import otlp, raw, times
from lib.times import T0

COUNT = {"op": "COUNT"}

ODD_TIMES = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1677-09-21T00:12:43Z", "2262-04-11T23:47:17Z", "1969-12-31T23:59:59Z", "-1", -1, 0, "0", 1, 1e300, -1e300,
             2**63 - 1, -(2**63), 2**64, "99999999999999999999999999", "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-03-01T24:00:00Z", "2024-03-01T12:00:60Z", "2024-03-01T12:00:00+99:99",
             "2024-03-01", "2024-03-01 12:00:00", "Fri, 01 Mar 2024 12:00:00 GMT", True, [], {}, "\x00", "1709294400abc", "1709294400.", ".5", "1e9", " 1709294400 "]


@pytest.mark.parametrize("sent", ODD_TIMES, ids=repr)
def test_odd_times_are_taken_or_refused_by_name(server, dataset, sent):
    reply = server.post("/1/batch/" + dataset, [{"time": sent, "data": {"a": 1}}, {"time": times.at(0), "data": {"a": 2}}])
    assert reply.status == 200, reply
    first, second = reply.json()
    assert second["status"] == 202
    assert first["status"] == 202 or (first["status"] == 400 and first["error"]), first
    rows = server.query(dataset, {"calculations": [COUNT], "start_time": T0, "end_time": T0 + 1}).rows
    assert rows[0]["COUNT"] in (1, 2)


@pytest.mark.parametrize("rate", [-1, 0.5, 2.7, 1e30, 2**63, "5", "x", None, True, []], ids=repr)
def test_odd_sample_rates(server, dataset, rate):
    reply = server.post("/1/batch/" + dataset, [{"time": times.at(0), "samplerate": rate, "data": {"a": 1}}])
    assert reply.status == 200, reply
    [status] = reply.json()
    if status["status"] == 202:
        count = server.query(dataset, {"calculations": [COUNT]}).only()["COUNT"]
        assert isinstance(count, (int, float)) and count >= 0 and math.isfinite(count)
    else:
        assert status["status"] == 400 and status["error"]


@pytest.mark.parametrize("rate", ["-1", "0.5", "x", "99999999999999999999", "1,000"])
def test_odd_sample_rate_headers(server, dataset, rate):
    assert server.post("/1/events/" + dataset, {"a": 1}, headers={"X-Honeycomb-Samplerate": rate}).status in (200, 400)


def test_not_a_number_and_infinity(server, dataset):
    """They exist in OTLP and msgpack, and not in JSON."""
    otlp.ship(server, otlp.traces(dataset, otlp.span(attrs={"nan": math.nan, "inf": math.inf, "minus": -math.inf, "n": 1})))
    reply = server.post("/1/batch/" + dataset, msgpack.packb([{"time": times.at(0), "data": {"nan": math.nan, "inf": math.inf, "n": 2}}]), headers={"Content-Type": "application/msgpack"})
    assert reply.status == 200, reply
    assert {e.data["n"] for e in server.events(dataset)} == {1, 2}
    columns = {c["key_name"] for c in server.get(f"/1/columns/{dataset}").json()}
    for column in {"nan", "inf"} & columns:
        row = server.query(dataset, {"calculations": [{"op": op, "column": column} for op in ("SUM", "AVG", "MIN", "MAX", "P50", "COUNT_DISTINCT", "HEATMAP")]}).only()
        assert row
        server.query(dataset, {"breakdowns": [column]})


def test_float_bits_of_msgpack(server, dataset):
    """float32 keeps the value that it has."""
    body = b"\x91\x82\xa4time" + b"\xcf" + struct.pack(">Q", T0) + b"\xa4data\x82\xa1f\xca" + struct.pack(">f", 0.1) + b"\xa1u\xcf" + struct.pack(">Q", 2**64 - 1)
    assert server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/msgpack"}).status == 200
    data = server.event(dataset).data
    assert math.isclose(data["f"], struct.unpack(">f", struct.pack(">f", 0.1))[0])
    assert math.isclose(float(data["u"]), 2.0**64)


def test_msgpack_of_every_kind(server, dataset):
    """bin, ext, nested maps and lists, integer keys."""
    body = msgpack.packb([{"time": times.at(0), "data": {"bin": b"\x00\xff", "ext": msgpack.ExtType(5, b"abc"), "stamp": msgpack.Timestamp(T0, 5), "map": {"a": {"b": 1}}, "list": [1, "x", None], "ok": 1}}])
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/msgpack"})
    assert reply.status == 200, reply
    data = server.event(dataset).data
    assert data["ok"] == 1 and data["map.a.b"] == 1
    body = b"\x91\x81\xa4data\x82\x05\x01\xa1a\x02"  # {5: 1, "a": 2}
    assert server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/msgpack"}).status in (200, 400)


@pytest.mark.parametrize("query", [
    {"start_time": -(2**63), "end_time": 2**63 - 1}, {"start_time": -1e308, "end_time": 1e308}, {"time_range": 1e18}, {"time_range": 2**63}, {"start_time": T0, "time_range": 1e300},
    {"end_time": -5, "time_range": 10}, {"start_time": 0, "end_time": 2**40, "granularity": 0.000000001}, {"start_time": T0, "end_time": T0 + 10, "granularity": 1e-300},
    {"start_time": T0, "end_time": T0 + 10, "compare_time_offset_seconds": 1e300}, {"start_time": T0, "end_time": T0 + 10, "compare_time_offset_seconds": -3600},
    {"start_time": T0, "end_time": T0 + 10, "compare_time_offset_seconds": 0}, {"start_time": "2024-03-01T12:00:00Z", "end_time": "2024-03-01T13:00:00Z"}, {"start_time": None, "end_time": None},
    {"limit": None}, {"limit": 5.0}, {"limit": 5.5}, {"limit": True}, {"granularity": 0}, {"granularity": None}, {"calculations": None}, {"filters": None}, {"breakdowns": None}, {"orders": None},
    {"unknown_field": 1}, {"filters": [{"column": "v", "op": "=", "value": None}]}, {"filters": [{"column": "v", "op": "=", "value": 1e308}]}, {"filters": [{"column": "v", "op": "in", "value": [None]}]},
    {"filters": [{"column": "v", "op": "contains", "value": 5}]}, {"filters": [{"column": "v", "op": "exists", "value": "ignored"}]}, {"filters": [{"column": "", "op": "exists"}]},
    {"breakdowns": ["v", "v"]}, {"calculations": [COUNT, COUNT]}, {"calculations": [{"op": "SUM", "column": "v"}] * 100}, {"calculations": [{"op": "COUNT", "name": "x"}, {"op": "SUM", "column": "v", "name": "x"}]},
    {"calculations": [{"op": "COUNT", "name": "v"}], "breakdowns": ["v"]}, {"havings": [{"calculate_op": "COUNT", "op": ">", "value": 1e308}]}, {"orders": [{"op": "COUNT"}] * 100},
    {"filters": [{"column": "v", "op": "in", "value": list(range(20_000))}]}, {"filters": [{"column": "v", "op": "contains", "value": "x" * 1_000_000}]},
], ids=lambda q: str(q)[:60])
def test_odd_questions(server, dataset, query):
    server.send(dataset, {"v": 1, "s": "x"}, {"v": "text"}, {"s": None, "w": 1})
    reply = server.ask(dataset, {"calculations": [COUNT]} | query)
    assert reply.status == 200 or (400 <= reply.status < 500 and reply.error()), reply
    assert len(reply.body) < 20_000_000


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PATCH", "TRACE", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/1/batch/x", "/1/events/x", "/v1/traces", "/api/v1/query", "/healthz", "/1/datasets"])
def test_other_methods(server, method, path):
    status, _, _ = raw.request(server, method, path, b"" if method in ("PUT", "PATCH") else None, {})
    assert status < 500 or status == 501


def test_very_long_paths_and_headers(server):
    assert raw.request(server, "GET", "/1/datasets/" + "x" * 7000)[0] < 500
    try:
        assert raw.request(server, "GET", "/1/datasets/" + "x" * 200_000)[0] in (400, 404, 414, 431)
        assert raw.request(server, "GET", "/readyz", headers={"X-Long": "x" * 500_000})[0] in (200, 400, 431)
        assert raw.request(server, "GET", "/readyz", headers={f"X-{i}": "y" for i in range(1000)})[0] in (200, 400, 431)
    except (ConnectionError, BrokenPipeError):
        pass  # closed while we were still sending
    assert server.get("/readyz").status == 200


def test_paths_that_climb(server):
    for path in ("/../../etc/passwd", "/1/datasets/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/1/datasets/%00"):
        status, _, body = raw.request(server, "GET", path)
        assert status < 500 and b"root:" not in body


@pytest.mark.parametrize("name", ["../../../tmp/evil", "..", ".", "a\x00b", "con\nnewline", "wal", "catalog.sqlite"])
def test_dataset_names_are_no_paths(server, name):
    before = set(server.data_dir.parent.iterdir())
    status, _, _ = raw.request(server, "POST", "/1/batch/" + urllib.parse.quote(name, safe=""), b'[{"data":{"a":1}}]', {"Content-Type": "application/json"})
    assert status == 200 or 400 <= status < 500
    assert set(server.data_dir.parent.iterdir()) == before


def test_grpc_bomb(fresh_server):
    """100 MiB of one letter in a gzip message of 100 KiB: refused, at little cost."""
    fresh_server.reset_peak()
    before = fresh_server.rss_bytes()
    with grpc.insecure_channel(fresh_server.grpc, compression=grpc.Compression.Gzip, options=[("grpc.max_send_message_length", -1)]) as channel:
        stub = otlp.STUBS["ExportTraceServiceRequest"](channel)
        with pytest.raises(grpc.RpcError) as e:
            stub.Export(otlp.traces("bomb", otlp.span(attrs={"x": "a" * (300 << 20)})), timeout=60)
    assert e.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.INVALID_ARGUMENT), e.value
    assert fresh_server.rss_bytes("VmHWM") - before < 150 << 20
    assert fresh_server.get("/readyz").status == 200


def test_thousand_datasets(fresh_server):
    for i in range(1000):
        assert fresh_server.post(f"/1/events/ds-{i}", {"n": i}).status == 200
    names = {d["name"] for d in fresh_server.get("/1/datasets").json()}
    assert {f"ds-{i}" for i in range(1000)} <= names
    row = fresh_server.query("__all__", {"calculations": [COUNT, {"op": "SUM", "column": "n"}], "filters": [{"column": "n", "op": "exists"}], "time_range": 600}).only()
    assert row == {"COUNT": 1000, "SUM(n)": sum(range(1000))}
    fresh_server.kill()
    fresh_server.start()
    row = fresh_server.query("__all__", {"calculations": [COUNT], "filters": [{"column": "n", "op": "exists"}], "time_range": 600}).only()
    assert row == {"COUNT": 1000}
