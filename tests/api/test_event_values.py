"""Values: every type as sent is read back, side by side in one column, nested, long, many (semantics 6, 7)."""
import json
import math

import msgpack
import pytest

from lib import times

SCALARS = {
    "text": "plain",
    "empty": "",
    "unicode": "Grüße, 世界, 🦀, \u200b zero width, e\u0301",
    "quotes": "\"'\\/\b\f\n\r\t\u0000 end",
    "number_text": "500",
    "zero_padded": "007",
    "hex_id": "0af7651916cd43dd8448eb211c80319c",
    "hex_id_upper": "0AF7651916CD43DD8448EB211C80319C",
    "hex_id_short": "00f067aa0ba902b7",
    "hex_odd": "0af7651916cd43dd8448eb211c80319",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
    "uuid_upper": "123E4567-E89B-12D3-A456-426614174000",
    "uuid_braces": "{123e4567-e89b-12d3-a456-426614174000}",
    "true": True,
    "false": False,
    "zero": 0,
    "minus_one": -1,
    "int_min": -(2**63),
    "int_max": 2**63 - 1,
    "above_double": 2**53 + 1,
    "float": 0.1,
    "float_small": 5e-324,
    "float_large": 1.7976931348623157e308,
    "float_negative": -2.5,
    "float_whole": 5.0,
    "float_third": 1 / 3,
    "long": "ä" * (32 * 1024),  # 64 KiB of UTF-8
    "with.dot": 1,
    "with space": 2,
    "ünï": 3,
    "a/b+c?d=e&f": 4,
    "$dollar": 5,
    "UPPER": "column names keep their case",
    "upper": "and are apart",
}


def same(got, want):
    """Equal and of one kind; 5.0 may come back as 5."""
    if isinstance(want, bool) or isinstance(got, bool):
        return got is want
    if isinstance(want, (int, float)) and isinstance(got, (int, float)):
        return got == want
    return type(got) is type(want) and got == want


def differences(got, want):
    keys = set(got) | set(want)
    return {k: (got.get(k, "<missing>"), want.get(k, "<not sent>")) for k in keys
            if k not in got or k not in want or not same(got[k], want[k])}


ROUTES = ["batch-json", "batch-msgpack", "event-json", "event-msgpack"]


@pytest.mark.parametrize("route", ROUTES)
def test_every_scalar_comes_back(server, dataset, route):
    headers = {"Content-Type": "application/json" if route.endswith("json") else "application/msgpack"}
    pack = (lambda x: json.dumps(x).encode()) if route.endswith("json") else msgpack.packb
    if route.startswith("batch"):
        reply = server.post("/1/batch/" + dataset, pack([{"time": times.at(0), "data": SCALARS}]), headers=headers)
    else:
        reply = server.post("/1/events/" + dataset, pack(SCALARS), headers=headers)
    assert reply.status == 200, reply
    assert differences(server.event(dataset).data, SCALARS) == {}


def test_escaped_and_plain_json_are_one(server, dataset):
    text = "Grüße 🦀 \u0001"
    for ascii_only in (True, False):
        body = json.dumps([{"time": times.at(0), "data": {"t": text, "ключ": 1}}], ensure_ascii=ascii_only).encode()
        assert server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/json"}).status == 200
    rows = server.query(dataset, {"breakdowns": ["t", "ключ"], "calculations": [{"op": "COUNT"}]}).rows
    assert rows == [{"t": text, "ключ": 1, "COUNT": 2}]


def test_number_spellings(server, dataset):
    body = ('[{"time":"%s","data":{"exp":1e3,"neg_zero":-0.0,"big":1E+2,"small":1e-7,"u64":18446744073709551615,"beyond":123456789012345678901234567890,'
            '"int_min":-9223372036854775808,"just_above":9223372036854775808}}]') % times.at(0)
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/json"})
    assert reply.status == 200 and reply.json()[0]["status"] == 202, reply
    data = server.event(dataset).data
    assert data["exp"] == 1000 and data["big"] == 100 and data["neg_zero"] == 0 and data["small"] == 1e-7
    assert data["int_min"] == -(2**63)
    # Above 64 bits of integer: a float, or the digits; never wrapped around.
    for name, want in (("u64", 2**64 - 1), ("beyond", 123456789012345678901234567890), ("just_above", 2**63)):
        assert math.isclose(float(data[name]), want, rel_tol=1e-15), (name, data[name])


