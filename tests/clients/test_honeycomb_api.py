"""honeycomb-api (PyPI) as the query client: its typed models must accept every answer; it polls results as any tool would."""
import asyncio

import pytest
from honeycomb import HoneycombClient
from honeycomb.exceptions import HoneycombAPIError, HoneycombNotFoundError
from honeycomb.models.board_builder import BoardBuilder
from honeycomb.models.boards import BoardCreate, BoardView, BoardViewCreate, QueryPanel, SLOPanel, TextPanel
from honeycomb.models.derived_columns import DerivedColumnBuilder, DerivedColumnCreate
from honeycomb.models.datasets import DatasetCreate, DatasetUpdate
from honeycomb.models.events import BatchEvent
from honeycomb.models.markers import MarkerCreate
from honeycomb.models.queries import QuerySpec
from honeycomb.models.service_map_dependencies import ServiceMapDependencyRequestCreate
from honeycomb.models.query_builder import QueryBuilder
from honeycomb.models.query_annotations import QueryAnnotationCreate

from lib import times
from lib.times import T0

VALUES = {"text": "plain", "empty": "", "unicode": "Grüße 🦀", "int": 42, "negative": -7, "float": 0.1, "yes": True, "no": False, "long": "ä" * (32 * 1024), "with.dot": 1, "with space": 2}


@pytest.fixture
def client(server):
    with HoneycombClient(api_key=server.key, base_url=server.url, sync=True, max_retries=0) as c:
        yield c


def spec(**more):
    return QuerySpec.model_validate({"start_time": T0, "end_time": T0 + 3600, "calculations": [{"op": "COUNT"}]} | more | ({} if "time_range" in more else {"time_range": None}))


def slug_of(client, name):
    [d] = [d for d in client.datasets.list() if d.name == name]
    return d.slug


def rows(client, slug, query, **options):
    _, result = client.query_results.create_and_run(query, dataset=slug, poll_interval=0.02, **options)
    return result.data.rows


def test_auth(client):
    auth = client.auth.get()
    assert auth.id and auth.environment.slug and auth.team.slug
    assert auth.api_key_access.events and auth.api_key_access.queries and auth.api_key_access.createDatasets


def test_datasets(server, client, dataset):
    made = client.datasets.create(DatasetCreate(name=dataset, description="d"))
    assert made.name == dataset and made.slug and made.description == "d"
    assert client.datasets.get(made.slug).name == dataset
    assert dataset in [d.name for d in client.datasets.list()]
    updated = client.datasets.update(made.slug, DatasetUpdate(description="new", expand_json_depth=2))
    assert updated.description == "new"
    client.datasets.delete(made.slug)
    with pytest.raises(HoneycombNotFoundError):
        client.datasets.get(made.slug)


def test_every_value_sent_is_read_back(server, client, dataset):
    client.events.send(dataset, VALUES | {"n": 0}, timestamp=T0, samplerate=3)
    results = client.events.send_batch(dataset, [BatchEvent(data=VALUES | {"n": i}, time=times.at(i), samplerate=1) for i in (1, 2)])
    assert [r.status for r in results] == [202, 202]
    slug = slug_of(client, dataset)
    got = rows(client, slug, spec(breakdowns=[*VALUES, "n"], orders=[{"column": "n"}]))
    assert [r["n"] for r in got] == [0, 1, 2]
    assert [r["COUNT"] for r in got] == [3, 1, 1]
    for r in got:
        for name, value in VALUES.items():
            assert r[name] == value and isinstance(r[name], bool) == isinstance(value, bool), name


def test_sixty_four_bit_values_by_its_transport(server, client, dataset):
    """Its models make floats of numbers; on the wire the digits are all there."""
    server.send(dataset, {"max": 2**63 - 1, "min": -(2**63), "odd": 2**53 + 1})
    slug = slug_of(client, dataset)
    query = client.queries.create(spec(breakdowns=["max", "min", "odd"]), dataset=slug)
    result = client.query_results.create(slug, query.id)
    client.query_results.run(slug, query.id, poll_interval=0.02)
    while not (body := client.get_sync(f"/1/query_results/{slug}/{result}").json())["complete"]:
        pass
    assert body["data"]["results"] == [{"data": {"max": 2**63 - 1, "min": -(2**63), "odd": 2**53 + 1, "COUNT": 1}}]


