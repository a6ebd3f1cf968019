"""Calculated fields, filters of one calculation, formulas, and saved fields (honeycomb-wire.md 2.4, 2.5; semantics 21, 22)."""
import pytest

from lib.times import T0

COUNT = {"op": "COUNT"}


def field(expression, name="x"):
    return {"calculated_fields": [{"name": name, "expression": expression}]}


@pytest.fixture(scope="module")
def shop(shared_server):
    """Eight requests: status as number, as text and missing; durations on six."""
    name = "calculated shop"
    shared_server.send(
        name,
        {"route": "/cart", "status": 200, "ms": 10, "user": "Ann"}, {"route": "/cart", "status": 500, "ms": 900, "user": "Bob"},
        {"route": "/pay", "status": 200, "ms": 40, "empty": ""}, {"route": "/pay", "status": "200", "ms": 2.5},
        {"route": "/pay", "status": 503, "ms": 1200, "user": "Ann"}, {"route": "/items/7", "status": 404, "ms": 7},
        {"route": "/items/9", "text": "12"}, {"a-b": 1})
    return name


def values(server, ds, expression, **query):
    """How often each value of an expression occurs."""
    rows = server.query(ds, {"calculations": [COUNT], "breakdowns": ["x"]} | field(expression) | query).rows
    return {r["x"]: r["COUNT"] for r in rows}


@pytest.mark.parametrize("expression, expected", [
    ("IF(GTE($status, 500), \"bad\", EXISTS($status), \"good\")", {"bad": 2, "good": 4, None: 2}),
    ("EQUALS($status, 200)", {True: 2, False: 6}),
    ("EQUALS($status, \"200\")", {True: 1, False: 7}),
    ("$status >= 400 AND $ms < 1000", {True: 2, False: 6}),
    ("!EXISTS($user)", {True: 5, False: 3}),
    ("COALESCE($empty, $user, \"nobody\")", {"Ann": 2, "Bob": 1, "nobody": 5}),
    ("CONCAT($user, \"@\", $route)", {"Ann@/cart": 1, "Bob@/cart": 1, "@/pay": 2, "Ann@/pay": 1, "@/items/7": 1, "@/items/9": 1, "@": 1}),
    ("REG_VALUE($route, `^/([a-z]+)`)", {"cart": 2, "pay": 3, "items": 2, None: 1}),
    ("REG_MATCH($route, `^/items/[0-9]+$`)", {True: 2, False: 6}),
    ("SWITCH($route, \"/cart\", 1, \"/pay\", 2, 0)", {1: 2, 2: 3, 0: 3}),
    ("DIV($text, 0)", {None: 8}),
    ("$text + 1", {13: 1, None: 7}),
    ("BUCKET($ms, 500, 0, 1000)", {"0 - 500": 4, "500 - 1000": 1, "> 1000": 1, None: 2}),
    ("LENGTH($user)", {3: 3, None: 5}),
    ("10 + 5 - 3 * 2", {9: 8}),
    ("$a-b", {1: 1, None: 7}),
    ("$\"a-b\" -1", {0: 1, None: 7}),
])
def test_values(server, shop, expression, expected):
    assert values(server, shop, expression) == expected


def test_in_filters_calculations_orders_and_raw_rows(server, shop):
    seconds = field("$ms / 1000", "seconds")
    row = server.query(shop, {"calculations": [{"op": op, "column": "seconds"} for op in ("COUNT", "SUM", "MAX", "COUNT_DISTINCT")]} | seconds).only()
    assert row == {"COUNT(seconds)": 6, "SUM(seconds)": pytest.approx(2.1595), "MAX(seconds)": 1.2, "COUNT_DISTINCT(seconds)": 6}
    assert server.count(shop, [{"column": "seconds", "op": ">=", "value": 0.9}], **seconds) == 2
    assert server.count(shop, [{"column": "seconds", "op": "does-not-exist"}], **seconds) == 2
    rows = server.query(shop, {"calculations": [], "filters": [{"column": "seconds", "op": "<", "value": 0.02}], "orders": [{"column": "seconds"}]} | seconds).events()
    assert [e.data["seconds"] for e in rows] == [0.0025, 0.007, 0.01] and rows[0].data["ms"] == 2.5
    series = server.query(shop, {"calculations": [{"op": "HEATMAP", "column": "seconds"}], "granularity": 3600} | seconds).series
    assert series


