"""Content types, encodings, sizes, bombs, chunked uploads, browsers' preflight (semantics 3, 4, 12)."""
import functools
import gzip
import io
import json
import zlib

import msgpack
import pytest
import zstandard

from lib import otlp, raw, times

EVENTS = [{"time": times.at(i), "data": {"n": i, "text": "Grüße"}} for i in range(20)]
JSON_BODY = json.dumps(EVENTS).encode()
MIB = 1 << 20


def zstd_stream(data):
    """A frame without its content size, as streaming writers make."""
    out = io.BytesIO()
    with zstandard.ZstdCompressor(level=3).stream_writer(out, closefd=False) as w:
        w.write(data)
    return out.getvalue()


ENCODINGS = [("none", None, bytes), ("gzip", "gzip", gzip.compress), ("zstd", "zstd", zstandard.compress), ("zst", "zst", zstandard.compress),
             ("zstd stream", "zstd", zstd_stream), ("two gzip members", "gzip", lambda b: gzip.compress(b[:100]) + gzip.compress(b[100:])),
             ("upper case", "GZIP", gzip.compress), ("identity", "identity", bytes)]


@pytest.mark.parametrize("form", ["json", "msgpack"])
@pytest.mark.parametrize("name,encoding,pack", ENCODINGS, ids=[e[0] for e in ENCODINGS])
def test_encodings_on_batch(server, dataset, form, name, encoding, pack):
    body = JSON_BODY if form == "json" else msgpack.packb(EVENTS)
    headers = {"Content-Type": "application/" + form} | ({"Content-Encoding": encoding} if encoding else {})
    reply = server.post("/1/batch/" + dataset, pack(body), headers=headers)
    assert reply.status == 200, reply
    assert [e.data["n"] for e in server.events(dataset)] == list(range(20))


@pytest.mark.parametrize("name,encoding,pack", ENCODINGS[:6], ids=[e[0] for e in ENCODINGS[:6]])
def test_encodings_on_single_events(server, dataset, name, encoding, pack):
    headers = {"Content-Type": "application/json"} | ({"Content-Encoding": encoding} if encoding else {})
    body = json.dumps({"a": "x" * 200}).encode()
    assert server.post("/1/events/" + dataset, pack(body), headers=headers).status == 200
    assert server.count(dataset) == 1


