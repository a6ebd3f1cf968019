"""Traces: a skeleton of 100,000 spans, and what questions across the spans of traces cost."""
import gzip
import json
import random
import statistics
import time
import urllib.parse

from lib import times
from lib.server import Server

from .kit import Client, mib, serve, settle

N_OTHERS, PER_BATCH, N_ASKED = 200_000, 2_000, 7


def post(server, events):
    """Events as they come, in batches."""
    client, batch = Client(server), []

    def flush():
        while (reply := client.post("/1/batch/big", json.dumps(batch).encode()))[0] in (429, 503):
            time.sleep(1)
        assert reply[0] == 200 and reply[1].count(b"202") == len(batch), reply[1][:500]
        batch.clear()

    for at, data in events:
        batch.append({"time": f"{at:.6f}", "data": data})
        if len(batch) == PER_BATCH:
            flush()
    if batch:
        flush()


def large_trace(n_spans, rng):
    """One trace of a minute, 52 fields a span, and other spans within an hour of it. Returns (trace id, a span's id, events)."""
    trace, ids = f"{rng.getrandbits(128):032x}", [f"{rng.getrandbits(64):016x}" for _ in range(n_spans)]
    words = [f"{word}{i}" for word in ("alpha", "beta", "gamma", "delta") for i in range(20)]

    def common():
        return {"name": f"op-{rng.randrange(60)}", "service.name": f"svc-{rng.randrange(12)}", "duration_ms": round(rng.expovariate(1 / 8), 4)}

    def events():
        for i, span in enumerate(ids):
            data = common() | {"trace.trace_id": trace, "trace.span_id": span, "span.kind": rng.choice(("internal", "client", "server")), "type": "x", "status_code": 0,
                               "meta.signal_type": "trace", "library.name": f"lib-{rng.randrange(5)}", "host.name": f"h-{rng.randrange(40)}", "user.id": f"u{rng.randrange(100_000):06}"}
            data |= {f"app.field_{k:02}": rng.choice(words) for k in range(40)}
            if i:
                data["trace.parent_id"] = ids[rng.randrange(max(0, i - 200), i)]
            else:
                data["duration_ms"] = 60_000.0
            if rng.random() < 0.01:
                data["error"] = True
            yield times.T0 + 60 * i / n_spans, data
        for _ in range(N_OTHERS):
            yield times.T0 + rng.uniform(-3_000, 3_000), common() | {"trace.trace_id": f"{rng.getrandbits(128):032x}", "trace.span_id": f"{rng.getrandbits(64):016x}"}

    return trace, ids[n_spans // 2], events()


def ask(client, method, path, body=None, n=N_ASKED):
    """(first ms, median ms of the others, least, most, bytes of the answer)."""
    took = []
    for _ in range(n):
        at = time.monotonic()
        client.http.request(method, path, body, {"Content-Type": "application/json", "X-Honeycomb-Team": client.key})
        reply = client.http.getresponse()
        content = reply.read()
        took.append((time.monotonic() - at) * 1e3)
        assert reply.status == 200, content[:500]
    return took[0], statistics.median(took[1:]), min(took[1:]), max(took[1:]), content


def traces(args):
    with Server(env={"WIDEYE_SELF_TELEMETRY": "false"}) as s:
        trace, span, events = large_trace(args.spans, random.Random(7))
        post(s, events)
        settle(s)
        print(f"traces: a trace of {args.spans:,} spans of 52 fields, beside {N_OTHERS:,} other events")
        print("traces: | request | first, ms | then, median (least-most) | bytes | gzip -6 |")
        of = f"/api/v1/traces/{trace}"
        for name, path in (("the skeleton", of), ("with `ts=`", f"{of}?ts={times.T0 + 30}"), ("with one column more", f"{of}?columns=user.id"),
                           ("with `compare=true`", f"{of}?compare=true"), ("one span with all fields", f"{of}/spans/{span}")):
            first, median, least, most, content = ask(Client(s), "GET", path)
            print(f"traces: | {name} | {first:.0f} | {median:.0f} ({least:.0f}-{most:.0f}) | {len(content):,} | {len(gzip.compress(content, 6)):,} |", flush=True)
        print(f"traces: anonymous memory {mib(s.anonymous_rss_bytes())}")


def relations(args):
    """Questions across the spans of the kit's traces, over all of its events, with nothing kept between them."""
    with serve(args) as (s, manifest):
        start, end = manifest["start_us"], manifest["end_us"]
        day = {"start_time": start // 1_000_000, "end_time": end // 1_000_000}
        client = Client(s)

        def f(column, op, value=None):
            return {"column": column, "op": op} | ({} if value is None else {"value": value})

        def question(filters=(), by=(), calculation=None):
            query = {"filters": list(filters), "breakdowns": list(by), "calculations": [calculation or {"op": "COUNT"}], "limit": 1_000} | day
            return "POST", "/api/v1/query", {"dataset": "bench", "stream": False, "cache": False, "query": query}

        def jaeger(path, **params):
            return "GET", f"{path}?{urllib.parse.urlencode(params)}", None

        service = json.loads(client.post("/api/v1/query", json.dumps(question(by=["service.name"])[2]).encode())[1])["results"][0]["data"]["service.name"]
        of_service = {"service": service, "start": start, "end": end}
        asked = {
            "COUNT by service.name, for comparison": question(by=["service.name"]),
            "COUNT where root.duration_ms > 500": question([f("root.duration_ms", ">", 500)]),
            "COUNT by root.name": question(by=["root.name"]),
            "COUNT by root.name where root.service.name exists": question([f("root.service.name", "exists")], ["root.name"]),
            "P99(duration_ms) by root.name": question(by=["root.name"], calculation={"op": "P99", "column": "duration_ms"}),
            "COUNT where any.error = true": question([f("any.error", "=", True)]),
            "COUNT where none.error = true": question([f("none.error", "=", True)]),
            "COUNT by parent.service.name, service.name": question([f("parent.service.name", "exists")], ["parent.service.name", "service.name"]),
            "SUM(parent.duration_ms) by service.name": question(by=["service.name"], calculation={"op": "SUM", "column": "parent.duration_ms"}),
            "service map": ("POST", "/api/v1/service-map", {"query": day}),
            "service map of failures": ("POST", "/api/v1/service-map", {"query": day | {"filters": [f("error", "=", True)]}}),
            "Jaeger: services": jaeger("/api/services"),
            "Jaeger: 20 traces of a service": jaeger("/api/traces", limit=20, **of_service),
            "Jaeger: 20 traces with an error": jaeger("/api/traces", limit=20, tags='{"error":"true"}', **of_service),
            "Jaeger: no trace matches": jaeger("/api/traces", limit=20, minDuration="10h", **of_service),
            "Jaeger: one trace": jaeger(f"/api/traces/{manifest['trace_id']}"),
            "Jaeger: dependencies of the day": jaeger("/api/dependencies", endTs=end // 1000, lookback=86_400_000),
        }
        print(f"relations: {manifest['rows']:,} events; ms over HTTP, nothing kept (but by the service map and Jaeger's questions)")
        print("relations: | question | first | then, median (least-most) | bytes |")
        for name, (method, path, body) in asked.items():
            first, median, least, most, content = ask(client, method, path, body and json.dumps(body).encode())
            print(f"relations: | {name} | {first:.0f} | {median:.0f} ({least:.0f}-{most:.0f}) | {len(content):,} |", flush=True)
        print(f"relations: anonymous memory {mib(s.anonymous_rss_bytes())}, at most {mib(s.rss_bytes('VmHWM'))} with mapped files")