def test_fields_use_fields_and_go_before_columns(server, shop):
    fields = {"calculated_fields": [{"name": "ms", "expression": "$ms * 2"}, {"name": "double", "expression": "$ms"}]}
    row = server.query(shop, {"calculations": [{"op": "MAX", "column": "ms"}, {"op": "MAX", "column": "double"}]} | fields).only()
    assert row == {"MAX(ms)": 2400, "MAX(double)": 2400}


@pytest.mark.parametrize("expression, parts", [
    ("IF(", ["x", "character 4"]),
    ("IF($ms, CONCATT($user))", ["CONCATT", "character 9", "CONCAT"]),
    ("$nothing + 1", ["nothing", "x"]),
    ("SUB(1)", ["SUB", "2 arguments"]),
    ("REG_MATCH($route, `(`)", ["character 19"]),
    ("$x", ["x"]),
    ("", ["empty"]),
    ("1" * 5000, ["4095"]),
    ("(" * 2000, ["levels"]),
])
def test_refusals_say_what_and_where(server, shop, expression, parts):
    text = server.refused(shop, {"calculations": [COUNT]} | field(expression))
    for part in parts:
        assert part in text
    assert server.post(f"/1/queries/{slug(server, shop)}", {"calculations": [COUNT]} | field(expression)).status == 422


def slug(server, dataset):
    [entry] = [d for d in server.get("/1/datasets").json() if d["name"] == dataset]
    return entry["slug"]


def test_filters_of_one_calculation(server, shop):
    bad = [{"column": "status", "op": ">=", "value": 500}]
    either = [{"column": "user", "op": "=", "value": "Bob"}, {"column": "route", "op": "=", "value": "/pay"}]
    row = server.query(shop, {"calculations": [
        COUNT, {"op": "COUNT", "name": "bad", "filters": bad}, {"op": "AVG", "column": "ms", "name": "slow", "filters": bad},
        {"op": "COUNT", "name": "either", "filters": either, "filter_combination": "OR"},
        {"op": "MAX", "column": "ms", "name": "none", "filters": [{"column": "route", "op": "=", "value": "/nowhere"}]}]}).only()
    assert row == {"COUNT": 8, "bad": 2, "slow": 1050, "either": 4, "none": None}
    assert "nothing" in server.refused(shop, {"calculations": [{"op": "COUNT", "filters": [{"column": "nothing", "op": "exists"}]}]})


def test_formulas_stand_for_their_calculations(server, shop):
    query = {
        "calculations": [{"op": "COUNT", "name": "errors", "filters": [{"column": "status", "op": ">=", "value": 500}]}, {"op": "COUNT", "name": "total"}, {"op": "MAX", "column": "ms"}],
        "formulas": [{"name": "rate", "expression": "DIV($errors, $total)"}], "breakdowns": ["route"],
        "orders": [{"column": "rate", "order": "descending"}], "havings": [{"calculate_op": "rate", "op": ">", "value": 0.1}]}
    answer = server.query(shop, query | {"granularity": 3600})
    assert [(r["route"], r["rate"]) for r in answer.rows] == [("/cart", 0.5), ("/pay", pytest.approx(1 / 3))]
    assert set(answer.rows[0]) == {"route", "rate", "MAX(ms)"}
    assert {p["data"]["route"]: p["data"]["rate"] for p in answer.series} == {"/cart": 0.5, "/pay": pytest.approx(1 / 3)}
    assert "nope" in server.refused(shop, query | {"formulas": [{"name": "rate", "expression": "$nope / 2"}]})
    made = server.post(f"/1/queries/{slug(server, shop)}", query | {"start_time": T0 - 3600, "end_time": T0 + 3600})
    assert made.status == 200, made
    result = server.post(f"/1/query_results/{slug(server, shop)}", {"query_id": made.json()["id"], "disable_series": True})
    body = result.json()
    while not body["complete"]:
        body = server.get(f"/1/query_results/{slug(server, shop)}/{body['id']}").json()
    assert [r["data"]["rate"] for r in body["data"]["results"]] == [0.5, pytest.approx(1 / 3)]


