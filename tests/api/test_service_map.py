"""The service map of a hand-made forest of traces: exact counts, with sample rates, errors, orphans, annotations, several datasets.

trace 1, rate 1   gateway root ─ client ─ cart server ─ client redis          (a span event, a link and a log hang below the client)
trace 2, rate 4   gateway root ─ client ─ cart server (error) ─ client postgresql (error, with its exception as a span event)
trace 3, rate 1   cart server, whose parent was never sent
trace 4, rate 1   gateway root ─ producer ─ billing consumer; and a producer whose consumer was never seen
trace 5, rate 1   cart root ─ billing server, without a client span between them
trace 6, rate 2   gateway root ─ client that waited for cart in vain
trace 7, rate 1   billing root ─ client to an address outside
"""
import time

import pytest

from lib import times
from lib.server import Server
from lib.times import T0

RANGE = {"start_time": T0, "end_time": T0 + 100}


def span(trace, id, parent, service, ms, kind, error=False, rate=1, **more):
    data = {"trace.trace_id": f"t{trace}", "trace.span_id": id, "service.name": service, "name": id, "duration_ms": ms, "span.kind": kind, "trace": trace}
    if parent:
        data["trace.parent_id"] = parent
    if error:
        data["error"] = True
    return {"time": times.at(trace), "samplerate": rate, "data": data | more}


def annotation(trace, parent, service, **more):
    return {"time": times.at(trace), "data": {"trace.trace_id": f"t{trace}", "trace.parent_id": parent, "service.name": service, "name": "note", "trace": trace} | more}


GATEWAY = [
    span(1, "g1", None, "gateway", 100, "server", route="/cart"),
    span(1, "g1c", "g1", "gateway", 60, "client", **{"peer.service": "cart"}),
    span(1, "g1i", "g1", "gateway", 1, "internal"),
    span(2, "g2", None, "gateway", 200, "server", error=True, rate=4, route="/checkout"),
    span(2, "g2c", "g2", "gateway", 160, "client", error=True, rate=4, **{"peer.service": "cart"}),
    span(4, "g4", None, "gateway", 20, "server", route="/order"),
    span(4, "g4p", "g4", "gateway", 2, "producer", **{"messaging.system": "kafka", "messaging.destination.name": "orders"}),
    span(4, "g4q", "g4", "gateway", 3, "producer", **{"messaging.system": "kafka", "messaging.destination.name": "orders"}),
    span(6, "g6", None, "gateway", 1010, "server", rate=2, route="/cart"),
    span(6, "g6c", "g6", "gateway", 1000, "client", error=True, rate=2, **{"peer.service": "cart"}),
]
CART = [
    span(1, "c1", "g1c", "cart", 50, "server"),
    span(1, "c1d", "c1", "cart", 5, "client", **{"db.system": "redis"}),
    annotation(1, "g1c", "cart", **{"meta.annotation_type": "span_event"}),
    annotation(1, "g1c", "cart", **{"meta.annotation_type": "link", "trace.link.trace_id": "t2"}),
    annotation(1, "g1c", "cart", **{"body": "a log", "duration_ms": 7}),
    span(2, "c2", "g2c", "cart", 150, "server", error=True, rate=4),
    span(2, "c2d", "c2", "cart", 20, "client", error=True, rate=4, **{"db.system": "postgresql", "db.name": "shop", "server.address": "pg-1"}),
    annotation(2, "c2d", "cart", **{"meta.annotation_type": "span_event", "error": True}),
    span(3, "c3", "never-sent", "cart", 30, "server"),
    span(5, "c5", None, "cart", 40, "server"),
]
BILLING = [
    span(4, "b4", "g4p", "billing", 70, "consumer"),
    span(5, "b5", "c5", "billing", 10, "server"),
    span(7, "b7", None, "billing", 400, "internal"),
    span(7, "b7c", "b7", "billing", 300, "client", **{"server.address": "api.bank.example"}),
]


