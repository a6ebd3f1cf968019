"""jaeger-mcp (PyPI), an MCP server that reads from a Jaeger URL: here from wideye, driven over stdio by the official MCP client. All its tools."""
import asyncio
import contextlib
import os
import sys
import time

import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from opentelemetry.proto.trace.v1 import trace_pb2

from lib import otlp
from lib.server import Server
from lib.times import T0

Kind = trace_pb2.Span.SpanKind
ERROR = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message="card refused")
N_GOOD, N_SLOW = 20, 5


class Shop:
    """A server with traces of two services: a frontend that calls a checkout; the last ones are slow and fail."""

    def __init__(self, server):
        self.server, self.now = server, time.time()
        self.good = [self.trace(30 - i / 10, 20) for i in range(N_GOOD)]
        self.slow = [self.trace(2 - i / 10, 400, failed=True) for i in range(N_SLOW)]

    def trace(self, minutes_ago, ms, failed=False):
        trace_id, root, child = os.urandom(16), os.urandom(8), os.urandom(8)
        start = self.now - 60 * minutes_ago - T0
        front = otlp.span("POST /checkout", {"http.status_code": 500 if failed else 200, "test.run": "r1"}, trace_id=trace_id, span_id=root, start=start,
                          ms=ms + 5, kind=Kind.SPAN_KIND_SERVER, **({"status": ERROR} if failed else {}))
        calls = otlp.span("pay", {"peer.service": "checkout"}, trace_id=trace_id, span_id=child, parent=root, start=start + 0.001, ms=ms + 2,
                          kind=Kind.SPAN_KIND_CLIENT)
        work = [otlp.span("charge card", {"amount": 12.5}, trace_id=trace_id, parent=child, start=start + 0.002, ms=ms, kind=Kind.SPAN_KIND_SERVER,
                          **({"status": ERROR} if failed else {}))]
        if failed:
            work.append(otlp.span("retry", trace_id=trace_id, parent=work[0].span_id, start=start + 0.003, ms=1))
        otlp.ship(self.server, otlp.traces("frontend", front, calls))
        otlp.ship(self.server, otlp.traces("checkout", *work))
        return trace_id.hex()

    def us(self, minutes_ago):
        return int((self.now - 60 * minutes_ago) * 1e6)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The server asks for keys: the tool sends its own as Jaeger's tools do."""
    data = tmp_path_factory.mktemp("jaeger") / "data"
    # The server's own requests are traces, too.
    quiet = ["--self-telemetry", "false"]
    with Server(data, args=quiet) as server:
        shop = Shop(server)
        shop.token = server.post("/api/v1/keys", {"name": "mcp", "scopes": ["query"]}).json()["key"]
    with Server(data, args=["--require-keys", "true", *quiet]) as server:
        shop.server = server
        yield shop


@contextlib.asynccontextmanager
async def tools(shop, **env):
    environment = {"PATH": os.environ["PATH"], "JAEGER_URL": shop.server.url, "JAEGER_TOKEN": shop.token, "JAEGER_RETRY_ATTEMPTS": "0"} | env
    command = StdioServerParameters(command=sys.executable, args=["-m", "jaeger_mcp.server"], env=environment)
    async with stdio_client(command) as streams, ClientSession(*streams) as session:
        await session.initialize()
        yield session


def call(shop, *calls, **env):
    """Calls tools in one session; each must succeed. Answers their structured results."""

    async def run():
        out = []
        async with tools(shop, **env) as session:
            for name, arguments in calls:
                result = await session.call_tool("jaeger_" + name, arguments)
                assert not result.isError, (name, result.content)
                out.append(result.structuredContent)
        return out

    return asyncio.run(run())


CALLED = {"list_services", "list_operations", "search_traces", "get_trace", "get_dependencies", "compare_traces", "span_statistics", "critical_path",
          "compare_windows", "detect_anomalies", "find_test_traces", "regression_diff", "test_profile", "predict_degradation", "forecast_capacity"}


def test_these_are_all_its_tools(shop):
    async def names():
        async with tools(shop) as session:
            return {t.name.removeprefix("jaeger_") for t in (await session.list_tools()).tools}

    assert asyncio.run(names()) == CALLED


def test_services_and_operations(shop):
    services, front, checkout = call(shop, ("list_services", {}), ("list_operations", {"service": "frontend"}), ("list_operations", {"service": "checkout"}))
    assert services["services"] == ["checkout", "frontend"]
    assert front["operations"] == ["POST /checkout", "pay"]
    assert checkout["operations"] == ["charge card", "retry"]


