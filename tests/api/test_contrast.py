"""Contrast over HTTP: findings, streaming, wrong comparisons. The statistics have their tests in the engine."""
import json

from lib.times import T0


def send(server, dataset):
    events = []
    for i in range(3000):
        failed = (i % 9 == 4 and i % 2 == 0) or i % 97 == 0
        # The region changes every 18 events, so that it has nothing to do with failures.
        events.append({"build": f"b{i % 9}", "region": f"r{i // 18 % 4}", "error": failed, "ms": i % 50 + (500 if failed else 0), "span.id": f"{i:016x}"})
    server.send(dataset, *events)


def contrast(server, dataset, **more):
    body = {"dataset": dataset, "query": {"start_time": T0, "end_time": T0 + 4000}, "selection": {"filters": [{"column": "error", "op": "=", "value": True}]}}
    return server.post("/api/v1/contrast", body | more)


def test_findings(server, dataset):
    send(server, dataset)
    reply = contrast(server, dataset)
    assert reply.status == 200, reply
    answer = reply.json()
    assert answer["populations"]["selection"]["words"] and answer["populations"]["selection"]["count"] > 100
    named = [c["column"] for f in answer["findings"] for c in f["conditions"]]
    assert "ms" in named and "build" in named and "region" not in named and "span.id" not in named
    for finding in answer["findings"]:
        assert finding["sentence"] and finding["example"]["time"] and finding["filters"] == finding["conditions"]
        assert 0 < finding["lower_bound"] <= finding["effect"] <= 1
    assert "span.id" in answer["set_aside"]


def test_the_best_so_far_is_streamed(server, dataset):
    send(server, dataset)
    reply = contrast(server, dataset, stream=True)
    assert reply.status == 200, reply
    messages = [json.loads(line) for line in reply.text.splitlines()]
    assert messages[0]["type"] == "plan" and messages[0]["run"]
    assert messages[-1]["type"] == "final" and messages[-1]["findings"]
    assert all(m["type"] == "partial" and m["columns"] for m in messages[1:-1])
    whole = contrast(server, dataset).json()
    assert messages[-1]["findings"] == whole["findings"]


def test_wrong_comparisons(server, dataset):
    send(server, dataset)
    assert contrast(server, dataset, max_conditions=9).status == 400
    assert contrast(server, dataset, columns=["nope"]).status == 400
    reply = contrast(server, dataset, stream=True, columns=["nope"])
    assert json.loads(reply.text.splitlines()[-1])["type"] == "error"
