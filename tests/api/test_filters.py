"""Filter operators, their complements, kinds, AND and OR (semantics 15, 22)."""
import pytest

VALUES = [500, 500.5, "500", "5001", True, False, "true", "abc", "ABC", "Abcdef", "", "ünïcode", 0, -3, 1, 2**63 - 1, "0", 1e18, None]
N = range(len(VALUES))


@pytest.fixture(scope="module")
def ds(shared_server):
    name = "filters"
    shared_server.send(name, *[({"n": i, "parity": "even" if i % 2 == 0 else "odd"} | ({} if v is None else {"v": v})) for i, v in enumerate(VALUES)])
    return name


def pick(server, ds, filters, **more):
    return {e.data["n"] for e in server.events(ds, filters, **more)}


def where(test):
    return {i for i, v in enumerate(VALUES) if v is not None and test(v)}


def number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def text(v):
    return isinstance(v, str)


POSITIVE = [
    # op, operand, the events that match
    ("=", 500, where(lambda v: (number(v) and v == 500) or v == "500")),
    ("=", "500", where(lambda v: (number(v) and v == 500) or v == "500")),
    ("=", 500.5, where(lambda v: number(v) and v == 500.5)),
    ("=", 0, where(lambda v: (number(v) and v == 0) or v == "0")),
    ("=", 1, where(lambda v: number(v) and v == 1)),
    ("=", True, where(lambda v: v is True or v == "true")),
    ("=", False, where(lambda v: v is False)),
    ("=", "abc", where(lambda v: v == "abc")),
    ("=", "", where(lambda v: v == "")),
    ("=", "ünïcode", where(lambda v: v == "ünïcode")),
    ("=", 2**63 - 1, where(lambda v: number(v) and v == 2**63 - 1)),
    ("=", 2**63 - 2, set()),
    ("=", "nothing like it", set()),
    ("starts-with", "ab", where(lambda v: text(v) and v.startswith("ab"))),
    ("starts-with", "Ab", where(lambda v: text(v) and v.startswith("Ab"))),
    ("starts-with", "50", where(lambda v: text(v) and v.startswith("50"))),
    ("starts-with", "", where(text)),
    ("ends-with", "1", where(lambda v: text(v) and v.endswith("1"))),
    ("ends-with", "code", where(lambda v: text(v) and v.endswith("code"))),
    ("contains", "b", where(lambda v: text(v) and "b" in v)),
    ("contains", "ï", where(lambda v: text(v) and "ï" in v)),
    ("contains", "", where(text)),
    ("in", [500, "abc"], where(lambda v: (number(v) and v == 500) or v in ("500", "abc"))),
    ("in", ["500", True], where(lambda v: (number(v) and v == 500) or v == "500" or v is True or v == "true")),
    ("in", [], set()),
    ("in", ["abc"] * 3 + [f"no {i}" for i in range(997)], where(lambda v: v == "abc")),
]
COMPLEMENT = {"=": "!=", "starts-with": "does-not-start-with", "ends-with": "does-not-end-with", "contains": "does-not-contain", "in": "not-in"}

ids = [f"{op} {str(v)[:30]!r}" for op, v, _ in POSITIVE]


@pytest.mark.parametrize("op,operand,want", POSITIVE, ids=ids)
def test_positive(server, ds, op, operand, want):
    assert pick(server, ds, [{"column": "v", "op": op, "value": operand}]) == want


@pytest.mark.parametrize("op,operand,want", POSITIVE, ids=ids)
def test_negative_is_the_complement(server, ds, op, operand, want):
    """It also matches the event without the column."""
    assert pick(server, ds, [{"column": "v", "op": COMPLEMENT[op], "value": operand}]) == set(N) - want


def test_exists(server, ds):
    assert pick(server, ds, [{"column": "v", "op": "exists"}]) == where(lambda v: True)
    assert pick(server, ds, [{"column": "v", "op": "does-not-exist"}]) == {VALUES.index(None)}


ORDERED = [
    (500, number), (500.5, number), (0, number), (-3, number), (2**63 - 1, number), (1e18, number), (499.999, number),
    ("abc", text), ("500", text), ("", text), ("Abcdef", text), ("~", text),
]