@pytest.fixture(scope="module", params=["memtable", "segments"])
def shop(request, tmp_path_factory):
    """A server that has seen the forest."""
    with Server(tmp_path_factory.mktemp("map") / "data") as s:
        for name, events in (("gateway", GATEWAY), ("cart", CART), ("billing", BILLING)):
            s.batch(name, events)
        # No span in it: a metric.
        s.batch("metrics", [{"time": times.at(1), "data": {"cpu": 0.5, "service.name": "cart"}}])
        if request.param == "segments":
            s.restart()
        yield s


def ask(server, query=None, **more):
    reply = server.post("/api/v1/service-map", {"query": RANGE | (query or {})} | more)
    assert reply.status == 200, reply
    return reply.json()


def edges(body):
    """Calls: (count, errors) by caller and callee; ~ before those that are inferred."""
    return {(e["caller"], ("~" if e["inferred"] else "") + e["callee"]): (e["count"], e["errors"]) for e in body["edges"]}


REAL = {("gateway", "cart"): (5, 4), ("gateway", "billing"): (1, 0), ("cart", "billing"): (1, 0)}
INFERRED = {("gateway", "~cart"): (2, 2), ("gateway", "~kafka/orders"): (1, 0), ("cart", "~redis"): (1, 0), ("cart", "~postgresql/shop"): (4, 4), ("billing", "~api.bank.example"): (1, 0)}


def test_edges(shop):
    body = ask(shop)
    assert edges(body) == REAL | INFERRED
    assert [e["count"] for e in body["edges"]] == sorted((e["count"] for e in body["edges"]), reverse=True)
    of = {(e["caller"], e["callee"], e["inferred"]): e for e in body["edges"]}
    cart = of["gateway", "cart", False]
    assert (cart["rate_per_second"], cart["error_share"]) == (0.05, 0.8)
    assert (cart["p50_ms"], cart["p95_ms"]) == (150, 150), "of the callee, by weight"
    assert of["gateway", "cart", True]["p50_ms"] == 1000, "of the caller, as the callee never told"
    assert not body["truncated"] and body["meta"]["coverage"] == 1
    assert times.parse_ns(body["start_time"]) == T0 * times.SECOND and times.parse_ns(body["end_time"]) == (T0 + 100) * times.SECOND


def test_nodes(shop):
    nodes = {n["name"]: n for n in ask(shop)["nodes"]}
    told = {name: (n["kind"], n["inferred"], n["count"], n["errors"], n["orphans"]) for name, n in nodes.items()}
    assert told == {
        "gateway": ("service", False, 8, 4, 0),
        "cart": ("service", False, 7, 4, 1),
        "billing": ("service", False, 3, 0, 0),
        "redis": ("database", True, 1, 0, 0),
        "postgresql/shop": ("database", True, 4, 4, 0),
        "kafka/orders": ("messaging", True, 1, 0, 0),
        "api.bank.example": ("external", True, 1, 0, 0),
    }
    assert nodes["gateway"]["p50_ms"] == 200 and nodes["postgresql/shop"]["p95_ms"] == 20
    assert nodes["cart"]["rate_per_second"] == 0.07 and nodes["billing"]["error_share"] == 0


def test_stored_events_are_counted_if_asked_for(shop):
    body = ask(shop, {"usage_mode": True})
    assert edges(body)["gateway", "cart"] == (2, 1) and {n["name"]: n["count"] for n in body["nodes"]}["gateway"] == 4


