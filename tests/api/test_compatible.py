"""The Honeycomb-compatible surface: shapes, codes, methods (honeycomb-wire.md 2.1, 2.4, 2.8; semantics 13, 22, 23)."""
import json
import time

import pytest

from lib import times
from lib.times import T0

COUNT = {"op": "COUNT"}


def slug_of(server, dataset):
    [entry] = [d for d in server.get("/1/datasets").json() if d["name"] == dataset]
    return entry["slug"]


def test_auth(server):
    reply = server.get("/1/auth")
    assert reply.status == 200, reply
    body = reply.json()
    assert isinstance(body["id"], str) and body["type"] in ("configuration", "ingest")
    access = body["api_key_access"]
    assert all(isinstance(v, bool) for v in access.values())
    assert {"events", "markers", "triggers", "boards", "queries", "columns", "slos", "recipients", "privateBoards", "createDatasets", "create_datasets"} <= set(access)
    assert set(body["environment"]) >= {"name", "slug"} and body["environment"]["slug"]
    assert body["team"]["slug"] and body["team"]["name"]


def test_auth_without_a_key_on_loopback(server):
    assert server.request("GET", "/1/auth", headers={"X-Honeycomb-Team": None}).status == 200


# ------------------------------------------------------------ datasets

def test_dataset_made_once(server, dataset):
    reply = server.post("/1/datasets", {"name": dataset, "description": "d"})
    assert reply.status == 201, reply
    made = reply.json()
    assert made["name"] == dataset and made["slug"] and made["created_at"] and made["description"] == "d"
    assert made["last_written_at"] is None and made["regular_columns_count"] in (None, 0)
    times.parse_ns(made["created_at"])
    reply = server.post("/1/datasets", {"name": dataset.upper()})
    assert reply.status == 200 and reply.json()["slug"] == made["slug"]
    got = server.get(f"/1/datasets/{made['slug']}")
    assert got.status == 200 and got.json()["name"] == dataset
    assert set(got.json()) >= {"name", "slug", "description", "expand_json_depth", "regular_columns_count", "last_written_at", "created_at"}


def test_dataset_written(server, dataset):
    server.send(dataset, {"a": 1, "b": 2})
    entry = server.get(f"/1/datasets/{slug_of(server, dataset)}").json()
    assert entry["regular_columns_count"] == 2
    assert abs(times.parse_ns(entry["last_written_at"]) - time.time_ns()) < 60 * times.SECOND


def test_dataset_updated_and_deleted(server, dataset):
    slug = server.post("/1/datasets", {"name": dataset}).json()["slug"]
    reply = server.request("PUT", f"/1/datasets/{slug}", {"description": "new", "expand_json_depth": 3})
    assert reply.status == 200 and reply.json()["description"] == "new" and reply.json()["expand_json_depth"] == 3
    assert server.get(f"/1/datasets/{slug}").json()["description"] == "new"
    assert server.request("DELETE", f"/1/datasets/{slug}").status == 202
    assert server.get(f"/1/datasets/{slug}").status == 404


def test_deleted_dataset_starts_empty_again(server, dataset):
    server.send(dataset, {"a": 1}, {"a": 2})
    slug = slug_of(server, dataset)
    assert server.request("DELETE", f"/1/datasets/{slug}").status == 202
    assert 400 <= server.ask(dataset, {"calculations": [COUNT]}).status < 500
    server.send(dataset, {"b": 3})
    assert server.count(dataset) == 1
    assert "a" in server.refused(dataset, {"breakdowns": ["a"]})


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 256}, {"name": 5}, []])
def test_malformed_dataset_is_4xx(server, body):
    reply = server.post("/1/datasets", body)
    assert 400 <= reply.status < 500 and reply.error(), reply


@pytest.mark.parametrize("method,path", [("GET", "/1/datasets/none-such"), ("PUT", "/1/datasets/none-such"), ("DELETE", "/1/datasets/none-such"), ("GET", "/1/columns/none-such"),
                                         ("POST", "/1/queries/none-such"), ("GET", "/1/queries/none-such/x"), ("POST", "/1/query_results/none-such"), ("GET", "/1/query_results/none-such/x")])
