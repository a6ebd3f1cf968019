"""Dataset names: case, spaces, slashes, plus signs, unicode; name or slug in questions (semantics 8)."""
import json
import urllib.parse
import uuid

import pytest

from lib import otlp, raw, times

NAMES = ["plain", "with space", "a.b.c", "plus+sign", "ünïcode-Größe", "日本語", "emoji 🦀", "per%cent", "q?mark", "hash#tag", "semi;colon",
         "under_score", "CamelCase", "a&b=c", "quote'd", "tilde~", "(parens)", "comma,colon:", "x" * 200, "123", "a/b", "a/b/c d"]


def unique(name):
    """The same kind of name, not met before by the shared server."""
    tail = uuid.uuid4().hex[:6]
    return name[:190] + tail


def listed(server, name):
    return [d for d in server.get("/1/datasets").json() if d["name"] == name]


@pytest.mark.parametrize("base", NAMES)
def test_a_name_is_kept_and_can_be_asked_by_name_and_slug(server, base):
    name = unique(base)
    reply = server.post("/1/batch/" + urllib.parse.quote(name, safe=""), [{"time": times.at(0), "data": {"n": 1}}])
    assert reply.status == 200, reply
    [entry] = listed(server, name)
    assert entry["slug"]
    assert server.query(name, {"calculations": [{"op": "COUNT"}]}).only() == {"COUNT": 1}
    assert server.query(entry["slug"], {"calculations": [{"op": "COUNT"}]}).only() == {"COUNT": 1}
    by_slug = server.get("/1/columns/" + urllib.parse.quote(entry["slug"], safe=""))
    assert by_slug.status == 200 and [c["key_name"] for c in by_slug.json()] == ["n"]


@pytest.mark.parametrize("route", ["batch", "events"])
def test_slash_sent_raw(server, route):
    """libhoney for Python and JavaScript escape the space and leave the slash."""
    tail = uuid.uuid4().hex[:6]
    body = b'[{"time":"%s","data":{"n":1}}]' % times.at(0).encode() if route == "batch" else b'{"n":1}'
    status, _, answer = raw.request(server, "POST", f"/1/{route}/my%20data/set/{tail}", body, {"Content-Type": "application/json", "X-Honeycomb-Team": server.key})
    assert status == 200, answer
    assert listed(server, f"my data/set/{tail}")
    assert server.count(f"my data/set/{tail}") == 1


def test_plus_is_a_plus(server):
    """In a path + is itself, not a space."""
    tail = uuid.uuid4().hex[:6]
    status, _, _ = raw.request(server, "POST", f"/1/batch/a+b-{tail}", b'[{"data":{"n":1}}]', {"Content-Type": "application/json"})
    assert status == 200
    assert listed(server, f"a+b-{tail}") and not listed(server, f"a b-{tail}")


def test_case_is_ignored_and_the_first_spelling_stays(server):
    name = unique("MixedCase")
    server.send(name, {"n": 1})
    server.send(name.upper(), {"n": 2})
    server.send(name.lower(), {"n": 3})
    otlp.ship(server, otlp.traces(name.swapcase(), otlp.span()))
    assert len(listed(server, name)) == 1
    assert not listed(server, name.upper()) and not listed(server, name.lower())
    for spelling in (name, name.upper(), name.lower()):
        assert server.count(spelling) == 4


def test_case_is_ignored_beyond_ascii(server):
    name = unique("ÄÖÜ-Straße-Ω")
    server.send(name, {"n": 1})
    server.send(name.lower(), {"n": 2})
    assert len(listed(server, name)) == 1
    assert server.count(name) == 2


def test_names_with_one_slug_stay_apart(server):
    tail = uuid.uuid4().hex[:6]
    names = [f"one-two-{tail}", f"one two {tail}", f"one/two/{tail}", f"one.two.{tail}", f"one+two+{tail}"]
    for i, name in enumerate(names):
        server.send(name, *({"n": i} for _ in range(i + 1)))
    slugs = [listed(server, n)[0]["slug"] for n in names]
    assert len(set(slugs)) == len(names), slugs
    for i, (name, slug) in enumerate(zip(names, slugs)):
        assert server.count(name) == i + 1, name
        assert server.count(slug) == i + 1, slug


@pytest.mark.parametrize("name", ["%20", "%20%20", "x" * 300], ids=["space", "spaces", "too long"])
def test_impossible_names_are_400(server, name):
    status, _, body = raw.request(server, "POST", f"/1/batch/{name}", b'[{"data":{"n":1}}]', {"Content-Type": "application/json"})
    assert 400 <= status < 500, body
    assert json.loads(body)["error"]


@pytest.mark.parametrize("path", ["/1/batch/", "/1/batch", "/1/events/"])
def test_no_name_is_4xx(server, path):
    status, _, _ = raw.request(server, "POST", path, b'[{"data":{"n":1}}]', {"Content-Type": "application/json"})
    assert 400 <= status < 500


def test_bad_percent_escape_is_not_500(server):
    status, _, _ = raw.request(server, "POST", "/1/batch/bad%zz%ff", b'[{"data":{"n":1}}]', {"Content-Type": "application/json"})
    assert status == 200 or 400 <= status < 500


def test_same_column_in_two_datasets_is_apart(server, dataset):
    server.send(dataset + "-a", {"only_a": 1, "both": "x"})
    server.send(dataset + "-b", {"only_b": 1, "both": 5})
    assert server.query(dataset + "-a", {"breakdowns": ["both"]}).only()["both"] == "x"
    assert server.query(dataset + "-b", {"breakdowns": ["both"]}).only()["both"] == 5
    assert "only_b" in server.refused(dataset + "-a", {"breakdowns": ["only_b"]})


def test_resources_of_a_dataset_with_a_slash(server):
    """Everything under /1 that names a dataset must find it by its slug."""
    name = unique("team/service ")
    server.send(name, {"n": 1})
    slug = listed(server, name)[0]["slug"]
    assert "/" not in slug
    assert server.get(f"/1/datasets/{slug}").json()["name"] == name
    assert server.post(f"/1/queries/{slug}", {"calculations": [{"op": "COUNT"}]}).status in (200, 201)
    assert server.post(f"/1/markers/{slug}", {"message": "x"}).status == 201
