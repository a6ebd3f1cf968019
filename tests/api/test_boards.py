"""Boards under /1 and /api/v1: shapes, codes, what is refused and where it says so (honeycomb-wire.md 2.1, 2.8)."""
import pytest

from lib import times
from lib.server import Server

NONE = "no-such-board"


def saved(server, dataset, **more):
    """A query of a dataset with its annotation: their ids."""
    server.send(dataset, {"ms": 1})
    slug = next(d["slug"] for d in server.get("/1/datasets").json() if d["name"] == dataset)
    query = server.post(f"/1/queries/{slug}", {"calculations": [{"op": "AVG", "column": "ms"}], "time_range": 3600} | more).json()["id"]
    annotation = server.post(f"/1/query_annotations/{slug}", {"name": "n", "query_id": query})
    assert annotation.status == 201, annotation
    return query, annotation.json()["id"]


def flexible(query, annotation):
    return {
        "name": "Checkout", "description": "how it goes", "type": "flexible", "layout_generation": "manual",
        "panels": [
            {"type": "query", "position": {"x_coordinate": 0, "y_coordinate": 0, "height": 6, "width": 8},
             "query_panel": {"query_id": query, "query_annotation_id": annotation, "query_style": "combo",
                             "visualization_settings": {"utc_xaxis": True, "hide_markers": False, "charts": [{"chart_type": "line", "chart_index": 0, "log_scale": True, "omit_missing_values": True}]}}},
            {"type": "slo", "position": {"x_coordinate": 8, "y_coordinate": 0, "height": 4, "width": 4}, "slo_panel": {"slo_id": "BGfyxhFto"}},
            {"type": "text", "text_panel": {"content": "# Grüße 🦀"}},
        ],
        "tags": [{"key": "team", "value": "blue"}],
        "preset_filters": [{"column": "app.Service", "alias": "Service"}],
    }


@pytest.mark.parametrize("root", ["/1/boards", "/api/v1/boards"])
def test_flexible_board(server, dataset, root):
    sent = flexible(*saved(server, dataset))
    reply = server.post(root, sent)
    assert reply.status == 201, reply
    made = reply.json()
    # The panel says of which dataset its query is.
    sent["panels"][0]["query_panel"]["dataset"] = dataset
    assert {k: made[k] for k in sent} == sent
    assert made["id"] and made["links"]["board_url"].endswith(f"/boards/{made['id']}")
    times.parse_ns(made["created_at"])
    for other in ("/1/boards", "/api/v1/boards"):
        got = server.get(f"{other}/{made['id']}")
        assert got.status == 200 and got.json() == made, other
        assert made in server.get(other).json()
    # What was read can be sent back; parts that are not sent go, preset filters stay.
    changed = {k: v for k, v in made.items() if k not in ("tags", "preset_filters")} | {"name": "Checkout 2", "panels": made["panels"][1:]}
    reply = server.request("PUT", f"{root}/{made['id']}", changed)
    assert reply.status == 200, reply
    now = reply.json()
    assert now["name"] == "Checkout 2" and now["panels"] == sent["panels"][1:] and "tags" not in now
    assert now["preset_filters"] == sent["preset_filters"] and now["created_at"] == made["created_at"]
    assert "panels" not in server.request("PUT", f"{root}/{made['id']}", {"name": "bare", "type": "flexible", "preset_filters": []}).json()
    assert server.get(f"{root}/{made['id']}").json()["preset_filters"] == []
    gone = server.request("DELETE", f"{root}/{made['id']}")
    assert gone.status == 204 and gone.body == b""
    assert server.get(f"{root}/{made['id']}").status == 404
    assert made["id"] not in [b["id"] for b in server.get(root).json()]


def test_classic_board(server, dataset):
    query, annotation = saved(server, dataset)
    sent = {"name": "old", "type": "classic", "description": "queries", "style": "visual", "column_layout": "single",
            "queries": [{"caption": "a", "query_style": "combo", "dataset": dataset, "query_id": query, "graph_settings": {"omit_missing_values": True, "utc_xaxis": True, "stacked_graphs": False}},
                        {"query_id": query, "query_annotation_id": annotation, "dataset": dataset, "query_style": "graph"}],
            "slos": ["s1"], "tags": None}
    reply = server.post("/1/boards", sent)
    assert reply.status == 201, reply
    made = reply.json()
    assert {k: made[k] for k in sent if k != "tags"} == {k: v for k, v in sent.items() if k != "tags"} and "tags" not in made
    now = server.request("PUT", f"/1/boards/{made['id']}", made | {"slos": [], "column_layout": "multi"}).json()
    assert now["slos"] == [] and now["column_layout"] == "multi" and now["queries"] == sent["queries"]
    assert server.request("DELETE", f"/1/boards/{made['id']}").status == 204


