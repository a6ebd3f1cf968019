"""Where the CPU time of events goes: decode, encode, log, seal, compaction; for JSON and for OTLP."""
import concurrent.futures
import json
import random
import time

from lib import otlp, times
from lib.server import Server

from .kit import Client, found_in, load, metrics, mib, settle

WORK = ("decode", "encode", "log", "coalesce", "seal", "compact")


def by_work(server):
    found = metrics(server)
    return {w: found[f'wideye_ingest_cpu_seconds_total{{work="{w}"}}'] for w in WORK}


def report(name, server, unit, n, took, cpu):
    work = by_work(server)
    rest = cpu - sum(work.values())
    ingest = cpu - work["compact"]
    parts = ", ".join(f"{w} {s / n * 1e6:.2f}" for w, s in work.items())
    print(f"{name}: {n} {unit} in {took:.1f} s: {ingest / n * 1e6:.2f} us of CPU each without compaction = {n / ingest:.0f} per CPU-second; by work: {parts}, network and the rest {rest / n * 1e6:.2f}")
    print(f"{name}: compaction costs {work['compact'] / ingest:.2f} of what ingest costs ({metrics(server)['wideye_store_compaction_rows_total'] / n:.2f} rewrites an event), {mib(server.disk_bytes())} on disk")


def run(args):
    """The kit's events as JSON, until compaction has nothing left to do."""
    files = found_in(args.batches)[: args.files]
    with Server(env={"WIDEYE_SELF_TELEMETRY": "false"}) as s:
        began = time.monotonic()
        n, _ = load(s, files)
        took = time.monotonic() - began
        settle(s)
        report("work", s, "events", n, took, s.cpu_seconds())


def small_requests(files, per=100):
    """The kit's events in requests of so many."""
    import zstandard
    for path in files:
        events = json.loads(zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()))
        for i in range(0, len(events), per):
            yield json.dumps(events[i:i + per], separators=(",", ":")).encode()


def trickle(args):
    """Requests of 100 events: at a low rate for a while; then at full speed, sealed as often, so that all tiers of compaction are passed."""
    files = found_in(args.batches)
    slow = files[: args.trickle_seconds // 4 + 1]
    for name, seconds, seal, wanted in (("500 events/s", args.trickle_seconds, "128MiB", slow), ("as many segments at full speed", 0, "4MiB", files[: args.files])):
        requests = list(small_requests(wanted)) if seconds else small_requests(wanted)
        with Server(env={"WIDEYE_SELF_TELEMETRY": "false", "WIDEYE_SEAL_BYTES": seal}) as s:
            client, began, n = Client(s), time.monotonic(), 0
            for i, body in enumerate(requests):
                while (reply := client.post("/1/batch/bench", body))[0] in (429, 503):
                    time.sleep(1)
                assert reply[0] == 200, reply
                n += reply[1].count(b"202")
                if seconds:
                    if time.monotonic() - began > seconds:
                        break
                    time.sleep(max(0, began + (i + 1) * 0.2 - time.monotonic()))
            took = time.monotonic() - began
            settle(s)
            report(f"trickle, {name}", s, "events", n, took, s.cpu_seconds())
            found = metrics(s)
            seals, compactions = (found[f"wideye_store_{what}_total"] for what in ("seals", "compactions"))
            print(f"trickle, {name}: {seals:.0f} seals, {compactions:.0f} compactions")


def span_attributes(rng):
    """30 attributes as instrumented services send them."""
    route = rng.choice(("/", "/cart", "/checkout", "/api/v1/items/{id}", "/api/v1/users/{id}/orders"))
    return {
        "http.request.method": rng.choice(("GET", "POST", "PUT")), "http.route": route, "url.path": route.replace("{id}", str(rng.randrange(100_000))),
        "http.response.status_code": rng.choice((200, 200, 200, 204, 404, 500)), "url.scheme": "https", "server.address": f"web-{rng.randrange(40)}.internal",
        "server.port": 443, "client.address": f"10.0.{rng.randrange(256)}.{rng.randrange(256)}", "user_agent.original": f"Mozilla/5.0 (variant {rng.randrange(300)})",
        "network.protocol.version": "1.1", "user.id": f"user-{rng.randrange(200_000)}", "session.id": f"{rng.getrandbits(64):016x}", "tenant.id": f"tenant-{rng.randrange(500)}",
        "db.system": "postgresql", "db.operation.name": rng.choice(("SELECT", "INSERT", "UPDATE")), "db.rows": rng.randrange(1000), "db.calls": rng.randrange(20),
        "cache.hit": rng.random() < 0.7, "cache.key": f"item:{rng.randrange(50_000)}", "queue.depth": rng.randrange(100), "request.bytes": rng.randrange(1 << 16),
        "response.bytes": rng.randrange(1 << 20), "cpu.ms": rng.random() * 50, "wait.ms": rng.random() * 5, "retry.count": rng.randrange(3),
        "feature.new_checkout": rng.random() < 0.5, "build.id": f"build-{rng.randrange(50)}", "region": rng.choice(("eu-west-1", "us-east-1")), "az": rng.choice("abc"), "error.class": rng.choice(("", "timeout", "refused")),
    }


def spans(args):
    """OTLP over HTTP as protobuf."""
    rng, per, bodies = random.Random(3), args.spans_per_request, []
    for _ in range(16):
        made = [otlp.span(f"op-{rng.randrange(50)}", trace_id=rng.randbytes(16), span_id=rng.randbytes(8), start=i / 10, ms=rng.random() * 300, attrs=span_attributes(rng)) for i in range(per)]
        assert len(made[0].attributes) == 30
        bodies.append(otlp.traces("shop", *made).SerializeToString())
    n_requests = max(16, args.events // per)
    for coding in ("none", "zstd"):
        headers = {"Content-Type": "application/x-protobuf"}
        sent = bodies
        if coding == "zstd":
            import zstandard
            sent, headers["Content-Encoding"] = [zstandard.compress(b, 3) for b in bodies], "zstd"
        with Server(env={"WIDEYE_SELF_TELEMETRY": "false"}) as s:
            def work(k):
                client = Client(s)
                for i in range(k, n_requests, args.connections):
                    while (reply := client.post("/v1/traces", sent[i % len(sent)], **headers))[0] in (429, 503):
                        time.sleep(1)
                    assert reply[0] == 200, reply

            began = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(args.connections) as pool:
                list(pool.map(work, range(args.connections)))
            took, durable = time.monotonic() - began, s.cpu_seconds()
            n = n_requests * per
            print(f"otlp: {n} spans of 30 attributes, {per} a request of {len(sent[0]) / 1e3:.0f} kB ({coding}): {n / durable:.0f} spans per CPU-second by the last answer")
            settle(s)
            report(f"otlp: {coding}", s, "spans", n, took, s.cpu_seconds())