@pytest.mark.parametrize("query,expected", [
    ({"filters": [{"column": "duration_ms", "op": ">", "value": 100}]}, {("gateway", "cart"): (4, 4), ("gateway", "~cart"): (2, 2), ("billing", "~api.bank.example"): (1, 0)}),
    ({"filters": [{"column": "service.name", "op": "=", "value": "billing"}]}, {("gateway", "billing"): (1, 0), ("cart", "billing"): (1, 0), ("billing", "~api.bank.example"): (1, 0)}),
    ({"filters": [{"column": "error", "op": "=", "value": True}]}, {("gateway", "cart"): (4, 4), ("gateway", "~cart"): (2, 2), ("cart", "~postgresql/shop"): (4, 4)}),
    ({"filters": [{"column": "error", "op": "does-not-exist"}, {"column": "duration_ms", "op": "<", "value": 50}]}, {("cart", "billing"): (1, 0), ("cart", "~redis"): (1, 0), ("gateway", "~kafka/orders"): (1, 0)}),
    # Of a whole request.
    ({"filters": [{"column": "root.route", "op": "=", "value": "/checkout"}]}, {("gateway", "cart"): (4, 4), ("cart", "~postgresql/shop"): (4, 4)}),
    ({"filters": [{"column": "parent.service.name", "op": "=", "value": "cart"}]}, {("cart", "billing"): (1, 0), ("cart", "~redis"): (1, 0), ("cart", "~postgresql/shop"): (4, 4)}),
    ({"filters": [{"column": "any.db.system", "op": "=", "value": "redis"}]}, {("gateway", "cart"): (1, 0), ("cart", "~redis"): (1, 0)}),
    # One of them has to hold.
    ({"filter_combination": "OR", "filters": [{"column": "service.name", "op": "=", "value": "billing"}, {"column": "duration_ms", "op": "=", "value": 150}]},
     {("gateway", "cart"): (4, 4), ("gateway", "billing"): (1, 0), ("cart", "billing"): (1, 0), ("billing", "~api.bank.example"): (1, 0)}),
    # A field of the question's own.
    ({"calculated_fields": [{"name": "slow", "expression": "GTE($duration_ms, 150)"}], "filters": [{"column": "slow", "op": "=", "value": True}]},
     {("gateway", "cart"): (4, 4), ("gateway", "~cart"): (2, 2), ("billing", "~api.bank.example"): (1, 0)}),
    ({"filters": [{"column": "trace", "op": "=", "value": 99}]}, {}),
    ({"start_time": T0 + 2, "end_time": T0 + 3}, {("gateway", "cart"): (4, 4), ("cart", "~postgresql/shop"): (4, 4)}),
    ({"start_time": T0 + 90}, {}),
])
def test_filters_and_times(shop, query, expected):
    body = ask(shop, query)
    assert edges(body) == expected
    if not expected:
        assert body["edges"] == [] and not [n for n in body["nodes"] if n["inferred"]]


def test_spans_that_began_before_the_range_still_have_their_parents(shop):
    """The parent of a call may lie before the range: who called is known nevertheless."""
    shop.batch("early", [span(50, "p50", None, "early", 900, "server")])
    shop.batch("late", [span(50, "l50", "p50", "late", 5, "server") | {"time": times.at(52)}])
    body = ask(shop, {"start_time": T0 + 51, "end_time": T0 + 60})
    assert edges(body) == {("early", "late"): (1, 0)}
    # The caller served nothing in the range, and is there.
    assert {n["name"]: (n["count"], n["orphans"]) for n in body["nodes"]} == {"late": (1, 0), "early": (0, 0)}


TRACES_1_TO_7 = {"end_time": T0 + 50}


def test_services(shop):
    body = ask(shop, TRACES_1_TO_7, services=["billing"])
    assert edges(body) == {("gateway", "billing"): (1, 0), ("cart", "billing"): (1, 0), ("billing", "~api.bank.example"): (1, 0)}
    assert {n["name"] for n in body["nodes"]} == {"gateway", "cart", "billing", "api.bank.example"}
    assert edges(ask(shop, TRACES_1_TO_7, services=["no-such"])) == {}


def test_without_what_is_inferred(shop):
    body = ask(shop, TRACES_1_TO_7, inferred=False)
    assert edges(body) == REAL and {n["name"] for n in body["nodes"]} == {"gateway", "cart", "billing"}


def test_limit(shop):
    body = ask(shop, TRACES_1_TO_7, limit=2)
    assert edges(body) == {("gateway", "cart"): (5, 4), ("cart", "~postgresql/shop"): (4, 4)} and body["truncated"]
    assert not ask(shop, TRACES_1_TO_7, limit=8)["truncated"]


