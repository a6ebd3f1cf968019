#!/usr/bin/env python3
"""Writes the tables of docs/performance.md from bench/results.

    make bench-tables                       # newest results of each size
    python3 bench/table.py --check          # fails if the page does not say what the results say

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; what stands there is replaced. NAME is a function of
this file and its arguments, for example `queries 5000000`. Without a result a table stays as it is.
"""
import argparse
import glob
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(os.path.dirname(HERE), "docs", "performance.md")
TITLES = {
    "Q1": "quantiles by service, every 5 minutes", "Q2": "users with most errors, selective", "Q2b": "the same, less selective",
    "Q3": "180,000 groups, P95, top 100", "Q4": "heatmap of a day", "Q5": "a trace with all columns", "Q6x": "exact distinct users",
    "Q6a": "distinct users, approximate", "Q6g": "a million groups, top 100", "Q7": "contrast, 98 text columns",
    "Q7n": "contrast, 48 number columns", "Q8": "needle behind six filters", "Q8n": "substring in the name", "Q9": "last 15 minutes"}
GOALS = {q: .25 for q in ("Q1", "Q2", "Q2b", "Q4")} | {q: .33 for q in ("Q3", "Q6x", "Q6g")} | \
        {q: .5 for q in ("Q6a", "Q8", "Q8n", "Q5", "Q9")} | {"Q7": .05, "Q7n": .05}
ENGINES = {"duckdb": "DuckDB", "clickhouse": "ClickHouse", "wideye": "wideye"}


def result(folder, rows, what, machine=None):
    """The newest result of a benchmark with so many events, of one machine if it is named."""
    found = []
    for path in glob.glob(os.path.join(folder, f"*-{rows}-{what}.json")):
        with open(path) as f:
            found.append(json.load(f))
    return max((r for r in found if machine in (None, r["machine"])), key=lambda r: r["date"], default=None)


def markdown(head, rows, left=1):
    line = "|" + "|".join("---" if i < left else "---:" for i in range(len(head))) + "|"
    return "\n".join(["| " + " | ".join(head) + " |", line] + ["| " + " | ".join(map(str, r)) + " |" for r in rows])


def ms(x):
    return "-" if x is None else f"{x:.0f}" if x >= 100 else f"{x:.1f}"


def spread(x):
    return f"{ms(x['median'])} <sub>{ms(x['min'])}-{ms(x['max'])}</sub>" if "median" in x else "failed"


def geomean(xs):
    import math
    return math.exp(sum(map(math.log, xs)) / len(xs)) if xs else float("nan")


def about(r):
    code = r.get("code", {})
    return f"{r['machine']}; {r['date'][:10]}, commit `{code.get('commit', '?')}`"


def questions(r, goals):
    rows, ratios = [], []
    for q, by in r["queries"].items():
        ratio = by.get("ratio")
        ratios += [ratio] if ratio else []
        goal = GOALS.get(q) if goals else 1
        rows.append([f"{q} {TITLES.get(q, '')}"] + [spread(by[e]) for e in ENGINES] +
                    [f"{ratio:.3f}" if ratio else "-", f"≤ {goal}" if not ratio or ratio <= goal else f"≤ {goal} **missed**"])
    mean = geomean(ratios)
    rows.append(["geometric mean", "", "", "", f"{mean:.3f}", ("≤ 0.2" if mean <= .2 else "≤ 0.2 **missed**") if goals else ""])
    return markdown(["question", *(f"{e} ms" for e in ENGINES.values()), "wideye / best", "goal"], rows)