def test_columns(server, client, dataset):
    server.send(dataset, {"s": "x", "i": 1, "f": 0.5, "b": True})
    slug = slug_of(client, dataset)
    assert {c.key_name: c.type.value for c in client.columns.list(slug)} == {"s": "string", "i": "integer", "f": "float", "b": "boolean"}
    [column] = [c for c in client.columns.list(slug) if c.key_name == "i"]
    assert client.columns.get(slug, column.id).key_name == "i"


def test_missing_group_values_do_not_break_its_models(server, client, dataset):
    """The models allow text, bool and number, no null: a missing value must be left out of /1/query_results."""
    server.send(dataset, {"g": "a", "v": 1}, {"v": 2}, {"g": "b"})
    got = rows(client, slug_of(client, dataset), spec(breakdowns=["g"], calculations=[{"op": "COUNT"}, {"op": "SUM", "column": "v"}]))
    assert {r.get("g"): (r["COUNT"], r.get("SUM(v)")) for r in got} == {"a": (1, 1), None: (1, 2), "b": (1, None)}


def test_query_with_everything(server, client, dataset):
    server.batch(dataset, [{"time": times.at(i), "samplerate": 1 + i % 3, "data": {"route": "/abc"[: 2 + i % 3], "ms": i, "ok": i % 4 > 0}} for i in range(300)])
    slug = slug_of(client, dataset)
    query = spec(calculations=[{"op": "COUNT"}, {"op": "P99", "column": "ms"}, {"op": "AVG", "column": "ms"}], breakdowns=["route"], granularity=60, limit=2,
                 filters=[{"column": "ms", "op": ">=", "value": 10}, {"column": "ok", "op": "=", "value": True}], filter_combination="AND",
                 orders=[{"op": "COUNT", "order": "descending"}], havings=[{"calculate_op": "COUNT", "op": ">", "value": 1}])
    want = {}
    for i in range(10, 300):
        if i % 4:
            want["/abc"[: 2 + i % 3]] = want.get("/abc"[: 2 + i % 3], 0) + 1 + i % 3
    best = sorted(want.items(), key=lambda x: -x[1])[:2]
    got = rows(client, slug, query, limit=2)  # without one it asks for 10,000
    assert [(r["route"], r["COUNT"]) for r in got] == best
    query_made, result = client.query_results.create_and_run(query, dataset=slug, disable_series=False, limit=None, poll_interval=0.02)
    assert result.complete and result.data.series and result.links.query_url
    assert sum(p.data["COUNT"] for p in result.data.series) == sum(n for _, n in best)
    assert client.queries.get(slug, query_made.id).id == query_made.id


def test_relative_time(server, client, dataset):
    client.events.send(dataset, {"a": 1})
    query = QuerySpec.builder().last_1_hour().count().build()
    assert rows(client, slug_of(client, dataset), query) == [{"COUNT": 1}]


def test_heatmap_and_concurrency_do_not_break_its_models(server, client, dataset):
    server.send(dataset, {"duration_ms": 5.0}, {"duration_ms": 7.0})
    slug = slug_of(client, dataset)
    assert rows(client, slug, spec(calculations=[{"op": "CONCURRENCY"}, {"op": "COUNT"}]))[0]["COUNT"] == 2


def test_pages_of_a_large_result(server, client, dataset):
    server.batch(dataset, [{"time": times.at(0), "data": {"id": f"id-{i:05}", "v": i}} for i in range(9000)])
    slug = slug_of(client, dataset)
    got = rows(client, slug, spec(breakdowns=["id"], calculations=[{"op": "MAX", "column": "v"}]))
    assert {r["id"]: r["MAX(v)"] for r in got} == {f"id-{i:05}": i for i in range(9000)}


def test_errors_are_its_errors(server, client, dataset):
    server.send(dataset, {"a": 1})
    slug = slug_of(client, dataset)
    with pytest.raises(HoneycombAPIError) as e:
        client.queries.create(spec(breakdowns=["no_such_column"]), dataset=slug)
    assert "no_such_column" in str(e.value) and 400 <= e.value.status_code < 500
    with pytest.raises(HoneycombNotFoundError):
        client.queries.create(spec(), dataset="no-such-dataset")