@pytest.mark.parametrize("path", ["/1/batch/x", "/1/events/x", "/v1/traces", "/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize("encoding", ["br", "compress", "snappy"])
def test_unknown_encoding_is_415(server, path, encoding):
    content = "application/x-protobuf" if path.startswith("/v1") else "application/json"
    reply = server.post(path, b"abc", headers={"Content-Encoding": encoding, "Content-Type": content})
    assert reply.status == 415, reply
    assert reply.json()["message" if path.startswith("/v1") else "error"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("path", ["/1/batch/x", "/1/events/x", "/v1/traces"])
def test_garbage_in_an_encoding_is_400(server, path, encoding):
    content = "application/x-protobuf" if path.startswith("/v1") else "application/json"
    good = (gzip.compress if encoding == "gzip" else zstandard.compress)(JSON_BODY)
    for body in (b"not compressed", good[: len(good) // 2], b""):
        reply = server.post(path, body, headers={"Content-Encoding": encoding, "Content-Type": content})
        if body == b"" and path.startswith("/v1"):
            assert reply.status in (200, 400), reply
        else:
            assert reply.status == 400, (body[:20], reply)


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream",
                                          "application/json; charset=utf-8", "APPLICATION/JSON", "application/x-unheard-of"])
def test_other_content_types_are_read_as_json_under_1(server, dataset, content_type):
    headers = {"Content-Type": content_type, "X-Honeycomb-Team": server.key} if content_type is not None else {"X-Honeycomb-Team": server.key}
    status, _, body = raw.request(server, "POST", "/1/batch/" + dataset, JSON_BODY, headers)
    assert status == 200, body
    assert server.count(dataset) == 20


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize("content_type", [None, "text/plain", "application/msgpack"])
def test_unknown_content_type_is_415_under_v1(server, path, content_type):
    headers = {"X-Honeycomb-Team": server.key} | ({"Content-Type": content_type} if content_type else {})
    status, _, body = raw.request(server, "POST", path, b"{}", headers)
    assert status == 415, body
    assert json.loads(body)["message"]


@pytest.mark.parametrize("content_type", ["application/x-protobuf", "application/protobuf", "application/json", "application/json; charset=utf-8"])
@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics", "/v1/traces/", "/v1/logs/", "/v1/metrics/"])
def test_empty_otlp_request_is_200(server, path, content_type):
    for body in ([b"{}"] if "json" in content_type else [b""]):
        reply = server.post(path, body, headers={"Content-Type": content_type})
        assert reply.status == 200, reply


def test_otlp_answers_in_the_form_of_the_question(server, dataset):
    message = otlp.traces(dataset, otlp.span())
    reply = otlp.post(server, message)
    assert "protobuf" in reply.headers["Content-Type"]
    reply = otlp.post(server, message, form="json")
    assert "json" in reply.headers["Content-Type"] and isinstance(reply.json(), dict)


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
def test_malformed_otlp_is_400_with_a_message(server, path):
    for content_type, body in (("application/x-protobuf", b"\x0a\xff\xff\xff\xff\x0f"), ("application/json", b"{"), ("application/json", b"[]"),
                               ("application/json", b'{"resourceSpans":5,"resourceLogs":5,"resourceMetrics":5}')):
        reply = server.post(path, body, headers={"Content-Type": content_type})
        assert reply.status == 400, (body, reply)
        assert reply.json()["message"]


def test_batch_of_five_megabytes(server, dataset):
    """What Honeycomb's clients may send at most."""
    text = "x" * 900
    events = [{"time": times.at(i % 1000), "data": {"n": i, "t": text}} for i in range(5000)]
    body = json.dumps(events).encode()[:]
    assert 4_500_000 < len(body) < 5_000_000
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/json"})
    assert reply.status == 200 and {s["status"] for s in reply.json()} == {202}
    assert server.count(dataset) == 5000


@pytest.mark.parametrize("encoding", [None, "gzip", "zstd"])
def test_otlp_of_nearly_twenty_mebibytes(server, dataset, encoding):
    spans = [otlp.span(attrs={"text": "x" * 60_000, "n": i}) for i in range(300)]
    message = otlp.traces(dataset, *spans)
    assert 17 * MIB < message.ByteSize() < 20 * MIB
    otlp.ship(server, message, encoding=encoding)
    assert server.count(dataset) == 300


@pytest.mark.parametrize("path,content", [("/1/batch/too-large", "application/json"), ("/1/events/too-large", "application/json"), ("/v1/traces", "application/x-protobuf"), ("/v1/logs", "application/json")])
def test_too_large_is_413(server, path, content):
    body = b"[" + b" " * (40 * MIB) + b"]"
    reply = server.post(path, body, headers={"Content-Type": content})
    assert reply.status == 413, reply
    assert reply.json()["message" if path.startswith("/v1") else "error"]


@functools.cache
def gzip_bomb(n_bytes, unit=b" "):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = unit * (MIB // len(unit))
    return b"".join(packer.compress(piece) for _ in range(n_bytes // MIB)) + packer.flush()


@functools.cache
def zstd_bomb(n_bytes, unit=b" "):
    packer = zstandard.ZstdCompressor(level=3).compressobj()
    piece = unit * (MIB // len(unit))
    return b"".join(packer.compress(piece) for _ in range(n_bytes // MIB)) + packer.flush()


@functools.cache
def zstd_bomb_with_a_size(n_bytes):
    """The header announces the size, and asks for a window as large."""
    return zstandard.ZstdCompressor(level=19).compress(b" " * n_bytes)


BOMBS = [("gzip", "gzip", gzip_bomb), ("zstd", "zstd", zstd_bomb), ("zstd with size", "zstd", zstd_bomb_with_a_size)]


@pytest.mark.parametrize("path,content", [("/1/batch/bomb", "application/json"), ("/1/events/bomb", "application/json"), ("/v1/traces", "application/x-protobuf"), ("/v1/logs", "application/json")])
@pytest.mark.parametrize("name,encoding,make", BOMBS, ids=[b[0] for b in BOMBS])
def test_bomb_is_413_and_costs_little(fresh_server, path, content, name, encoding, make):
    body = make(300 * MIB)
    assert len(body) < 2 * MIB
    fresh_server.reset_peak()
    before = fresh_server.rss_bytes()
    reply = fresh_server.post(path, body, headers={"Content-Type": content, "Content-Encoding": encoding})
    assert reply.status == 413, reply
    grown = fresh_server.rss_bytes("VmHWM") - before
    assert grown < 100 * MIB, f"grew by {grown / MIB:.0f} MiB"


def test_many_bombs_at_once(fresh_server):
    """Bounded together, not only one by one."""
    from concurrent.futures import ThreadPoolExecutor
    body = gzip_bomb(300 * MIB)
    fresh_server.reset_peak()
    before = fresh_server.rss_bytes()
    send = lambda _: fresh_server.post("/1/batch/bomb", body, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}).status
    with ThreadPoolExecutor(16) as pool:
        statuses = set(pool.map(send, range(32)))
    assert statuses <= {413, 429, 503}, statuses
    grown = fresh_server.rss_bytes("VmHWM") - before
    assert grown < 700 * MIB, f"grew by {grown / MIB:.0f} MiB"


def test_chunked_uploads(server, dataset):
    """The JavaScript SDK sends every body so."""
    headers = {"Content-Type": "application/json", "X-Honeycomb-Team": server.key}
    pieces = [JSON_BODY[i:i + 37] for i in range(0, len(JSON_BODY), 37)]
    status, _, body = raw.chunked(server, "/1/batch/" + dataset, pieces, headers)
    assert status == 200, body
    assert server.count(dataset) == 20
    message = otlp.traces(dataset, otlp.span("chunked"))
    binary = message.SerializeToString()
    status, _, body = raw.chunked(server, "/v1/traces", [binary[:10], binary[10:]], {"Content-Type": "application/x-protobuf"})
    assert status == 200, body
    status, _, body = raw.chunked(server, "/v1/traces", [otlp.to_json(message)], {"Content-Type": "application/json"})
    assert status == 200, body
    assert server.count(dataset) == 22


def test_chunked_body_without_end_is_413(fresh_server):
    fresh_server.reset_peak()
    before = fresh_server.rss_bytes()
    headers = {"Content-Type": "application/json", "X-Honeycomb-Team": fresh_server.key}
    try:
        status, _, _ = raw.chunked(fresh_server, "/1/batch/x", (b" " * MIB for _ in range(400)), headers)
    except (BrokenPipeError, ConnectionResetError):
        status = None  # refused while we were still sending: the answer may be lost on the way
    assert status in (413, None)
    assert fresh_server.rss_bytes("VmHWM") - before < 150 * MIB
    assert fresh_server.get("/readyz").status == 200


def test_client_that_hangs_up_leaves_nothing_behind(server, dataset):
    server.send(dataset, {"first": 1})
    for _ in range(20):
        raw.half_a_body(server, "/1/batch/" + dataset, {"Content-Type": "application/json"}, JSON_BODY[:500], len(JSON_BODY))
    assert server.count(dataset) == 1


ORIGIN = "https://shop.example"


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
@pytest.mark.parametrize("asked", ["content-type", "content-type,x-honeycomb-team", "content-type,x-honeycomb-team,x-honeycomb-dataset,x-otlp-version,traceparent"])
def test_preflight_of_a_browser(server, path, asked):
    reply = server.request("OPTIONS", path, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked, "X-Honeycomb-Team": None})
    assert reply.status in (200, 204), reply
    h = {k.lower(): v for k, v in reply.headers.items()}
    assert h["access-control-allow-origin"] in ("*", ORIGIN)
    assert "POST" in h["access-control-allow-methods"] or h["access-control-allow-methods"] == "*"
    allowed = {x.strip() for x in h["access-control-allow-headers"].lower().split(",")}
    assert allowed == {"*"} or set(asked.split(",")) <= allowed, allowed


def test_browser_may_read_the_answer(server, dataset):
    reply = otlp.post(server, otlp.traces(dataset, otlp.span()), form="json", headers={"Origin": ORIGIN})
    assert reply.status == 200
    assert reply.headers["Access-Control-Allow-Origin"] in ("*", ORIGIN)


@pytest.mark.parametrize("depth", [200, 10_000, 200_000])
@pytest.mark.parametrize("form", ["json maps", "json lists", "msgpack lists"])
def test_deep_nesting_never_ends_the_server(server, dataset, depth, form):
    if form == "json maps":
        body, content = b'[{"data":{"x":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}]", "application/json"
    elif form == "json lists":
        body, content = b'[{"data":{"x":' + b"[" * depth + b"]" * depth + b"}}]", "application/json"
    else:
        body, content = b"\x91\x81\xa4data\x81\xa1x" + b"\x91" * depth + b"\x01", "application/msgpack"
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": content})
    assert reply.status in (200, 400), reply
    assert server.get("/readyz").status == 200


def test_deep_nesting_in_otlp(server, dataset):
    v = otlp.value(1)
    for _ in range(40):  # each is two messages; readers of protobuf stop at 100 inside each other
        outer = otlp.value([])
        outer.array_value.values.append(v)
        v = outer
    s = otlp.span()
    s.attributes.add(key="deep", value=v)
    assert otlp.post(server, otlp.traces(dataset, s)).status in (200, 400)
    body = (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"x","value":' + b'{"arrayValue":{"values":[' * 50_000)
    assert server.post("/v1/traces", body, headers={"Content-Type": "application/json"}).status == 400
    assert server.get("/readyz").status == 200


def test_flood_of_keys_is_stored_or_refused(fresh_server, dataset):
    """New columns in every event, up to the 65,000 of a dataset and beyond: those are kept as JSON."""
    for block in range(9):
        events = [{"time": times.at(0), "data": {f"key_{block}_{i}_{j}": j for j in range(1000)}} for i in range(10)]
        reply = fresh_server.post("/1/batch/" + dataset, events)
        assert reply.status in (200, 429, 503), reply
        if reply.status == 200:
            assert [s["status"] for s in reply.json()] == [202] * 10
    info = fresh_server.get("/api/v1/datasets/" + dataset).json()
    assert info["n_columns"] <= 65_001 and info["overflow_events"] > 0, info
    fresh_server.send(dataset, {"key_0_0_0": 7})
    assert fresh_server.query(dataset, {"calculations": [{"op": "MAX", "column": "key_0_0_0"}]}).only() == {"MAX(key_0_0_0)": 7}
