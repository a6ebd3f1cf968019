"""One wideye process: start it on free ports, talk to it, end it in every way a process can end."""
import dataclasses
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

import requests

from . import times

REPO = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("WIDEYE_BIN", REPO / "target/release/wideye")).resolve()
KEY = "aBcDeFgHiJkLmNoPqRsTuV"  # 22 characters: a key of an environment
CLASSIC_KEY = "0123456789abcdef0123456789abcdef"  # 32 hex digits: with these the dataset header rules


def free_port():
    """Below the range that the kernel takes ports of outgoing connections from: nobody gets it before the server does."""
    while True:
        port = random.SystemRandom().randrange(12_000, 30_000)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


@dataclasses.dataclass
class Reply:
    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def error(self):
        """The text of an error answer in any of the accepted forms."""
        body = self.json()
        return body.get("error") or body.get("message") or body.get("detail") or ""

    def __str__(self):
        return f"{self.status} {self.text[:2000]}"


@dataclasses.dataclass
class Event:
    """A raw row as read back."""
    time_ns: int
    sample_rate: float
    data: dict


class Answer:
    """The answer to a question."""

    def __init__(self, body):
        self.body = body
        self.rows = [r["data"] for r in body["results"]]
        self.series = body.get("series") or []
        self.meta = body.get("meta") or {}

    def events(self):
        return [raw_event(r) for r in self.body["results"]]

    def only(self):
        assert len(self.rows) == 1, f"expected one row, got {self.rows[:20]}"
        return self.rows[0]

    def by(self, *columns):
        """Rows by the values of the breakdowns. True and 1 are one key to Python, so kinds are part of the key."""
        out = {}
        for row in self.rows:
            key = tuple(kinded(row[c]) for c in columns)
            key = key[0] if len(key) == 1 else key
            assert key not in out, f"group {key} twice in {self.rows}"
            out[key] = row
        return out


def kinded(value):
    """A value that does not equal one of another kind: True is not 1, 5 and 5.0 are one."""
    if isinstance(value, bool):
        return ("bool", value)
    return value


def raw_event(row):
    data = dict(row["data"])
    stamp = row["time"] if "time" in row else data.pop("time")
    rate = row.get("samplerate", row.get("sample_rate"))
    if rate is None:
        rate = data.pop("samplerate", data.pop("sample_rate", 1))
    return Event(times.parse_ns(stamp), rate, data)