def test_markers_and_annotations(server, client, dataset):
    server.send(dataset, {"a": 1})
    slug = slug_of(client, dataset)
    marker = client.markers.create(slug, MarkerCreate(message="deploy 1", type="deploy", start_time=T0, end_time=T0 + 60, url="http://x/1"))
    assert marker.id and marker.start_time == T0
    assert [m.message for m in client.markers.list(slug)] == ["deploy 1"]
    client.markers.update(slug, marker.id, MarkerCreate(message="deploy 2", type="deploy", start_time=T0))
    assert [m.message for m in client.markers.list(slug)] == ["deploy 2"]
    client.markers.delete(slug, marker.id)
    assert client.markers.list(slug) == []
    query = client.queries.create(spec(), dataset=slug)
    annotation = client.query_annotations.create(slug, QueryAnnotationCreate(name="n", description="d", query_id=query.id))
    assert annotation.id and annotation.query_id == query.id
    assert [a.name for a in client.query_annotations.list(slug)] == ["n"]


def test_environment_wide(server, client, dataset):
    server.send(dataset, {"only_here": dataset})
    assert rows(client, "__all__", spec(filters=[{"column": "only_here", "op": "=", "value": dataset}])) == [{"COUNT": 1}]


def test_asynchronous_client(server, dataset):
    server.send(dataset, *[{"g": i % 2} for i in range(10)])

    async def go():
        async with HoneycombClient(api_key=server.key, base_url=server.url, max_retries=0) as c:
            [d] = [d for d in await c.datasets.list_async() if d.name == dataset]
            _, result = await c.query_results.create_and_run_async(spec(breakdowns=["g"]), dataset=d.slug, poll_interval=0.02)
            return sorted((r["g"], r["COUNT"]) for r in result.data.rows)

    assert asyncio.run(go()) == [(0, 5), (1, 5)]


def test_derived_columns(server, client, dataset):
    server.send(dataset, {"ms": 10}, {"ms": 900})
    slug = slug_of(client, dataset)
    column = DerivedColumnBuilder("slow").expression("IF(GTE($ms, 500), 1, 0)").description("half a second or more").build()
    made = client.derived_columns.create(slug, column)
    assert (made.alias, made.expression, made.description) == ("slow", "IF(GTE($ms, 500), 1, 0)", "half a second or more")
    assert client.derived_columns.get(slug, made.id).alias == "slow"
    assert [c.alias for c in client.derived_columns.list(slug)] == ["slow"]
    assert [c.id for c in client.derived_columns.list(slug, alias="slow")] == [made.id]
    assert {r["slow"]: r["COUNT"] for r in rows(client, slug, spec(breakdowns=["slow"]))} == {0: 1, 1: 1}
    with pytest.raises(HoneycombAPIError, match="character 4"):
        client.derived_columns.create(slug, DerivedColumnCreate(alias="broken", expression="IF("))
    changed = client.derived_columns.update(slug, made.id, DerivedColumnCreate(alias="slow", expression="$ms >= 5"))
    assert changed.expression == "$ms >= 5"
    client.derived_columns.delete(slug, made.id)
    assert client.derived_columns.list(slug) == []


def test_boards(server, client, dataset):
    server.send(dataset, {"ms": 10}, {"ms": 900})
    slug = slug_of(client, dataset)
    query = client.queries.create(spec(calculations=[{"op": "P99", "column": "ms"}]), dataset=slug)
    annotation = client.query_annotations.create(slug, QueryAnnotationCreate(name="slowest", query_id=query.id))
    wanted = BoardCreate.model_validate({
        "name": "Checkout", "description": "how it goes", "type": "flexible", "layout_generation": "manual",
        "panels": [
            {"type": "query", "position": {"x_coordinate": 0, "y_coordinate": 0, "height": 6, "width": 8},
             "query_panel": {"query_id": query.id, "query_annotation_id": annotation.id, "query_style": "combo", "visualization_settings": {"utc_xaxis": True, "charts": [{"chart_type": "cbar"}]}}},
            {"type": "slo", "slo_panel": {"slo_id": "BGfyxhFto"}},
            {"type": "text", "text_panel": {"content": "# Notes"}},
        ],
        "tags": [{"key": "team", "value": "blue"}], "preset_filters": [{"column": "app.Service", "alias": "Service"}],
    })
    made = client.boards.create(wanted)
    got = client.boards.get(made.id)
    assert got == made and made.links.board_url
    assert [type(p) for p in got.panels] == [QueryPanel, SLOPanel, TextPanel]
    assert got.panels[0].query_panel.dataset == dataset
    assert got.panels[0].query_panel.visualization_settings == wanted.panels[0].query_panel.visualization_settings
    assert (got.panels[0].position, got.tags, got.preset_filters, got.layout_generation) == (wanted.panels[0].position, wanted.tags, wanted.preset_filters, wanted.layout_generation)
    assert made in client.boards.list()
    changed = client.boards.update(made.id, wanted.model_copy(update={"name": "Checkout 2", "panels": wanted.panels[2:]}))
    assert changed.name == "Checkout 2" and [p.text_panel.content for p in changed.panels] == ["# Notes"]
    # What the board shows can be asked.
    assert rows(client, slug, query)[0]["P99(ms)"] == 900
    # So can another client's use of it: the query is found by its id.
    assert client.queries.get(slug, query.id).id == query.id
    client.boards.delete(made.id)
    with pytest.raises(HoneycombNotFoundError):
        client.boards.get(made.id)
    with pytest.raises(HoneycombAPIError, match="query_id") as e:
        client.boards.create(wanted.model_copy(update={"panels": [QueryPanel.model_validate({"type": "query", "query_panel": {"query_id": "none", "query_annotation_id": "n"}})]}))
    assert e.value.status_code == 422