def test_null_is_missing_and_empty_is_a_value(server, dataset):
    server.send(dataset, {"a": None, "b": "", "n": 1}, {"a": "", "n": 2}, {"n": 3})
    events = server.events(dataset)
    assert events[0].data == {"b": "", "n": 1}
    assert events[1].data == {"a": "", "n": 2}
    found = server.events(dataset, [{"column": "a", "op": "exists"}])
    assert [e.data["n"] for e in found] == [2]
    found = server.events(dataset, [{"column": "a", "op": "=", "value": ""}])
    assert [e.data["n"] for e in found] == [2]


def test_maps_flatten_and_arrays_keep_their_text(server, dataset):
    server.send(dataset, {"http": {"status": 200, "route": "/a", "header": {"user-agent": "x", "n": {"deep": 1.5}}},
                          "list": [1, "two", None, {"three": 3}, [4]], "empty_list": [], "with.dot": {"k": True}, "gone": {"x": None}})
    data = server.event(dataset).data
    assert data["http.status"] == 200 and data["http.route"] == "/a"
    assert data["http.header.user-agent"] == "x" and data["http.header.n.deep"] == 1.5
    assert data["with.dot.k"] is True
    assert json.loads(data["list"]) == [1, "two", None, {"three": 3}, [4]]
    assert json.loads(data["empty_list"]) == []
    assert "gone.x" not in data and "http" not in data


def test_arrays_keep_integers_and_unicode(server, dataset):
    sent = [2**63 - 1, 2**53 + 1, "Grüße 🦀", 0.1, False, {"z": 1, "a": 2}]
    server.send(dataset, {"list": sent})
    text = server.event(dataset).data["list"]
    assert json.loads(text) == sent
    assert list(json.loads(text)[-1]) == ["z", "a"], "the order of keys is kept"


def test_deeper_than_five_is_json_text(server, dataset):
    nested = 1
    for name in reversed("abcdefghij"):
        nested = {name: nested}
    server.send(dataset, nested)
    data = server.event(dataset).data
    assert len(data) == 1, data
    [(column, text)] = data.items()
    assert column in ("a.b.c.d.e", "a.b.c.d.e.f"), column
    rest = 1
    for name in reversed("abcdefghij"[len(column.split(".")):]):
        rest = {name: rest}
    assert json.loads(text) == rest


def test_one_column_holds_every_type(server, dataset):
    values = [500, "500", 500.5, True, False, "", "true", -1, 0, 1, 2**63 - 1, "ünï", 1e300]
    server.send(dataset, *[{"status": v, "n": i} for i, v in enumerate(values)])
    events = server.events(dataset)
    got = {e.data["n"]: e.data["status"] for e in events}
    assert all(same(got[i], v) for i, v in enumerate(values)), got
    rows = server.query(dataset, {"breakdowns": ["status"], "calculations": [{"op": "COUNT"}]}).by("status")
    assert len(rows) == len(values), "groups keep kinds apart"
    assert all(r["COUNT"] == 1 for r in rows.values())


def test_five_and_five_point_zero_are_one_group(server, dataset):
    body = '[{"time":"%s","data":{"v":5}},{"time":"%s","data":{"v":5.0}},{"time":"%s","data":{"v":"5"}}]' % ((times.at(0),) * 3)
    assert server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/json"}).status == 200
    rows = server.query(dataset, {"breakdowns": ["v"], "calculations": [{"op": "COUNT"}]}).rows
    assert sorted(((type(r["v"]).__name__ == "str", r["v"], r["COUNT"]) for r in rows), key=str) == [(False, 5, 2), (True, "5", 1)]


def test_two_thousand_fields(server, dataset):
    data = {f"field_{i:04}": i for i in range(2000)}
    server.send(dataset, data)
    assert server.event(dataset).data == data


def test_ten_thousand_fields_and_one_more(server, dataset):
    """10,000 is the documented limit; one more is refused for that event alone."""
    full = {f"f{i}": i for i in range(10_000)}
    server.send(dataset, full)
    assert server.event(dataset).data == full
    reply = server.post("/1/batch/" + dataset, [{"time": times.at(1), "data": full | {"one_more": 1}}, {"time": times.at(2), "data": {"neighbour": 1}}])
    assert reply.status == 200, reply
    first, second = reply.json()
    assert first["status"] == 400 and first["error"], first
    assert second["status"] == 202
    assert server.count(dataset) == 2


