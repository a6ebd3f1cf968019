"""Series over time: buckets, granularity, RATE_*, CONCURRENCY, comparison with an earlier time (semantics 14, 18)."""

import pytest

from lib import times
from lib.times import T0

COUNT = {"op": "COUNT"}


def points(answer, key, *columns):
    """{(second after T0, group values…): value}, buckets without events left out."""
    out = {}
    for p in answer.series:
        second = times.parse_ns(p["time"]) / times.SECOND - T0
        value = p["data"].get(key)
        if value not in (0, None):
            out[(second, *[p["data"].get(c) for c in columns])] = value
    return out


def test_buckets_start_at_multiples_of_the_granularity(server, dataset):
    for second in (0, 1, 59, 60, 61, 125, 299, 300):
        server.send(dataset, {"s": second}, at=second)
    answer = server.query(dataset, {"calculations": [COUNT], "granularity": 60, "start_time": T0, "end_time": T0 + 301})
    assert points(answer, "COUNT") == {(0,): 3, (60,): 2, (120,): 1, (240,): 1, (300,): 1}


def test_a_start_between_buckets_is_not_rounded(server, dataset):
    for second in (0, 29, 30, 59, 60, 89, 90):
        server.send(dataset, {"s": second}, at=second)
    answer = server.query(dataset, {"calculations": [COUNT], "granularity": 60, "start_time": T0 + 30, "end_time": T0 + 90})
    assert answer.rows == [{"COUNT": 4}]
    assert points(answer, "COUNT") == {(0,): 2, (60,): 2}


def test_series_by_group(server, dataset):
    for i in range(12):
        server.send(dataset, {"g": "ab"[i % 2], "v": i}, at=i * 10)
    answer = server.query(dataset, {"calculations": [COUNT, {"op": "MAX", "column": "v"}], "breakdowns": ["g"], "granularity": 60, "start_time": T0, "end_time": T0 + 120})
    assert points(answer, "COUNT", "g") == {(0, "a"): 3, (0, "b"): 3, (60, "a"): 3, (60, "b"): 3}
    assert points(answer, "MAX(v)", "g") == {(0, "a"): 4, (0, "b"): 5, (60, "a"): 10, (60, "b"): 11}


def test_series_sums_to_the_result(server, dataset):
    server.batch(dataset, [{"time": times.at(i * 7.3), "samplerate": 1 + i % 5, "data": {"v": i}} for i in range(500)])
    for granularity in (1, 7, 60, 300, 3600):
        answer = server.query(dataset, {"calculations": [COUNT, {"op": "SUM", "column": "v"}], "granularity": granularity, "start_time": T0, "end_time": T0 + 3660})
        assert sum(p["data"]["COUNT"] for p in answer.series) == answer.only()["COUNT"]
        assert sum(p["data"]["SUM(v)"] or 0 for p in answer.series) == answer.only()["SUM(v)"]


def test_granularity_chosen_when_absent(server, dataset):
    server.send(dataset, *[{"v": i} for i in range(100)])
    answer = server.query(dataset, {"calculations": [COUNT], "start_time": T0, "end_time": T0 + 3600}, series=True)
    assert answer.series and sum(p["data"]["COUNT"] for p in answer.series) == 100
    assert len(answer.series) <= 1000


def test_series_only_of_the_groups_in_the_result(server, dataset):
    server.send(dataset, *[{"g": g} for g in "aaabbc"])
    answer = server.query(dataset, {"calculations": [COUNT], "breakdowns": ["g"], "orders": [{"op": "COUNT", "order": "descending"}], "limit": 2, "granularity": 60, "start_time": T0, "end_time": T0 + 60})
    assert [r["g"] for r in answer.rows] == ["a", "b"]
    assert {p["data"]["g"] for p in answer.series} <= {"a", "b"}


def test_disable_series(server, dataset):
    server.send(dataset, {"v": 1})
    assert server.query(dataset, {"calculations": [COUNT], "granularity": 60}, disable_series=True).series == []


def test_sub_second_granularity(server, dataset):
    server.batch(dataset, [{"time": times.at(i / 10), "data": {"v": i}} for i in range(20)])
    reply = server.ask(dataset, {"calculations": [COUNT], "granularity": 0.5, "start_time": T0, "end_time": T0 + 2})
    if reply.status == 200:
        got = [times.parse_ns(p["time"]) / times.SECOND - T0 for p in reply.json()["series"] if p["data"]["COUNT"]]
        assert got == [0, 0.5, 1, 1.5]
    else:
        assert 400 <= reply.status < 500


