"""The benchmark kit's events and questions (bench/README.md), and plain HTTP that costs the client little."""
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import sys
import threading
import time

from lib.server import Server

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import lab  # where the kit and its events are

MIB = 1 << 20


def mib(n):
    return f"{n / MIB:.0f} MiB"


def found_in(folder, pattern="*.zst"):
    """Files that the kit made; says how to make them and ends if there are none."""
    found = sorted(pathlib.Path(folder).glob(pattern))
    if not found:
        sys.exit(f"no {pattern} in {folder}: 'python3 bench/bench.py --prepare' makes events, --data names others")
    return found


def manifest(data):
    return json.loads(found_in(data, "manifest.json")[0].read_text())


def questions(data):
    """(id, path, body) of each question of the kit; the dataset is `bench`."""
    sys.path.insert(0, lab.KIT)
    import queries
    out = []
    for q in queries.suite(manifest(data)):
        if q.kind == "contrast":
            spec = dict(q.spec)
            body = {"query": {k: spec.pop(k) for k in ("start_time", "end_time")}, "selection": {"filters": spec.pop("selection")}} | spec
            out.append((q.id, "/api/v1/contrast", body))
        else:
            out.append((q.id, "/api/v1/query", {"query": q.spec}))
    return [(name, path, json.dumps({"dataset": "bench", "stream": False, "cache": False} | body).encode()) for name, path, body in out]


class Client:
    """One connection."""

    def __init__(self, server):
        self.http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        self.key = server.key

    def post(self, path, body, **headers):
        self.http.request("POST", path, body, {"Content-Type": "application/json", "X-Honeycomb-Team": self.key} | headers)
        reply = self.http.getresponse()
        return reply.status, reply.read()

    def timed(self, path, body):
        """Milliseconds; the answer must be one."""
        at = time.monotonic()
        status, content = self.post(path, body)
        took = (time.monotonic() - at) * 1e3
        assert status == 200, (status, content[:500])
        return took


class Peak:
    """The most anonymous memory that the server has while this is open."""

    def __init__(self, server):
        self.server, self.stop, self.most = server, threading.Event(), 0
        self.before = server.anonymous_rss_bytes()

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while True:
            self.most = max(self.most, self.server.anonymous_rss_bytes())
            if self.stop.wait(0.01):
                return

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def load(server, files, dataset="bench", connections=4):
    """Posts files of zstd JSON; waits as told. Returns (events, bytes on the wire)."""
    local, sizes = threading.local(), [0, 0]

    def send(path):
        if not hasattr(local, "client"):
            local.client = Client(server)
        body = path.read_bytes()
        while True:
            status, content = local.client.post(f"/1/batch/{dataset}", body, **{"Content-Encoding": "zstd"})
            if status not in (429, 503):
                break
            time.sleep(1)
        assert status == 200, content[:500]
        return content.count(b"202"), len(body)

    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        for events, n in pool.map(send, files):
            sizes[0] += events
            sizes[1] += n
    return tuple(sizes)


def metrics(server):
    """Name (with labels) to value."""
    lines = server.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")}


def settle(server, seconds=120):
    """Waits until the server has nothing left to do by itself."""
    end, quiet = time.monotonic() + seconds, 0
    while quiet < 8 and time.monotonic() < end:
        before = server.cpu_seconds()
        time.sleep(0.5)
        quiet = quiet + 1 if server.cpu_seconds() - before < 0.02 else 0


@contextlib.contextmanager
def serve(args):
    """A server that holds the kit's events as dataset bench, at rest, and the kit's manifest."""
    about, files = manifest(args.data), [] if args.store else found_in(args.batches)
    with Server(args.store, env={"WIDEYE_SELF_TELEMETRY": "false"}) as server:
        if files:
            load(server, files)
            settle(server)
        yield server, about