def test_unknown_dataset_is_404(server, method, path):
    body = {"description": "x", "expand_json_depth": 1} if method == "PUT" else {"calculations": [COUNT]} if "queries" in path else {"query_id": "x"}
    reply = server.request(method, path, None if method in ("GET", "DELETE") else body)
    assert reply.status == 404 and reply.error(), reply


# ------------------------------------------------------------ columns

def test_columns_and_their_types(server, dataset):
    server.send(dataset, {"s": "x", "i": 1, "f": 0.5, "b": True, "a.b": 1})
    reply = server.get("/1/columns/" + slug_of(server, dataset))
    assert reply.status == 200
    columns = {c["key_name"]: c for c in reply.json()}
    assert {k: c["type"] for k, c in columns.items()} == {"s": "string", "i": "integer", "f": "float", "b": "boolean", "a.b": "integer"}
    for c in columns.values():
        assert isinstance(c["id"], str) and c["id"] and c["hidden"] is False
        times.parse_ns(c["last_written"])


def test_one_column_by_name_and_by_id(server, dataset):
    server.send(dataset, {"http.status": 200, "other": 1})
    slug = slug_of(server, dataset)
    by_name = server.get(f"/1/columns/{slug}?key_name=http.status")
    assert by_name.status == 200
    column = by_name.json()
    column = column[0] if isinstance(column, list) else column
    assert column["key_name"] == "http.status" and column["type"] == "integer"
    assert server.get(f"/1/columns/{slug}/{column['id']}").json()["key_name"] == "http.status"
    assert server.get(f"/1/columns/{slug}?key_name=none.such").status == 404
    assert server.get(f"/1/columns/{slug}/none-such").status == 404


# ------------------------------------------------------------ queries and results

def run(server, slug, spec, **options):
    """As real clients do: create the query, create the result, poll."""
    made = server.post(f"/1/queries/{slug}", spec)
    assert made.status in (200, 201), made
    started = server.post(f"/1/query_results/{slug}", {"query_id": made.json()["id"]} | options)
    assert started.status == 201, started
    body = started.json()
    assert started.headers["Location"].endswith(f"/1/query_results/{slug}/{body['id']}")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        got = server.get(f"/1/query_results/{slug}/{body['id']}")
        assert got.status == 200, got
        if got.json()["complete"]:
            return got
        time.sleep(0.02)
    pytest.fail("the result is never complete")


SPEC = {"calculations": [COUNT, {"op": "P99", "column": "ms"}], "breakdowns": ["route"], "orders": [{"op": "COUNT", "order": "descending"}],
        "start_time": T0, "end_time": T0 + 600, "granularity": 60, "filters": [{"column": "ms", "op": ">", "value": 0}], "filter_combination": "AND", "limit": 10}


def fill(server, dataset):
    server.batch(dataset, [{"time": times.at(i), "data": {"route": "/a" if i % 3 else "/b", "ms": i + 1}} for i in range(300)])
    return slug_of(server, dataset)


def test_query_is_stored_as_sent(server, dataset):
    slug = fill(server, dataset)
    made = server.post(f"/1/queries/{slug}", SPEC)
    assert made.status in (200, 201)
    body = made.json()
    assert isinstance(body["id"], str) and body["id"]
    assert {k: body[k] for k in SPEC} == SPEC | {"orders": body["orders"]}
    again = server.get(f"/1/queries/{slug}/{body['id']}")
    assert again.status == 200 and again.json() == body
    assert server.get(f"/1/queries/{slug}/none-such").status == 404


def test_query_is_validated_when_made(server, dataset):
    slug = fill(server, dataset)
    for bad, name in (({"calculations": [{"op": "SUM", "column": "mss"}]}, "mss"), ({"calculations": [{"op": "NOPE"}]}, "NOPE"), ({"breakdowns": ["rout"]}, "rout"),
                      ({"limit": 0}, ""), ({"limit": 10_001}, ""), ({"orders": [{"op": "SUM", "column": "ms"}]}, "")):
        reply = server.post(f"/1/queries/{slug}", bad)
        assert 400 <= reply.status < 500, (bad, reply)
        assert name in reply.error()


