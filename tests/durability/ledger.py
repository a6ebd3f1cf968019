"""The outside ledger: what was sent, what was acknowledged, and what must therefore be in the store.

Every event has an id that is never sent twice, and a check value computed from it, so that an event that was
invented, mixed up or changed shows. An id is in one of three states: sent without an answer (may be there or not),
acknowledged (must be there), refused (must not be there).
"""
import threading
import zlib

BLOCK = 5_000  # events asked for at once; an answer holds 10,000 rows


def check_value(event_id):
    return zlib.crc32(event_id.encode())


class Ledger:
    """Of one cycle: the events that were sent between one start of the server and its end."""

    def __init__(self, cycle):
        self.cycle = cycle
        self.lock = threading.Lock()
        self.n = 0
        self.sent = {}  # id -> block
        self.acknowledged = set()
        self.refused = set()
        self.verified = None  # {id} found by the first verification

    def next(self, count=1):
        """New events to send: fields with id, cycle, block and check value."""
        out = []
        with self.lock:
            for _ in range(count):
                event_id, block = f"{self.cycle}-{self.n}", self.n // BLOCK
                self.sent[event_id] = block
                self.n += 1
                out.append({"id": event_id, "cycle": self.cycle, "block": block, "check": check_value(event_id)})
        return out

    def acknowledge(self, events):
        with self.lock:
            self.acknowledged.update(e["id"] for e in events)

    def refuse(self, events):
        with self.lock:
            self.refused.update(e["id"] for e in events)


class Wrong(AssertionError):
    pass


def stored(server, dataset, ledger):
    """All stored events of the cycle: {id: (times stored, check value)}."""
    out = {}
    for block in range(max(ledger.sent.values(), default=-1) + 2):
        rows = server.query(dataset, {
            "calculations": [{"op": "COUNT"}], "breakdowns": ["id", "check"], "limit": 10_000, "usage_mode": True,
            "filters": [{"column": "cycle", "op": "=", "value": ledger.cycle}, {"column": "block", "op": "=", "value": block}]}, disable_series=True).rows
        if len(rows) >= 10_000:
            raise Wrong(f"cycle {ledger.cycle} block {block}: {len(rows)} rows for {BLOCK} events at most")
        for r in rows:
            if r["id"] in out:
                raise Wrong(f"{r['id']} with two check values or in two blocks")
            out[r["id"]] = (r["COUNT"], r["check"])
    return out


def verify(server, dataset, ledger):
    """Every acknowledged event exactly once, none that was refused, nothing invented. Returns the number of events found."""
    found = stored(server, dataset, ledger)
    problems = []
    lost = sorted(ledger.acknowledged - found.keys())
    if lost:
        problems.append(f"{len(lost)} acknowledged events lost, such as {lost[:3]}")
    twice = [i for i, (n, _) in found.items() if n != 1]
    if twice:
        problems.append(f"{len(twice)} events stored more than once, such as {[(i, found[i][0]) for i in twice[:3]]}")
    invented = sorted(found.keys() - ledger.sent.keys())
    if invented:
        problems.append(f"{len(invented)} events never sent, such as {invented[:3]}")
    kept = sorted(found.keys() & ledger.refused)
    if kept:
        problems.append(f"{len(kept)} refused events stored, such as {kept[:3]}")
    changed = [i for i, (_, c) in found.items() if c != check_value(i)]
    if changed:
        problems.append(f"{len(changed)} events changed, such as {changed[:3]}")
    if ledger.verified is not None and ledger.verified != found.keys():
        problems.append(f"{len(ledger.verified ^ found.keys())} events came or went since the first verification, such as {sorted(ledger.verified ^ found.keys())[:3]}")
    if problems:
        raise Wrong(f"cycle {ledger.cycle}: " + "; ".join(problems))
    ledger.verified = set(found)
    return len(found)


def verify_totals(server, dataset, ledgers):
    """One question over all cycles: each must hold as many events, and the same sum of check values, as when it was verified."""
    done = {l.cycle: l for l in ledgers if l.verified}
    rows = server.query(dataset, {"calculations": [{"op": "COUNT"}, {"op": "SUM", "column": "check"}], "breakdowns": ["cycle"], "limit": 10_000, "usage_mode": True}, disable_series=True).rows
    got = {r["cycle"]: (r["COUNT"], r["SUM(check)"]) for r in rows}
    want = {c: (len(l.verified), sum(map(check_value, l.verified))) for c, l in done.items()}
    if got != want:
        bad = sorted(c for c in got.keys() | want.keys() if got.get(c) != want.get(c))
        raise Wrong(f"cycles {bad[:5]}: stored {[got.get(c) for c in bad[:5]]}, verified before {[want.get(c) for c in bad[:5]]}")