def test_too_many_buckets_are_refused_or_coarser(server, dataset):
    server.send(dataset, {"v": 1})
    reply = server.ask(dataset, {"calculations": [COUNT], "granularity": 1, "start_time": 1, "end_time": T0 + 1000})
    assert reply.status == 200 and len(reply.body) < 50_000_000 or 400 <= reply.status < 500


@pytest.mark.parametrize("granularity", [-1, "a minute", 1e300])
def test_senseless_granularity(server, dataset, granularity):
    server.send(dataset, {"v": 1})
    reply = server.ask(dataset, {"calculations": [COUNT], "granularity": granularity, "start_time": T0, "end_time": T0 + 60})
    assert 400 <= reply.status < 500 or (granularity == 1e300 and reply.status == 200)


BAD_TIMES = [
    ("end before start", {"start_time": T0 + 10, "end_time": T0}), ("all three", {"start_time": T0, "end_time": T0 + 10, "time_range": 10}),
    ("negative range", {"time_range": -5}), ("text", {"start_time": "noon", "end_time": T0}),
]


@pytest.mark.parametrize("bad", [b for _, b in BAD_TIMES], ids=[n for n, _ in BAD_TIMES])
def test_senseless_times_are_refused(server, dataset, bad):
    server.send(dataset, {"v": 1})
    server.refused(dataset, {"calculations": [COUNT]} | bad)


@pytest.mark.parametrize("times_of", [{"start_time": T0, "end_time": T0}, {"start_time": 0, "end_time": 1}, {"start_time": T0 + 86_400 * 365 * 5, "end_time": T0 + 86_400 * 365 * 5 + 60}], ids=["empty range", "1970", "future"])
def test_times_without_events_answer_emptily(server, dataset, times_of):
    server.send(dataset, {"v": 1})
    rows = server.query(dataset, {"calculations": [COUNT]} | times_of).rows
    assert rows in ([], [{"COUNT": 0}])


def test_concurrency_of_a_bucket_is_the_sum_of_overlaps(server, dataset):
    """Two spans of 60 s from 0 and 30, one of 120 s from 60; buckets of 60 s."""
    server.send(dataset, {"duration_ms": 60_000}, at=0)
    server.send(dataset, {"duration_ms": 60_000}, at=30)
    server.send(dataset, {"duration_ms": 120_000}, at=60)
    server.send(dataset, {"no_duration": 1}, at=0)
    answer = server.query(dataset, {"calculations": [{"op": "CONCURRENCY"}], "granularity": 60, "start_time": T0, "end_time": T0 + 240})
    got = points(answer, "CONCURRENCY")
    assert got == pytest.approx({(0,): 1.5, (60,): 1.5, (120,): 1.0})


def test_concurrency_weighs_and_groups(server, dataset):
    server.batch(dataset, [{"time": times.at(0), "samplerate": 10, "data": {"duration_ms": 30_000, "g": "a"}}, {"time": times.at(0), "data": {"duration_ms": 60_000, "g": "b"}}])
    answer = server.query(dataset, {"calculations": [{"op": "CONCURRENCY"}], "breakdowns": ["g"], "granularity": 60, "start_time": T0, "end_time": T0 + 60})
    assert points(answer, "CONCURRENCY", "g") == pytest.approx({(0, "a"): 5.0, (0, "b"): 1.0})


def test_concurrency_of_one_long_span(server, dataset):
    server.send(dataset, {"duration_ms": 3_600_000}, at=0)
    answer = server.query(dataset, {"calculations": [{"op": "CONCURRENCY"}], "granularity": 600, "start_time": T0, "end_time": T0 + 3600})
    assert points(answer, "CONCURRENCY") == pytest.approx({(i * 600,): 1.0 for i in range(6)})