class Server:
    """`wideye serve` on a data directory. Use as a context manager, or start() and stop()."""

    def __init__(self, data_dir=None, args=(), env=None, key=KEY):
        self.own_dir = None
        if data_dir is None:
            self.own_dir = tempfile.TemporaryDirectory(prefix="wideye-test-")
            data_dir = self.own_dir.name
        self.data_dir = pathlib.Path(data_dir)
        self.args, self.env, self.key = list(args), dict(env or {}), key
        self.process = None
        self.log_path = self.data_dir.parent / (self.data_dir.name + ".log")
        self.local = threading.local()

    # ------------------------------------------------------------ life

    def spawn(self):
        """Start the process without waiting for it."""
        if not BINARY.exists():
            raise FileNotFoundError(f"no binary at {BINARY}: build it, or set WIDEYE_BIN")
        self.port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.grpc = f"127.0.0.1:{self.grpc_port}"
        self.local = threading.local()
        command = [str(BINARY), "serve", "--data-dir", str(self.data_dir), "--listen", f"127.0.0.1:{self.port}",
                   "--otlp-grpc-listen", self.grpc, *self.args]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env={k: v for k, v in os.environ.items() if not k.startswith("WIDEYE_")} | self.env)
        return self

    def start(self, seconds=60):
        for tries_left in (4, 3, 2, 1, 0):
            self.spawn()
            try:
                self.wait_ready(seconds)
                return self
            except RuntimeError as e:
                # Between finding a free port and using it, a client's connection may have taken it.
                if not tries_left or "Address already in use" not in str(e).splitlines()[-1]:
                    raise

    def wait_ready(self, seconds=60):
        """Wait for /readyz to answer 200."""
        end = time.monotonic() + seconds
        pause = 0.002
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"wideye ended with {self.process.returncode} before it was ready:\n{self.log()}")
            try:
                if self.request("GET", "/readyz", timeout=5).status == 200:
                    return
            except requests.RequestException:
                pass
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        raise TimeoutError(f"wideye not ready after {seconds} s:\n{self.log()}")

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL, and wait until the process is gone."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def terminate(self, seconds=30):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def stop(self):
        if self.alive():
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self):
        self.stop()
        return self.start()

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, *_):
        self.stop()
        if self.own_dir:
            self.log_path.unlink(missing_ok=True)
            self.own_dir.cleanup()

    def log(self, bytes_max=8000):
        try:
            return self.log_path.read_bytes()[-bytes_max:].decode("utf-8", "replace")
        except OSError:
            return ""

    # ------------------------------------------------------------ the process

    def rss_bytes(self, which="VmRSS"):
        """VmRSS: now; VmHWM: the most so far (see reset_peak)."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(which + ":"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"no {which} for process {self.process.pid}")

    def anonymous_rss_bytes(self):
        """Resident memory that is not pages of files (mapped segments are the kernel's to drop)."""
        return self.rss_bytes("RssAnon")

    def reset_peak(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def files(self):
        return [p for p in self.data_dir.rglob("*") if p.is_file()]

    def disk_bytes(self):
        total = 0
        for path in self.files():
            try:
                total += path.stat().st_blocks * 512
            except FileNotFoundError:
                pass
        return total

    # ------------------------------------------------------------ HTTP

    @property
    def session(self):
        if not hasattr(self.local, "session"):
            s = requests.Session()
            s.trust_env = False
            s.headers.clear()
            self.local.session = s
        return self.local.session

    def request(self, method, path, body=None, headers=None, timeout=60):
        """Exactly these headers, with the team header unless headers say otherwise (None leaves one out)."""
        headers = {"X-Honeycomb-Team": self.key} | (headers or {})
        headers = {k: v for k, v in headers.items() if v is not None}
        if isinstance(body, (dict, list)):
            body = json.dumps(body, ensure_ascii=False).encode()
            headers.setdefault("Content-Type", "application/json")
        elif isinstance(body, str):
            body = body.encode()
        r = self.session.request(method, self.url + path, data=body, headers=headers, timeout=timeout, allow_redirects=False)
        return Reply(r.status_code, r.headers, r.content)

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body, **kw)

    # ------------------------------------------------------------ events

    def batch(self, dataset, events, **kw):
        """POST /1/batch; every event must be taken."""
        reply = self.post("/1/batch/" + urllib.parse.quote(dataset, safe=""), events, **kw)
        assert reply.status == 200, reply
        statuses = reply.json()
        assert [s["status"] for s in statuses] == [202] * len(events), statuses
        return statuses

    def send(self, dataset, *rows, at=None, rate=None):
        """Store rows (dicts) at times.at(0), at(1), ... or at the given seconds after T0."""
        events = []
        for i, row in enumerate(rows):
            event = {"time": times.at(i if at is None else at), "data": row}
            if rate is not None:
                event["samplerate"] = rate
            events.append(event)
        return self.batch(dataset, events)

    # ------------------------------------------------------------ questions

    def ask(self, dataset, query, **more):
        """POST /api/v1/query as it is: the reply, whatever its status."""
        return self.post("/api/v1/query", {"dataset": dataset, "query": query, "stream": False} | more)

    def query(self, dataset, query=None, **more):
        """An answer; the question covers the day around T0 unless it says otherwise."""
        reply = self.ask(dataset, around_t0(query or {}), **more)
        assert reply.status == 200, reply
        return Answer(reply.json())

    def refused(self, dataset, query, **more):
        """The question must be a 4xx with a text: returns the text."""
        reply = self.ask(dataset, around_t0(query), **more)
        assert 400 <= reply.status < 500, reply
        text = reply.error()
        assert text, reply
        return text

    def events(self, dataset, filters=(), **query):
        """Raw events, oldest first."""
        spec = {"calculations": [], "filters": list(filters), "limit": 10_000} | query
        reply = self.ask(dataset, always(spec))
        assert reply.status == 200, reply
        return sorted(Answer(reply.json()).events(), key=lambda e: e.time_ns)

    def event(self, dataset, filters=(), **query):
        events = self.events(dataset, filters, **query)
        assert len(events) == 1, f"expected one event, got {len(events)}: {events[:5]}"
        return events[0]

    def count(self, dataset, filters=(), **query):
        """Stored events, by all times, sample rates left aside."""
        spec = {"calculations": [{"op": "COUNT"}], "filters": list(filters), "usage_mode": True} | query
        reply = self.ask(dataset, always(spec))
        assert reply.status == 200, reply
        rows = Answer(reply.json()).rows
        return rows[0]["COUNT"] if rows else 0


class SealingServer(Server):
    """Questions see sealed segments only: after writes the server is stopped, which seals, and started before it is asked."""

    dirty = False

    def request(self, method, path, body=None, headers=None, timeout=60):
        if path.startswith(("/1/batch", "/1/events", "/v1/")):
            self.dirty = True
        elif self.dirty and path != "/readyz":
            self.dirty = False
            status = self.terminate()
            assert status == 0, f"SIGTERM ended with {status}:\n{self.log()}"
            self.start()
        return super().request(method, path, body, headers, timeout)


def timed(query, start, end):
    if "time_range" in query or "start_time" in query:
        return query
    return {"start_time": start, "end_time": end} | query


def around_t0(query):
    return timed(query, times.T0 - 43_200, times.T0 + 43_200)


def always(query):
    """1971 to ten years from now."""
    return timed(query, 31_536_000, int(time.time()) + 3650 * 86_400)