def test_type_left_out(server, dataset):
    query, _ = saved(server, dataset)
    for body, kind in (({"name": "a"}, "flexible"), ({"name": "b", "queries": [{"query_id": query}]}, "classic")):
        made = server.post("/1/boards", body).json()
        assert made["type"] == kind
        server.request("DELETE", f"/1/boards/{made['id']}")


def test_a_query_saved_for_two_datasets_is_told_apart_by_its_annotation(server, dataset):
    """The same question has the same id everywhere."""
    first, one = saved(server, dataset + "-1")
    second, two = saved(server, dataset + "-2")
    assert first == second and one != two
    panels = [{"type": "query", "query_panel": {"query_id": first, "query_annotation_id": a}} for a in (one, two)]
    made = server.post("/1/boards", {"name": "b", "type": "flexible", "panels": panels}).json()
    assert [p["query_panel"]["dataset"] for p in made["panels"]] == [dataset + "-1", dataset + "-2"]
    server.request("DELETE", f"/1/boards/{made['id']}")


def text_panels(n):
    return [{"type": "text", "text_panel": {"content": str(i)}} for i in range(n)]


@pytest.mark.parametrize("wrong,field,code", [
    ({"name": None}, "name", "missing"),
    ({"name": ""}, "name", "invalid"),
    ({"name": "x" * 256}, "name", "invalid"),
    ({"name": 5}, "name", "incorrect_type"),
    ({"description": "x" * 1025}, "description", "invalid"),
    ({"type": "odd"}, "type", "invalid"),
    ({"layout_generation": "free"}, "layout_generation", "invalid"),
    ({"panels": {}}, "panels", "incorrect_type"),
    ({"panels": [{"type": "odd"}]}, "panels[0].type", "invalid"),
    ({"panels": [{"text_panel": {"content": ""}}]}, "panels[0].type", "missing"),
    ({"panels": text_panels(1) + [{"type": "text"}]}, "panels[1].text_panel", "missing"),
    ({"panels": [{"type": "text", "text_panel": {"content": "x" * 10_001}}]}, "panels[0].text_panel.content", "invalid"),
    ({"panels": [{"type": "slo", "slo_panel": {}}]}, "panels[0].slo_panel.slo_id", "missing"),
    ({"panels": [{"type": "query", "query_panel": {"query_id": "none", "query_annotation_id": "none"}}]}, "panels[0].query_panel.query_id", "invalid"),
    ({"panels": [{"type": "query", "query_panel": {"query_id": "none"}}]}, "panels[0].query_panel.query_annotation_id", "missing"),
    ({"panels": [{"type": "text", "text_panel": {"content": ""}, "position": {"width": -1}}]}, "panels[0].position.width", "invalid"),
    ({"panels": text_panels(101)}, "panels", "invalid"),
    ({"tags": [{"key": "A", "value": "bb"}]}, "tags[0].key", "invalid"),
    ({"tags": [{"key": "a", "value": "bb"}] * 11}, "tags", "invalid"),
    ({"preset_filters": [{"column": "c", "alias": "a" * 51}]}, "preset_filters[0].alias", "invalid"),
    ({"preset_filters": [{"column": "c", "alias": "a"}] * 6}, "preset_filters", "invalid"),
    ({"queries": [{"caption": "c"}]}, "queries[0].query_id", "missing"),
])
def test_what_is_no_board(server, wrong, field, code):
    body = {"name": "b", "type": "flexible"} | wrong
    reply = server.post("/1/boards", body)
    assert reply.status == 422, reply
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    problem = reply.json()
    assert problem["status"] == 422 and problem["type"].endswith("/validation-failed") and problem["title"] and field in problem["error"]
    assert [(d["field"], d["code"]) for d in problem["type_detail"]] == [(field, code)] and problem["type_detail"][0]["description"]
    native = server.post("/api/v1/boards", body)
    assert native.status == 400 and native.json()["code"] == "invalid" and field in native.json()["message"]
    assert [d["field"] for d in native.json()["details"]] == [field]


