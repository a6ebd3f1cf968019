"""Kill -9 at random moments under load, restart, verify against the outside ledger; again and again on one data directory.

    python -m durability.crash --cycles 200 [--seed N] [--data-dir DIR] [--verbose]      (in tests/; tests/run.sh makes the venv)

Writers: JSON batches (gzip and plain), single events, OTLP over HTTP and gRPC. Moments: during load, right after the first
acknowledgement, while the server starts, now and then a clean SIGTERM. After each restart all events of the last cycle are verified one by
one, and the counts and check sums of all earlier cycles; at the end every event of every cycle again.
"""
import argparse
import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

import grpc
import requests

from durability.ledger import Ledger, verify, verify_totals
from lib import otlp, times
from lib.server import BINARY, Server

DATASET = "crash"
GONE = (requests.RequestException, grpc.RpcError, ConnectionError)


class Load:
    """Writers that send until the server goes away. Each waits for its answer and writes it in the ledger."""

    def __init__(self, server, ledger, seed):
        self.server, self.ledger = server, ledger
        self.stop = threading.Event()
        self.first = threading.Event()  # set at the first acknowledgement
        self.surprises = []
        writers = [self.batches, self.batches, self.single, self.otlp_http, self.otlp_grpc]
        self.threads = [threading.Thread(target=self.run, args=(w, random.Random(f"{seed}-{i}"))) for i, w in enumerate(writers)]

    def start(self):
        for t in self.threads:
            t.start()
        return self

    def join(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        if self.surprises:
            raise AssertionError(f"unexpected answers under load: {self.surprises[:3]}")

    def run(self, writer, rng):
        try:
            writer(rng)
        except GONE:
            pass  # the server was killed: that is the point
        except Exception as e:  # a bug of this test must not pass as a crash
            self.surprises.append(repr(e))

    def note(self, ok, busy, events, answer):
        """ok: acknowledged; busy: refused for now (429, 503), which promises that nothing was stored."""
        if ok:
            self.ledger.acknowledge(events)
            self.first.set()
        elif busy:
            self.ledger.refuse(events)
            time.sleep(0.01)
        else:
            self.surprises.append(str(answer)[:300])
            self.stop.set()

    def body(self, events, rng):
        return [{"time": times.at(rng.uniform(0, 3600)), "samplerate": rng.choice((1, 1, 1, 5)), "data": e | {
            "route": rng.choice(("/a", "/b", "/c")), "blob": "x" * rng.choice((0, 10, 1000)), f"rare_{rng.randrange(200)}": rng.random()}} for e in events]

    def batches(self, rng):
        while not self.stop.is_set():
            events = self.ledger.next(rng.choice((1, 3, 20, 100)))
            body, headers = json.dumps(self.body(events, rng)).encode(), {"Content-Type": "application/json"}
            if rng.random() < 0.5:
                body, headers = gzip.compress(body, 1), headers | {"Content-Encoding": "gzip"}
            r = self.server.post("/1/batch/" + DATASET, body, headers=headers)
            statuses = [s["status"] for s in r.json()] if r.status == 200 else []
            self.note(r.status == 200 and statuses == [202] * len(events), r.status in (429, 503), events, r)

    def single(self, rng):
        while not self.stop.is_set():
            events = self.ledger.next()
            r = self.server.post("/1/events/" + DATASET, events[0], headers={"X-Honeycomb-Event-Time": times.at(rng.uniform(0, 3600))})
            self.note(r.status == 200, r.status in (429, 503), events, r)

    def spans(self, rng):
        events = self.ledger.next(rng.choice((1, 10, 50)))
        return events, otlp.traces(DATASET, *[otlp.span("s", e, start=rng.uniform(0, 3600)) for e in events])

    def otlp_http(self, rng):
        while not self.stop.is_set():
            events, message = self.spans(rng)
            r = otlp.post(self.server, message)
            self.note(r.status == 200, r.status in (429, 503), events, r)

    def otlp_grpc(self, rng):
        with grpc.insecure_channel(self.server.grpc) as channel:
            stub = otlp.STUBS["ExportTraceServiceRequest"](channel)
            while not self.stop.is_set():
                events, message = self.spans(rng)
                try:
                    stub.Export(message, timeout=30)
                    self.note(True, False, events, None)
                except grpc.RpcError as e:
                    if e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                        self.note(False, True, events, e)
                    else:
                        raise


def check_directory(data_dir):
    r = subprocess.run([str(BINARY), "check", str(data_dir)], capture_output=True, text=True)
    if r.returncode:
        raise AssertionError(f"`wideye check` found fault:\n{r.stdout[-3000:]}{r.stderr[-3000:]}")


def run(data_dir, cycles, seed, args=(), env=None, verbose=False, check_every=25):
    """Returns the figures of the run. Raises at the first event that is lost, doubled, changed or invented."""
    rng = random.Random(seed)
    server = Server(data_dir, args=args, env=env)
    ledgers, start_seconds = [], []
    began = time.monotonic()
    kinds = {"load": 0, "early": 0, "start": 0, "term": 0}
    server.start()
    try:
        for cycle in range(cycles):
            ledger = Ledger(cycle)
            load = Load(server, ledger, f"{seed}-{cycle}").start()
            kind = rng.choices(("load", "early", "start", "term"), (70, 15, 10, 5))[0]
            kinds[kind] += 1
            load.first.wait(10)
            if kind == "early":
                time.sleep(rng.uniform(0, 0.02))
            elif kind != "start":
                time.sleep(rng.uniform(0.02, 0.6))
            if kind == "term":
                load.stop.set()  # writers end with their answer; the rest is the server's
                status = server.terminate()
                if status != 0:
                    raise AssertionError(f"SIGTERM ended with {status}:\n{server.log()}")
            else:
                server.kill()
            load.join()
            if kind == "start":  # killed again while it recovers
                for _ in range(rng.choice((1, 1, 2))):
                    server.spawn()
                    time.sleep(rng.uniform(0, 0.1))
                    server.kill()
            # Small segments in some cycles, so that seals and compactions are under way when the next kill comes.
            server.env = (env or {}) | rng.choice(({}, {"WIDEYE_SEAL_BYTES": "256KiB"}, {"WIDEYE_SEAL_BYTES": "1MiB"}))
            at = time.monotonic()
            server.start()
            start_seconds.append(time.monotonic() - at)
            ledgers.append(ledger)
            n = verify(server, DATASET, ledger) if ledger.sent else 0
            verify_totals(server, DATASET, ledgers)
            if (cycle + 1) % check_every == 0:
                server.kill()
                check_directory(data_dir)
                server.start()
            if verbose:
                print(f"cycle {cycle:3} {kind:5} sent {len(ledger.sent):6} acknowledged {len(ledger.acknowledged):6} found {n:6} start {start_seconds[-1] * 1e3:5.0f} ms  {time.monotonic() - began:6.1f} s", flush=True)
        for ledger in ledgers:
            if ledger.sent:
                verify(server, DATASET, ledger)
        status = server.terminate()
        if status != 0:
            raise AssertionError(f"SIGTERM ended with {status}:\n{server.log()}")
        check_directory(data_dir)
        server.start()
        verify_totals(server, DATASET, ledgers)
    finally:
        server.stop()
    return {"cycles": cycles, "seed": seed, "kinds": kinds, "sent": sum(len(l.sent) for l in ledgers), "acknowledged": sum(len(l.acknowledged) for l in ledgers),
            "found": sum(len(l.verified or ()) for l in ledgers), "refused": sum(len(l.refused) for l in ledgers),
            "seconds": time.monotonic() - began, "start_ms_median": sorted(start_seconds)[len(start_seconds) // 2] * 1e3, "start_ms_max": max(start_seconds) * 1e3}


def report(f):
    return (f"{f['cycles']} cycles ({f['kinds']}), seed {f['seed']}: {f['sent']} events sent, {f['acknowledged']} acknowledged, {f['refused']} refused, {f['found']} found, "
            f"0 lost, 0 doubled, 0 invented; {f['seconds'] / f['cycles']:.2f} s a cycle, start {f['start_ms_median']:.0f} ms median, {f['start_ms_max']:.0f} ms at most")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cycles", type=int, default=200)
    p.add_argument("--seed", type=int, default=None)
    p.add_argument("--data-dir", type=pathlib.Path, help="default: a temporary one, kept if something is wrong")
    p.add_argument("--verbose", action="store_true")
    a = p.parse_args()
    seed = a.seed if a.seed is not None else random.SystemRandom().randrange(2**32)
    data_dir = a.data_dir or pathlib.Path(tempfile.mkdtemp(prefix="wideye-crash-")) / "data"
    print(f"seed {seed}, data directory {data_dir}", flush=True)
    try:
        figures = run(data_dir, a.cycles, seed, verbose=a.verbose)
    except Exception:
        print(f"FAILED with seed {seed}; the directory is left as it was: {data_dir}", file=sys.stderr)
        raise
    print(report(figures))
    if not a.data_dir:
        import shutil
        shutil.rmtree(data_dir.parent)


if __name__ == "__main__":
    main()