def test_string_above_the_limit_is_cut_visibly(server, dataset):
    """64 KiB whole; what is longer is cut at a character and named in meta.truncated_fields."""
    long = "ä" * 40_000  # 80,000 bytes
    server.send(dataset, {"long": long, "kept": "x" * 65_536, "short": "y"})
    data = server.event(dataset).data
    assert data["kept"] == "x" * 65_536 and data["short"] == "y"
    assert long.startswith(data["long"]) and 65_000 <= len(data["long"].encode()) <= 65_536
    assert "long" in str(data["meta.truncated_fields"]) and "kept" not in str(data["meta.truncated_fields"])


def test_event_above_one_mebibyte_is_refused_alone(server, dataset):
    big = {f"k{i}": "x" * 60_000 for i in range(20)}
    reply = server.post("/1/batch/" + dataset, [{"time": times.at(0), "data": {"n": 1}}, {"time": times.at(1), "data": big}, {"time": times.at(2), "data": {"n": 2}}])
    assert reply.status == 200, reply
    statuses = reply.json()
    assert [s["status"] for s in statuses][::2] == [202, 202]
    assert statuses[1]["status"] in (400, 413) and statuses[1]["error"], statuses[1]
    assert [e.data["n"] for e in server.events(dataset)] == [1, 2]


RATES = [(None, 1), (0, 1), (1, 1), (7, 7), (100_000, 100_000)]


@pytest.mark.parametrize("sent,weight", RATES)
def test_sample_rate_in_batch(server, dataset, sent, weight):
    event = {"time": times.at(0), "data": {"a": 1}}
    if sent is not None:
        event["samplerate"] = sent
    server.batch(dataset, [event])
    assert server.event(dataset).sample_rate == weight
    assert server.query(dataset, {"calculations": [{"op": "COUNT"}]}).only() == {"COUNT": weight}
    assert server.query(dataset, {"calculations": [{"op": "COUNT"}], "usage_mode": True}).only() == {"COUNT": 1}


@pytest.mark.parametrize("sent,weight", [(None, 1), ("0", 1), ("", 1), ("1", 1), ("25", 25)])
def test_sample_rate_header(server, dataset, sent, weight):
    headers = {} if sent is None else {"X-Honeycomb-Samplerate": sent}
    assert server.post("/1/events/" + dataset, {"a": 1}, headers=headers).status == 200
    assert server.event(dataset).sample_rate == weight


def test_field_names_of_the_envelope_are_free(server, dataset):
    """`time`, `samplerate` and `data` are ordinary names inside data; they must not change the event's own."""
    server.batch(dataset, [{"time": times.at(0), "samplerate": 2, "data": {"time": "x", "samplerate": 99, "data": "y", "timestamp": 5}}])
    assert server.query(dataset, {"calculations": [{"op": "COUNT"}]}).only() == {"COUNT": 2}
    row = server.query(dataset, {"breakdowns": ["time", "samplerate", "data", "timestamp"], "calculations": [{"op": "MAX", "column": "timestamp"}]}).only()
    assert row == {"time": "x", "samplerate": 99, "data": "y", "timestamp": 5, "MAX(timestamp)": 5}


def test_long_and_odd_column_names(server, dataset):
    names = ["x" * 255, "🦀", " leading", "trailing ", "tab\there", "quote\"d", "back\\slash", "new\nline", "..", "a..b", "null", "true", "COUNT", "P99(x)"]
    server.send(dataset, {n: i for i, n in enumerate(names)})
    assert server.event(dataset).data == {n: i for i, n in enumerate(names)}
    for i, name in enumerate(names[:-2]):
        assert server.query(dataset, {"breakdowns": [name], "calculations": [{"op": "SUM", "column": name}]}).only() == {name: i, f"SUM({name})": i}


def test_duplicate_keys_do_not_break_the_event(server, dataset):
    body = '[{"time":"%s","data":{"a":1,"a":2,"b":3}}]' % times.at(0)
    reply = server.post("/1/batch/" + dataset, body, headers={"Content-Type": "application/json"})
    assert reply.status == 200, reply
    if reply.json()[0]["status"] == 202:
        data = server.event(dataset).data
        assert data["a"] in (1, 2) and data["b"] == 3
        assert server.query(dataset, {"calculations": [{"op": "COUNT"}]}).only() == {"COUNT": 1}


def test_flattened_name_meets_a_dotted_one(server, dataset):
    server.send(dataset, {"a": {"b": 1}, "a.b": 2})
    assert server.event(dataset).data["a.b"] in (1, 2)
    assert server.query(dataset, {"calculations": [{"op": "COUNT"}]}).only() == {"COUNT": 1}
