"""libhoney for JavaScript: plain JSON, a raw slash in the dataset's path, never retried."""
from expect import check, columns

from lib import times


def test_everything_comes_back(server, dataset, node):
    name = f"my data/set {dataset}"
    sent = node("libhoney.mjs", server.url, name)
    assert sorted(a["n"] for a in sent["answers"]) == list(range(203))
    assert {(a["status"], a["error"]) for a in sent["answers"]} == {(202, None)}
    events = {e.data["n"]: e for e in server.events(name)}
    assert len(events) == 203
    assert [d["name"] for d in server.get("/1/datasets").json()].count(name) == 1

    check(events[0].data, columns(sent["values"]) | {"n": 0})
    assert events[0].time_ns == times.parse_ns(sent["times"][0]) and events[0].sample_rate == 1
    check(events[1].data, {"date": sent["date"], "n": 1})
    assert events[2].sample_rate == 7
    for n in range(3, 203):
        check(events[n].data, {"bulk": True, "v": n / 10, "n": n})
        assert events[n].time_ns == times.parse_ns(sent["times"][1]) + n * 1_000_000