def test_one_dataset_alone_does_not_see_the_parents_in_others(shop):
    body = ask(shop, TRACES_1_TO_7, dataset="cart")
    assert edges(body) == {("cart", "~redis"): (1, 0), ("cart", "~postgresql/shop"): (4, 4)}
    assert {n["name"]: n["orphans"] for n in body["nodes"] if not n["inferred"]} == {"cart": 6}


def test_nothing_to_see(shop):
    body = ask(shop, dataset="metrics")
    assert body["nodes"] == [] and body["edges"] == [] and "trace.parent_id" in body["meta"]["notes"][0]


def test_a_service_by_its_older_name(server, dataset):
    """Beelines send service_name, and span.kind never."""
    def beeline(id, parent, service, ms):
        return {"trace.trace_id": "t", "trace.span_id": id, "service_name": service, "duration_ms": ms} | ({"trace.parent_id": parent} if parent else {})

    server.send(dataset, beeline("a", None, "web", 9), beeline("b", "a", "db-proxy", 4), beeline("c", "b", "db-proxy", 3))
    body = ask(server, dataset=dataset)
    assert edges(body) == {("web", "db-proxy"): (1, 0)}
    # Newer instrumentation may stand beside it.
    server.send(dataset, {"trace.trace_id": "t", "trace.span_id": "d", "trace.parent_id": "b", "service.name": "store", "duration_ms": 2})
    assert edges(ask(server, dataset=dataset)) == {("web", "db-proxy"): (1, 0), ("db-proxy", "store"): (1, 0)}


@pytest.mark.parametrize("body,status,word", [
    ({"query": {"filters": [{"column": "no.such", "op": "exists"}]}}, 400, "no.such"),
    ({"query": {"filters": [{"column": "name", "op": "~"}]}}, 400, "~"),
    ({"query": {"calculations": [{"op": "COUNT"}]}}, 400, "filters"),
    ({"query": {"breakdowns": ["name"]}}, 400, "filters"),
    ({"query": {"start_time": 1, "end_time": 2, "time_range": 3}}, 400, "time"),
    ({"limit": 0}, 400, "limit"),
    ({"limit": 64_001}, 400, "64000"),
    ({"servicesss": []}, 400, "servicesss"),
    ({"dataset": "no-such-dataset"}, 404, "no-such-dataset"),
])
def test_wrong_requests(shop, body, status, word):
    reply = shop.post("/api/v1/service-map", body)
    assert reply.status == status and word in reply.error(), reply


def test_no_body_means_the_last_two_hours_of_everything(server, dataset):
    now = times.rfc3339(time.time_ns())
    server.batch(dataset, [{"time": now, "data": {"trace.trace_id": dataset, "trace.span_id": i, "service.name": f"{dataset}-{i}"} | p} for i, p in (("a", {}), ("b", {"trace.parent_id": "a"}))])
    reply = server.post("/api/v1/service-map")
    assert reply.status == 200 and (f"{dataset}-a", f"{dataset}-b") in edges(reply.json())


# ------------------------------------------------------------ Honeycomb's form

REQUESTS = "/1/maps/dependencies/requests"
DEPENDENCIES = {("gateway", "cart"): 5, ("gateway", "billing"): 1, ("cart", "billing"): 1}


def dependencies(server, body, limit="", size=""):
    """Creates a request, polls it, walks all pages: (pages, calls)."""
    made = server.post(REQUESTS + limit, body)
    assert made.status == 201, made
    id = made.json()["request_id"]
    assert made.json()["status"] in ("pending", "ready") and made.headers["Location"].endswith(f"{REQUESTS}/{id}")
    end = time.monotonic() + 20
    while (reply := server.get(f"{REQUESTS}/{id}{size}")).json()["status"] == "pending":
        assert reply.status == 200 and reply.json()["dependencies"] is None and time.monotonic() < end
    pages = [reply.json()]
    assert "max-age" in reply.headers["Cache-Control"] and reply.headers["Last-Modified"]
    while pages[-1]["links"]["next"]:
        pages.append(server.get(pages[-1]["links"]["next"]).json())
    assert all(p["status"] == "ready" and p["request_id"] == id for p in pages)
    found = [d for p in pages for d in p["dependencies"]]
    assert all(n["type"] == "service" for d in found for n in (d["parent_node"], d["child_node"]))
    return pages, {(d["parent_node"]["name"], d["child_node"]["name"]): d["call_count"] for d in found}


