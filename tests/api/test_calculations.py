"""Calculations over small tables that a reader can check by hand: weights, percentiles, mixed kinds (semantics 13, 16, 17)."""
import math

import pytest

from lib import times

ALL_PERCENTILES = {"P001": 0.001, "P01": 0.01, "P05": 0.05, "P10": 0.1, "P20": 0.2, "P25": 0.25, "P50": 0.5, "P75": 0.75, "P80": 0.8, "P90": 0.9, "P95": 0.95, "P99": 0.99, "P999": 0.999}


def calc(server, ds, *ops, **more):
    """One row: op, or (op, column)."""
    calculations = [{"op": o} if isinstance(o, str) else {"op": o[0], "column": o[1]} for o in ops]
    return server.query(ds, {"calculations": calculations} | more).only()


@pytest.fixture(scope="module")
def weighted(shared_server):
    """v: 1 (×1), 2 (×10), 3 (×100), none (×1000), text (×5)."""
    name = "weighted"
    shared_server.batch(name, [{"time": times.at(i), "samplerate": r, "data": d} for i, (r, d) in enumerate([
        (1, {"v": 1, "g": "a"}), (10, {"v": 2, "g": "a"}), (100, {"v": 3, "g": "b"}), (1000, {"g": "b"}), (5, {"v": "text", "g": "b"})])])
    return name


def test_weights(server, weighted):
    row = calc(server, weighted, "COUNT", ("SUM", "v"), ("AVG", "v"), ("MIN", "v"), ("MAX", "v"), ("COUNT_DISTINCT", "v"), ("P50", "v"))
    assert row["COUNT"] == 1116
    assert row["SUM(v)"] == 1 + 20 + 300
    assert row["AVG(v)"] == pytest.approx(321 / 111)
    assert (row["MIN(v)"], row["MAX(v)"]) == (1, 3)
    assert row["COUNT_DISTINCT(v)"] == 4
    assert row["P50(v)"] == pytest.approx(3, rel=0.011)


def test_usage_mode_leaves_weights_out(server, weighted):
    row = calc(server, weighted, "COUNT", ("SUM", "v"), ("AVG", "v"), ("MIN", "v"), ("MAX", "v"), ("P50", "v"), usage_mode=True)
    assert (row["COUNT"], row["SUM(v)"], row["AVG(v)"], row["MIN(v)"], row["MAX(v)"]) == (5, 6, 2, 1, 3)
    assert row["P50(v)"] == pytest.approx(2, rel=0.011)


def test_weights_by_group(server, weighted):
    rows = server.query(weighted, {"calculations": [{"op": "COUNT"}, {"op": "SUM", "column": "v"}], "breakdowns": ["g"]}).by("g")
    assert rows["a"] == {"g": "a", "COUNT": 11, "SUM(v)": 21} and rows["b"] == {"g": "b", "COUNT": 1105, "SUM(v)": 300}


def test_count_of_a_column_is_the_count(server, weighted):
    row = calc(server, weighted, ("COUNT", "v"))
    assert list(row.values())[0] in (1116, 116)  # Honeycomb leaves the column out of account
    rows = server.query(weighted, {}).rows
    assert rows == [{"COUNT": 1116}], "no calculations at all is COUNT"


def test_arithmetic_looks_at_numbers_only(server, dataset):
    server.send(dataset, {"v": 10, "w": "only"}, {"v": "20"}, {"v": True}, {"v": 2.5}, {"v": ""}, {"w": "text"})
    row = calc(server, dataset, ("SUM", "v"), ("AVG", "v"), ("MIN", "v"), ("MAX", "v"), ("P50", "v"), ("COUNT_DISTINCT", "v"))
    assert (row["SUM(v)"], row["AVG(v)"], row["MIN(v)"], row["MAX(v)"]) == (12.5, 6.25, 2.5, 10)
    assert row["COUNT_DISTINCT(v)"] == 5
    row = calc(server, dataset, ("SUM", "w"), ("AVG", "w"), ("MIN", "w"), ("MAX", "w"), ("P99", "w"), ("COUNT_DISTINCT", "w"))
    assert [row[f"{op}(w)"] for op in ("SUM", "AVG", "MIN", "MAX", "P99")] == [None] * 5
    assert row["COUNT_DISTINCT(w)"] == 2


