"""Damaged and random bytes at every way in, and mutated questions: never a 5xx, never the end of the server. The seed is printed."""
import copy
import gzip
import json
import os
import random
import time

import msgpack
import pytest
import zstandard

from lib import otlp, times
from lib.times import T0

SECONDS = 2.5


@pytest.fixture
def rng():
    seed = os.environ.get("WIDEYE_TEST_SEED") or str(random.SystemRandom().randrange(2**32))
    print(f"WIDEYE_TEST_SEED={seed}")
    return random.Random(seed)


def mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(6):
            case 0 if data:
                data[at] ^= 1 << rng.randrange(8)
            case 1 if data:
                data[at] = rng.randrange(256)
            case 2:
                del data[at:at + rng.randrange(1, 20)]
            case 3:
                data[at:at] = rng.randbytes(rng.randrange(1, 20))
            case 4:
                data[at:at] = data[at:at + rng.randrange(1, 200)]
            case 5:
                data = data[:at] if rng.random() < 0.2 else data
    return bytes(data)


EVENTS = [{"time": times.at(i), "samplerate": 1 + i, "data": {"n": i, "f": i / 7, "s": "Grüße \" \\ 🦀", "b": True, "z": None, "m": {"a": {"b": [1, {"c": "d"}]}}, "l": [1, 2.5, "x"]}} for i in range(5)]
SPANS = otlp.traces("fuzz", *[otlp.span("s", {"n": i, "s": "x", "m": {"a": [1, b"\x00"]}}, trace_state="ot=th:8") for i in range(3)])
LOGS = otlp.logs("fuzz", otlp.log({"a": 1}, {"k": "v"}, severity_number=9))
METRICS = otlp.metrics("fuzz", otlp.gauge("g", otlp.point(1, {"a": "b"})), otlp.counter("c", otlp.point(1.5)))
TARGETS = [
    ("/1/batch/fuzz", "application/json", json.dumps(EVENTS).encode()), ("/1/events/fuzz", "application/json", json.dumps(EVENTS[0]["data"]).encode()),
    ("/1/batch/fuzz", "application/msgpack", msgpack.packb(EVENTS)), ("/1/events/fuzz", "application/msgpack", msgpack.packb(EVENTS[0]["data"])),
    ("/v1/traces", "application/x-protobuf", SPANS.SerializeToString()), ("/v1/traces", "application/json", otlp.to_json(SPANS)),
    ("/v1/logs", "application/x-protobuf", LOGS.SerializeToString()), ("/v1/logs", "application/json", otlp.to_json(LOGS)),
    ("/v1/metrics", "application/x-protobuf", METRICS.SerializeToString()), ("/v1/metrics", "application/json", otlp.to_json(METRICS)),
]


@pytest.mark.parametrize("path,content,good", TARGETS, ids=[f"{p} {c.split('/')[1]}" for p, c, _ in TARGETS])
def test_damaged_bodies(server, rng, path, content, good):
    end, n = time.monotonic() + SECONDS / 2, 0
    while time.monotonic() < end:
        body, headers = mutate(good, rng), {"Content-Type": content}
        match rng.randrange(6):
            case 0:
                body, headers["Content-Encoding"] = mutate(gzip.compress(good), rng), "gzip"
            case 1:
                body, headers["Content-Encoding"] = mutate(zstandard.compress(good), rng), "zstd"
            case 2:
                body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
            case 3:
                body = rng.randbytes(rng.randrange(300))
        reply = server.post(path, body, headers=headers)
        assert reply.status in (200, 400, 413, 415), (reply, body)
        n += 1
    assert n > 20


QUESTION = {"calculations": [{"op": "COUNT"}, {"op": "P99", "column": "n"}, {"op": "HEATMAP", "column": "f"}, {"op": "CONCURRENCY"}, {"op": "RATE_SUM", "column": "n"}, {"op": "COUNT_DISTINCT", "column": "s"}],
            "filters": [{"column": "n", "op": ">", "value": 1}, {"column": "s", "op": "in", "value": ["x", 5, True]}, {"column": "b", "op": "exists"}], "filter_combination": "OR", "breakdowns": ["s", "b"],
            "orders": [{"op": "COUNT", "order": "descending"}, {"column": "s"}], "havings": [{"calculate_op": "COUNT", "op": ">", "value": 0}], "limit": 10, "granularity": 10, "start_time": T0, "end_time": T0 + 60,
            "compare_time_offset_seconds": 3600, "usage_mode": False}
VALUES = [None, True, False, 0, 1, -1, 5, 100, 10_000, 2**63, -(2**63), 1e300, 0.5, -0.0, "", "n", "s", "COUNT", "P99", "ascending", "x" * 1000, "__all__", "is_root", [], {}, [[]], [{}], [None], "root.n", "any.n", ["n"], T0, T0 + 60, "=", "in", "exists", "not-in"]


def twist(node, rng, depth=0):
    """One random change somewhere inside."""
    if isinstance(node, dict) and node and rng.random() < 0.85:
        k = rng.choice(list(node))
        match rng.randrange(4):
            case 0:
                node[k] = copy.deepcopy(rng.choice(VALUES))
            case 1:
                del node[k]
            case _:
                node[k] = twist(node[k], rng, depth + 1)
    elif isinstance(node, list) and node and rng.random() < 0.85:
        i = rng.randrange(len(node))
        match rng.randrange(4):
            case 0:
                node.append(copy.deepcopy(node[i]))
            case 1:
                del node[i]
            case _:
                node[i] = twist(node[i], rng, depth + 1)
    else:
        return copy.deepcopy(rng.choice(VALUES))
    return node


def test_twisted_questions(server, rng, dataset):
    server.batch(dataset, EVENTS)
    end, answered = time.monotonic() + SECONDS * 2, 0
    slug = dataset
    while time.monotonic() < end:
        question = copy.deepcopy(QUESTION)
        for _ in range(rng.choice((1, 2, 3, 6))):
            question = twist(question, rng)
        reply = server.ask(rng.choice((dataset, dataset, "__all__")), question)
        answered += reply.status == 200
        assert reply.status == 200 or 400 <= reply.status < 500, (reply, json.dumps(question))
        if rng.random() < 0.2:
            reply = server.post(f"/1/queries/{slug}", json.dumps(question), headers={"Content-Type": "application/json"})
            assert reply.status < 500, (reply, json.dumps(question))
    assert answered > 20


def test_twisted_documents(server, rng, dataset):
    server.batch(dataset, EVENTS)
    end = time.monotonic() + SECONDS
    good = {"/1/datasets": {"name": "fuzz", "description": "d", "expand_json_depth": 2}, f"/1/markers/{dataset}": {"message": "m", "type": "t", "start_time": T0, "end_time": T0, "url": "u"},
            f"/1/query_annotations/{dataset}": {"name": "n", "description": "d", "query_id": "q"}, f"/1/query_results/{dataset}": {"query_id": "q", "disable_series": True, "limit": 10},
            "/api/v1/query": {"dataset": dataset, "query": {}, "stream": False, "cache": True}, f"/1/columns/{dataset}": {"key_name": "k", "type": "string", "hidden": False}}
    while time.monotonic() < end:
        path = rng.choice(list(good))
        reply = server.post(path, json.dumps(twist(copy.deepcopy(good[path]), rng)), headers={"Content-Type": "application/json"})
        assert reply.status < 500, (path, reply)
