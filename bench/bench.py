#!/usr/bin/env python3
"""Measure wideye side by side with DuckDB and ClickHouse, with the kit in ../shared/bench.

    make bench                                       # 5,000,000 events; some 15 minutes on two cores
    make bench ARGS="--rows 200000"                  # a try
    make bench ARGS="--rows 20000000"                # needs 30 GB of disk and an hour
    make bench ARGS="--rows 5000000 --only Q1,Q3 --skip-ingest"
    make bench ARGS="--cold --reuse"                 # as root: nothing of the data in memory before each question

Makes the events (kept in bench/data), starts the release binary on an empty data directory, runs the queries and the
ingest of all three engines in one run, and writes bench/results/<machine>-<rows>-<what>.json. `--reuse` keeps what an
earlier run loaded into the three engines. `--prepare` makes the events, loads the peers and computes the exact
answers, but measures nothing: it may run while the machine does other things.
"""
import os
import subprocess
import sys

import lab
from lab import ENV, KIT, PYTHON


def kit(script, *options):
    return subprocess.call([PYTHON, os.path.join(KIT, script), *options], env=ENV)


def main():
    p = lab.common(__doc__)
    p.add_argument("--runs", type=int, default=7)
    p.add_argument("--only", help="ids of queries, with commas")
    p.add_argument("--ingest-events", type=int, default=500_000)
    p.add_argument("--skip-ingest", action="store_true")
    p.add_argument("--skip-queries", action="store_true")
    p.add_argument("--cold", action="store_true", help="also: every question with nothing in memory")
    p.add_argument("--cold-runs", type=int, default=3)
    p.add_argument("--reuse", action="store_true", help="keep what an earlier run loaded, also into wideye")
    p.add_argument("--prepare", action="store_true", help="make the events, load the peers, compute the exact answers; measure nothing")
    args = p.parse_args()
    lab.enter()
    data, _ = lab.data_folder(args)
    peers = "duckdb,clickhouse"
    have = ",".join(e for e in peers.split(",") if os.path.exists(os.path.join(data, "engines", e)))
    if args.prepare:
        sys.exit(kit("run.py", "--data", data, "--engines", peers, "--runs", "0", "--reuse", have))

    status = 0
    about = lab.version(args.binary)
    only = ["--only", args.only] if args.only else []
    if not args.skip_ingest:
        server = lab.Server(args.binary, os.path.join(data, "wideye-ingest"))
        path = lab.results_path(args, "ingest")
        status |= kit("ingest.py", "--data", data, "--engines", peers + ",wideye", "--events", str(min(args.ingest_events, args.rows)),
                      "--out", path, *server.kit_options())
        finish(server, path, about)
    folder = os.path.join(data, "wideye-queries")
    if not args.skip_queries:
        loaded = args.reuse and os.path.exists(os.path.join(folder, "loaded"))
        server = lab.Server(args.binary, folder, keep=loaded)
        path = lab.results_path(args, "queries" + ("-" + args.only.replace(",", "-") if args.only else ""))
        reuse = have + ",wideye" * loaded if args.reuse else ""
        status |= kit("run.py", "--data", data, "--engines", peers + ",wideye", "--runs", str(args.runs), "--reuse", reuse,
                      "--out", path, *only, *server.kit_options())
        open(os.path.join(folder, "loaded"), "w").close()
        finish(server, path, about)
    if args.cold:
        import cold
        status |= cold.measure(args, data, folder, about)
    sys.exit(1 if status else 0)


def finish(server, path, about):
    peak = lab.memory_mb(server.pid)
    server.stop()
    print(f"wideye: peak memory {peak:.0f} MB, {path}\n", flush=True)
    if os.path.exists(path):
        lab.amend(path, {"wideye_peak_rss_mb": round(peak), "code": about})


if __name__ == "__main__":
    main()
