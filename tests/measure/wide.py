"""Many columns: what a cell costs with 151, 10,000 and ever-new ones."""
import pathlib
import random
import statistics
import time

from lib import times
from lib.server import Server

from .kit import Client, found_in, load, metrics, mib, settle

N_COLUMNS, N_PRESENT, PER_BATCH = 10_000, 100, 1_000


def cell(column, rng):
    """The JSON of a value; its kind depends on the column."""
    kind = column % 8
    if kind < 4:
        return f'"value-{rng.randrange((20, 200, 2000, 20000)[kind])}"'
    if kind < 6:
        return str(rng.randrange(1 << 20))
    return f"{rng.random() * 1000:.3f}" if kind == 6 else ("true", "false")[rng.randrange(2)]


def bodies(n_events, n_columns, keep=None):
    """Batches of events with 100 of so many columns each. `keep`: only those columns are left in."""
    rng = random.Random(7)
    for start in range(0, n_events, PER_BATCH):
        events = []
        for i in range(start, min(n_events, start + PER_BATCH)):
            columns = rng.sample(range(n_columns), N_PRESENT)
            cells = [(c, cell(c, rng)) for c in columns]
            data = ",".join(f'"field.{c:05}":{v}' for c, v in cells if keep is None or c in keep)
            events.append(f'{{"time":{times.T0 + i / 100:.2f},"data":{{{data or chr(34) + "none" + chr(34) + ":1"}}}}}')
        yield f"[{','.join(events)}]".encode()


def feed(server, dataset, batches):
    """CPU seconds until all is sealed and quiet."""
    client, cpu = Client(server), server.cpu_seconds()
    for body in batches:
        while (reply := client.post(f"/1/batch/{dataset}", body))[0] in (429, 503):
            time.sleep(1)
        assert reply[0] == 200 and b"error" not in reply[1], reply[1][:500]
    settle(server)
    return server.cpu_seconds() - cpu


def split(before, after):
    """CPU seconds by work."""
    prefix = 'wideye_ingest_cpu_seconds_total{work="'
    return ", ".join(f"{k[len(prefix):-2]} {after[k] - before.get(k, 0):.2f}" for k in after if k.startswith(prefix))


def ask(server, dataset, query, n=31):
    """(median ms, CPU ms) of a question."""
    client, took = Client(server), []
    body = ('{"dataset":"%s","cache":false,"query":%s}' % (dataset, query)).encode()
    client.timed("/api/v1/query", body)
    cpu = server.cpu_seconds()
    for _ in range(n):
        took.append(client.timed("/api/v1/query", body))
    return statistics.median(took), (server.cpu_seconds() - cpu) / n * 1e3


def run(args):
    n = args.events
    env = {"WIDEYE_SELF_TELEMETRY": "false"}
    per_cell = {}
    for name, n_columns in (("151", 151), ("10,000", N_COLUMNS)):
        batches = list(bodies(n, n_columns))
        with Server(env=env) as s:
            cpu = feed(s, "wide", batches)
            per_cell[name] = cpu / n / N_PRESENT * 1e9
            print(f"wide: {name} columns, {N_PRESENT} of them in each of {n} events: {per_cell[name]:.0f} ns of CPU a cell, decode to sealed segment ({split({}, metrics(s))}), {s.disk_bytes() / n / N_PRESENT:.1f} bytes a cell on disk")
            if n_columns == N_COLUMNS:
                at = time.monotonic()
                columns = len(s.get("/api/v1/datasets/wide/columns").json())
                listing = (time.monotonic() - at) * 1e3
                three = [8, 4, 6]
                feed(s, "narrow", bodies(n, n_columns, set(three)))
                query = '{"calculations":[{"op":"COUNT"},{"op":"SUM","column":"field.00004"},{"op":"P95","column":"field.00006"}],"breakdowns":["field.00008"],"start_time":%d,"end_time":%d}' % (times.T0, times.T0 + 86_400)
                wide, narrow = ask(s, "wide", query), ask(s, "narrow", query)
                print(f"wide: a question on 3 columns: {wide[0]:.2f} ms ({wide[1]:.2f} ms CPU) among {columns}, {narrow[0]:.2f} ms ({narrow[1]:.2f} ms CPU) where there are no others; the list of columns takes {listing:.0f} ms")
                at = time.monotonic()
                s.restart()
                print(f"wide: restart in {(time.monotonic() - at) * 1e3:.0f} ms")
    print(f"wide: a cell among 10,000 columns costs {per_cell['10,000'] / per_cell['151']:.2f} of one among 151")
    files = sorted(pathlib.Path(args.batches).glob("*"))[: max(1, n // 2000)]
    if files:
        with Server(env=env) as s:
            events, _ = load(s, files)
            settle(s)
            cells = sum(k["count"] for c in s.get("/api/v1/datasets/bench/columns").json() for k in c["kinds"])
            kit = s.cpu_seconds() / cells * 1e9
            print(f"wide: the kit's {events} events, {cells / events:.0f} cells each: {kit:.0f} ns of CPU a cell; among 10,000 columns {per_cell['10,000'] / kit:.2f} of that")


def keys(args):
    """Every event brings new names."""
    n = args.keys
    files = found_in(args.batches)[:20]
    with Server(env={"WIDEYE_SELF_TELEMETRY": "false"}) as s:
        load(s, files)
        settle(s)
        query = '{"calculations":[{"op":"COUNT"},{"op":"P99","column":"duration_ms"}],"breakdowns":["service.name"],"start_time":1,"end_time":4000000000}'
        before, cpu_before, memory = ask(s, "bench", query), feed_kit(s, files), s.anonymous_rss_bytes()
        client, statuses, began, cpu = Client(s), {}, time.monotonic(), s.cpu_seconds()
        for start in range(0, n, 10_000):
            events = [f'{{"time":{times.T0 + i},"data":{{"path":"/x","query.k{i}":"v","query.j{i}":{i}}}}}' for i in range(start, min(n, start + 10_000), 2)]
            status, content = client.post("/1/batch/exploded", f"[{','.join(events)}]".encode())
            assert status == 200, content[:500]
            for what in (b"202", b"400"):
                statuses[what.decode()] = statuses.get(what.decode(), 0) + content.count(b'"status":' + what)
        took, cpu = time.monotonic() - began, s.cpu_seconds() - cpu
        settle(s)
        print(f"keys: {n} new names in {n // 2} events: {took:.1f} s, {cpu:.1f} s of CPU, answers {statuses}, anonymous memory {mib(memory)} before, {mib(s.anonymous_rss_bytes())} after, at most resident {mib(s.rss_bytes('VmHWM'))}, {mib(s.disk_bytes())} on disk")
        at = time.monotonic()
        counted = s.count("exploded")
        print(f"keys: a count over them: {counted} events in {(time.monotonic() - at) * 1e3:.0f} ms; known names go on: {s.post('/1/batch/exploded', [{'data': {'path': '/y'}}]).text}")
        after, cpu_after = ask(s, "bench", query), feed_kit(s, files)
        print(f"keys: another dataset, before and after: a question {before[0]:.1f} and {after[0]:.1f} ms, ingest {cpu_before:.1f} and {cpu_after:.1f} us of CPU an event")
        at = time.monotonic()
        s.restart()
        print(f"keys: restart in {(time.monotonic() - at) * 1e3:.0f} ms, resident {mib(s.rss_bytes())}")


def feed_kit(server, files):
    """Microseconds of CPU an event."""
    cpu = server.cpu_seconds()
    events, _ = load(server, files, "bench2")
    settle(server)
    return (server.cpu_seconds() - cpu) / events * 1e6