def test_group_without_numbers_is_null_beside_one_with(server, dataset):
    server.send(dataset, {"g": "numbers", "v": 1}, {"g": "text", "v": "x"}, {"g": "missing"})
    rows = server.query(dataset, {"calculations": [{"op": "SUM", "column": "v"}, {"op": "P90", "column": "v"}, {"op": "COUNT_DISTINCT", "column": "v"}], "breakdowns": ["g"]}).by("g")
    assert rows["numbers"]["SUM(v)"] == 1 and rows["text"]["SUM(v)"] is None and rows["missing"]["SUM(v)"] is None
    assert rows["missing"]["P90(v)"] is None
    assert [rows[g]["COUNT_DISTINCT(v)"] for g in ("numbers", "text", "missing")] == [1, 1, 0]


def test_integer_sums_are_exact(server, dataset):
    server.send(dataset, {"v": 2**53}, {"v": 1}, {"v": 1}, {"v": -(2**40)})
    assert calc(server, dataset, ("SUM", "v"))["SUM(v)"] == 2**53 + 2 - 2**40
    assert calc(server, dataset, ("MIN", "v"), ("MAX", "v")) == {"MIN(v)": -(2**40), "MAX(v)": 2**53}


def test_extremes_keep_64_bits(server, dataset):
    server.send(dataset, {"v": 2**63 - 1}, {"v": -(2**63)}, {"v": 2**53 + 1})
    assert calc(server, dataset, ("MIN", "v"), ("MAX", "v")) == {"MIN(v)": -(2**63), "MAX(v)": 2**63 - 1}


def test_sum_beyond_64_bits_does_not_wrap(server, dataset):
    server.send(dataset, *[{"v": 2**63 - 1}] * 4)
    assert calc(server, dataset, ("SUM", "v"))["SUM(v)"] == pytest.approx(4 * (2**63 - 1))
    assert calc(server, dataset, ("AVG", "v"))["AVG(v)"] == pytest.approx(2**63 - 1)


def weighted_rank(values, q):
    """The values on both sides of the weighted rank q."""
    values = sorted(values)
    total = sum(w for _, w in values)
    at, below = 0, values[0][0]
    for v, w in values:
        at += w
        if at >= q * total - 1e-9:
            following = [x for x, _ in values if x > v]
            return below, v, (following or [v])[0]
        below = v
    return values[-1][0], values[-1][0], values[-1][0]


@pytest.mark.parametrize("name,values", [
    ("one", [(7, 1)]), ("two", [(1, 1), (2, 1)]), ("hundred", [(i, 1) for i in range(1, 101)]), ("thousand", [(i * 1.5, 1) for i in range(1, 1001)]),
    ("weights", [(1, 900), (10, 90), (100, 9), (1000, 1)]), ("negative", [(-i, 1 + i % 3) for i in range(200)]),
    ("wide", [(10.0 ** e, 1) for e in range(-9, 10)]), ("signs", [(i, 1) for i in range(-50, 51)]), ("same", [(5, 3)] * 40), ("zeros", [(0, 1)] * 60 + [(1, 1)] * 40),
], ids=lambda x: x if isinstance(x, str) else "")
def test_percentiles_lie_next_to_the_weighted_rank(server, dataset, name, values):
    server.batch(dataset, [{"time": times.at(i % 1000), "samplerate": w, "data": {"v": v}} for i, (v, w) in enumerate(values)])
    row = calc(server, dataset, *[(op, "v") for op in ALL_PERCENTILES])
    for op, q in ALL_PERCENTILES.items():
        low, mid, high = weighted_rank(values, q)
        slack = lambda x: abs(x) * 0.011 + 1e-12
        got = row[f"{op}(v)"]
        assert low - slack(low) <= got <= high + slack(high), f"{op}: {got} not near {mid}"


def test_count_distinct(server, dataset):
    server.send(dataset, *[{"id": f"user-{i % 700}", "n": i % 50, "mixed": [5, "5", 5.5, True][i % 4]} for i in range(3000)])
    row = calc(server, dataset, ("COUNT_DISTINCT", "id"), ("COUNT_DISTINCT", "n"), ("COUNT_DISTINCT", "mixed"))
    assert row == {"COUNT_DISTINCT(id)": 700, "COUNT_DISTINCT(n)": 50, "COUNT_DISTINCT(mixed)": 4}


def test_count_distinct_of_many_is_near(server, dataset):
    for block in range(5):
        server.send(dataset, *[{"id": f"{block}-{i}"} for i in range(8000)], at=block)
    got = calc(server, dataset, ("COUNT_DISTINCT", "id"))["COUNT_DISTINCT(id)"]
    assert got == pytest.approx(40_000, rel=0.03)