def test_weights_count_in_filtered_calculations(server, dataset):
    server.send(dataset, {"a": 1}, rate=10)
    server.send(dataset, {"a": 2}, rate=3)
    row = server.query(dataset, {"calculations": [{"op": "COUNT", "name": "n", "filters": [{"column": "a", "op": "=", "value": 1}]}]}).only()
    assert row == {"n": 10}


# ------------------------------------------------------------ saved

def test_derived_columns(server, dataset):
    server.send(dataset, {"ms": 10, "route": "/a"}, {"ms": 900, "route": "/b"})
    path = f"/1/derived_columns/{slug(server, dataset)}"
    reply = server.post(path, {"alias": "slow", "expression": "GTE($ms, 500)", "description": "half a second"})
    assert reply.status == 201, reply
    made = reply.json()
    assert (made["alias"], made["expression"], made["description"]) == ("slow", "GTE($ms, 500)", "half a second")
    assert made["id"] and made["created_at"] and made["updated_at"]
    assert server.get(f"{path}/{made['id']}").json() == made
    assert server.get(path).json() == [made] and server.get(f"{path}?alias=slow").json() == made
    assert server.get(f"{path}?alias=other").status == 404 and server.get(f"{path}/nope").status == 404
    assert server.count(dataset, [{"column": "slow", "op": "=", "value": True}]) == 1
    assert {r["slow"]: r["COUNT"] for r in server.query(dataset, {"calculations": [COUNT], "breakdowns": ["slow"]}).rows} == {True: 1, False: 1}
    # Names are taken by fields and by columns.
    assert server.post(path, {"alias": "slow", "expression": "1"}).status == 409
    assert server.post(path, {"alias": "ms", "expression": "1"}).status == 409
    # Another field may use it; then it cannot go.
    user = server.post(path, {"alias": "kind", "expression": "IF($slow, \"slow\", \"fast\")"}).json()
    assert server.count(dataset, [{"column": "kind", "op": "=", "value": "slow"}]) == 1
    assert server.request("DELETE", f"{path}/{made['id']}").status == 409
    reply = server.request("PUT", f"{path}/{made['id']}", {"alias": "slow", "expression": "GTE($ms, 5)"})
    assert reply.status == 200 and reply.json()["expression"] == "GTE($ms, 5)" and reply.json()["created_at"] == made["created_at"]
    assert server.count(dataset, [{"column": "kind", "op": "=", "value": "slow"}]) == 2, "what was computed before is not used again"
    assert server.request("PUT", f"{path}/{made['id']}", {"expression": "$kind"}).status == 422
    assert server.request("DELETE", f"{path}/{user['id']}").status == 204
    assert server.request("DELETE", f"{path}/{made['id']}").status == 204
    assert server.get(path).json() == []
    assert "slow" in server.refused(dataset, {"breakdowns": ["slow"]})


