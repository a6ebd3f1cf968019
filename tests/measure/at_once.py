"""16 questions at once: what they cost together, how fair it is, and what a runaway does to them."""
import concurrent.futures
import json
import random
import statistics
import threading
import time

from .kit import Client, Peak, mib, questions, serve


def p95(values):
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


def crowd(server, asked, clients, rounds, more=lambda: None):
    """Each client asks everything `rounds` times, in an order of its own. Returns (seconds, CPU seconds, {id: [ms]})."""
    times = {name: [] for name, _, _ in asked}

    def work(k):
        client, rng = Client(server), random.Random(k)
        for _ in range(rounds):
            for name, path, body in rng.sample(asked, len(asked)):
                times[name].append(client.timed(path, body))

    cpu, began = server.cpu_seconds(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(work, range(clients)))
    return time.monotonic() - began, server.cpu_seconds() - cpu, times


def run(args):
    with serve(args) as (s, manifest):
        asked = questions(args.data)
        crowd(s, asked, 1, 1)
        with Peak(s) as one_peak:
            seconds, cpu, alone = crowd(s, asked, 1, args.rounds)
        n = args.rounds * len(asked)
        rate_alone = n / seconds
        print(f"at-once: one at a time: {rate_alone:.1f} questions/s ({n} of {len(asked)} kinds in {seconds:.1f} s, {cpu / n * 1e3:.0f} ms CPU each), anonymous memory at most {mib(one_peak.most)} ({mib(one_peak.before)} before)")
        with Peak(s) as peak:
            seconds, cpu, crowded = crowd(s, asked, args.clients, args.rounds)
        n *= args.clients
        slower = {name: (statistics.median(t) / statistics.median(alone[name]), p95(t) / statistics.median(alone[name])) for name, t in crowded.items()}
        print(f"at-once: {args.clients} at once: {n / seconds:.1f} questions/s = {n / seconds / rate_alone:.2f} of one at a time ({cpu / n * 1e3:.0f} ms CPU each), anonymous memory at most {mib(peak.most)}")
        print("at-once: | question | alone, median ms | at once, median | p95 | p95 / alone |")
        for name, t in crowded.items():
            print(f"at-once: | {name} | {statistics.median(alone[name]):.1f} | {statistics.median(t):.0f} | {p95(t):.0f} | {slower[name][1]:.0f} |")
        print(f"at-once: p95 over the time alone: {min(s for _, s in slower.values()):.0f} to {max(s for _, s in slower.values()):.0f} times; the slowest of all {max(map(max, crowded.values())):.0f} ms")

        # Everything by span id and user, with a quantile each, over all of it.
        day = {"start_time": manifest["start_us"] // 1_000_000, "end_time": manifest["end_us"] // 1_000_000}
        run_away = {"calculations": [{"op": "COUNT"}, {"op": "P99", "column": "duration_ms"}, {"op": "COUNT_DISTINCT", "column": "user.id"}],
                    "breakdowns": ["trace.trace_id", "trace.span_id"], "orders": [{"op": "COUNT", "order": "descending"}], "limit": 1000} | day
        body = json.dumps({"dataset": "bench", "cache": False, "query": run_away}).encode()
        ends, stop = [], threading.Event()

        def runaway():
            client = Client(s)
            while not stop.is_set():
                at = time.monotonic()
                status, content = client.post("/api/v1/query", body)
                reply = json.loads(content)
                ends.append((status, time.monotonic() - at, reply.get("message") or f"coverage {reply['meta']['coverage']:.2f}"))

        with Peak(s) as peak:
            at = time.monotonic()
            status, content = Client(s).post("/api/v1/query", body)
            reply = json.loads(content)
            print(f"at-once: a runaway alone (two ids as groups): {status} after {time.monotonic() - at:.1f} s, {reply.get('message') or reply['meta']}; anonymous memory at most {mib(peak.most)}")
        away = threading.Thread(target=runaway)
        with Peak(s) as peak:
            away.start()
            seconds, cpu, beside = crowd(s, asked, args.clients - 1, max(1, args.rounds // 2))
            stop.set()
            away.join()
        n = (args.clients - 1) * max(1, args.rounds // 2) * len(asked)
        slower = [p95(t) / statistics.median(crowded[name]) for name, t in beside.items()]
        print(f"at-once: {args.clients - 1} beside a runaway: {n / seconds:.1f} questions/s, p95 {min(slower):.1f} to {max(slower):.1f} times the median without it, the slowest {max(map(max, beside.values())):.0f} ms, anonymous memory at most {mib(peak.most)}")
        for status, took, text in sorted(set((e[0], round(e[1], 1), e[2]) for e in ends))[:3]:
            print(f"at-once: the runaway ended {len(ends)} times, such as: {status} after {took} s: {text}")