def heat_total(cell):
    if isinstance(cell, dict) and "buckets" in cell:
        return sum(b["count"] for b in cell["buckets"])
    return sum(cell["counts"]) if isinstance(cell, dict) else sum(b["count"] for b in cell)


def test_heatmap_totals_are_the_weight_of_numeric_cells(server, dataset):
    values = [0, -1, -1000, 0.001, 1, 5, 5, 5.0, 1e9, 123456]
    server.batch(dataset, [{"time": times.at(i), "samplerate": i + 1, "data": {"v": v, "g": "a"}} for i, v in enumerate(values)]
                 + [{"time": times.at(1), "data": {"v": "text", "g": "a"}}, {"time": times.at(1), "data": {"g": "b"}}])
    total = sum(range(1, len(values) + 1))
    assert heat_total(calc(server, dataset, ("HEATMAP", "v"))["HEATMAP(v)"]) == total
    assert heat_total(calc(server, dataset, ("HEATMAP", "v"), usage_mode=True)["HEATMAP(v)"]) == len(values)
    answer = server.query(dataset, {"calculations": [{"op": "HEATMAP", "column": "v"}], "granularity": 5, "start_time": times.T0, "end_time": times.T0 + 10})
    assert sum(heat_total(p["data"]["HEATMAP(v)"]) for p in answer.series if p["data"].get("HEATMAP(v)")) == total
    rows = server.query(dataset, {"calculations": [{"op": "HEATMAP", "column": "v"}], "breakdowns": ["g"]}).by("g")
    assert heat_total(rows["a"]["HEATMAP(v)"]) == total
    assert rows["b"]["HEATMAP(v)"] is None or heat_total(rows["b"]["HEATMAP(v)"]) == 0


def test_heatmap_day_is_compact(server, dataset):
    """288 columns of five minutes, thousands of different values: mind the bytes."""
    events = [{"time": times.at(i * 8), "data": {"v": math.exp((i * 7919 % 10_000) / 1000)}} for i in range(10_000)]
    server.batch(dataset, events)
    reply = server.ask(dataset, {"calculations": [{"op": "HEATMAP", "column": "v"}], "granularity": 300, "start_time": times.T0, "end_time": times.T0 + 86_400})
    assert reply.status == 200
    assert len(reply.body) < 1_000_000, len(reply.body)


def test_several_calculations_and_names(server, weighted):
    answer = server.query(weighted, {"calculations": [{"op": "COUNT", "name": "n"}, {"op": "SUM", "column": "v", "name": "total"}, {"op": "MAX", "column": "v"}, {"op": "MAX", "column": "g"}]})
    assert answer.only() == {"n": 1116, "total": 321, "MAX(v)": 3, "MAX(g)": None}


def test_calculation_over_a_breakdown(server, weighted):
    rows = server.query(weighted, {"calculations": [{"op": "COUNT_DISTINCT", "column": "g"}, {"op": "COUNT"}], "breakdowns": ["g"]}).by("g")
    assert rows["a"] == {"g": "a", "COUNT_DISTINCT(g)": 1, "COUNT": 11}


def test_no_matching_event(server, weighted):
    """Nothing matched: an empty answer, or one row of 0 and nulls; never an error."""
    rows = server.query(weighted, {"calculations": [{"op": "COUNT"}, {"op": "AVG", "column": "v"}], "filters": [{"column": "g", "op": "=", "value": "none"}]}).rows
    assert rows in ([], [{"COUNT": 0, "AVG(v)": None}])
    rows = server.query(weighted, {"calculations": [{"op": "COUNT"}], "breakdowns": ["g"], "start_time": 1_000_000_000, "end_time": 1_000_000_100}).rows
    assert rows == []


@pytest.mark.parametrize("bad", [{"op": "MEDIAN", "column": "v"}, {"op": "sum", "column": "v"}, {"op": "SUM"}, {"op": "P50"}, {"op": "HEATMAP"}, {"op": "COUNT_DISTINCT"}, {"column": "v"}, {"op": "P42", "column": "v"}, {"op": "SUM", "column": "no_such"}, {"op": "RATE_MIN", "column": "v"}], ids=str)
def test_malformed_calculations_are_refused(server, weighted, bad):
    text = server.refused(weighted, {"calculations": [bad]})
    if bad.get("column") == "no_such":
        assert "no_such" in text
