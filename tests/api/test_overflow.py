"""A flood of ever-new field names: kept as JSON in one column, bounded, and without harm to anybody else."""
import json

from lib import times
from lib.server import Server

KEYS, PER_BATCH = 200_000, 10_000
COLUMNS_MAX = 65_000
MIB = 1 << 20


def flood(server, first):
    """A batch of events with two new names each."""
    events = [{"time": times.T0 + i, "data": {"path": "/x", f"query.k{i}": "v", f"query.j{i}": i}} for i in range(first, first + PER_BATCH, 2)]
    assert [s["status"] for s in server.batch("exploded", events)] == [202] * len(events)


def fields(event):
    """The fields of an event, those in the overflow included."""
    return {k: v for k, v in event.items() if k != "meta.overflow"} | json.loads(event.get("meta.overflow", "{}"))


def test_flood_of_names():
    with Server(env={"WIDEYE_SELF_TELEMETRY": "false"}) as s:
        s.batch("other", [{"time": times.T0, "data": {"n": i, "name": f"n{i}"}} for i in range(100)])
        for first in range(0, KEYS, PER_BATCH):
            flood(s, first)
        assert s.rss_bytes("VmHWM") < 1000 * MIB
        datasets = {d["name"]: d for d in s.get("/api/v1/datasets").json()}
        full = datasets["exploded"]
        assert full["n_rows"] == KEYS // 2
        assert COLUMNS_MAX <= full["n_columns"] <= COLUMNS_MAX + 1
        assert full["overflow_events"] >= KEYS // 2 - COLUMNS_MAX // 2 - 1
        assert datasets["other"]["n_columns"] == 2 and datasets["other"]["overflow_events"] == 0
        assert f"wideye_store_overflow_events_total {full['overflow_events']}\n" in s.get("/metrics").text
        assert "columns_full" in s.log(1 << 20)
        for restart in (False, True):
            if restart:
                s.restart()
            # Others, old columns, and the events of the flood from its first to its last.
            s.batch("other", [{"time": times.T0, "data": {"n": 1, "new": restart}}])
            s.batch("exploded", [{"time": times.T0, "data": {"path": "/y", "query.k0": "again"}}])
            assert s.count("other") == 101 + restart
            assert s.count("exploded", [{"column": "query.k0", "op": "=", "value": "again"}]) == 1 + restart
            assert s.count("exploded", [{"column": "path", "op": "=", "value": "/x"}]) == KEYS // 2
            for i in (0, KEYS - 2):
                found = [fields(e.data) for e in s.events("exploded", [{"column": "path", "op": "=", "value": "/x"}], start_time=times.T0 + i, end_time=times.T0 + i + 1)]
                assert {"path": "/x", f"query.k{i}": "v", f"query.j{i}": i} in found
            last = f'"query.k{KEYS - 2}"'
            assert s.count("exploded", [{"column": "meta.overflow", "op": "contains", "value": last}]) == 1


def test_one_request_with_too_many_names():
    """Such a request is kept whole, too, by what it brings before the dataset is known to be full."""
    names = COLUMNS_MAX + 20_000
    with Server(env={"WIDEYE_SELF_TELEMETRY": "false"}) as s:
        events = [{"time": times.T0 + i, "data": {"path": "/x", f"k{i}": i, f"t{i}": "v"}} for i in range(names // 2)]
        assert [x["status"] for x in s.batch("exploded", events)] == [202] * len(events)
        full = s.get("/api/v1/datasets").json()[0]
        assert full["n_rows"] == len(events)
        assert COLUMNS_MAX <= full["n_columns"] <= COLUMNS_MAX + 1
        assert full["overflow_events"] >= 9_999
        assert "columns_full" in s.log(1 << 20)
        for i in (0, len(events) - 1):
            [found] = s.events("exploded", [{"column": "path", "op": "=", "value": "/x"}], start_time=times.T0 + i, end_time=times.T0 + i + 1)
            assert fields(found.data) == {"path": "/x", f"k{i}": i, f"t{i}": "v"}
        assert s.rss_bytes("VmHWM") < 1000 * MIB
