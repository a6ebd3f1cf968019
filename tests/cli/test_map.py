"""wideye map: what it asks, and what it shows."""
import json

import pytest

from lib import times
from lib.cli import wideye
from lib.times import T0

TIME = ("--from", str(T0), "--to", str(T0 + 60))


def fill(server, dataset):
    def span(id, parent, service, ms, **more):
        return {"time": times.at(1), "data": {"trace.trace_id": "t", "trace.span_id": id, "service.name": service, "duration_ms": ms} | ({"trace.parent_id": parent} if parent else {}) | more}

    server.batch(dataset, [span("a", None, "web", 90), span("b", "a", "web", 80, **{"span.kind": "client"}), span("c", "b", "cart", 70, error=True),
                           span("d", "c", "cart", 5, **{"span.kind": "client", "db.system": "redis"}), span("e", "gone", "cart", 1)])


def run(server, *args):
    r = wideye("map", *args, "--url", server.url)
    assert r.returncode == 0, r.stderr
    return r.stdout


def test_table(server, dataset):
    fill(server, dataset)
    lines = [line.split() for line in run(server, "-d", dataset, *TIME).splitlines()]
    assert lines[0][:2] == ["service", "calls"]
    assert [(line[0], line[1]) if line[0] in "├─└─" else line[0] for line in lines[1:6]] == ["web", ("└─", "cart"), "cart", ("└─", "~redis"), "~redis"]
    assert lines[1][1] == "1" and lines[2][2] == "1" and lines[2][4:7] == ["1", "100.0", "%"] and lines[2][-2:] == ["70", "70"]
    assert lines[3][1] == "2" and lines[4][2:4] == ["(database)", "1"]
    assert " ".join(lines[6]).startswith("1 requests name a parent that is not there")


def test_json_and_conditions(server, dataset):
    fill(server, dataset)
    def edges(*args):
        return {(e["caller"], e["callee"]) for e in json.loads(run(server, "-d", dataset, *TIME, "--json", *args))["edges"]}

    assert edges() == {("web", "cart"), ("cart", "redis")}
    assert edges("--where", "error = true") == {("web", "cart")}
    assert edges("where duration_ms < 10") == {("cart", "redis")}
    assert edges("--no-inferred") == {("web", "cart")}
    assert edges("--service", "redis") == {("cart", "redis")}
    assert edges("--limit", "1") == {("cart", "redis")}


def test_nothing_matches(server, dataset):
    fill(server, dataset)
    assert "no spans" in run(server, "-d", dataset, "--last", "1m")


def test_what_it_asks():
    r = wideye("map", "where root.name = x last 1h", "--service", "a", "--no-inferred", "-n", "5", "--show-spec")
    assert json.loads(r.stdout) == {"dataset": "__all__", "query": {"filters": [{"column": "root.name", "op": "=", "value": "x"}], "time_range": 3600.0}, "services": ["a"], "inferred": False, "limit": 5}
    assert "Examples:" in wideye("map", "--help").stdout


@pytest.mark.parametrize("command", [("map",), ("contrast", "--select", "error = true")])
@pytest.mark.parametrize("clause", ["COUNT", "EVENTS(name)", "by name", "order by COUNT", "top 5", "limit 5", "every 5m", "having COUNT > 5", "compare 1h"])
def test_clauses_that_mean_nothing_to_it_are_refused(command, clause):
    wrong = wideye(*command, f"{clause} last 1h", "--show-spec")
    assert wrong.returncode != 0 and "takes the clauses" in wrong.stderr, (wrong.stdout, wrong.stderr)
    assert wideye(*command, "in shop where a = 1 from 2026-01-31 to 2026-02-01 unweighted", "--show-spec").returncode == 0