def test_result_with_series(server, dataset):
    slug = fill(server, dataset)
    got = run(server, slug, SPEC)
    body = got.json()
    assert body["id"] and body["complete"] is True
    assert body["query"]["calculations"] == SPEC["calculations"]
    rows = [r["data"] for r in body["data"]["results"]]
    assert sorted(r["COUNT"] for r in rows) == [100, 200] and rows[0]["COUNT"] == 200
    assert set(rows[0]) == {"route", "COUNT", "P99(ms)"}
    series = body["data"]["series"]
    assert sum(p["data"]["COUNT"] for p in series) == 300
    for p in series:
        times.parse_ns(p["time"])
        assert set(p["data"]) <= {"route", "COUNT", "P99(ms)"}
    assert body["links"]["query_url"]
    assert "max-age" in got.headers.get("Cache-Control", "")
    without = server.get(f"/1/query_results/{slug}/{body['id']}?include_series=false").json()
    assert not without["data"].get("series") and without["data"]["results"] == body["data"]["results"]


def test_result_without_series_takes_a_large_limit(server, dataset):
    server.batch(dataset, [{"time": times.at(0), "data": {"id": i}} for i in range(3000)])
    slug = slug_of(server, dataset)
    spec = {"calculations": [COUNT], "breakdowns": ["id"], "start_time": T0, "end_time": T0 + 60}
    body = run(server, slug, spec, disable_series=True, limit=10_000).json()
    assert len(body["data"]["results"]) == 3000 and not body["data"].get("series")
    assert len(run(server, slug, spec).json()["data"]["results"]) == 1000, "the default"


def test_totals_and_others(server, dataset):
    server.batch(dataset, [{"time": times.at(i), "data": {"g": g, "v": 1}} for i, g in enumerate("aaaabbc")])
    slug = slug_of(server, dataset)
    spec = {"calculations": [COUNT, {"op": "SUM", "column": "v"}], "breakdowns": ["g"], "orders": [{"op": "COUNT", "order": "descending"}], "limit": 1, "start_time": T0, "end_time": T0 + 60}
    body = run(server, slug, spec, disable_total_by_aggregate=False, disable_other_by_aggregate=False).json()
    assert [r["data"]["g"] for r in body["data"]["results"]] == ["a"]
    assert body["data"]["total_by_aggregate"]["data"]["COUNT"] == 7
    assert body["data"]["other_by_aggregate"]["data"]["COUNT"] == 3
    plain = run(server, slug, spec).json()
    assert not plain["data"].get("total_by_aggregate") and not plain["data"].get("other_by_aggregate"), "left out unless asked for"


def test_one_query_run_twice_sees_new_events(server, dataset):
    """A result stays as it was; a run of the same query sees what has come since."""
    server.send(dataset, {"a": 1})
    slug = slug_of(server, dataset)
    query = server.post(f"/1/queries/{slug}", {"calculations": [COUNT], "start_time": T0, "end_time": T0 + 60}).json()["id"]

    def start():
        return server.post(f"/1/query_results/{slug}", {"query_id": query}).json()["id"]

    def finish(result):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            body = server.get(f"/1/query_results/{slug}/{result}").json()
            if body["complete"]:
                return body["data"]["results"]
            time.sleep(0.01)

    first = start()
    assert finish(first)[0]["data"] == {"COUNT": 1}
    server.send(dataset, {"a": 2})
    assert finish(start())[0]["data"] == {"COUNT": 2}
    assert finish(first)[0]["data"] == {"COUNT": 1}


def test_unknown_query_and_result_are_404(server, dataset):
    server.send(dataset, {"a": 1})
    slug = slug_of(server, dataset)
    assert server.post(f"/1/query_results/{slug}", {"query_id": "none-such"}).status in (400, 404, 422)
    assert server.post(f"/1/query_results/{slug}", {}).status in (400, 422)
    assert server.get(f"/1/query_results/{slug}/none-such").status == 404


def test_results_over_all_datasets(server, dataset):
    server.send(dataset, {"marker_of_this_test": dataset})
    spec = {"calculations": [COUNT], "filters": [{"column": "marker_of_this_test", "op": "=", "value": dataset}], "start_time": T0, "end_time": T0 + 60}
    assert run(server, "__all__", spec).json()["data"]["results"] == [{"data": {"COUNT": 1}}]


