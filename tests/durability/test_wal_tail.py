"""Torn and garbled ends of the newest write-ahead file: the server starts, and has every acknowledged event that was not itself destroyed."""
import contextlib
import os
import random
import time

import pytest

from durability.ledger import check_value
from lib import times
from lib.server import Server

QUIET = {"WIDEYE_SELF_TELEMETRY": "false"}  # the write-ahead file holds our events only


def wal_files(server):
    """Files with `wal` in their path, and what stat says of them. One may go at any moment, when its events are sealed."""
    out = {}
    for path in server.files():
        if "wal" in str(path.relative_to(server.data_dir)).lower():
            with contextlib.suppress(FileNotFoundError):
                out[path] = path.stat()
    return out


def newest_wal(server):
    """Of the events' own log (the catalog may have one, too). None when all is sealed."""
    mine = {p: s for p, s in wal_files(server).items() if "catalog" not in p.name}
    return max(mine, key=lambda p: (mine[p].st_mtime_ns, p.name), default=None)


def used_bytes(path):
    """Up to the last byte that is not zero, should the file be allocated ahead."""
    return len(path.read_bytes().rstrip(b"\0"))


class Recorder:
    """Sends one request at a time; knows which bytes of the write-ahead file each acknowledged event lies in."""

    def __init__(self, server):
        self.server, self.n = server, 0
        self.ranges = {}  # id -> (file, from, to)

    def send(self, requests, rng):
        for _ in range(requests):
            ids = [f"e{self.n + i}" for i in range(rng.choice((1, 1, 5)))]
            self.n += len(ids)
            before = {p: s.st_size for p, s in wal_files(self.server).items()}
            self.server.batch("tail", [{"time": times.at(0), "data": {"id": i, "check": check_value(i), "blob": "x" * rng.randrange(500)}} for i in ids])
            path = newest_wal(self.server)
            size = self.size(path) if path else 0
            for i in ids:
                self.ranges[i] = (path, before.get(path, 0), size)

    @staticmethod
    def size(path):
        with contextlib.suppress(FileNotFoundError):
            return path.stat().st_size
        return 0  # sealed in the meantime: no damage to the log reaches these events

    def destroyed(self, path, start, end):
        """Ids whose bytes overlap the range."""
        return {i for i, (p, a, b) in self.ranges.items() if p == path and a < end and start < b}


def found(server):
    rows = server.query("tail", {"calculations": [{"op": "COUNT"}], "breakdowns": ["id", "check"], "limit": 10_000}, disable_series=True).rows
    for r in rows:
        assert r["COUNT"] == 1, f"{r['id']} is there {r['COUNT']} times"
        assert r["check"] == check_value(r["id"]), f"{r['id']} was changed"
    assert len({r["id"] for r in rows}) == len(rows)
    return {r["id"] for r in rows}


def edit(path, change):
    data = bytearray(path.read_bytes())
    out = change(data)
    path.write_bytes(bytes(out if out is not None else data))


def truncate(keep):
    """keep(size) -> bytes that stay."""
    def damage(rec, path, rng):
        size = used_bytes(path)
        left = max(0, min(size, keep(size)))
        with open(path, "r+b") as f:
            f.truncate(left)
        return rec.destroyed(path, left, 1 << 60)
    return damage


def flip(where, width=1):
    """where(size) -> first byte whose bits are flipped."""
    def damage(rec, path, rng):
        at = where(used_bytes(path))
        edit(path, lambda d: [d.__setitem__(i, d[i] ^ 0xFF) for i in range(at, min(at + width, len(d)))] and None)
        return rec.destroyed(path, at, at + width)
    return damage


def fill(where, width, byte):
    def damage(rec, path, rng):
        at = where(used_bytes(path))
        edit(path, lambda d: d.__setitem__(slice(at, at + width), bytes([byte]) * min(width, len(d) - at)))
        return rec.destroyed(path, at, at + width)
    return damage


def append(make):
    """make(file's bytes, rng) -> bytes added at the end; destroys nothing."""
    def damage(rec, path, rng):
        data = path.read_bytes()
        with open(path, "ab") as f:
            f.write(make(data, rng))
        return set()
    return damage


