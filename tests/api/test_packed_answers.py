"""Answers are packed for clients that ask for it: the same words, fewer bytes, and a stream still comes part by part."""
import http.client
import json
import zlib

import pytest
import zstandard

from lib.times import T0

RAW = {"calculations": [], "limit": 1000, "start_time": T0, "end_time": T0 + 3600}


def ask(server, body, path="/api/v1/query", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", "X-Honeycomb-Team": server.key} | headers)
    return connection.getresponse()


def unpacker(encoding):
    return zlib.decompressobj(31) if encoding == "gzip" else zstandard.ZstdDecompressor().decompressobj()


@pytest.fixture
def filled(server, dataset):
    server.send(dataset, *({"n": i, "text": f"some words about {i % 7}"} for i in range(1000)))
    return dataset


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_the_same_words_in_fewer_bytes(server, filled, encoding):
    body = {"dataset": filled, "query": RAW}
    plain = ask(server, body)
    assert plain.getheader("Content-Encoding") is None
    plain = plain.read()
    packed = ask(server, body, **{"Accept-Encoding": encoding})
    assert packed.getheader("Content-Encoding") == encoding
    assert "accept-encoding" in packed.getheader("Vary").lower()
    packed = packed.read()
    assert len(packed) < len(plain) / 4
    assert json.loads(unpacker(encoding).decompress(packed))["results"] == json.loads(plain)["results"]


def test_small_answers_are_not_packed(server, filled):
    answer = ask(server, {"dataset": filled, "query": RAW | {"calculations": [{"op": "COUNT"}]}}, **{"Accept-Encoding": "gzip, zstd"})
    assert answer.getheader("Content-Encoding") is None
    assert json.loads(answer.read())["results"]


def test_what_a_client_does_not_take_is_not_sent(server, filled):
    for accept in ("br", "gzip;q=0", "identity"):
        answer = ask(server, {"dataset": filled, "query": RAW}, **{"Accept-Encoding": accept})
        assert answer.getheader("Content-Encoding") is None, accept
        assert len(json.loads(answer.read())["results"]) == 1000


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_each_part_of_a_stream_can_be_read_when_it_comes(server, filled, encoding):
    body = {"dataset": filled, "query": {"calculations": [{"op": "COUNT"}], "start_time": T0, "end_time": T0 + 3600}, "stream": True}
    answer = ask(server, body, **{"Accept-Encoding": encoding})
    assert answer.getheader("Content-Encoding") == encoding
    # Whatever came must unpack to whole lines, the first of which is the plan.
    unpack, lines = unpacker(encoding), []
    while chunk := answer.read1(1 << 20):
        text = unpack.decompress(chunk)
        assert not text or text.endswith(b"\n"), text
        lines += text.splitlines()
    assert json.loads(lines[0])["type"] == "plan"
    assert json.loads(lines[-1])["type"] == "final"


def test_acknowledgements_are_as_ever(server, dataset):
    events = [{"data": {"n": i}} for i in range(1000)]
    answer = ask(server, events, f"/1/batch/{dataset}", **{"Accept-Encoding": "gzip"})
    assert answer.getheader("Content-Encoding") is None
    assert json.loads(answer.read()) == [{"status": 202}] * 1000