def test_an_annotation_of_another_query(server, dataset):
    query, _ = saved(server, dataset)
    _, other = saved(server, dataset, limit=7)
    reply = server.post("/1/boards", {"name": "b", "panels": [{"type": "query", "query_panel": {"query_id": query, "query_annotation_id": other}}]})
    assert reply.status == 422 and reply.json()["type_detail"][0]["field"] == "panels[0].query_panel.query_annotation_id"


@pytest.mark.parametrize("body", [b"", b"{", b"not json"])
def test_what_cannot_be_read_is_400(server, body):
    reply = server.post("/1/boards", body)
    assert reply.status == 400 and reply.json()["type"].endswith("/unparseable")


@pytest.mark.parametrize("method,path", [("GET", NONE), ("PUT", NONE), ("DELETE", NONE), ("GET", f"{NONE}/views"), ("POST", f"{NONE}/views"), ("GET", f"{NONE}/views/x"), ("PUT", f"{NONE}/views/x"), ("DELETE", f"{NONE}/views/x")])
def test_unknown_board_is_404(server, method, path):
    reply = server.request(method, f"/1/boards/{path}", {"name": "b", "type": "flexible"} if method in ("PUT", "POST") else None)
    assert reply.status == 404 and reply.json()["type"].endswith("/not-found"), reply
    if "/" not in path:
        reply = server.request(method, f"/api/v1/boards/{path}", {"name": "b"} if method == "PUT" else None)
        assert reply.status == 404 and reply.json()["code"] == "not_found"


def test_views(server):
    board = server.post("/1/boards", {"name": "b", "type": "flexible"}).json()["id"]
    root = f"/1/boards/{board}/views"
    filters = [{"column": "status", "operation": "=", "value": "error"}, {"column": "user", "operation": "exists"}, {"column": "n", "operation": "in", "value": [1, 2]}]
    reply = server.post(root, {"name": "v", "filters": filters})
    assert reply.status == 201, reply
    view = reply.json()
    assert view == {"id": view["id"], "name": "v", "filters": filters}
    assert server.get(f"{root}/{view['id']}").json() == view and server.get(root).json() == [view]
    reply = server.request("PUT", f"{root}/{view['id']}", view | {"name": "w", "filters": filters[:1]})
    assert reply.status == 200 and reply.json() == {"id": view["id"], "name": "w", "filters": filters[:1]}
    # The board may change under its views.
    assert server.request("PUT", f"/1/boards/{board}", {"name": "b2", "type": "flexible"}).status == 200
    assert server.get(root).json()[0]["name"] == "w"
    for wrong, field in (({"name": "v"}, "filters"), ({"name": "v", "filters": []}, "filters"), ({"name": "v", "filters": [{"column": "c", "operation": "~"}]}, "filters[0].operation"),
                         ({"name": "v", "filters": [{"column": "c", "operation": "="}]}, "filters[0].value"), ({"filters": filters}, "name")):
        reply = server.post(root, wrong)
        assert reply.status == 422 and reply.json()["type_detail"][0]["field"] == field, reply
    for i in range(49):
        assert server.post(root, {"name": f"v{i}", "filters": filters}).status == 201
    reply = server.post(root, {"name": "one more", "filters": filters})
    assert reply.status == 422 and "50" in reply.error()
    assert server.request("DELETE", f"{root}/{view['id']}").status == 204
    assert server.get(f"{root}/{view['id']}").status == 404 and len(server.get(root).json()) == 49
    server.request("DELETE", f"/1/boards/{board}")


def test_boards_survive_a_kill(fresh_server, dataset):
    s = fresh_server
    made = s.post("/1/boards", flexible(*saved(s, dataset))).json()
    view = s.post(f"/1/boards/{made['id']}/views", {"name": "v", "filters": [{"column": "c", "operation": "exists"}]}).json()
    s.kill()
    s.start()
    assert s.get(f"/1/boards/{made['id']}").json() | {"links": None} == made | {"links": None}
    assert s.get(f"/1/boards/{made['id']}/views").json() == [view]


def test_no_more_boards_than_the_limit(tmp_path):
    with Server(tmp_path / "data", env={"WIDEYE_LIMITS_BOARDS_MAX": "1"}) as s:
        board = s.post("/1/boards", {"name": "a"}).json()["id"]
        reply = s.post("/1/boards", {"name": "b"})
        assert reply.status == 422 and "boards_max" in reply.error()
        s.request("DELETE", f"/1/boards/{board}")
        assert s.post("/1/boards", {"name": "b"}).status == 201