def queries(folder, rows):
    r = result(folder, rows, "queries")
    if not r:
        return None
    loud = [q for q, by in r["queries"].items() if by.get("others", 0) > .1 and by.get("duckdb", {}).get("median", 0) > 100]
    wrong = [f"{q}: {ENGINES[e]} {by[e]['verdict']}" for q, by in r["queries"].items() for e in ENGINES if by.get(e, {}).get("verdict", "ok") != "ok"]
    out = f"{about(r)}; medians of {r['runs']} (and the least and most), warm.\n\n" + questions(r, True)
    disk = {e: r["load"][e]["bytes"] / 1e6 for e in ENGINES}
    out += "\n\nBytes on disk, MB: " + ", ".join(f"{ENGINES[e]} {b:.0f}" for e, b in disk.items()) + \
        f"; wideye's are {disk['wideye'] / disk['clickhouse']:.2f} of ClickHouse's. Peak memory, MB: " + \
        ", ".join(f"{ENGINES[e]} {r['engines'][e].get('peak_rss_mb', 0):.0f}" for e in ENGINES) + "."
    out += "\n\nAnswers that differ from the exact ones: " + ("; ".join(wrong) or "none") + "."
    return out + (f"\n\nThe machine was not quiet during {', '.join(loud)}." if loud else "")


def cold(folder, rows):
    r = result(folder, rows, "cold")
    return r and f"{about(r)}; medians of {r['runs']} (and the least and most), nothing of the data in memory.\n\n" + questions(r, False)


def growth(folder, small, large):
    """How the times grow with the data."""
    b = result(folder, large, "queries")
    a = b and result(folder, small, "queries", b["machine"])
    if not a or not b:
        return None
    times = int(large) / int(small)
    rows = []
    for q in a["queries"]:
        row = [f"{q} {TITLES.get(q, '')}"]
        for e in ENGINES:
            x, y = a["queries"][q][e].get("median"), b["queries"].get(q, {}).get(e, {}).get("median")
            row.append(f"{y / x:.1f}" if x and y else "-")
        rows.append(row)
    return f"Time with {int(large):,} events over that with {int(small):,} ({times:.0f} times the events).\n\n" + \
        markdown(["question", *ENGINES.values()], rows)


