"""Event times: every accepted form, to the nanosecond; none is now; any age is kept (semantics 2, 5)."""
import struct
import time

import msgpack
import pytest

from lib import times
from lib.times import T0, rfc3339

T0_NS = T0 * times.SECOND

FORMS = [
    # what is sent, nanoseconds since 1970
    ("2024-03-01T12:00:00Z", T0_NS),
    ("2024-03-01T12:00:00.5Z", T0_NS + 500_000_000),
    ("2024-03-01T12:00:00.123Z", T0_NS + 123_000_000),
    ("2024-03-01T12:00:00.123456Z", T0_NS + 123_456_000),
    ("2024-03-01T12:00:00.123456789Z", T0_NS + 123_456_789),
    ("2024-03-01T12:00:00.000000001Z", T0_NS + 1),
    ("2024-03-01T17:30:00.123456789+05:30", T0_NS + 123_456_789),
    ("2024-03-01T04:00:00-08:00", T0_NS),
    ("2024-03-01T12:00:00+00:00", T0_NS),
    ("1709294400", T0_NS),
    ("1709294400123", T0_NS + 123_000_000),
    ("1709294400123456", T0_NS + 123_456_000),
    ("1709294400123456789", T0_NS + 123_456_789),
    ("17092944005", T0_NS + 500_000_000),
    ("170929440025", T0_NS + 250_000_000),
    ("1709294400.25", T0_NS + 250_000_000),
    (1709294400, T0_NS),
    (1709294400123, T0_NS + 123_000_000),
    (1709294400123456, T0_NS + 123_456_000),
    (1709294400123456789, T0_NS + 123_456_789),
    (1709294400.25, T0_NS + 250_000_000),
    (1709294400.0, T0_NS),
]

AGES = ["1971-01-01T00:00:00Z", "1999-12-31T23:59:59.999999999Z", "2001-09-09T01:46:39Z", "2015-06-30T23:59:59Z", "2024-02-29T00:00:00Z"]


@pytest.mark.parametrize("sent,ns", FORMS, ids=[repr(f[0]) for f in FORMS])
def test_batch_json(server, dataset, sent, ns):
    server.batch(dataset, [{"time": sent, "data": {"a": 1}}])
    assert server.event(dataset).time_ns == ns


def test_batch_msgpack(server, dataset):
    body = msgpack.packb([{"time": sent, "data": {"n": i}} for i, (sent, _) in enumerate(FORMS)])
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/msgpack"})
    assert reply.status == 200, reply
    got = {e.data["n"]: e.time_ns for e in server.events(dataset)}
    assert got == {i: ns for i, (_, ns) in enumerate(FORMS)}


@pytest.mark.parametrize("content_type", ["application/msgpack", "application/x-msgpack"])
def test_msgpack_timestamps_of_all_three_sizes(server, dataset, content_type):
    stamps = [b"\xd6\xff" + struct.pack(">I", T0),
              b"\xd7\xff" + struct.pack(">Q", 123_456_789 << 34 | T0),
              b"\xc7\x0c\xff" + struct.pack(">Iq", 999_999_999, T0),
              b"\xc7\x0c\xff" + struct.pack(">Iq", 1, T0 + 10)]
    pack = msgpack.packb
    body = b"\x94" + b"".join(b"\x83" + pack("time") + t + pack("samplerate") + pack(3) + pack("data") + pack({"n": i}) for i, t in enumerate(stamps))
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": content_type})
    assert reply.status == 200, reply
    statuses = msgpack.unpackb(reply.body) if "msgpack" in reply.headers.get("Content-Type", "") else reply.json()
    assert [s["status"] for s in statuses] == [202] * 4
    events = server.events(dataset)
    assert {e.data["n"]: e.time_ns for e in events} == {0: T0_NS, 1: T0_NS + 123_456_789, 2: T0_NS + 999_999_999, 3: T0_NS + 10 * times.SECOND + 1}
    assert {e.sample_rate for e in events} == {3}


HEADER_FORMS = [f for f in FORMS if isinstance(f[0], str)]


@pytest.mark.parametrize("sent,ns", HEADER_FORMS, ids=[f[0] for f in HEADER_FORMS])
def test_single_event_header(server, dataset, sent, ns):
    reply = server.post("/1/events/" + dataset, {"a": 1}, headers={"X-Honeycomb-Event-Time": sent})
    assert reply.status == 200, reply
    assert server.event(dataset).time_ns == ns


@pytest.mark.parametrize("event", [{"data": {"a": 1}}, {"time": None, "data": {"a": 1}}, {"time": "", "data": {"a": 1}}],
                         ids=["absent", "null", "empty"])
def test_no_time_is_now(server, dataset, event):
    before = time.time_ns()
    server.batch(dataset, [event])
    after = time.time_ns()
    assert before - 10_000_000 <= server.event(dataset).time_ns <= after + 10_000_000


def test_single_event_without_header_is_now(server, dataset):
    before = time.time_ns()
    assert server.post("/1/events/" + dataset, {"a": 1}).status == 200
    assert before - 10_000_000 <= server.event(dataset).time_ns <= time.time_ns() + 10_000_000


