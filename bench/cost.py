#!/usr/bin/env python3
"""What an event costs on its way from the socket to an answer, in CPU time and bytes.

    make bench-cost                            # 500,000 events of the 5,000,000
    make bench-cost ARGS="--rows 200000"       # a try

Posts zstd-compressed JSON to a server with an empty folder over 8 connections, with `perf` sampling it, until sealing
and compaction are done. CPU is told apart by thread (who works) and by code (what at); bytes are counted at each stage.
Without `perf` the second table is left out. Then the questions of the kit are asked: CPU of each per event held.
"""
import collections
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import lab

# What a symbol belongs to; the first that fits.
CODE = [
    ("decompression", r"ingest::decompress|(ZSTD|HUF|FSE)_\w*(ecompress|DCtx|Decode|decode|DStream|DTable|DDict|exec|readStats)"),
    ("decoding JSON", r"ingest::|model::batch|model::dict|model::ident|BatchBuilder|StrDict"),
    ("segments: encode, seal, merge", r"store::segment|model::bucket|^(ZSTD|HUF|FSE|HIST)_|xxh|XXH|XXH3"),
    ("checksums", r"crc32c"),
    ("write-ahead log, memtable, catalog", r"store::|sqlite3|rusqlite"),
    ("HTTP and runtime", r"hyper|tokio|axum|http::|httparse|server::|wideye::|tower|mio"),
    ("allocator", r"^_?mi_|mimalloc|malloc|free$"),
    ("copying and comparing memory", r"mem(cpy|move|set|cmp|chr)"),
]


def threads(pid):
    """CPU seconds by name of thread, without the numbers in names."""
    out = collections.Counter()
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        try:
            with open(path) as f, open(os.path.join(os.path.dirname(path), "comm")) as g:
                out[re.sub(r"[-:]?\d+$", "", g.read().strip())] += int(f.read().split()[0]) / 1e9
        except OSError:
            pass
    return out


def by_code(path):
    """Shares of samples by what the code belongs to."""
    out = collections.Counter()
    report = subprocess.run(["perf", "report", "-i", path, "--no-children", "--sort", "dso,symbol", "--stdio", "-q"], capture_output=True, text=True).stdout
    for line in report.splitlines():
        m = re.match(r"\s*([\d.]+)%\s+(\S+)\s+\[(.)\]\s+(.*)", line)
        if not m:
            continue
        share, kind, symbol = float(m[1]) / 100, m[3], m[4]
        if kind == "k":
            out["kernel (network, disk, memory)"] += share
        else:
            out[next((what for what, pattern in CODE if re.search(pattern, symbol)), "rest")] += share
    return out


def stats(client):
    import urllib.request
    with urllib.request.urlopen(client.o["url"] + "/metrics") as reply:
        return {m[1]: float(m[2]) for m in re.finditer(r"^(\w+) ([\d.e+-]+)$", reply.read().decode(), re.M)}


def main():
    p = lab.common(__doc__)
    p.add_argument("--events", type=int, default=500_000)
    p.add_argument("--scans", type=int, default=5, help="how often each question of the kit is asked")
    args = p.parse_args()
    lab.enter()
    from engines import batch_files
    from queries import suite
    from run import table, write_json
    import batches
    data, manifest = lab.data_folder(args)
    info = manifest["batches"]
    files = batch_files(data)[:-(-min(args.events, args.rows) // info["events"])]
    bodies = [open(f, "rb").read() for f in files]
    sent = sum(map(len, bodies))
    plain = sum(len(batches.decompress(b, info["compress"])) for b in bodies[:20]) * len(bodies) / len(bodies[:20])
    server = lab.Server(args.binary, os.path.join(data, "wideye-cost"))
    client = server.adapter(data, "bench")
    client.send(bodies[:8])  # warm
    server.rest(1)
    perf, samples = None, None
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("perf"):
            samples = os.path.join(folder, "perf.data")
            perf = subprocess.Popen(["perf", "record", "-q", "-F", "497", "-p", str(server.pid), "-o", samples], stderr=subprocess.DEVNULL)
        before, cpu, wal = threads(server.pid), lab.cpu_seconds(server.pid), stats(client)
        client.send(bodies[8:])
        acked = lab.cpu_seconds(server.pid) - cpu
        server.rest(3)
        total = lab.cpu_seconds(server.pid) - cpu
        after, end = threads(server.pid), stats(client)
        code = {}
        if perf:
            perf.send_signal(2)
            perf.wait()
            code = by_code(samples)
    events = int(end["wideye_store_append_rows_total"] - wal["wideye_store_append_rows_total"])
    scans = {}
    for q in suite(manifest):
        client.execute(q)
        cpu = lab.cpu_seconds(server.pid)
        for _ in range(args.scans):
            client.execute(q)
        scans[q.id] = (lab.cpu_seconds(server.pid) - cpu) / args.scans / (len(bodies) * info["events"]) * 1e9
    server.stop()  # seals what is left
    folder = max(glob.glob(os.path.join(server.folder, "segments", "*")), key=lambda d: sum(os.path.getsize(f) for f in glob.glob(d + "/*")))
    kept = sum(os.path.getsize(f) for f in glob.glob(folder + "/*"))

    who = {name: s - before.get(name, 0) for name, s in after.items() if s - before.get(name, 0) > .001}
    us = 1e6 / events
    print(f"{events:,} events; µs of CPU each: {acked * us:.2f} until all were acknowledged, {total * us:.2f} until sealed and compacted\n")
    table([[name, f"{s * us:.2f}", f"{s / total:.0%}"] for name, s in sorted(who.items(), key=lambda x: -x[1])], ["thread", "µs per event", "share"])
    print()
    table([[name, f"{share * total * us:.2f}", f"{share:.0%}"] for name, share in sorted(code.items(), key=lambda x: -x[1])],
          ["code", "µs per event", "share"])
    n = len(bodies) * info["events"]
    size = {"json": plain / n, "sent": sent / n, "kept": kept / n}
    print(f"\nbytes per event: {size['json']:.0f} of JSON, {size['sent']:.0f} over the socket, {size['kept']:.0f} in segments; "
          f"{int(end['wideye_store_compaction_rows_total'])} events were rewritten by compactions")
    print("scan, ns of CPU per event: " + ", ".join(f"{q} {ns:.2f}" for q, ns in scans.items()))
    path = lab.results_path(args, "cost")
    write_json(path, {"events": events, "cpu_us_acked": acked * us, "cpu_us": total * us, "threads_us": {k: s * us for k, s in who.items()},
                      "code_us": {k: s * total * us for k, s in code.items()}, "bytes": size, "scan_ns": scans,
                      "compaction_rows": end["wideye_store_compaction_rows_total"], "code": lab.version(args.binary)})
    print("\n" + path)


if __name__ == "__main__":
    main()
