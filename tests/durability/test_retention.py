"""Retention by age and by bytes, per dataset, whole segments at a time."""
import os
import time


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s: {what}")


def test_old_events_go_and_new_ones_stay(fresh_server):
    s, now = fresh_server, time.time()
    for name in ("short", "keeps"):
        s.batch(name, [{"time": now - 3 * 86_400 + i, "data": {"n": i, "old": True}} for i in range(100)])
    s.restart()  # seals
    for name in ("short", "keeps"):
        s.batch(name, [{"time": now - i, "data": {"n": i, "old": False}} for i in range(100)])
    reply = s.request("PATCH", "/api/v1/datasets/short", {"retention": {"age_seconds": 86_400}})
    assert reply.status == 200 and reply.json()["retention"]["age_seconds"] == 86_400, reply
    s.restart()
    wait_for(lambda: s.count("short") == 100, 50, "events older than the retention are gone")
    assert {e.data["old"] for e in s.events("short")} == {False}
    assert s.count("keeps") == 200
    # Late events that are older than the retention may come and go, but never break anything.
    s.batch("short", [{"time": now - 10 * 86_400, "data": {"n": 1}}])
    assert s.count("short") in (100, 101)


def test_retention_by_bytes_drops_the_oldest(fresh_server):
    s, now = fresh_server, time.time()
    for day in range(6, 0, -1):
        s.batch("full", [{"time": now - day * 86_400 + i, "data": {"day": day, "blob": os.urandom(1000).hex()}} for i in range(200)])
        s.restart()
    each = next(d["bytes"] for d in s.get("/api/v1/datasets").json() if d["name"] == "full") / 6
    assert s.request("PATCH", "/api/v1/datasets/full", {"retention": {"bytes": int(each * 3.5)}}).status == 200
    s.restart()
    wait_for(lambda: s.count("full") < 1200, 50, "the oldest events are gone")
    days = {e.data["day"] for e in s.events("full", calculations=[])}
    assert 1 in days and 6 not in days
    assert s.count("full") % 200 == 0, "whole segments"