def test_unreadable_time_is_now_or_refused_by_name(server, dataset):
    """Refinery takes the server's time; refusing with a reason would be as honest. Either way the neighbour is kept."""
    before = time.time_ns()
    reply = server.post("/1/batch/" + dataset, [{"time": "yesterday at noon", "data": {"a": 1}}, {"time": "2024-03-01T12:00:00Z", "data": {"a": 2}}])
    assert reply.status == 200, reply
    first, second = reply.json()
    assert second["status"] == 202
    events = {e.data["a"]: e for e in server.events(dataset)}
    assert events[2].time_ns == T0_NS
    if first["status"] == 202:
        assert before - 10_000_000 <= events[1].time_ns <= time.time_ns() + 10_000_000
    else:
        assert first["status"] == 400 and "time" in first["error"]
        assert 1 not in events


@pytest.mark.parametrize("sent", AGES)
def test_any_age_is_kept(server, dataset, sent):
    server.batch(dataset, [{"time": sent, "data": {"a": 1}}])
    ns = times.parse_ns(sent)
    assert server.event(dataset).time_ns == ns
    second = ns // times.SECOND
    found = server.query(dataset, {"calculations": [{"op": "COUNT"}], "start_time": second, "end_time": second + 1}).rows
    assert found == [{"COUNT": 1}]


def test_future_is_kept(server, dataset):
    ahead = int(time.time()) + 5 * 365 * 86_400
    server.batch(dataset, [{"time": ahead, "data": {"a": 1}}])
    assert server.event(dataset).time_ns == ahead * times.SECOND
    assert server.query(dataset, {"calculations": [{"op": "COUNT"}], "start_time": ahead, "end_time": ahead + 1}).rows == [{"COUNT": 1}]


def test_far_future_is_kept_or_refused_with_the_limit_named(server, dataset):
    reply = server.post("/1/batch/" + dataset, [{"time": "2250-01-01T00:00:00Z", "data": {"a": 1}}, {"time": rfc3339(T0_NS), "data": {"a": 2}}])
    assert reply.status == 200, reply
    first, second = reply.json()
    assert second["status"] == 202
    assert first["status"] == 202 or (first["status"] == 400 and "future" in first["error"].lower()), first


def test_ranges_of_years(server, dataset):
    server.batch(dataset, [{"time": t, "data": {"year": t[:4]}} for t in AGES])
    start, end = times.parse_ns(AGES[0]) // times.SECOND, T0
    rows = server.query(dataset, {"calculations": [{"op": "COUNT"}], "breakdowns": ["year"], "start_time": start, "end_time": end}).by("year")
    assert {k: r["COUNT"] for k, r in rows.items()} == {t[:4]: 1 for t in AGES}


def test_start_inclusive_end_exclusive_to_the_nanosecond(server, dataset):
    """Seconds with nine decimals do not fit a JSON number as most read it; as text they do."""
    ns = [T0_NS - 1, T0_NS, T0_NS + 1, T0_NS + 500_000_000 - 1, T0_NS + 500_000_000, T0_NS + times.SECOND - 1, T0_NS + times.SECOND]
    server.batch(dataset, [{"time": rfc3339(t), "data": {"n": i}} for i, t in enumerate(ns)])

    def ask(start, end):
        body = '{"dataset": "%s", "stream": false, "query": {"calculations": [], "start_time": %s, "end_time": %s}}' % (dataset, start, end)
        reply = server.post("/api/v1/query", body, headers={"Content-Type": "application/json"})
        assert reply.status == 200, reply
        return sorted(r["data"]["n"] for r in reply.json()["results"])

    assert ask(T0, T0 + 1) == [1, 2, 3, 4, 5]
    assert ask(T0, f"{T0}.5") == [1, 2, 3]
    assert ask(f"{T0}.5", T0 + 1) == [4, 5]
    assert ask(T0 - 1, T0) == [0]
    assert ask(f'"{T0}.000000001"', f"{T0}.5") == [2, 3]
    assert ask(f'"{rfc3339(T0_NS + 1)}"', f'"{rfc3339(T0_NS + 500_000_000)}"') == [2, 3]


def test_relative_range_ends_now(server, dataset):
    now = time.time()
    server.batch(dataset, [{"time": now - 30, "data": {"n": 1}}, {"time": now - 5000, "data": {"n": 2}}, {"time": now - 10_000, "data": {"n": 3}}])
    count = lambda q: server.query(dataset, {"calculations": [{"op": "COUNT"}]} | q).rows[0]["COUNT"]
    assert count({"time_range": 60}) == 1
    assert count({"time_range": 7200}) == 2
    assert count({"time_range": 20_000}) == 3
    # With no time at all the range is two hours.
    reply = server.ask(dataset, {"calculations": [{"op": "COUNT"}]})
    assert reply.status == 200 and reply.json()["results"][0]["data"]["COUNT"] == 2
    start, end = int(now) - 10_100, int(now) - 100
    assert count({"start_time": start, "time_range": 200}) == 1
    assert count({"end_time": end, "time_range": 5000}) == 1