def test_search(shop):
    # Its `tags` cannot be given: the MCP library takes the text apart before the tool sees it. test_traces_by_tag has them.
    searches = [{"limit": 3}, {"limit": 100}, {"min_duration": "100ms"},
                {"max_duration": "100ms", "operation": "POST /checkout", "limit": 100}, {"start": shop.us(10), "end": shop.us(0)}, {"operation": "none"}]
    found = call(shop, *[("search_traces", {"service": "frontend"} | s) for s in searches])
    ids = [[t["trace_id"] for t in f["traces"]] for f in found]
    newest_first = shop.slow[::-1] + shop.good[::-1]
    assert ids == [newest_first[:3], newest_first, shop.slow[::-1], shop.good[::-1], shop.slow[::-1], []]
    slowest = found[0]["traces"][0]
    assert (slowest["root_operation"], slowest["root_service"], slowest["span_count"], slowest["service_count"], slowest["errors_count"]) == (
        "POST /checkout", "frontend", 4, 2, 2)
    assert slowest["duration_us"] == 405_000


def test_one_trace(shop):
    trace, path, same = call(shop, ("get_trace", {"trace_id": shop.slow[0]}), ("critical_path", {"trace_id": shop.slow[0]}),
                             ("compare_traces", {"trace_id_a": shop.good[0], "trace_id_b": shop.slow[0]}))
    assert (trace["span_count"], trace["root_operation"], trace["total_duration_us"], trace["errors_count"]) == (4, "POST /checkout", 405_000, 2)
    assert {s["service"] for s in trace["services"]} == {"frontend", "checkout"}
    by_name = {s["operation_name"]: s for s in trace["spans"]}
    assert by_name["charge card"]["tags"]["amount"] == "12.5" and by_name["charge card"]["duration_us"] == 400_000
    assert [s["operation"] for s in path["critical_path"]][:3] == ["POST /checkout", "pay", "charge card"]
    assert [s["operation_name"] for s in same["added_spans"]] == ["retry"] and not same["removed_spans"]


def test_statistics_over_many_traces(shop):
    # Whatever it is told, these tools ask for a thousandth of it, as if Jaeger took milliseconds; anomalies take no times, and so find nothing.
    edges = {"baseline_start": 60, "baseline_end": 10, "comparison_start": 10, "comparison_end": 0}
    windows = {name: shop.us(minutes) * 1000 for name, minutes in edges.items()}
    stats, compared, anomalies, diff = call(
        shop, ("span_statistics", {"service": "frontend", "limit": 100}), ("compare_windows", {"service": "frontend"} | windows),
        ("detect_anomalies", {"service": "frontend"}), ("regression_diff", {"service": "frontend"} | windows))
    assert stats["trace_count"] == N_GOOD + N_SLOW
    assert compared["slower_count"] >= 2 and compared["added_count"] >= 1
    assert anomalies["total_anomalies"] == 0
    assert diff["regressed_count"] >= 1


def test_traces_by_tag(shop):
    found, profile, none, failed, good = call(shop, ("find_test_traces", {"tags": {"test.run": "r1"}}), ("test_profile", {"tags": {"test.run": "r1"}, "service": "frontend"}),
                                ("find_test_traces", {"tags": {"test.run": "r2"}}), ("find_test_traces", {"tags": {"error": "true"}}),
                                ("find_test_traces", {"tags": {"http.status_code": "200"}, "service": "frontend"}))
    ids = [[t["trace_id"] for t in f["traces"]] for f in (failed, good)]
    assert ids == [shop.slow[::-1], shop.good[::-1]]
    assert found["total_count"] == profile["trace_count"] == N_GOOD + N_SLOW and none["total_count"] == 0
    assert {"POST /checkout", "pay", "charge card"} <= {o["operation"] for o in profile["operations"]}


def test_forecasts(shop):
    degradation, capacity = call(shop, ("predict_degradation", {"service": "frontend"}), ("forecast_capacity", {"service": "frontend", "days_ahead": 7}))
    assert degradation["service_name"] == capacity["service_name"] == "frontend"
    assert capacity["predicted_throughput"] >= 0


def test_dependencies(shop):
    [edges] = call(shop, ("get_dependencies", {}))
    assert edges["edges"] == [{"parent": "frontend", "child": "checkout", "call_count": N_GOOD + N_SLOW}]


def test_failures_are_understood(shop):
    async def texts():
        out = []
        for env, name, arguments in (({}, "get_trace", {"trace_id": "ff" * 16}), ({"JAEGER_TOKEN": "wrong"}, "list_services", {}),
                                     ({}, "search_traces", {"service": "frontend", "min_duration": "5"})):
            async with tools(shop, **env) as session:
                result = await session.call_tool("jaeger_" + name, arguments)
                assert result.isError
                out.append(result.content[0].text)
        return out

    missing, refused, wrong = asyncio.run(texts())
    assert "404" in missing and "401" in refused and "minDuration" in wrong
