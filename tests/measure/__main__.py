"""Prints figures of the built binary.

    cd tests && ../.venv/bin/python -m measure idle|ingest|start|durability|…|all [options]

idle         resident memory of an empty server after 30 s, and its CPU time while idle
ingest       memory while batches are posted as fast as they are taken
start        time from exec to /readyz with 1,000 segments (and with 1), page cache warm and cold
durability   200 cycles of kill -9 under load (durability/crash.py)
wide         10,000 columns: CPU per cell, a question on 3 of them, restart
keys         200,000 ever-new column names: memory, answers, and what other datasets notice
work         CPU time per event by work (decode, encode, log, seal, compaction), JSON
trickle      the same for requests of 100 events at a low rate, and what compaction costs then
otlp         the same for spans as OTLP protobuf
traces       a trace of 100,000 spans: its skeleton, one span; bytes
relations    fields of related spans, the service map and Jaeger's questions over the kit's events
at-once      the kit's questions one at a time, 16 at once, and beside a runaway
"""
import argparse
import concurrent.futures
import os
import pathlib
import random
import tempfile
import threading
import time

from durability import crash
from lib import times
from lib.server import Server

from . import at_once, traces, wide, work
from .kit import found_in, lab, mib


def idle(args):
    with Server() as s:
        at_start = s.rss_bytes()
        time.sleep(5)
        cpu = s.cpu_seconds()
        time.sleep(args.idle_seconds)
        used = (s.cpu_seconds() - cpu) / args.idle_seconds
        print(f"idle: resident {mib(s.rss_bytes())} after {5 + args.idle_seconds} s ({mib(at_start)} when ready, {mib(s.anonymous_rss_bytes())} anonymous), {used:.2%} of a core")


def ingest(args):
    files = found_in(args.batches)[: args.files]
    with Server() as s:
        samples, stop = [], threading.Event()

        def watch():
            while not stop.wait(0.1):
                samples.append((s.rss_bytes(), s.anonymous_rss_bytes()))

        watcher = threading.Thread(target=watch)
        watcher.start()
        events, waited, lock = [0], [0], threading.Lock()
        headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}

        def send(path):
            body = path.read_bytes()
            while (r := s.post("/1/batch/bench", body, headers=headers, timeout=120)).status in (429, 503):
                with lock:
                    waited[0] += 1
                time.sleep(float(r.headers.get("Retry-After") or 1))
            assert r.status == 200, r
            n = sum(x["status"] == 202 for x in r.json())
            with lock:
                events[0] += n

        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(args.connections) as pool:
            list(pool.map(send, files))
        took = time.monotonic() - began
        cpu = s.cpu_seconds()
        peak = s.rss_bytes("VmHWM")
        time.sleep(20)
        after, after_anonymous = s.rss_bytes(), s.anonymous_rss_bytes()
        stop.set()
        watcher.join()
        print(f"ingest: {events[0]} events in {took:.1f} s over {args.connections} connections ({events[0] / took:.0f}/s, {events[0] / cpu:.0f} a CPU-second of the server), {waited[0]} told to wait")
        print(f"ingest: resident at most {mib(max(peak, max(r for r, _ in samples)))} (anonymous at most {mib(max(a for _, a in samples))}); 20 s later {mib(after)} (anonymous {mib(after_anonymous)}); {mib(s.disk_bytes())} on disk")


def drop_page_cache():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


def n_segments(server):
    return sum(d["n_segments"] for d in server.get("/api/v1/datasets").json())


