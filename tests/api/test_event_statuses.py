"""One status per event, in order; whole bodies that are refused say why (semantics 3, 4)."""
import json

import msgpack
import pytest

from lib import times

GOOD = {"time": times.at(0), "data": {"ok": 1}}

BAD_EVENTS = [
    ("data missing", {"time": times.at(0)}),
    ("data null", {"time": times.at(0), "data": None}),
    ("data empty", {"time": times.at(0), "data": {}}),
    ("data a text", {"time": times.at(0), "data": "x"}),
    ("data a number", {"time": times.at(0), "data": 5}),
    ("data a list", {"time": times.at(0), "data": [1]}),
]

NOT_OBJECTS = [("number", 5), ("text", "x"), ("null", None), ("list", []), ("bool", True)]


@pytest.mark.parametrize("form", ["json", "msgpack"])
@pytest.mark.parametrize("bad", [b for _, b in BAD_EVENTS] + [b for _, b in NOT_OBJECTS], ids=[n for n, _ in BAD_EVENTS + NOT_OBJECTS])
def test_one_bad_event_is_answered_for_itself(server, dataset, form, bad):
    events = [GOOD, bad, GOOD]
    body = json.dumps(events).encode() if form == "json" else msgpack.packb(events)
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/" + form})
    assert reply.status == 200, reply
    statuses = msgpack.unpackb(reply.body) if "msgpack" in reply.headers["Content-Type"] else reply.json()
    assert [s["status"] for s in statuses] == [202, 400, 202]
    assert isinstance(statuses[1]["error"], str) and statuses[1]["error"]
    assert server.count(dataset) == 2


def test_statuses_keep_their_order(server, dataset):
    events = [GOOD if i % 3 else {"time": times.at(0), "data": {}} for i in range(300)]
    reply = server.post("/1/batch/" + dataset, events)
    assert reply.status == 200
    assert [s["status"] for s in reply.json()] == [202 if i % 3 else 400 for i in range(300)]
    assert server.count(dataset) == 200


def test_empty_batch(server, dataset):
    reply = server.post("/1/batch/" + dataset, [])
    assert (reply.status, reply.json()) == (200, []) or (reply.status == 400 and reply.error())


BAD_BODIES = [
    ("empty", b""),
    ("cut", b'[{"data":{"a":1}'),
    ("not json", b"hello"),
    ("an object", b'{"data":{"a":1}}'),
    ("a number", b"5"),
    ("trailing", b'[{"data":{"a":1}}] x'),
]


@pytest.mark.parametrize("body", [b for _, b in BAD_BODIES], ids=[n for n, _ in BAD_BODIES])
def test_malformed_batch_is_400_with_a_text(server, dataset, body):
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/json"})
    if reply.status == 200:  # a reader that goes event by event may answer for the bad one alone
        assert all(s["status"] == 400 and s["error"] for s in reply.json()), reply
    else:
        assert reply.status == 400, reply
        assert set(reply.json()) >= {"error"} and reply.json()["error"]


def test_bytes_that_are_not_utf8_are_refused_or_marked(server, dataset):
    """Go's reader, and so Honeycomb, puts U+FFFD in their place."""
    reply = server.post("/1/batch/" + dataset, b'[{"data":{"a":"x\xff\xfey"}}]', headers={"Content-Type": "application/json"})
    if reply.status == 200 and reply.json()[0]["status"] == 202:
        text = server.event(dataset).data["a"]
        assert text[0] == "x" and text[-1] == "y" and set(text[1:-1]) == {"\ufffd"}
    else:
        assert reply.status == 400 or reply.json()[0]["error"]


@pytest.mark.parametrize("body", [b for n, b in BAD_BODIES if n != "an object"] + [b"{}", b"[]", b'"x"', b"null"],
                         ids=[n for n, _ in BAD_BODIES if n != "an object"] + ["no fields", "list", "text", "null"])
def test_malformed_single_event_is_400_with_a_text(server, dataset, body):
    reply = server.post("/1/events/" + dataset, body, headers={"Content-Type": "application/json"})
    assert reply.status == 400, reply
    assert isinstance(reply.json()["error"], str) and reply.json()["error"]


@pytest.mark.parametrize("body", [b"\x91\x81\xa4data", b"\xc1", b"", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"], ids=["cut", "unused", "empty", "huge list", "huge map"])
def test_malformed_msgpack_is_400_and_costs_nothing(server, dataset, body):
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/msgpack"})
    assert reply.status == 400, reply
    assert server.rss_bytes() < 2 << 30


def test_single_event_is_200(server, dataset):
    reply = server.post("/1/events/" + dataset, {"a": 1})
    assert reply.status == 200, reply
    assert server.event(dataset).data == {"a": 1}


def test_visible_as_soon_as_acknowledged(server, dataset):
    for i in range(30):
        server.send(dataset, {"i": i})
        assert server.count(dataset) == i + 1


@pytest.mark.parametrize("header", ["X-Honeycomb-Team", "X-Hny-Team", None])
def test_team_headers(server, dataset, header):
    """On a loopback address no key is needed; both spellings are taken."""
    headers = {"X-Honeycomb-Team": None}
    if header:
        headers[header] = server.key
    assert server.post("/1/events/" + dataset, {"a": 1}, headers=headers).status == 200


def test_wrong_method_and_unknown_path_are_not_500(server):
    assert server.get("/1/batch/x").status in (404, 405)
    assert server.post("/1/nothing/here", {}).status in (404, 405)
    assert server.get("/no/such/page").status in (200, 404)