def ingest(folder, rows):
    r = result(folder, rows, "ingest")
    if not r:
        return None
    name = {"duckdb": "DuckDB, one bulk statement", "duckdb batched": "DuckDB, a commit per 2,000", "clickhouse": "ClickHouse, one bulk statement",
            "clickhouse batched": "ClickHouse, a commit per 2,000", "wideye": "wideye, HTTP, 8 connections, synced before each ack"}
    out = []
    for label, runs in r["results"].items():
        x = runs[len(runs) // 2]
        out.append([name.get(label, label), f"{x['rate']:,.0f}", f"{x['rate_per_cpu_s']:,.0f}", f"{x['settled_rate_per_cpu_s']:,.0f}", f"{x['bytes_per_event']:.0f}"])
    text = f"{about(r)}; {r['events']:,} JSON events, zstd.\n\n" + \
        markdown(["ingest", "events/s", "per CPU second", "with merges", "bytes on disk per event"], out)
    one = {k: v[len(v) // 2] for k, v in r["results"].items()}
    if "wideye" in one and "clickhouse" in one:
        w, c = one["wideye"], one["clickhouse"]
        text += f"\n\nPer CPU second {w['rate_per_cpu_s'] / c['rate_per_cpu_s']:.2f} times ClickHouse's bulk rate (goal: 2), " \
                f"{w['settled_rate_per_cpu_s'] / c['settled_rate_per_cpu_s']:.2f} times with merges."
    return text


def distance(folder, rows):
    r = result(folder, rows, "distance")
    if not r:
        return None
    b = r["bandwidth"]
    out = [[f"{q} {TITLES.get(q, '')}", x["columns"], f"{x['stored_bytes'] / 1e6:.1f}", f"{x['decoded_bytes'] / 1e6:.0f}", ms(x["ms"]),
            f"{x['decoded_bytes'] / x['ms'] / 1e6:.1f}", f"{x['stored_share']:.1%}", f"{x['decoded_share']:.0%}"] for q, x in r["queries"].items()]
    return f"{about(r)}. Memory gives {b['one_thread'] / 1e9:.1f} GB/s to one thread, {b['all_threads'] / 1e9:.1f} GB/s to {b['threads']}.\n\n" + markdown(
        ["question", "columns", "MB stored", "MB decoded", "ms", "decoded GB/s", "stored / bandwidth", "decoded / bandwidth"], out)


def dashboard(folder, rows):
    newest = result(folder, rows, "dashboard*")
    if not newest:
        return None
    names = {re.search(r"-(dashboard[^/]*).json$", path)[1] for path in glob.glob(os.path.join(folder, f"*-{rows}-dashboard*.json"))}
    of_machine = [r for r in (result(folder, rows, name, newest["machine"]) for name in names) if r]
    out = []
    for r in sorted(of_machine, key=lambda r: -r["growth"]):
        m = r["median"]
        goal = "≥ 20" if r["factor"] >= 20 else "≥ 20 **missed**"
        out.append([f"{r['growth']:.2%}, {r['growth'] * 24 * 60:.1f} minutes", f"{m['cpu_ms']:.0f}", f"{m['cached_cpu_ms']:.1f}", f"{r['factor']:.1f}", goal,
                    f"{m['ms']:.0f}", f"{m['cached_ms']:.0f}", len(r["rounds"]) - 1])
    n, differ, inexact = (sum(f(r) for r in of_machine) for f in (lambda r: r["answers"], lambda r: len(r["answers_differ"]),
                                                                  lambda r: r["answers_not_bit_identical"]))
    head = ["new between two rounds", "CPU ms, cache off", "cache on", "times less", "goal", "answered after ms, cache off", "cache on", "rounds"]
    return f"{about(newest)}; {newest['rows']:,} events a day, medians of the rounds.\n\n" + markdown(head, out) + \
        f"\n\n{n} answers compared: {differ} differ, {inexact} differ in the last bits of a sum of floats."


def cost(folder, rows):
    r = result(folder, rows, "cost")
    if not r:
        return None

    def part(title, what):
        return markdown([title, "µs per event"], [[k, f"{v:.2f}"] for k, v in sorted(what.items(), key=lambda x: -x[1]) if v >= .005])
    s = r["bytes"]
    return f"{about(r)}; {r['events']:,} events, {r['cpu_us_acked']:.2f} µs of CPU each until all were acknowledged, {r['cpu_us']:.2f} µs until " \
        f"sealed and compacted. Bytes per event: {s['json']:.0f} of JSON, {s['sent']:.0f} over the socket, {s['kept']:.0f} in segments.\n\n" + \
        part("by thread", r["threads_us"]) + ("\n\n" + part("by code", r["code_us"]) if r["code_us"] else "") + \
        ("\n\nScan, ns of CPU per event held, by question: " + ", ".join(f"{q} {x:.2f}" for q, x in r["scan_ns"].items()) + "." if r["scan_ns"] else "")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--results", default=os.path.join(HERE, "results"))
    p.add_argument("--page", default=PAGE)
    p.add_argument("--check", action="store_true")
    args = p.parse_args()
    with open(args.page) as f:
        page = f.read()
    tables = {f.__name__: f for f in (queries, cold, growth, ingest, distance, dashboard, cost)}

    def fill(match):
        name, *more = match[1].split()
        text = tables[name](args.results, *more) or match[2].strip() or "Not measured on the present code."
        return f"<!-- table: {match[1]} -->\n\n{text}\n\n<!-- end -->"
    new = re.sub(r"<!-- table: ([^>]*?) -->(.*?)<!-- end -->", fill, page, flags=re.S)
    if args.check:
        sys.exit("docs/performance.md does not say what bench/results say: make bench-tables" if new != page else 0)
    with open(args.page, "w") as f:
        f.write(new)
    print(f"{args.page}: {len(re.findall('<!-- table:', new))} tables")


if __name__ == "__main__":
    main()
