#!/usr/bin/env python3
"""Measure wideye side by side with DuckDB and ClickHouse, with the kit in ../shared/bench.

    make bench                              # 5,000,000 events; some 15 minutes on two cores
    make bench ARGS="--rows 200000"         # a try
    make bench ARGS="--rows 5000000 --skip-ingest --only Q1,Q3"

Makes the events (kept in bench/data), starts the release binary on an empty data directory, runs the
queries and the ingest of all three engines in one run, and writes bench/results/<machine>-<rows>.json.
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
KIT = os.path.join(os.path.dirname(ROOT), "shared", "bench")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """The release binary on an empty folder."""

    def __init__(self, binary, folder):
        shutil.rmtree(folder, ignore_errors=True)
        self.folder, self.url = folder, f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen([binary, "serve", "--data-dir", folder, "--listen", self.url[7:],
                                         "--otlp-grpc-listen", f"127.0.0.1:{free_port()}"],
                                        stdout=subprocess.DEVNULL, stderr=open(folder + ".log", "w"))
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url + "/readyz", timeout=1)
                return
            except OSError:
                time.sleep(.05)
        sys.exit(f"wideye did not start; see {folder}.log")

    def kit_options(self):
        return ["--wideye-url", self.url, "--wideye-pid", str(self.process.pid), "--wideye-store", self.folder]

    def peak_mb(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rows", type=int, default=5_000_000)
    p.add_argument("--seed", type=int, default=42)
    p.add_argument("--runs", type=int, default=7)
    p.add_argument("--only", help="ids of queries, with commas")
    p.add_argument("--ingest-events", type=int, default=500_000)
    p.add_argument("--skip-ingest", action="store_true")
    p.add_argument("--skip-queries", action="store_true")
    p.add_argument("--data", help="events that generate.py made earlier")
    p.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "wideye"))
    args = p.parse_args()
    if not os.path.isdir(KIT):
        sys.exit(f"the benchmark kit is not at {KIT}")

    venv = os.path.join(HERE, ".venv")
    python = os.path.join(venv, "bin", "python")
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", venv])
        subprocess.check_call([python, "-m", "pip", "install", "-q", "-r", os.path.join(KIT, "requirements.txt")])
    data = os.path.abspath(args.data or os.path.join(HERE, "data", str(args.rows)))
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    if not os.path.exists(os.path.join(data, "manifest.json")):
        subprocess.check_call([python, os.path.join(KIT, "generate.py"), "--rows", str(args.rows), "--seed", str(args.seed), "--out", data], env=env)

    out = os.path.join(HERE, "results")
    os.makedirs(out, exist_ok=True)
    model = next((x.split(":")[1] for x in open("/proc/cpuinfo") if x.startswith("model name")), "machine")
    name = re.sub(r"[^a-z0-9]+", "-", f"{os.cpu_count()} {model}".lower()).strip("-") + f"-{args.rows}"
    status = 0
    for what, skip, script, more in [
        ("ingest", args.skip_ingest, "ingest.py", ["--events", str(min(args.ingest_events, args.rows))]),
        ("queries", args.skip_queries, "run.py", ["--runs", str(args.runs)] + (["--only", args.only] if args.only else [])),
    ]:
        if skip:
            continue
        server = Server(args.binary, os.path.join(data, f"wideye-{what}"))
        path = os.path.join(out, f"{name}-{what}.json")
        command = [python, os.path.join(KIT, script), "--data", data, "--engines", "duckdb,clickhouse,wideye", "--out", path]
        status |= subprocess.call(command + more + server.kit_options(), env=env)
        peak = server.peak_mb()
        server.stop()
        print(f"wideye: peak memory {peak:.0f} MB, {path}\n")
        if os.path.exists(path):
            with open(path) as f:
                result = json.load(f)
            with open(path, "w") as f:
                json.dump(result | {"wideye_peak_rss_mb": round(peak)}, f, indent=1)
    sys.exit(1 if status else 0)


if __name__ == "__main__":
    main()