def starts(server, n, cold):
    out = []
    for _ in range(n):
        server.stop()
        if cold:
            drop_page_cache()
        at = time.monotonic()
        server.start()
        out.append((time.monotonic() - at) * 1e3)
    return sorted(out)[len(out) // 2]


def start(args):
    """Batches days apart, sealed one by one: nothing to compact."""
    with Server(env={"WIDEYE_SEAL_BYTES": "1KiB", "WIDEYE_SELF_TELEMETRY": "false"}) as s:
        rng, datasets, k = random.Random(1), 20, 0
        end = time.monotonic() + 300
        while (have := n_segments(s)) < args.segments and time.monotonic() < end:
            for _ in range(max(1, (args.segments - have) // 4)):
                day = times.T0 - 86_400 * (k // datasets)
                s.batch(f"ds-{k % datasets}", [{"time": day + i, "data": {f"field_{j}": rng.choice(("a", "b", i, rng.random())) for j in range(150)}} for i in range(20)])
                k += 1
            time.sleep(1)
        print(f"start: {have} segments in {datasets} datasets, {mib(s.disk_bytes())}, after {k} batches")
        print(f"start: ready after {starts(s, 5, False):.0f} ms (warm, median of 5)", end="")
        if os.geteuid() == 0:
            print(f", {starts(s, 3, True):.0f} ms (page cache dropped, median of 3)", end="")
        at = time.monotonic()
        counted = s.query("__all__", {"calculations": [{"op": "COUNT"}], "start_time": 1, "end_time": times.T0 + 1000}).only()
        print(f"; then a count over all in {(time.monotonic() - at) * 1e3:.0f} ms: {counted['COUNT']} events, resident {mib(s.rss_bytes())}")
    files = sorted(pathlib.Path(args.batches).glob("*"))[:60]
    if files:
        with Server() as s:
            for path in files:
                s.post("/1/batch/bench", path.read_bytes(), headers={"Content-Type": "application/json", "Content-Encoding": "zstd"})
            s.kill()
            log = sum(p.stat().st_size for p in s.files() if "wal" in str(p.relative_to(s.data_dir)))
            at = time.monotonic()
            s.start()
            print(f"start: after kill -9 with {mib(log)} of write-ahead log: ready after {(time.monotonic() - at) * 1e3:.0f} ms, resident {mib(s.rss_bytes('VmHWM'))} at most")
    with Server() as s:
        print(f"start: an empty directory: ready after {starts(s, 5, False):.0f} ms")


def durability(args):
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(2**32)
    folder = tempfile.mkdtemp(prefix="wideye-crash-")
    print(f"durability: seed {seed}, {folder}", flush=True)
    print("durability: " + crash.report(crash.run(pathlib.Path(folder) / "data", args.cycles, seed, verbose=args.verbose)))


WHAT = {"idle": idle, "ingest": ingest, "start": start, "durability": durability, "at-once": at_once.run,
        "wide": wide.run, "keys": wide.keys, "work": work.run, "trickle": work.trickle, "otlp": work.spans, "traces": traces.traces,
        "relations": traces.relations}


def main():
    p = argparse.ArgumentParser(prog="python -m measure", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=[*WHAT, "all"])
    p.add_argument("--idle-seconds", type=int, default=25)
    p.add_argument("--data", default=os.path.join(lab.DATA, "5000000"), help="what the kit's generate.py made: manifest.json, and batches of zstd JSON (default: %(default)s)")
    p.add_argument("--batches", help="another folder of such batches")
    p.add_argument("--store", help="a data directory that holds the kit's events as dataset bench already")
    p.add_argument("--clients", type=int, default=16)
    p.add_argument("--rounds", type=int, default=4, help="how often each client asks everything")
    p.add_argument("--events", type=int, default=200_000, help="of wide and otlp")
    p.add_argument("--spans", type=int, default=100_000, help="of the trace")
    p.add_argument("--keys", type=int, default=200_000)
    p.add_argument("--trickle-seconds", type=int, default=240, help="of trickle at its low rate")
    p.add_argument("--spans-per-request", type=int, default=1000)
    p.add_argument("--files", type=int, default=500, help="how many of them")
    p.add_argument("--connections", type=int, default=8)
    p.add_argument("--segments", type=int, default=1000)
    p.add_argument("--cycles", type=int, default=200)
    p.add_argument("--seed", type=int)
    p.add_argument("--verbose", action="store_true")
    args = p.parse_args()
    args.batches = args.batches or os.path.join(args.data, "batches")
    for name in WHAT if args.what == "all" else (args.what,):
        WHAT[name](args)


if __name__ == "__main__":
    main()
