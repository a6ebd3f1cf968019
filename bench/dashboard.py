#!/usr/bin/env python3
"""A dashboard of 20 questions over growing data: what it costs to ask again, with the cache and without.

    make bench-dashboard                              # 5,000,000 events
    make bench-dashboard ARGS="--growth 0.0008"       # about a minute's events between two rounds
    make bench-dashboard ARGS="--rows 200000"         # a try

Loads most of a day, then goes in rounds: post another 0.5 % of the day (or --growth), wait until the server rests, ask the 20
questions about the last 24, 6 and 2 hours up to the newest event, once with `"cache": false` and once with
`"cache": true`. Every answer must be the same both times. Prints and keeps the server's CPU time per round; ends with
status 1 if answers differ or asking again is not at least --factor times cheaper.
"""
import json
import os
import statistics
import sys
import time

import lab

GROWTH = .005  # share of the day between two rounds, unless told
CELLS_CLOSE = 1e-9  # sums of floats may be added in another order


def questions(end):
    """The dashboard, as of a moment (Unix seconds). (title, question)."""
    def calc(op, column=None):
        return {"op": op} | ({"column": column} if column else {})

    def f(column, op, value=None):
        return {"column": column, "op": op} | ({} if value is None else {"value": value})

    def q(title, hours, calculations, by=(), where=(), top=None, every=None):
        spec = {"calculations": calculations, "breakdowns": list(by), "filters": list(where), "start_time": end - hours * 3600, "end_time": end}
        if top:
            order = calculations[0] | {"order": "descending"}
            spec |= {"orders": [order] + [{"column": b, "order": "ascending"} for b in by], "limit": top}
        else:
            spec["limit"] = 1000
        return title, spec | ({"granularity": every} if every else {})

    count, p = calc("COUNT"), [calc(x, "duration_ms") for x in ("P50", "P95", "P99")]
    failed = f("error", "=", True)
    return [
        q("events by service", 24, [count], ["service.name"], every=300),
        q("failures by service", 24, [count], ["service.name"], [failed], every=300),
        q("latency", 24, p, every=300),
        q("latency by service", 24, [p[2]], ["service.name"], every=300),
        q("heatmap of latency", 24, [calc("HEATMAP", "duration_ms")], every=300),
        q("status codes", 24, [count], ["http.status_code"], every=300),
        q("busiest routes", 24, [count, *p], ["http.route"], top=20),
        q("slowest routes", 24, [p[2], count], ["http.route"], top=20),
        q("largest customers", 24, [count, calc("P95", "duration_ms")], ["customer.id"], top=50),
        q("builds", 24, [count, p[2]], ["app.build_id"], top=20),
        q("distinct users", 24, [calc("COUNT_DISTINCT", "user.id")], every=3600),
        q("regions", 24, [count, calc("AVG", "duration_ms"), p[1], calc("SUM", "req_bytes")], ["cloud.region"]),
        q("failures by build and platform", 24, [count], ["app.build_id", "app.platform"], [failed], top=50),
        q("latency of image-export", 6, p, [], [f("service.name", "=", "image-export")], every=60),
        q("slow database calls", 6, [count, calc("AVG", "db.calls")], ["db.statement_hash"], [f("duration_ms", ">", 1000)], top=20),
        q("ios in one region", 6, [count, *p], ["app.build_id"], [f("app.platform", "=", "ios11"), f("cloud.region", "=", "us-east-1")], top=20),
        q("distinct users by region", 6, [calc("COUNT_DISTINCT", "user.id")], ["cloud.region"]),
        q("failures by host", 2, [count], ["host.name"], [failed], top=20),
        q("routes with exports", 2, [count, p[1]], ["name"], [f("name", "contains", "export")], top=20, every=60),
        q("services now", 2, [count, *p, calc("MAX", "duration_ms")], ["service.name"]),
    ]


def ask(client, spec, cache):
    return json.loads(client.post("/api/v1/query", json.dumps({"dataset": "bench", "query": spec, "stream": False, "cache": cache})))


