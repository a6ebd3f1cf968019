"""Breakdowns, orders, havings, limits (semantics 13, 19, 22)."""
import pytest

from lib import times


COUNT = {"op": "COUNT"}


@pytest.fixture(scope="module")
def ds(shared_server):
    """Services a..j: service i has i+1 events; cost = 10 − i each; region alternates."""
    name = "groups"
    rows = [{"service": "abcdefghij"[i], "region": "eu" if i % 2 else "us", "cost": 10 - i, "k": k} for i in range(10) for k in range(i + 1)]
    shared_server.send(name, *rows)
    return name


def services(answer):
    return "".join(r["service"] for r in answer.rows)


def test_breakdown(server, ds):
    rows = server.query(ds, {"calculations": [COUNT], "breakdowns": ["service"]}).by("service")
    assert {k: r["COUNT"] for k, r in rows.items()} == {s: i + 1 for i, s in enumerate("abcdefghij")}


def test_breakdown_without_calculations_counts(server, ds):
    rows = server.query(ds, {"breakdowns": ["region"]}).by("region")
    assert {k: r["COUNT"] for k, r in rows.items()} == {"us": 25, "eu": 30}


def test_two_breakdowns(server, ds):
    rows = server.query(ds, {"calculations": [COUNT], "breakdowns": ["region", "cost"]}).by("region", "cost")
    assert rows[("us", 10)]["COUNT"] == 1 and rows[("eu", 1)]["COUNT"] == 10 and len(rows) == 10


def test_missing_group_value_is_null(server, dataset):
    server.send(dataset, {"a": "x", "b": 1}, {"a": "x"}, {"b": 1}, {"c": 1}, {"a": "", "b": 0})
    rows = server.query(dataset, {"calculations": [COUNT], "breakdowns": ["a"]}).by("a")
    assert {k: r["COUNT"] for k, r in rows.items()} == {"x": 2, None: 2, "": 1}
    rows = server.query(dataset, {"calculations": [COUNT], "breakdowns": ["a", "b"]}).by("a", "b")
    assert {k: r["COUNT"] for k, r in rows.items()} == {("x", 1): 1, ("x", None): 1, (None, 1): 1, (None, None): 1, ("", 0): 1}


def test_groups_of_every_kind(server, dataset):
    values = ["text", "", 5, 5.5, -1, True, False, "5", "true", 2**63 - 1, "0af7651916cd43dd8448eb211c80319c", "123e4567-e89b-12d3-a456-426614174000"]
    server.send(dataset, *[{"v": v} for v in values])
    rows = server.query(dataset, {"calculations": [COUNT], "breakdowns": ["v"]}).rows
    assert sorted(map(repr, (r["v"] for r in rows))) == sorted(map(repr, values))


def test_breakdown_by_each_of_many_values(server, dataset):
    server.send(dataset, *[{"id": f"id-{i:05}"} for i in range(9_999)])
    rows = server.query(dataset, {"calculations": [COUNT], "breakdowns": ["id"], "limit": 10_000}, disable_series=True).rows
    assert len(rows) == 9_999 and {r["COUNT"] for r in rows} == {1}


def test_eighty_one_breakdowns(server, dataset):
    server.send(dataset, {f"b{i}": i for i in range(81)})
    row = server.query(dataset, {"calculations": [COUNT], "breakdowns": [f"b{i}" for i in range(81)]}).only()
    assert row == {f"b{i}": i for i in range(81)} | {"COUNT": 1}


ORDERS = [
    ([{"op": "COUNT", "order": "descending"}], "jihgfedcba"),
    ([{"op": "COUNT", "order": "ascending"}], "abcdefghij"),
    ([{"op": "COUNT"}], "abcdefghij"),
    ([{"op": "COUNT", "column": None, "order": "descending"}], "jihgfedcba"),
    ([{"column": "service", "order": "descending"}], "jihgfedcba"),
    ([{"column": "service"}], "abcdefghij"),
    ([{"op": "AVG", "column": "cost", "order": "ascending"}], "jihgfedcba"),
    ([{"column": "region"}, {"op": "COUNT", "order": "descending"}], "jhfdbigeca"),
    ([{"column": "region", "order": "descending"}, {"column": "service"}], "acegibdfhj"),
]