def test_dependencies(shop):
    assert dependencies(shop, {"start_time": T0, "end_time": T0 + 50})[1] == DEPENDENCIES
    assert dependencies(shop, {"start_time": T0, "time_range": 50})[1] == DEPENDENCIES
    assert dependencies(shop, {"end_time": T0 + 50})[1] == DEPENDENCIES
    # As clients do that fill in the default range.
    assert dependencies(shop, {"start_time": T0, "end_time": T0 + 50, "time_range": 7200})[1] == DEPENDENCIES
    assert dependencies(shop, {"start_time": T0 + 2, "end_time": T0 + 3})[1] == {("gateway", "cart"): 4}
    assert dependencies(shop, {})[1] == dependencies(shop, None)[1] == {}, "nothing in the last two hours"


def test_dependencies_of_some_services(shop):
    of = {"start_time": T0, "end_time": T0 + 50}
    assert dependencies(shop, of | {"filters": [{"name": "billing", "type": "service"}]})[1] == {("gateway", "billing"): 1, ("cart", "billing"): 1}
    assert dependencies(shop, of | {"filters": [{"name": "gateway"}, {"name": "cart"}]})[1] == DEPENDENCIES
    assert dependencies(shop, of | {"filters": [{"name": "none"}]})[1] == {}


def test_dependencies_page_by_page(shop):
    of = {"start_time": T0, "end_time": T0 + 50}
    pages, calls = dependencies(shop, of, size="?page[size]=2")
    assert [len(p["dependencies"]) for p in pages] == [2, 1] and calls == DEPENDENCIES
    assert dependencies(shop, of, limit="?limit=1")[1] == {("gateway", "cart"): 5}


@pytest.mark.parametrize("body,limit,field", [
    ({"start_time": T0, "end_time": T0 - 1}, "", "start_time"), ({"time_range": 0}, "", "time_range"), ({"start_time": "x"}, "", "start_time"), ({"filters": [{}]}, "", "filters[0].name"),
    ({"filters": [{"name": "a", "type": "host"}]}, "", "filters[0].type"), ({}, "?limit=64001", "limit"), ({}, "?limit=x", "limit"),
])
def test_wrong_dependency_requests(shop, body, limit, field):
    reply = shop.post(REQUESTS + limit, body)
    assert reply.status == 422 and reply.json()["type_detail"][0]["field"] == field, reply


def test_wrong_dependency_pages(shop):
    assert shop.get(f"{REQUESTS}/none-such").status == 404
    id = shop.post(REQUESTS, {}).json()["request_id"]
    for query, field in (("page[size]=101", "page[size]"), ("page[size]=0", "page[size]"), ("page[after]=x", "page[after]")):
        reply = shop.get(f"{REQUESTS}/{id}?{query}")
        assert reply.status == 422 and reply.json()["type_detail"][0]["field"] == field
    assert shop.post(REQUESTS, b"{").status == 400


def test_a_dependency_request_outlives_the_process(fresh_server):
    s = fresh_server
    s.batch("gateway", GATEWAY)
    s.batch("cart", CART)
    id = s.post(REQUESTS, {"start_time": T0, "end_time": T0 + 50}).json()["request_id"]
    s.kill()
    s.start()
    end = time.monotonic() + 20
    while (body := s.get(f"{REQUESTS}/{id}").json())["status"] == "pending":
        assert time.monotonic() < end
    assert [d["call_count"] for d in body["dependencies"]] == [5]