@pytest.mark.parametrize("op,inner", [("RATE_SUM", sum), ("RATE_AVG", lambda v: sum(v) / len(v)), ("RATE_MAX", max)])
def test_rate_is_the_difference_to_the_bucket_before(server, dataset, op, inner):
    buckets = [[1, 2], [5, 5], [4], [10, 0, 2]]
    for b, values in enumerate(buckets):
        for k, v in enumerate(values):
            server.send(dataset, {"v": v}, at=b * 60 + k)
    answer = server.query(dataset, {"calculations": [{"op": op, "column": "v"}], "granularity": 60, "start_time": T0, "end_time": T0 + 240})
    got = {times.parse_ns(p["time"]) // times.SECOND - T0: p["data"][f"{op}(v)"] for p in answer.series}
    want = [inner(v) for v in buckets]
    for i in (1, 2, 3):
        assert got[i * 60] == pytest.approx(want[i] - want[i - 1]), got


def test_rate_by_group(server, dataset):
    """Also by a column of floats."""
    for b, v in ((0, 1), (60, 5), (120, 2)):
        server.send(dataset, {"v": v, "g": 16.5}, at=b)
        server.send(dataset, {"v": 10 * v, "g": "x"}, at=b)
    answer = server.query(dataset, {"calculations": [{"op": "RATE_SUM", "column": "v"}], "breakdowns": ["g"], "orders": [{"column": "g"}], "granularity": 60, "start_time": T0, "end_time": T0 + 180})
    got = points(answer, "RATE_SUM(v)", "g")
    assert {k: v for k, v in got.items() if k[0] > 0} == {(60, 16.5): 4, (120, 16.5): -3, (60, "x"): 40, (120, "x"): -30}


def test_heatmaps_of_groups_within_a_limit(server, dataset):
    """Every cell counts its own group's events only."""
    server.send(dataset, {"x": 409.1, "g": "A"}, {"x": 6.8, "g": "B"}, {"x": 7.0, "g": "B"})
    spec = {"calculations": [{"op": "HEATMAP", "column": "x"}, {"op": "COUNT"}], "breakdowns": ["g"], "orders": [{"op": "COUNT", "order": "descending"}], "limit": 1, "granularity": 60, "start_time": T0, "end_time": T0 + 60}
    answer = server.query(dataset, spec)
    assert [r["g"] for r in answer.rows] == ["B"]
    scale = answer.meta["heatmaps"]["HEATMAP(x)"]

    def values(cell):
        """The range of values of each bucket that holds something, by the documented formula."""
        n, zero = scale["buckets_per_octave"], scale["zero_below"]
        edge = lambda i: zero * 2 ** ((i - 1) // n) * (1 + ((i - 1) % n) / n)
        return [(edge(cell["from"] + k), edge(cell["from"] + k + 1)) for k, c in enumerate(cell["counts"]) if c]

    for cell in (answer.rows[0]["HEATMAP(x)"], answer.series[0]["data"]["HEATMAP(x)"]):
        assert sum(cell["counts"]) == 2
        assert all(low <= 7.0 and high > 6.8 for low, high in values(cell)), values(cell)


def test_comparison_with_an_earlier_time(server, dataset):
    day = 86_400
    for k in range(5):
        server.send(dataset, {"g": "a"}, at=k)
    for k in range(3):
        server.send(dataset, {"g": "a"}, at=k - day)
    server.send(dataset, {"g": "b"}, at=-day)
    reply = server.ask(dataset, {"calculations": [COUNT], "breakdowns": ["g"], "start_time": T0, "end_time": T0 + 60, "compare_time_offset_seconds": day})
    assert reply.status == 200, reply
    body = reply.json()
    assert [r["data"] for r in body["results"]] == [{"g": "a", "COUNT": 5}]
    compare = body["compare"]
    assert sorted((r["data"]["g"], r["data"]["COUNT"]) for r in compare["results"]) == [("a", 3), ("b", 1)]


@pytest.mark.parametrize("offset", [60, 1800, 12_345, 604_800])
def test_any_offset_is_accepted(server, dataset, offset):
    server.send(dataset, {"v": 1}, at=0)
    server.send(dataset, {"v": 2}, at=-offset)
    reply = server.ask(dataset, {"calculations": [{"op": "SUM", "column": "v"}], "start_time": T0, "end_time": T0 + 60, "compare_time_offset_seconds": offset})
    assert reply.status == 200, reply
    assert reply.json()["compare"]["results"][0]["data"] == {"SUM(v)": 2}


def test_percentile_series(server, dataset):
    server.batch(dataset, [{"time": times.at(i % 120), "data": {"v": i}} for i in range(1200)])
    answer = server.query(dataset, {"calculations": [{"op": "P50", "column": "v"}, {"op": "AVG", "column": "v"}], "granularity": 60, "start_time": T0, "end_time": T0 + 120})
    for p in answer.series:
        second = times.parse_ns(p["time"]) // times.SECOND - T0
        mine = sorted(i for i in range(1200) if second <= i % 120 < second + 60)
        assert mine[len(mine) // 2 - 1] * 0.989 <= p["data"]["P50(v)"] <= mine[len(mine) // 2] * 1.011
        assert p["data"]["AVG(v)"] == pytest.approx(sum(mine) / len(mine))