DAMAGES = {
    "last byte gone": truncate(lambda n: n - 1),
    "last 13 bytes gone": truncate(lambda n: n - 13),
    "last 1000 bytes gone": truncate(lambda n: n - 1000),
    "half gone": truncate(lambda n: n // 2),
    "header torn": truncate(lambda n: 10),
    "empty": truncate(lambda n: 0),
    "last byte flipped": flip(lambda n: n - 1),
    "byte of the last record flipped": flip(lambda n: n - 60),
    "last 300 bytes flipped": flip(lambda n: n - 300, 300),
    "byte in the middle flipped": flip(lambda n: n // 2),
    "bytes at a third flipped": flip(lambda n: n // 3, 20),
    "last 500 bytes zeros": fill(lambda n: n - 500, 500, 0),
    "last 500 bytes ones": fill(lambda n: n - 500, 500, 0xFF),
    "one byte added": append(lambda d, rng: b"\x07"),
    "random bytes added": append(lambda d, rng: rng.randbytes(rng.choice((7, 333, 5000)))),
    "a mebibyte of random bytes added": append(lambda d, rng: rng.randbytes(1 << 20)),
    "zeros added": append(lambda d, rng: bytes(8192)),
    "the end added again": append(lambda d, rng: d[-2000:]),
    "the whole file added again": append(lambda d, rng: d),
    "half a record added": append(lambda d, rng: d[-700:-20]),
}


@pytest.mark.parametrize("earlier_restarts", [0, 2], ids=["first run", "after restarts"])
@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_end_never_prevents_a_start(tmp_path, name, earlier_restarts):
    seed = os.environ.get("WIDEYE_TEST_SEED") or str(random.SystemRandom().randrange(2**32))
    print(f"WIDEYE_TEST_SEED={seed}")
    rng = random.Random(f"{seed} {name}")
    server = Server(tmp_path / "data", env=QUIET)
    server.start()
    try:
        rec = Recorder(server)
        for _ in range(earlier_restarts):
            rec.send(8, rng)
            server.kill()
            server.start()
        rec.send(25, rng)
        path = newest_wal(server)
        assert path, f"no file with `wal` in its path: {server.files()}"
        server.kill()
        gone = DAMAGES[name](rec, path, rng)
        assert len(gone) < rec.n or name in ("header torn", "empty"), "the damage was meant to be partial"

        server.start()
        first = found(server) if len(gone) < rec.n else set()
        assert first >= rec.ranges.keys() - gone, f"lost without being destroyed: {sorted(rec.ranges.keys() - gone - first)} (destroyed: {sorted(gone)})"
        assert first <= rec.ranges.keys(), f"invented: {first - rec.ranges.keys()}"

        # Life goes on: new events, another kill, all of it is still there once.
        before = set(rec.ranges)
        rec.send(5, rng)
        server.kill()
        server.start()
        assert found(server) == first | (rec.ranges.keys() - before)
        assert server.terminate() == 0
        server.start()
        assert found(server) == first | (rec.ranges.keys() - before)
    finally:
        server.stop()


@pytest.mark.parametrize("sealed", [False, True], ids=["in the log", "sealed"])
@pytest.mark.parametrize("name", ["last 13 bytes gone", "half gone", "empty", "last 300 bytes flipped", "byte in the middle flipped", "random bytes added"])
def test_damage_to_the_catalogs_own_log(tmp_path, name, sealed):
    """Whatever has `wal` in its path may be torn: events whose own bytes are whole must still be there."""
    rng = random.Random(name)
    server = Server(tmp_path / "data", env=QUIET | ({"WIDEYE_SEAL_BYTES": "1KiB"} if sealed else {}))
    server.start()
    try:
        rec = Recorder(server)
        rec.send(20, rng)
        if sealed:
            end = time.monotonic() + 15
            while time.monotonic() < end and not any(p.suffix == ".seg" for p in server.files()):
                time.sleep(0.05)
            time.sleep(0.5)
        server.post("/1/markers/tail", {"message": "the catalog is written last"})
        server.kill()
        others = [p for p, s in wal_files(server).items() if "catalog" in p.name and s.st_size]
        for path in others:
            DAMAGES[name](rec, path, rng)
        server.start()
        assert found(server) == set(rec.ranges)
    finally:
        server.stop()


def test_damage_is_named_at_start(tmp_path):
    """Corruption that is not a torn tail is never skipped in silence."""
    server = Server(tmp_path / "data", env=QUIET)
    server.start()
    try:
        rec = Recorder(server)
        rec.send(30, random.Random(1))
        path = newest_wal(server)
        server.kill()
        flip(lambda n: n // 2)(rec, path, None)
        server.log_path.write_bytes(b"")
        server.start()
        assert path.name in server.log(), server.log()
    finally:
        server.stop()
