"""Every question with nothing of the data in memory, for all three engines the same way (`bench.py --cold`).

A new process opens its database and answers a question that touches no data (so that libraries and connections are
there); then the page cache is dropped, the programs' own files are read again, and the question is asked once. What a
process has mapped and touched stays in memory, which is why each run has a new one.

Owns: cold runs. Never does: load data (bench.py does) or check answers (the warm runs did).
"""
import os
import statistics
import sys

import lab


class Nothing:
    """A question that touches no data, for the kit's adapters."""
    id, kind, meaning = "nothing", "table", ""
    spec = {"calculations": [{"op": "COUNT"}], "start_time": 1, "end_time": 2}

    @staticmethod
    def sql(_dialect, _manifest):
        return ["SELECT 1 AS one"]


def peer(make, data, query):
    from engines import Worker
    worker = Worker(make, data, os.cpu_count())
    try:
        worker("load", True)
        worker("execute", Nothing())
        lab.drop_caches()
        lab.warm_code(worker.process.pid)
        return worker("timed", query)
    finally:
        worker.close()
        worker.process.kill()
        worker.process.join()


def wideye(server, data, query):
    server.start()
    try:
        client = server.adapter(data)
        client.execute(Nothing())
        server.rest()
        lab.drop_caches()
        lab.warm_code(server.pid)
        lab.warm_code(os.getpid())
        return client.timed(query)
    finally:
        server.stop()


def measure(args, data, folder, about):
    """Returns 1 if a question is slower than with the best peer."""
    import json
    from engines import ClickHouse, DuckDB
    from queries import suite
    from run import number, table, write_json
    if not os.path.exists(os.path.join(folder, "loaded")):
        sys.exit(f"wideye's data are not in {folder}: run once without --skip-queries")
    with open(os.path.join(data, "manifest.json")) as f:
        manifest = json.load(f)
    server = lab.Server(args.binary, folder, keep=True)
    server.rest()
    server.stop()
    engines = {"duckdb": lambda q: peer(DuckDB, data, q), "clickhouse": lambda q: peer(ClickHouse, data, q),
               "wideye": lambda q: wideye(server, data, q)}
    results = {}
    for q in suite(manifest):
        if args.only and q.id not in args.only.split(","):
            continue
        by = results[q.id] = {"meaning": q.meaning, "kind": q.kind} | {e: {"runs": []} for e in engines}
        for _ in range(args.cold_runs):
            for e, ask in engines.items():
                by[e]["runs"].append(ask(q))
        for e in engines:
            ms = [r["ms"] for r in by[e]["runs"]]
            by[e] |= {"min": min(ms), "median": statistics.median(ms), "max": max(ms)}
        by["ratio"] = by["wideye"]["median"] / min(by[e]["median"] for e in engines if e != "wideye")
        print(f"  {q.id:5s} cold: " + "   ".join(f"{e} {by[e]['median']:.1f} ms" for e in engines), flush=True)
    print("\nCold, milliseconds: median (min-max)\n")
    table([[q] + [f"{by[e]['median']:.1f} ({by[e]['min']:.1f}-{by[e]['max']:.1f})" for e in engines] + [number(by["ratio"], "{:.3f}")]
           for q, by in results.items()], ["query", *engines, "wideye / best peer"])
    path = lab.results_path(args, "cold")
    write_json(path, {"rows": manifest["rows"], "runs": args.cold_runs, "code": about, "queries": results})
    slower = [q for q, by in results.items() if by["ratio"] > 1]
    print(f"\n{path}\n" + (f"NOT OK: slower than the best peer: {', '.join(slower)}" if slower else "no question is slower than with the best peer"))
    return 1 if slower else 0