@pytest.mark.parametrize("op,compare", [("<", lambda a, b: a < b), ("<=", lambda a, b: a <= b), (">", lambda a, b: a > b), (">=", lambda a, b: a >= b)])
@pytest.mark.parametrize("operand,kind", ORDERED, ids=[repr(o) for o, _ in ORDERED])
def test_order(server, ds, op, compare, operand, kind):
    """Numbers with numbers, text with text by code points; anything else does not match."""
    assert pick(server, ds, [{"column": "v", "op": op, "value": operand}]) == where(lambda v: kind(v) and compare(v, operand))


def test_combinations(server, ds):
    even = {"column": "parity", "op": "=", "value": "even"}
    is_text = {"column": "v", "op": "contains", "value": ""}
    small = {"column": "n", "op": "<", "value": 4}
    evens, texts = {i for i in N if i % 2 == 0}, where(text)
    assert pick(server, ds, [even, is_text]) == evens & texts
    assert pick(server, ds, [even, is_text], filter_combination="AND") == evens & texts
    assert pick(server, ds, [even, is_text], filter_combination="OR") == evens | texts
    assert pick(server, ds, [even, is_text, small], filter_combination="OR") == evens | texts | {0, 1, 2, 3}
    assert pick(server, ds, [even, {"column": "parity", "op": "=", "value": "odd"}]) == set()
    assert pick(server, ds, [even], filter_combination="OR") == evens
    assert pick(server, ds, [], filter_combination="OR") == set(N)
    assert pick(server, ds, [{"column": "n", "op": ">", "value": 2}, {"column": "n", "op": "<=", "value": 5}]) == {3, 4, 5}


def test_a_hundred_filters_and_a_thousand_values(server, ds):
    assert pick(server, ds, [{"column": "n", "op": "!=", "value": i + 1} for i in range(100)]) == {0}
    assert pick(server, ds, [{"column": "n", "op": "=", "value": i} for i in range(100)], filter_combination="OR") == set(N)
    assert pick(server, ds, [{"column": "n", "op": "in", "value": list(range(3, 1003))}]) == set(N) - {0, 1, 2}
    assert pick(server, ds, [{"column": "n", "op": "not-in", "value": [str(i) for i in range(3, 1003)]}]) == {0, 1, 2}


def test_counts_agree_with_events(server, ds):
    """The same filter with a calculation in place of raw rows."""
    for op, operand, want in POSITIVE:
        rows = server.query(ds, {"calculations": [{"op": "COUNT"}], "filters": [{"column": "v", "op": op, "value": operand}]}).rows
        assert (rows[0]["COUNT"] if rows else 0) == len(want), (op, operand)


def test_is_root(server, dataset):
    server.send(dataset, {"n": 0, "trace.trace_id": "a", "trace.span_id": "1"}, {"n": 1, "trace.trace_id": "a", "trace.span_id": "2", "trace.parent_id": "1"}, {"n": 2})
    got = pick(server, dataset, [{"column": "is_root", "op": "=", "value": True}])
    assert 0 in got and 1 not in got
    assert pick(server, dataset, [{"column": "is_root", "op": "=", "value": False}]) == {1}


@pytest.mark.parametrize("bad", [
    {"column": "v", "op": "like", "value": "x"}, {"column": "v", "op": "", "value": "x"}, {"column": "v", "value": "x"}, {"op": "=", "value": "x"},
    {"column": "v", "op": "=", "value": [1]}, {"column": "v", "op": "=", "value": {"a": 1}}, {"column": "v", "op": "in", "value": "abc"}, {"column": "v", "op": "="},
    {"column": "v", "op": "in"}, {"column": "v", "op": ">"},
], ids=str)
def test_malformed_filters_are_refused(server, ds, bad):
    server.refused(ds, {"calculations": [{"op": "COUNT"}], "filters": [bad]})


def test_unknown_column_is_named_and_near_ones_are_suggested(server, dataset):
    server.send(dataset, {"duration_ms": 1, "http.status_code": 200, "service.name": "x"})
    for wrong, near in (("duration_m", "duration_ms"), ("http.status", "http.status_code"), ("service_name", "service.name"), ("Duration_ms", "duration_ms")):
        text = server.refused(dataset, {"calculations": [{"op": "COUNT"}], "filters": [{"column": wrong, "op": "exists"}]})
        assert wrong in text, text
        whole = server.ask(dataset, {"calculations": [{"op": "COUNT"}], "filters": [{"column": wrong, "op": "exists"}]}).text
        assert near in whole, whole