def test_board_views(client):
    board = client.boards.create(BoardCreate(name="views"))
    view = client.boards.create_view(board.id, BoardViewCreate.model_validate({"name": "errors", "filters": [{"column": "error", "operation": "=", "value": True}, {"column": "user.id", "operation": "exists"}]}))
    assert isinstance(view, BoardView) and [f.value for f in view.filters] == [True, None]
    assert client.boards.get_view(board.id, view.id) == view and client.boards.list_views(board.id) == [view]
    changed = client.boards.update_view(board.id, view.id, BoardViewCreate.model_validate({"name": "all", "filters": [{"column": "a", "operation": "in", "value": [1, 2]}]}))
    assert (changed.id, changed.name, changed.filters[0].value) == (view.id, "all", [1, 2])
    client.boards.delete_view(board.id, view.id)
    assert client.boards.list_views(board.id) == []
    client.boards.delete(board.id)


def test_board_from_its_builder(server, client, dataset):
    """One call that makes queries, annotations, the board and its views."""
    server.send(dataset, {"ms": 10})
    slug = slug_of(client, dataset)
    bundle = (BoardBuilder("Built").description("d").auto_layout().tag("team", "blue")
              .query(QueryBuilder("Requests").dataset(slug).last_1_hour().count(), style="table")
              .query(QueryBuilder("Everywhere").environment_wide().last_1_hour().count())
              .text("## Notes").add_view("Slow", [{"column": "ms", "operation": ">", "value": 500}]).build())

    async def go():
        async with HoneycombClient(api_key=server.key, base_url=server.url, max_retries=0) as c:
            made = await c.boards.create_from_bundle_async(bundle)
            return made, await c.boards.list_views_async(made.id)

    made, views = asyncio.run(go())
    assert [p.type for p in made.panels] == ["query", "query", "text"] and made.layout_generation.value == "auto"
    assert [v.name for v in views] == ["Slow"]
    panel, everywhere = made.panels[0].query_panel, made.panels[1].query_panel
    assert panel.dataset == dataset and everywhere.dataset is None
    assert client.queries.get(slug, panel.query_id).id == panel.query_id
    assert client.query_annotations.get(slug, panel.query_annotation_id).name == "Requests"
    assert client.queries.get("__all__", everywhere.query_id).id == everywhere.query_id
    client.boards.delete(made.id)


def test_service_map_dependencies(server, client, dataset):
    """It walks the pages itself; 150 services are two of them."""
    spans = [{"trace.trace_id": dataset, "trace.span_id": "root", "service.name": dataset}]
    spans += [{"trace.trace_id": dataset, "trace.span_id": str(i), "trace.parent_id": "root", "service.name": f"{dataset}-{i}"} for i in range(150)]
    server.batch(dataset, [{"time": times.at(0), "samplerate": 2, "data": s} for s in spans])
    request = ServiceMapDependencyRequestCreate.model_validate({"start_time": T0, "end_time": T0 + 60, "filters": [{"name": dataset, "type": "service"}]})
    result = client.service_map_dependencies.get(request, poll_interval=0.02)
    assert result.status.value == "ready"
    assert {(d.parent_node.name, d.child_node.name, d.call_count) for d in result.dependencies} == {(dataset, f"{dataset}-{i}", 2) for i in range(150)}
    assert len(client.service_map_dependencies.get(request, limit=7, poll_interval=0.02).dependencies) == 7
    with pytest.raises(HoneycombNotFoundError):
        client.service_map_dependencies.get_result("none-such")
