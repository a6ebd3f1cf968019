"""Limits are settings: each is met by a server that has it set low, and answers as documented (docs/limits.md)."""
import json
import os
import threading

import grpc
import pytest

from lib import otlp, times
from lib.server import Server
from lib.times import T0

COUNT = {"op": "COUNT"}
QUIET = {"WIDEYE_SELF_TELEMETRY": "false"}


@pytest.fixture
def limited(tmp_path):
    """limited(name=value, …): a server with these limits."""
    servers = []

    def start(settings=None, **limits):
        s = Server(tmp_path / f"data{len(servers)}", env=QUIET | (settings or {}) | {f"WIDEYE_LIMITS_{k.upper()}": str(v) for k, v in limits.items()})
        servers.append(s)
        return s.start()

    yield start
    for s in servers:
        s.stop()


def test_limits_of_an_event(limited):
    s = limited(event_fields_max=10, string_bytes_max=100, event_bytes_max=2000, column_name_bytes_max=50)
    events = [{"n": 0}, {f"f{i}": i for i in range(10)}, {f"f{i}": i for i in range(11)}, {"long": "ü" * 100}, {f"k{i}": "x" * 90 for i in range(9)} | {"pad": "y" * 1500}, {"c" * 51: 1}, {"n": 6}]
    reply = s.post("/1/batch/ds", [{"time": times.at(i), "data": d} for i, d in enumerate(events)])
    assert reply.status == 200, reply
    statuses = reply.json()
    assert [x["status"] for x in statuses[:4]] == [202, 202, 400, 202] and statuses[6]["status"] == 202
    assert statuses[4]["status"] in (400, 413) and statuses[5]["status"] == 400
    assert all(x.get("error") for x in statuses if x["status"] != 202)
    stored = {e.time_ns // times.SECOND - T0: e.data for e in s.events("ds")}
    assert set(stored) == {0, 1, 3, 6}
    assert stored[3]["long"] == "ü" * 50 and "long" in str(stored[3]["meta.truncated_fields"])


def test_limits_of_a_request(limited):
    s = limited(request_bytes_max=100_000)
    body = json.dumps([{"data": {"x": "y" * 1000}}] * 150)
    for path, content in (("/1/batch/ds", "application/json"), ("/v1/traces", "application/json")):
        assert s.post(path, body, headers={"Content-Type": content}).status == 413
    with pytest.raises(grpc.RpcError) as e:
        otlp.call(s, otlp.traces("ds", *[otlp.span(attrs={"x": "y" * 1000}) for _ in range(150)]))
    assert e.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.INVALID_ARGUMENT)
    s.send("ds", {"n": 1})


def test_limit_of_columns_holds_across_requests_and_restarts(limited):
    s = limited(dataset_columns_max=40)
    s.send("ds", {f"c{i}": i for i in range(40)})
    for i in range(2):
        reply = s.post("/1/batch/ds", [{"data": {"c0": 1}}, {"data": {"new": 1}}, {"data": {"c39": 2}}])
        assert [x["status"] for x in reply.json()] == [202, 202, 202], reply
        partial = otlp.RESPONSES["ExportTraceServiceRequest"].FromString(otlp.post(s, otlp.traces("ds", otlp.span())).body).partial_success
        assert partial.rejected_spans == 0 and "meta.overflow" in partial.error_message
        info = s.get("/api/v1/datasets/ds").json()
        assert (info["n_columns"], info["overflow_events"]) == (41, 2 * (i + 1)), info
        assert s.count("ds", [{"column": "meta.overflow", "op": "=", "value": '{"new":1}'}]) == i + 1
        s.restart()
    s.send("other", {"new": 1})


def test_limit_of_datasets(limited):
    s = limited(datasets_max=3)
    for name in "abc":
        s.send(name, {"n": 1})
    reply = s.post("/1/batch/d", [{"data": {"n": 1}}])
    assert 400 <= reply.status < 500 and reply.error(), reply
    s.send("a", {"n": 2})


