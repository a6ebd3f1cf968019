"""Questions over every dataset: __all__."""
import pytest

from lib import otlp, times
from lib.server import Server

COUNT = {"op": "COUNT"}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A server of its own: __all__ must not see what other tests send."""
    with Server(tmp_path_factory.mktemp("all") / "data") as s:
        s.send("shop", {"route": "/a", "ms": 5, "only_shop": 1}, {"route": "/b", "ms": 7})
        s.send("Cart Service", {"route": "/a", "ms": "slow", "only_cart": True})
        otlp.ship(s, otlp.traces("pay", otlp.span("charge", ms=9)))
        yield s


NOT_OWN = [{"column": "route", "op": "exists"}]  # the server's own events in dataset `wideye` have other times, but be sure


def test_counts_over_all(own):
    assert own.query("__all__", {"calculations": [COUNT], "filters": NOT_OWN}).only() == {"COUNT": 3}
    assert own.query("__all__", {"calculations": [COUNT]}).only()["COUNT"] == 4


def test_groups_over_all(own):
    rows = own.query("__all__", {"calculations": [COUNT, {"op": "SUM", "column": "ms"}], "breakdowns": ["route"], "filters": NOT_OWN}).by("route")
    assert rows["/a"] == {"route": "/a", "COUNT": 2, "SUM(ms)": 5} and rows["/b"]["COUNT"] == 1


def test_columns_of_any_dataset_are_known(own):
    assert own.query("__all__", {"calculations": [COUNT], "filters": [{"column": "only_cart", "op": "=", "value": True}]}).only() == {"COUNT": 1}
    assert own.query("__all__", {"calculations": [COUNT], "filters": [{"column": "only_shop", "op": "does-not-exist"}, *NOT_OWN]}).only() == {"COUNT": 2}
    assert "nowhere" in own.refused("__all__", {"calculations": [COUNT], "breakdowns": ["nowhere"]})


def test_raw_rows_of_all(own):
    names = {e.data.get("route") or e.data.get("name") for e in own.events("__all__", start_time=times.T0 - 10, end_time=times.T0 + 100)}
    assert names == {"/a", "/b", "charge"}


def test_no_dataset_can_be_called_so(own):
    reply = own.post("/1/batch/__all__", [{"data": {"a": 1}}])
    assert 400 <= reply.status < 500, reply


def test_columns_over_all(own):
    names = {c["key_name"] for c in own.get("/1/columns/__all__").json()}
    assert {"route", "ms", "only_shop", "only_cart", "duration_ms"} <= names


def test_all_of_an_empty_store(fresh_server):
    rows = fresh_server.query("__all__", {"calculations": [COUNT]}).rows
    assert rows in ([], [{"COUNT": 0}])