@pytest.mark.parametrize("orders,want", ORDERS, ids=[str(o) for o, _ in ORDERS])
def test_orders(server, ds, orders, want):
    answer = server.query(ds, {"calculations": [COUNT, {"op": "AVG", "column": "cost"}], "breakdowns": ["service", "region"], "orders": orders})
    assert services(answer) == want


def test_order_then_limit(server, ds):
    spec = {"calculations": [COUNT], "breakdowns": ["service"], "orders": [{"op": "COUNT", "order": "descending"}]}
    assert services(server.query(ds, spec | {"limit": 3})) == "jih"
    assert services(server.query(ds, spec | {"limit": 1})) == "j"
    assert services(server.query(ds, spec | {"limit": 1000})) == "jihgfedcba"


HAVINGS = [
    ([{"calculate_op": "COUNT", "op": ">", "value": 7}], "hij"),
    ([{"calculate_op": "COUNT", "op": ">=", "value": 7}], "ghij"),
    ([{"calculate_op": "COUNT", "op": "<", "value": 3}], "ab"),
    ([{"calculate_op": "COUNT", "op": "<=", "value": 3}], "abc"),
    ([{"calculate_op": "COUNT", "op": "=", "value": 3}], "c"),
    ([{"calculate_op": "COUNT", "op": "!=", "value": 3}], "abdefghij"),
    ([{"calculate_op": "AVG", "column": "cost", "op": "<", "value": 2.5}], "ij"),
    ([{"calculate_op": "COUNT", "op": ">", "value": 2}, {"calculate_op": "COUNT", "column": None, "op": "<", "value": 5}], "cd"),
]


@pytest.mark.parametrize("havings,want", HAVINGS, ids=[str(h) for h, _ in HAVINGS])
def test_havings(server, ds, havings, want):
    spec = {"calculations": [COUNT, {"op": "AVG", "column": "cost"}], "breakdowns": ["service"], "havings": havings, "orders": [{"column": "service"}]}
    assert services(server.query(ds, spec)) == want


def test_having_applies_before_limit(server, ds):
    spec = {"calculations": [COUNT], "breakdowns": ["service"], "orders": [{"op": "COUNT", "order": "descending"}], "limit": 2, "havings": [{"calculate_op": "COUNT", "op": "<", "value": 6}]}
    assert services(server.query(ds, spec)) == "ed"


@pytest.mark.parametrize("limit", [0, -1, -(2**63), 10_001, 2**31, 2**63 - 1])
def test_limits_out_of_range_are_refused(server, ds, limit):
    server.refused(ds, {"calculations": [COUNT], "breakdowns": ["service"], "limit": limit})


@pytest.mark.parametrize("limit", [1, 1000, 10_000])
def test_limits_in_range(server, ds, limit):
    assert len(server.query(ds, {"calculations": [COUNT], "breakdowns": ["service"], "limit": limit}, disable_series=True).rows) == min(limit, 10)


def test_default_limit_is_a_thousand(server, dataset):
    server.send(dataset, *[{"id": i} for i in range(1500)])
    assert len(server.query(dataset, {"calculations": [COUNT], "breakdowns": ["id"]}).rows) == 1000


REFUSED = [
    ("order outside the calculations", {"orders": [{"op": "SUM", "column": "cost"}]}),
    ("order by a column not broken down", {"orders": [{"column": "cost"}]}),
    ("order by another column of the op", {"calculations": [COUNT, {"op": "SUM", "column": "cost"}], "orders": [{"op": "SUM", "column": "k"}]}),
    ("unknown direction", {"orders": [{"op": "COUNT", "order": "sideways"}]}),
    ("having outside the calculations", {"havings": [{"calculate_op": "AVG", "column": "cost", "op": ">", "value": 1}]}),
    ("having with a text", {"havings": [{"calculate_op": "COUNT", "op": ">", "value": "many"}]}),
    ("having with another op", {"havings": [{"calculate_op": "COUNT", "op": "contains", "value": 1}]}),
    ("having on a heatmap", {"calculations": [{"op": "HEATMAP", "column": "cost"}], "havings": [{"calculate_op": "HEATMAP", "column": "cost", "op": ">", "value": 1}]}),
    ("breakdown by an unknown column", {"breakdowns": ["servise"]}),
    ("too many breakdowns", {"breakdowns": ["service"] * 101}),
    ("breakdowns of another type", {"breakdowns": "service"}),
    ("limit of another type", {"limit": "ten"}),
    ("filter combination", {"filters": [{"column": "k", "op": "exists"}], "filter_combination": "XOR"}),
]


