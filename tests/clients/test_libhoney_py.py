"""libhoney for Python: gzip JSON, a raw slash in the dataset's path, values made text by str()."""
import datetime
import decimal
import uuid

from libhoney.client import Client
from libhoney.transmission import Transmission
import pytest

from expect import check, columns
from lib import times

VALUES = {
    "text": "plain", "empty": "", "unicode": "Grüße, 世界, 🦀, e\u0301", "control": "tab\tnew\nnull\u0000quote\"backslash\\", "long": "ä" * (32 * 1024),
    "int": 42, "negative": -7, "zero": 0, "int_max": 2**63 - 1, "int_min": -(2**63), "odd": 2**53 + 1,
    "float": 0.1, "third": 1 / 3, "tiny": 5e-324, "huge": 1.7976931348623157e308, "whole": 5.0,
    "yes": True, "no": False, "nothing": None,
    "nested": {"a": 1, "b": {"c": "deep", "d": [1, {"e": 2}]}}, "list": [1, "two", None, True, [3]], "tuple": (1, 2), "with.dot": 1, "with space": 2,
}
# What its encoder does not know it sends as str(value).
TEXTS = {"datetime": datetime.datetime(2024, 1, 1, 12, 30, 0, 123456), "date": datetime.date(2024, 1, 1), "uuid": uuid.UUID("123e4567-e89b-12d3-a456-426614174000"),
         "decimal": decimal.Decimal("1.50"), "bytes": b"\x00\xff", "set": {1}}


@pytest.fixture
def client(server):
    made = []

    def make(dataset, **more):
        c = Client(writekey=server.key, dataset=dataset, api_host=server.url, block_on_send=True, **more)
        made.append(c)
        return c

    yield make
    for c in made:
        c.close()


def answers(client):
    """Close, which sends what is pending, and return all answers."""
    client.close()
    out = []
    while (r := client.responses().get(timeout=10)) is not None:
        out.append(r)
    return out


@pytest.mark.parametrize("name", ["plain {}", "my data/set {}", "ünï {}"])
def test_everything_comes_back(server, dataset, client, name):
    name = name.format(dataset)
    c = client(name)
    event = c.new_event(VALUES | {"n": 0})
    event.created_at = datetime.datetime(2024, 3, 1, 12, 0, 0, 123456)
    event.metadata = 0
    event.send()
    event = c.new_event(TEXTS | {"n": 1})
    event.created_at = datetime.datetime(2024, 3, 1, 13, 0, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    event.metadata = 1
    event.send()
    event = c.new_event({"n": 2})
    event.sample_rate = 9
    event.metadata = 2
    event.send_presampled()
    got = answers(c)
    assert sorted((a["metadata"], a["status_code"], a["error"]) for a in got) == [(i, 202, None) for i in range(3)], got

    events = {e.data["n"]: e for e in server.events(name)}
    check(events[0].data, columns(VALUES) | {"n": 0})
    assert events[0].time_ns == times.T0 * times.SECOND + 123_456_000
    check(events[1].data, {k: str(v) for k, v in TEXTS.items()} | {"n": 1})
    assert events[1].time_ns == (times.T0 + 1) * times.SECOND
    assert events[2].sample_rate == 9


def test_many_batches_each_event_once(server, dataset, client):
    c = client(dataset, transmission_impl=Transmission(block_on_send=True, max_batch_size=50, max_pending=5000, max_responses=5000))
    for i in range(2000):
        c.send_now({"i": i})
    got = answers(c)
    assert len(got) == 2000 and {a["status_code"] for a in got} == {202}
    assert {e.data["i"] for e in server.events(dataset)} == set(range(2000))
    assert server.count(dataset) == 2000


def test_uncompressed(server, dataset, client):
    c = client(dataset, transmission_impl=Transmission(gzip_enabled=False))
    c.send_now({"text": "Grüße"})
    assert [a["status_code"] for a in answers(c)] == [202]
    assert server.event(dataset).data == {"text": "Grüße"}


def test_refused_event_is_told_to_its_sender(server, dataset, client):
    c = client(dataset)
    c.send_now({f"k{i}": "x" * 60_000 for i in range(20)})
    c.send_now({"ok": 1})
    got = answers(c)
    assert sorted(a["status_code"] // 100 for a in got) == [2, 4]
    assert server.event(dataset).data == {"ok": 1}