def test_queries_and_results_survive_a_restart(fresh_server):
    fresh_server.send("ds", {"a": 1})
    spec = {"calculations": [COUNT], "start_time": T0, "end_time": T0 + 60}
    query = fresh_server.post("/1/queries/ds", spec).json()
    marker = fresh_server.post("/1/markers/ds", {"message": "deploy 5", "type": "deploy"}).json()
    fresh_server.kill()
    fresh_server.start()
    assert fresh_server.get(f"/1/queries/ds/{query['id']}").json() == query
    assert [m["id"] for m in fresh_server.get("/1/markers/ds").json()] == [marker["id"]]
    assert run(fresh_server, "ds", spec).json()["data"]["results"] == [{"data": {"COUNT": 1}}]


# ------------------------------------------------------------ markers

def test_markers(server, dataset):
    server.send(dataset, {"a": 1})
    slug = slug_of(server, dataset)
    before = int(time.time())
    reply = server.post(f"/1/markers/{slug}", {"message": "backend deploy #123", "type": "deploy", "url": "http://link/1"})
    assert reply.status == 201, reply
    made = reply.json()
    assert made["id"] and made["message"] == "backend deploy #123" and made["type"] == "deploy" and made["url"] == "http://link/1"
    assert before <= made["start_time"] <= time.time() + 1
    other = server.post(f"/1/markers/{slug}", {"message": "incident", "start_time": T0, "end_time": T0 + 600}).json()
    assert (other["start_time"], other["end_time"]) == (T0, T0 + 600)
    listed = server.get(f"/1/markers/{slug}")
    assert listed.status == 200 and {m["id"] for m in listed.json()} == {made["id"], other["id"]}
    updated = server.request("PUT", f"/1/markers/{slug}/{other['id']}", {"message": "over", "start_time": T0, "end_time": T0 + 900, "type": "incident"})
    assert updated.status == 200 and updated.json()["end_time"] == T0 + 900 and updated.json()["message"] == "over"
    assert server.request("DELETE", f"/1/markers/{slug}/{made['id']}").status == 200
    assert [m["id"] for m in server.get(f"/1/markers/{slug}").json()] == [other["id"]]
    assert server.request("DELETE", f"/1/markers/{slug}/none-such").status == 404
    assert server.request("PUT", f"/1/markers/{slug}/none-such", {"message": "x"}).status == 404


def test_markers_over_all(server):
    made = server.post("/1/markers/__all__", {"message": "everywhere"})
    assert made.status == 201, made
    assert made.json()["id"] in {m["id"] for m in server.get("/1/markers/__all__").json()}


# ------------------------------------------------------------ annotations

def test_query_annotations(server, dataset):
    server.send(dataset, {"a": 1})
    slug = slug_of(server, dataset)
    query = server.post(f"/1/queries/{slug}", {"calculations": [COUNT]}).json()["id"]
    reply = server.post(f"/1/query_annotations/{slug}", {"name": "My query", "description": "d", "query_id": query})
    assert reply.status == 201, reply
    made = reply.json()
    assert made["id"] and made["name"] == "My query" and made["query_id"] == query
    times.parse_ns(made["created_at"]), times.parse_ns(made["updated_at"])
    assert server.get(f"/1/query_annotations/{slug}/{made['id']}").json()["name"] == "My query"
    assert [a["id"] for a in server.get(f"/1/query_annotations/{slug}").json()] == [made["id"]]
    changed = server.request("PUT", f"/1/query_annotations/{slug}/{made['id']}", {"name": "Other", "query_id": query})
    assert changed.status == 200 and changed.json()["name"] == "Other"
    assert server.request("DELETE", f"/1/query_annotations/{slug}/{made['id']}").status == 204
    assert server.get(f"/1/query_annotations/{slug}/{made['id']}").status == 404


# ------------------------------------------------------------ forms of errors

@pytest.mark.parametrize("path,body", [("/1/queries/{}", b"{"), ("/1/queries/{}", b"[]"), ("/1/query_results/{}", b"x"), ("/1/markers/{}", b"{"), ("/1/datasets", b"{")])
def test_malformed_bodies_are_400_with_an_error(server, dataset, path, body):
    server.send(dataset, {"a": 1})
    reply = server.post(path.format(slug_of(server, dataset)), body, headers={"Content-Type": "application/json"})
    assert 400 <= reply.status < 500, reply
    assert json.loads(reply.body)["error"]
