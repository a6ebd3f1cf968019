"""More than the server can take: 429 or 503 with Retry-After, bounded memory, nothing acknowledged lost (semantics 12)."""
import json
import threading
import time

import grpc
import requests

from lib import otlp, times

MIB = 1 << 20


def flood(server, seconds, threads, make):
    """Every thread posts as fast as it can. Returns (replies by status, acknowledged events, replies without Retry-After)."""
    lock, statuses, acknowledged, rude = threading.Lock(), {}, [0], []
    end = time.monotonic() + seconds

    def work(k):
        session, i = requests.Session(), 0
        session.trust_env = False
        while time.monotonic() < end:
            path, body, headers, n = make(k, i)
            i += 1
            r = session.post(server.url + path, data=body, headers=headers, timeout=60)
            taken = 0
            if r.status_code == 200:
                taken = sum(s["status"] == 202 for s in r.json()) if path.startswith("/1/batch") else n
            with lock:
                statuses[r.status_code] = statuses.get(r.status_code, 0) + 1
                acknowledged[0] += taken
                if r.status_code in (429, 503) and "Retry-After" not in r.headers:
                    rude.append(r.text)

    pool = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    return statuses, acknowledged[0], rude


def test_flood_of_batches(fresh_server):
    """Random text does not compress: the store has to write all of it."""
    import os
    events = [{"time": times.at(i % 600), "data": {"blob": os.urandom(20_000).hex(), "n": i}} for i in range(100)]
    body = json.dumps(events)
    headers = {"Content-Type": "application/json", "X-Honeycomb-Team": fresh_server.key}
    statuses, acknowledged, rude = flood(fresh_server, 6, 24, lambda k, i: ("/1/batch/flood", body, headers, 100))
    assert set(statuses) <= {200, 429, 503}, statuses
    assert not rude, rude[:1]
    assert fresh_server.anonymous_rss_bytes() < 3 << 30
    assert fresh_server.count("flood") == acknowledged > 0


def test_flood_of_spans(fresh_server):
    body = otlp.traces("flood", *[otlp.span(attrs={f"k{j}": f"v{j}-{i}" for j in range(30)}) for i in range(500)]).SerializeToString()
    headers = {"Content-Type": "application/x-protobuf", "X-Honeycomb-Team": fresh_server.key}
    statuses, acknowledged, rude = flood(fresh_server, 4, 16, lambda k, i: ("/v1/traces", body, headers, 500))
    assert set(statuses) <= {200, 429, 503}, statuses
    assert not rude, rude[:1]
    assert fresh_server.count("flood") == acknowledged > 0


def test_flood_over_grpc(fresh_server):
    message = otlp.traces("flood", *[otlp.span(attrs={"i": i}) for i in range(200)])
    end, codes, lock = time.monotonic() + 3, {}, threading.Lock()

    def work():
        with grpc.insecure_channel(fresh_server.grpc) as channel:
            stub = otlp.STUBS["ExportTraceServiceRequest"](channel)
            while time.monotonic() < end:
                try:
                    stub.Export(message, timeout=30)
                    code = "OK"
                except grpc.RpcError as e:
                    code = e.code().name
                with lock:
                    codes[code] = codes.get(code, 0) + 1

    pool = [threading.Thread(target=work) for _ in range(8)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    assert set(codes) <= {"OK", "RESOURCE_EXHAUSTED", "UNAVAILABLE"} and codes.get("OK"), codes
    assert fresh_server.count("flood") == codes["OK"] * 200


def test_questions_go_on_during_a_flood(fresh_server):
    body = json.dumps([{"time": times.at(i % 600), "data": {f"k{j}": i * j for j in range(20)}} for i in range(500)])
    headers = {"Content-Type": "application/json", "X-Honeycomb-Team": fresh_server.key}
    fresh_server.send("flood", {"k7": 0})
    result = {}
    pusher = threading.Thread(target=lambda: result.update(flood=flood(fresh_server, 4, 8, lambda k, i: ("/1/batch/flood", body, headers, 500))))
    pusher.start()
    asked, slowest = 0, 0
    while pusher.is_alive():
        at = time.monotonic()
        reply = fresh_server.ask("flood", {"calculations": [{"op": "COUNT"}, {"op": "P99", "column": "k7"}], "start_time": times.T0, "end_time": times.T0 + 600})
        assert reply.status == 200, reply
        slowest = max(slowest, time.monotonic() - at)
        asked += 1
    pusher.join()
    assert asked >= 3 and slowest < 10, (asked, slowest)


def test_many_questions_at_once(fresh_server):
    fresh_server.batch("q", [{"time": times.at(i % 3600), "data": {"id": f"{i}", "v": i}} for i in range(10_000)])
    spec = {"calculations": [{"op": "P99", "column": "v"}], "breakdowns": ["id"], "start_time": times.T0, "end_time": times.T0 + 3600}
    statuses, lock = {}, threading.Lock()

    def work():
        reply = fresh_server.ask("q", spec)
        assert reply.status == 200 or "Retry-After" in reply.headers, reply
        with lock:
            statuses[reply.status] = statuses.get(reply.status, 0) + 1

    pool = [threading.Thread(target=work) for _ in range(100)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    assert set(statuses) <= {200, 429, 503} and sum(statuses.values()) == 100 and statuses[200] > 0, statuses
