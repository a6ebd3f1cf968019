"""A full disk: writes are refused so that senders wait, questions go on, and all is well once there is room (semantics 12).

On a small file system of our own (needs root): tmpfs, and ext4 in a file, which say "full" at different moments.
"""
import contextlib
import os
import subprocess
import time

import grpc
import pytest

from durability.ledger import Ledger, verify
from lib import otlp, times
from lib.server import Server

MIB = 1 << 20
QUIET = {"WIDEYE_SELF_TELEMETRY": "false"}


@contextlib.contextmanager
def small_disk(kind, tmp_path, mib):
    where = tmp_path / "disk"
    where.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a small file system")
    if kind == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(where)]
    else:
        image = tmp_path / "image"
        with open(image, "wb") as f:
            f.truncate(mib * MIB)
        made = subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"cannot make an ext4 image: {made.stderr.strip()}")
        mount = ["mount", "-o", "loop", str(image), str(where)]
    r = subprocess.run(mount, capture_output=True, text=True)
    if r.returncode:
        pytest.skip(f"not permitted to mount a small {kind}: {r.stderr.strip()}")
    try:
        yield where
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(where)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", str(where)])


class Ballast:
    """A file that takes the room."""

    def __init__(self, folder):
        self.path = folder / "ballast"

    def fill(self, leave=0):
        free = os.statvfs(self.path.parent)
        n = free.f_bavail * free.f_frsize - leave
        with open(self.path, "ab") as f:
            with contextlib.suppress(OSError):
                while n > 0:
                    n -= f.write(os.urandom(min(n, MIB)))
                    f.flush()
        if leave == 0:  # the last blocks, one by one
            with contextlib.suppress(OSError), open(self.path, "ab", buffering=0) as f:
                while f.write(b"x" * 512):
                    pass

    def remove(self):
        self.path.unlink()


def write(server, ledger, n=20):
    """One batch; returns the reply. Acknowledged and refused events are in the ledger."""
    events = ledger.next(n)
    reply = server.post("/1/batch/full", [{"time": times.at(0), "data": e | {"blob": os.urandom(1000).hex()}} for e in events])
    if reply.status == 200 and {s["status"] for s in reply.json()} == {202}:
        ledger.acknowledge(events)
    return reply


def write_until_refused(server, ledger, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reply = write(server, ledger)
        if reply.status != 200:
            return reply
    pytest.fail("the disk is full and writes are still taken")


def assert_polite(reply, allowed):
    assert reply.status in allowed, reply
    assert reply.status == 507 or "Retry-After" in reply.headers, (reply.status, dict(reply.headers))


@pytest.mark.root
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_full_disk(tmp_path, kind):
    with small_disk(kind, tmp_path, 64) as disk:
        server = Server(disk / "data", env=QUIET)
        server.log_path = tmp_path / "log"
        ledger, ballast = Ledger(0), Ballast(disk)
        try:
            server.start()
            for _ in range(20):
                assert write(server, ledger).status == 200
            ballast.fill(leave=2 * MIB)
            reply = write_until_refused(server, ledger)
            ballast.fill()
            assert_polite(reply, (429, 503, 507))

            # Every way in is refused politely.
            for _ in range(3):
                assert_polite(write(server, ledger), (429, 503, 507))
            big = {"blob": os.urandom(200_000).hex()[:65_000]}
            assert_polite(server.post("/1/events/full", ledger.next()[0] | big), (429, 503, 507))
            message = otlp.traces("full", otlp.span("s", big))
            assert_polite(otlp.post(server, message), (429, 503))
            assert_polite(otlp.post(server, message, form="json"), (429, 503))
            assert_polite(otlp.post(server, otlp.logs("full", otlp.log("x", big))), (429, 503))
            with pytest.raises(grpc.RpcError) as e:
                otlp.call(server, message)
            assert e.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED), e.value
            reply = server.post("/1/markers/full", {"message": "m"})
            assert reply.status in (201, 429, 503, 507), reply

            # Questions go on.
            assert verify(server, "full", ledger) >= len(ledger.acknowledged)
            assert server.alive() and server.get("/readyz").status in (200, 503)

            # A restart on the full disk works, whether clean or not.
            for stop in (server.kill, lambda: server.terminate()):
                stop()
                server.start()
                assert verify(server, "full", ledger) >= len(ledger.acknowledged)

            # Room again: writes work within 30 s.
            ballast.remove()
            at = time.monotonic()
            while (reply := write(server, ledger)).status != 200:
                assert_polite(reply, (429, 503, 507))
                assert time.monotonic() - at < 30, "no writes 30 s after there was room again"
                time.sleep(0.2)
            otlp.ship(server, message)
            ledger.verified = None
            assert verify(server, "full", ledger) >= len(ledger.acknowledged)
            server.kill()
            server.start()
            assert verify(server, "full", ledger) >= len(ledger.acknowledged)
        finally:
            server.stop()


@pytest.mark.root
@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_disk_that_fills_under_load(tmp_path, kind):
    """Many writers meet the end of the disk at once: no answer but 200 and the polite ones; room comes back while they write."""
    import threading
    with small_disk(kind, tmp_path, 48) as disk:
        server = Server(disk / "data", env=QUIET)
        server.log_path = tmp_path / "log"
        ledger, ballast, seen, lock, stop = Ledger(0), Ballast(disk), {}, threading.Lock(), threading.Event()
        try:
            server.start()
            ballast.fill(leave=20 * MIB)

            def work():
                while not stop.is_set():
                    reply = write(server, ledger, 50)
                    with lock:
                        seen[reply.status] = seen.get(reply.status, 0) + 1
                    if reply.status != 200:
                        time.sleep(0.05)

            pool = [threading.Thread(target=work) for _ in range(6)]
            for t in pool:
                t.start()
            end = time.monotonic() + 30
            while time.monotonic() < end and not (seen.keys() - {200}):
                time.sleep(0.05)
            time.sleep(1)
            refused = dict(seen)
            ballast.remove()
            end = time.monotonic() + 30
            while time.monotonic() < end and seen.get(200, 0) <= refused.get(200, 0) + 5:
                time.sleep(0.1)
            stop.set()
            for t in pool:
                t.join()
            assert seen.keys() <= {200, 429, 503, 507} and refused.keys() - {200}, seen
            assert seen[200] > refused[200], f"no writes within 30 s of there being room: {refused} then {seen}"
            assert verify(server, "full", ledger) >= len(ledger.acknowledged)
            server.kill()
            server.start()
            assert verify(server, "full", ledger) >= len(ledger.acknowledged)
        finally:
            stop.set()
            server.stop()