def test_full_memtable_tells_senders_to_wait(limited):
    """A burst larger than memory may take: 429 or 503 with Retry-After, later all is well, and nothing taken is lost."""
    s = limited({"WIDEYE_SEAL_BYTES": "2MiB"}, memtable_bytes_max=4 << 20)
    lock, seen, acknowledged = threading.Lock(), {}, [0]

    def work():
        for _ in range(15):
            body = json.dumps([{"time": times.at(0), "data": {"blob": os.urandom(500).hex()}} for _ in range(200)])
            reply = s.post("/1/batch/ds", body, headers={"Content-Type": "application/json"})
            with lock:
                seen[reply.status] = seen.get(reply.status, 0) + 1
                if reply.status == 200:
                    acknowledged[0] += sum(x["status"] == 202 for x in reply.json())
                else:
                    assert "Retry-After" in reply.headers, reply

    pool = [threading.Thread(target=work) for _ in range(8)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    assert seen.keys() <= {200, 429, 503} and sum(seen.values()) == 120, seen
    assert s.count("ds") == acknowledged[0] > 0


def test_requests_in_work_are_bounded(limited):
    """One request may always be in work, however large; those that come on top are told to wait."""
    s = limited({"WIDEYE_INGEST_BYTES_MAX": "1MiB"})
    body = json.dumps([{"data": {"x": "y" * 10_000}}] * 200)
    lock, seen = threading.Lock(), {}

    def work():
        for _ in range(10):
            reply = s.post("/1/batch/ds", body, headers={"Content-Type": "application/json"})
            with lock:
                seen[reply.status] = seen.get(reply.status, 0) + 1
            assert reply.status == 200 or "Retry-After" in reply.headers, reply

    pool = [threading.Thread(target=work) for _ in range(8)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    assert seen.keys() <= {200, 429, 503} and sum(seen.values()) == 80, seen
    assert seen[200] > 0 and seen.keys() - {200}, f"nobody was told to wait: {seen}"
    assert s.count("ds") == seen[200] * 200


def fill(s, n=20_000):
    for k in range(0, n, 5000):
        s.batch("ds", [{"time": times.at((k + i) % 3600), "data": {"id": f"user-{k + i:07}", "v": k + i}} for i in range(5000)])


def test_question_over_its_memory_ends_with_a_reason(limited):
    s = limited(question_memory_bytes_max=300_000)
    fill(s)
    reply = s.ask("ds", {"calculations": [{"op": "P99", "column": "v"}, {"op": "COUNT_DISTINCT", "column": "id"}], "breakdowns": ["id"], "granularity": 4, "start_time": T0, "end_time": T0 + 3600})
    if reply.status == 200:
        assert reply.json()["meta"]["coverage"] < 1 or reply.json()["meta"]["notes"], reply.json()["meta"]
    else:
        assert 400 <= reply.status < 500 or reply.status == 503, reply
        assert "memory" in reply.text.lower()
    assert s.query("ds", {"calculations": [COUNT]}).only() == {"COUNT": 20_000}


def test_question_over_its_time_is_partial_or_ends_with_a_reason(limited):
    s = limited(question_seconds_max=0.000001)
    fill(s)
    reply = s.ask("ds", {"calculations": [{"op": "P99", "column": "v"}], "breakdowns": ["id"], "start_time": T0, "end_time": T0 + 3600})
    if reply.status == 200:
        assert reply.json()["meta"]["coverage"] < 1, reply.json()["meta"]
    else:
        assert reply.status in (408, 429, 503, 504) or 400 <= reply.status < 500, reply
        assert reply.error()


def test_limits_of_a_question(limited):
    s = limited(question_items_max=3, in_values_max=5, buckets_max=100, result_rows_max=50, result_rows_default=10)
    fill(s, 5000)
    assert s.refused("ds", {"filters": [{"column": "v", "op": "exists"}] * 4, "calculations": [COUNT]})
    assert s.refused("ds", {"filters": [{"column": "v", "op": "in", "value": [1, 2, 3, 4, 5, 6]}], "calculations": [COUNT]})
    assert s.refused("ds", {"breakdowns": ["id"], "limit": 51})
    assert len(s.query("ds", {"breakdowns": ["id"]}).rows) == 10
    reply = s.ask("ds", {"calculations": [COUNT], "granularity": 1, "start_time": T0, "end_time": T0 + 1000})
    assert (reply.status == 200 and len(reply.json()["series"]) <= 100) or 400 <= reply.status < 500


def test_future_limit(limited):
    import time
    s = limited(future_seconds_max=3600)
    reply = s.post("/1/batch/ds", [{"time": time.time() + 7200, "data": {"n": 1}}, {"time": time.time() + 1800, "data": {"n": 2}}])
    assert [x["status"] for x in reply.json()] == [400, 202] and "future" in reply.json()[0]["error"].lower(), reply


@pytest.mark.parametrize("name,value", [("LIMITS_EVENT_FIELDS_MAX", "many"), ("LIMITS_STRING_BYTES_MAX", "2MiB"), ("SEAL_BYTES", "-5"), ("SELF_TELEMETRY", "perhaps"), ("LISTEN", "nowhere")])
def test_senseless_settings_prevent_the_start_and_are_named(tmp_path, name, value):
    s = Server(tmp_path / "data", env={f"WIDEYE_{name}": value}) if name != "LISTEN" else Server(tmp_path / "data", args=["--public-url", "x", "--threads", "none"])
    with pytest.raises(RuntimeError) as e:
        s.start()
    assert (name.lower().removeprefix("limits_") in str(e.value).lower()) or "threads" in str(e.value)
    assert "panicked" not in str(e.value)


def test_settings_file(tmp_path):
    (tmp_path / "w.toml").write_text('self_telemetry = false\n[limits]\nevent_fields_max = 3\n')
    with Server(tmp_path / "data", args=["--config", str(tmp_path / "w.toml")]) as s:
        reply = s.post("/1/batch/ds", [{"data": {"a": 1, "b": 2, "c": 3}}, {"data": {"a": 1, "b": 2, "c": 3, "d": 4}}])
        assert [x["status"] for x in reply.json()] == [202, 400]
    (tmp_path / "bad.toml").write_text("no_such_setting = 1\n")
    bad = Server(tmp_path / "data2", args=["--config", str(tmp_path / "bad.toml")])
    with pytest.raises(RuntimeError) as e:
        bad.start()
    assert "no_such_setting" in str(e.value)
