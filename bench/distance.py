#!/usr/bin/env python3
"""How far each question is from this machine's memory bandwidth.

    make bench-distance                        # after make bench: reads its result and the data it loaded

For every question of the kit: the bytes of the columns that it touches, as stored and as the engine reads them (a code
or a number per row), over the time it took, as a share of what all cores together can read from memory. A question
that reads ten per cent of the bandwidth would be ten times faster if nothing but reading had to be done.
"""
import json
import os
import subprocess
import sys

import lab


def touched(query):
    """Names of the columns that a question reads."""
    s = query.spec
    if query.kind == "contrast":
        return set(s["columns"]) | {f["column"] for f in s["selection"]}
    names = set(s.get("breakdowns", [])) | {f["column"] for f in s.get("filters", [])}
    return names | {c["column"] for c in s.get("calculations", []) if c.get("column")}


def main():
    p = lab.common(__doc__)
    args = p.parse_args()
    lab.enter()
    from queries import suite
    from run import table, write_json
    data, manifest = lab.data_folder(args)
    path = lab.results_path(args, "queries")
    segments = os.path.join(data, "wideye-queries", "segments")
    if not os.path.exists(path) or not os.path.isdir(segments):
        sys.exit(f"{path} or {segments} is not there: make bench first")
    with open(path) as f:
        measured = json.load(f)["queries"]
    subprocess.check_call(["cargo", "build", "--release", "--locked", "-q", "-p", "store", "--example", "columns"], cwd=lab.ROOT)
    tool = os.path.join(lab.ROOT, "target", "release", "examples", "columns")

    def ask(argument):
        return json.loads(subprocess.check_output([tool, argument]))

    datasets = [ask(os.path.join(segments, d)) for d in os.listdir(segments)]
    held = max(datasets, key=lambda d: d["rows"])  # the others are the server's own events
    speed = ask("--bandwidth")
    rows, out = [], {}
    for q in suite(manifest):
        ms = measured.get(q.id, {}).get("wideye", {}).get("median")
        if not ms:
            continue
        if q.kind == "raw":
            continue  # finds its few rows by an index: bytes of whole columns mean nothing
        columns = [held["columns"][c] for c in touched(q) if c in held["columns"]]
        share = (q.spec.get("end_time", 0) - q.spec.get("start_time", 0)) * 1e6 / (manifest["end_us"] - manifest["start_us"])
        stored = sum(c["blocks"] for c in columns) * share
        decoded = sum(c["decoded"] for c in columns) * share
        if q.spec.get("granularity"):
            stored, decoded = stored + held["times"]["blocks"], decoded + held["times"]["decoded"]
        out[q.id] = {"ms": ms, "columns": len(columns), "stored_bytes": stored, "decoded_bytes": decoded,
                     "stored_share": stored / ms * 1e3 / speed["all_threads"], "decoded_share": decoded / ms * 1e3 / speed["all_threads"]}
        x = out[q.id]
        rows.append([q.id, f"{ms:.1f}", len(columns), f"{stored / 1e6:.1f}", f"{decoded / 1e6:.0f}", f"{decoded / ms / 1e6:.1f}",
                     f"{x['stored_share']:.0%}", f"{x['decoded_share']:.0%}"])
    print(f"memory: {speed['one_thread'] / 1e9:.1f} GB/s with one thread, {speed['all_threads'] / 1e9:.1f} GB/s with {speed['threads']}; "
          f"{held['rows']:,} events in {held['segments']} segments, {held['bytes'] / 1e6:.0f} MB\n")
    table(rows, ["question", "ms", "columns", "MB stored", "MB decoded", "decoded GB/s", "stored / bandwidth", "decoded / bandwidth"])
    path = lab.results_path(args, "distance")
    write_json(path, {"bandwidth": speed, "rows": held["rows"], "segments": held["segments"], "bytes": held["bytes"], "queries": out,
                      "code": lab.version(args.binary)})
    print("\n" + path)


if __name__ == "__main__":
    main()