def close(a, b):
    if isinstance(a, float) or isinstance(b, float):
        return isinstance(a, (int, float)) and isinstance(b, (int, float)) and abs(a - b) <= CELLS_CLOSE * max(abs(a), abs(b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(close, a, b))
    return a == b


def content(answer):
    return {k: v for k, v in answer.items() if k != "meta"} | {"heatmaps": answer["meta"].get("heatmaps")}


def newest(path, manifest):
    """The time of the last event of a batch, in Unix seconds."""
    import batches
    import datetime
    with open(path, "rb") as f:
        body = batches.decompress(f.read(), manifest["batches"]["compress"])
    at = body.rindex(b'"time"')
    text = json.loads(body[body.index(b":", at) + 1:body.index(b",", at)])
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def main():
    p = lab.common(__doc__)
    p.add_argument("--rounds", type=int, default=8)
    p.add_argument("--growth", type=float, default=GROWTH, help="share of the day that comes in between two rounds")
    p.add_argument("--factor", type=float, default=20, help="at least so much cheaper must it be to ask again")
    args = p.parse_args()
    lab.enter()
    from engines import batch_files
    data, manifest = lab.data_folder(args)
    files = batch_files(data)
    step = max(1, round(len(files) * args.growth))
    first = len(files) - step * args.rounds
    server = lab.Server(args.binary, os.path.join(data, "wideye-dashboard"))
    client = server.adapter(data)
    client.send(files[:first])
    server.rest(quiet_s=3)
    print(f"{manifest['rows']:,} events a day, {first} batches loaded; each round {step} more ({step / len(files):.2%}), then 20 questions without and with the cache")

    rounds, differ, inexact, names = [], [], 0, []
    for n in range(args.rounds + 1):
        if n:
            client.send(files[first + (n - 1) * step:first + n * step])
            server.rest()
        asked = questions(int(newest(files[first + n * step - 1], manifest)) + 1)
        names = [title for title, _ in asked]
        by = {"questions": {}, "cached_first": n % 2 == 0}
        answers = {}
        for cache in (True, False) if by["cached_first"] else (False, True):  # in turn first: the first one meets the new data cold
            cpu, began = lab.cpu_seconds(server.pid), time.perf_counter()
            for title, spec in asked:
                at = lab.cpu_seconds(server.pid)
                answers[cache, title] = ask(client, spec, cache)
                by["questions"].setdefault(title, {})["cached_cpu_ms" if cache else "cpu_ms"] = (lab.cpu_seconds(server.pid) - at) * 1e3
            key = "cached_" if cache else ""
            by |= {key + "cpu_ms": (lab.cpu_seconds(server.pid) - cpu) * 1e3, key + "ms": (time.perf_counter() - began) * 1e3}
        for title in names:
            a, b = (content(answers[cache, title]) for cache in (False, True))
            if a != b:
                inexact += 1
                if not close(a, b):
                    differ.append(f"round {n}: {title}")
        rounds.append(by)
        print(f"  round {n}: {by['cpu_ms']:7.1f} ms of CPU without the cache, {by['cached_cpu_ms']:7.1f} with"
              f" ({'first time' if n == 0 else format(by['cpu_ms'] / max(by['cached_cpu_ms'], 1e-3), '.1f') + ' times less'});"
              f" {by['ms']:.0f} and {by['cached_ms']:.0f} ms until answered", flush=True)
    again = rounds[1:]
    mid = {k: statistics.median(r[k] for r in again) for k in ("cpu_ms", "cached_cpu_ms", "ms", "cached_ms")}
    per = {t: {k: statistics.median(r["questions"][t][k] for r in again) for k in ("cpu_ms", "cached_cpu_ms")} for t in names}
    factor = mid["cpu_ms"] / max(mid["cached_cpu_ms"], 1e-3)
    def by_turn(value):
        turns = ([value(r) for r in again if r["cached_first"] == first] for first in (False, True))
        return "".join(f" {statistics.median(t):8.2f}" if t else " " * 9 for t in turns)

    print("\nCPU per question when asked again, ms: without the cache, with it; of the latter, after it was asked without, and before\n")
    for title, x in per.items():
        print(f"  {title:32s} {x['cpu_ms']:8.2f} {x['cached_cpu_ms']:8.2f}  {by_turn(lambda r: r['questions'][title]['cached_cpu_ms'])}")
    print(f"  {'all':32s} {mid['cpu_ms']:8.2f} {mid['cached_cpu_ms']:8.2f}  {by_turn(lambda r: r['cached_cpu_ms'])}")
    peak = lab.memory_mb(server.pid)
    about = lab.version(args.binary)
    server.stop()
    from run import write_json
    path = lab.results_path(args, "dashboard" if args.growth == GROWTH else f"dashboard-{args.growth:g}")
    write_json(path, {"rows": manifest["rows"], "growth": step / len(files), "rounds": rounds, "median": mid, "questions": per, "factor": factor,
                      "answers": len(rounds) * len(names), "answers_differ": differ, "answers_not_bit_identical": inexact, "peak_rss_mb": peak, "code": about})
    print(f"\nasking again costs {factor:.1f} times less CPU with the cache ({mid['cpu_ms']:.0f} ms, {mid['cached_cpu_ms']:.0f} ms); peak memory {peak:.0f} MB")
    print(f"{len(rounds) * len(names)} answers compared, {inexact} not the same to the last bit, {len(differ)} different; {path}")
    for line in differ[:10]:
        print("NOT OK", line)
    if factor < args.factor:
        print(f"NOT OK: it must be at least {args.factor:.0f} times less")
    sys.exit(1 if differ or factor < args.factor else 0)


if __name__ == "__main__":
    main()