@pytest.mark.parametrize("part", [p for _, p in REFUSED], ids=[n for n, _ in REFUSED])
def test_questions_that_make_no_sense_are_refused_with_a_text(server, ds, part):
    text = server.refused(ds, {"calculations": [COUNT], "breakdowns": ["service"]} | part)
    if part.get("breakdowns") == ["servise"]:
        assert "servise" in text


def test_unknown_dataset_is_a_4xx_that_names_it(server):
    reply = server.ask("no-such-dataset-here", {"calculations": [COUNT]})
    assert 400 <= reply.status < 500 and "no-such-dataset-here" in reply.error()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"query":{}}', b'{"dataset":"groups","query":5}', b'{"dataset":5,"query":{}}', b'{"dataset":"groups","query":{"calculations":5}}'])
def test_malformed_questions_are_400(server, ds, body):
    reply = server.post("/api/v1/query", body, headers={"Content-Type": "application/json"})
    assert 400 <= reply.status < 500, reply
    assert reply.error()


def test_group_by_is_root(server, dataset):
    server.send(dataset, {"n": 1, "trace.parent_id": 5}, {"n": 2, "trace.parent_id": "abc"}, {"n": 3}, {"n": 4, "trace.trace_id": "t"})
    rows = server.query(dataset, {"calculations": [COUNT], "breakdowns": ["is_root"]}).rows
    assert sorted((r["is_root"], r["COUNT"]) for r in rows) == [(False, 2), (True, 2)]
    rows = server.query(dataset, {"calculations": [COUNT], "breakdowns": ["n", "is_root"]}).rows
    assert sorted((r["n"], r["is_root"]) for r in rows) == [(1, False), (2, False), (3, True), (4, True)]


def test_order_of_large_integers_and_floats_is_exact(server, dataset):
    body = '[%s]' % ",".join('{"time":"%s","data":{"v":%s}}' % (times.at(i), v) for i, v in enumerate(
        ["9223372036854775807", "9223372036854775808.0", "9007199254740993", "9007199254740992.0", "9007199254740992", "-9223372036854775808", "1e300", "0.5"]))
    assert server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/json"}).status == 200
    rows = server.query(dataset, {"calculations": [COUNT], "breakdowns": ["v"], "orders": [{"column": "v"}]}).rows
    assert [(r["v"], r["COUNT"]) for r in rows] == [(-(2**63), 1), (0.5, 1), (2**53, 2), (2**53 + 1, 1), (2**63 - 1, 1), (2.0**63, 1), (1e300, 1)]


def test_order_of_mixed_kinds_is_the_same_each_time(server, dataset):
    values = [5, "5", True, False, 4.5, "", "abc", -1, 2**63 - 1, None]
    server.send(dataset, *[{"n": i} | ({} if v is None else {"v": v}) for i, v in enumerate(values * 3)])
    spec = {"calculations": [COUNT], "breakdowns": ["v"], "orders": [{"column": "v"}]}
    first = [repr(r["v"]) for r in server.query(dataset, spec).rows]
    assert sorted(first) == sorted(map(repr, values))
    last = [repr(r["v"]) for r in server.query(dataset, spec | {"orders": [{"column": "v", "order": "descending"}]}).rows]
    present = lambda rows: [v for v in rows if v != "None"]  # missing ones may come last both ways
    assert present(last) == present(first)[::-1]
    numbers = [r["v"] for r in server.query(dataset, spec).rows if isinstance(r["v"], (int, float)) and not isinstance(r["v"], bool)]
    assert numbers == sorted(numbers)