@pytest.mark.parametrize("body, parts", [
    ({"alias": "x", "expression": "IF("}, ["character 4"]),
    ({"alias": "x", "expression": "$nothing"}, ["nothing"]),
    ({"alias": "x", "expression": "$x"}, ["x"]),
    ({"alias": "x"}, ["empty"]),
    ({"alias": "", "expression": "1"}, ["name"]),
    ({"alias": "x" * 256, "expression": "1"}, ["255"]),
    ({"alias": "x", "expression": "1", "description": "d" * 256}, ["description"]),
])
def test_saving_checks_the_expression(server, dataset, body, parts):
    server.send(dataset, {"ms": 10})
    reply = server.post(f"/1/derived_columns/{slug(server, dataset)}", body)
    assert reply.status == 422, reply
    for part in parts:
        assert part in reply.error(), reply


def test_fields_of_all_datasets_and_the_native_api(server, dataset):
    other = dataset + " other"
    server.send(dataset, {"only.here": 5, "shared": 1})
    server.send(other, {"shared": 2})
    name = "everywhere " + dataset
    reply = server.post("/api/v1/calculated-fields", {"name": name, "expression": "COALESCE($only.here, $shared)"})
    assert reply.status == 201, reply
    made = reply.json()
    assert made["dataset"] == "__all__" and made["name"] == name
    try:
        assert name in [f["alias"] for f in server.get("/1/derived_columns/__all__").json()]
        assert name in [f["name"] for f in server.get("/api/v1/calculated-fields").json()]
        # A column that one dataset does not have is missing there.
        for ds, value in ((dataset, 5), (other, 2)):
            assert server.query(ds, {"calculations": [{"op": "MAX", "column": name}]}).only() == {f"MAX({name})": value}
        rows = server.query("__all__", {"calculations": [COUNT], "breakdowns": [name], "filters": [{"column": name, "op": "exists"}, {"column": "meta.dataset", "op": "in", "value": [dataset, other]}]}).by(name)
        assert set(rows) == {5, 2}
        # A dataset's own goes before it.
        own = server.post("/api/v1/calculated-fields", {"dataset": other, "name": name, "expression": "$shared * 100"}).json()
        assert server.query(other, {"calculations": [{"op": "MAX", "column": name}]}).only() == {f"MAX({name})": 200}
        columns = {c["name"]: c for c in server.get(f"/api/v1/datasets/{slug(server, other)}/columns").json()}
        assert columns[name]["calculated"] == "$shared * 100" and "calculated" not in columns["shared"]
        reply = server.request("PUT", f"/api/v1/calculated-fields/{own['id']}", {"expression": "$shared * 1000"})
        assert reply.status == 200 and reply.json()["name"] == name
        assert server.query(other, {"calculations": [{"op": "MAX", "column": name}]}).only() == {f"MAX({name})": 2000}
        assert server.get(f"/api/v1/calculated-fields/{own['id']}").json()["expression"] == "$shared * 1000"
        assert server.request("DELETE", f"/api/v1/calculated-fields/{own['id']}").status == 204
        assert server.get(f"/api/v1/calculated-fields/{own['id']}").status == 404
        assert server.query(other, {"calculations": [{"op": "MAX", "column": name}]}).only() == {f"MAX({name})": 2}
        reply = server.post("/api/v1/calculated-fields", {"name": "x", "expression": "1 +"})
        assert reply.status == 400 and "character 4" in reply.error(), reply
    finally:
        assert server.request("DELETE", f"/api/v1/calculated-fields/{made['id']}").status == 204


def test_saved_fields_survive_a_restart_and_go_with_their_dataset(fresh_server):
    server = fresh_server
    server.send("lives", {"ms": 1})
    assert server.post("/1/derived_columns/lives", {"alias": "x", "expression": "$ms + 1"}).status == 201
    server.restart()
    assert server.query("lives", {"calculations": [{"op": "MAX", "column": "x"}]}).only() == {"MAX(x)": 2}
    assert server.request("DELETE", "/1/datasets/lives").status == 202
    server.send("lives", {"ms": 1})
    assert server.get("/1/derived_columns/lives").json() == []
    assert "x" in server.refused("lives", {"calculations": [{"op": "MAX", "column": "x"}]})
