"""wideye's tools for agents, used by a client of the official SDK: every tool, on standard input and output and over HTTP."""
import asyncio
import contextlib
import os
import socket
import subprocess
import time

import pytest
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CancelledNotification, CancelledNotificationParams, ClientNotification
from opentelemetry.proto.trace.v1 import trace_pb2

from lib import otlp
from lib.server import BINARY, Server, free_port
from lib.times import T0

ERROR = trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message="card refused")
NAMES = ["list_datasets", "list_columns", "list_values", "query", "contrast", "trace", "service_map", "markers"]
CHARS_MAX = 20_000


class Shop:
    """A server that asks for keys, with traces of a frontend that calls a checkout; those of build 8 are slow and fail."""

    def __init__(self, server):
        self.server, self.now = server, time.time()
        self.good = [self.trace(7, 20) for _ in range(180)]
        self.bad = [self.trace(8, 400) for _ in range(20)]
        server.batch("long", [{"data": {"id": f"{i}-" + "y" * 300}} for i in range(2_000)])
        server.post("/1/markers/frontend", {"start_time": int(self.now) - 120, "type": "deploy", "message": "build 8"})
        self.keys = {scope: server.post("/api/v1/keys", {"name": scope, "scopes": [scope]}).json()["key"] for scope in ("query", "ingest")}

    def trace(self, build, ms):
        trace_id, root = os.urandom(16), os.urandom(8)
        start = self.now - 60 - T0
        status = {"status": ERROR} if build == 8 else {}
        front = otlp.span("POST /buy", {"build": build, "http.status_code": 500 if build == 8 else 200}, trace_id=trace_id, span_id=root, start=start,
                          ms=ms + 5, **status)
        work = otlp.span("charge card", {"amount": 12.5}, trace_id=trace_id, parent=root, start=start + 0.002, ms=ms, **status)
        otlp.ship(self.server, otlp.traces("frontend", front))
        otlp.ship(self.server, otlp.traces("checkout", work))
        return trace_id.hex()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    data = tmp_path_factory.mktemp("mcp") / "data"
    with Server(data) as server:
        shop = Shop(server)
    with Server(data, args=["--require-keys", "true"]) as server:
        shop.server = server
        yield shop


@contextlib.asynccontextmanager
async def over_stdio(url, key=None):
    env = {"PATH": os.environ["PATH"], "WIDEYE_URL": url} | ({"WIDEYE_KEY": key} if key else {})
    async with stdio_client(StdioServerParameters(command=str(BINARY), args=["mcp"], env=env)) as streams, ClientSession(*streams) as session:
        yield session


@contextlib.asynccontextmanager
async def over_http(url, key=None):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with streamablehttp_client(url + "/mcp", headers=headers) as (reads, writes, _), ClientSession(reads, writes) as session:
        yield session


WAYS = pytest.mark.parametrize("way", [over_stdio, over_http])


async def ask(session, name, arguments):
    """The text of an answer, and whether it is an error."""
    result = await session.call_tool(name, arguments)
    assert len(result.content) == 1 and len(result.content[0].text) <= CHARS_MAX, (name, len(result.content[0].text))
    return result.content[0].text, result.isError


def calls(way, shop, *all_calls):
    """Calls tools in one session. Answers text and isError of each."""

    async def run():
        async with way(shop.server.url, shop.keys["query"]) as session:
            await session.initialize()
            return [await ask(session, name, arguments) for name, arguments in all_calls]

    return asyncio.run(run())


def texts(way, shop, *all_calls):
    answers = calls(way, shop, *all_calls)
    assert not any(is_error for _, is_error in answers), answers
    return [text for text, _ in answers]


@WAYS
def test_what_is_there(way, shop):
    async def run():
        async with way(shop.server.url, shop.keys["query"]) as session:
            hello = await session.initialize()
            return hello, (await session.list_tools()).tools

    hello, tools = asyncio.run(run())
    assert hello.serverInfo.name == "wideye" and "contrast" in hello.instructions
    assert [t.name for t in tools] == NAMES
    assert all(t.annotations.readOnlyHint and t.description and t.inputSchema["type"] == "object" for t in tools)


@WAYS
def test_every_tool(way, shop):
    datasets, columns, values, query, series, contrast, trace, span, services, markers = texts(
        way, shop,
        ("list_datasets", {}),
        ("list_columns", {"dataset": "frontend", "matching": "Status"}),
        ("list_values", {"dataset": "frontend", "column": "build"}),
        ("query", {"dataset": "frontend", "calculations": ["COUNT", "MAX(duration_ms)"], "breakdowns": ["build"], "last": "1h"}),
        ("query", {"dataset": "frontend", "granularity": "5m", "filters": [{"column": "build", "op": "=", "value": 8}]}),
        ("contrast", {"dataset": "frontend", "select": "duration_ms > 100", "last": "1h"}),
        ("trace", {"id": shop.bad[0], "columns": ["amount"]}),
        ("trace", {"id": shop.bad[0], "span": "1"}),
        ("service_map", {"last": "1h"}),
        ("markers", {"dataset": "frontend"}),
    )
    assert "frontend | 200 | " in datasets and "checkout | 200 | " in datasets
    assert "http.status_code | integer | 200" in columns
    assert values.splitlines()[1:3] == ["7 | 180", "8 | 20"]
    assert query.splitlines()[1:] == ["build | COUNT | MAX(duration_ms)", "7 | 180 | 25", "8 | 20 | 405"]
    assert "per 300 s, UTC:" in series and series.splitlines()[-1] == "20"
    # Several columns tell the same: build, status, error.
    assert contrast.startswith("selection: 20 events") and "\n1. " in contrast and "20 of 20" in contrast, contrast
    assert any(f"example trace: {t}" in contrast for t in shop.bad), contrast
    assert "#0 frontend POST /buy +0 405 ERROR" in trace and "\n  #1 checkout charge card +2 400 ERROR" in trace and "amount=12.5" in trace
    assert "errors began in: #1 checkout charge card" in trace
    assert "  amount: 12.5" in span and '  name: "charge card"' in span
    assert "frontend -> checkout | 200 | 10 | " in services
    assert "| deploy | build 8 | frontend |" in markers


@WAYS
def test_filters_of_a_contrast_are_taken_by_a_query(way, shop):
    (contrast,) = texts(way, shop, ("contrast", {"dataset": "frontend", "select": ["error = true"], "last": "1h"}))
    filters = next(line.removeprefix("   filters: ") for line in contrast.splitlines() if line.startswith("   filters: "))
    (query,) = texts(way, shop, ("query", {"dataset": "frontend", "filters": filters, "last": "1h"}))
    assert ": 20 events matched" in query, (filters, query)


@WAYS
def test_errors_say_what_to_do(way, shop):
    answers = calls(
        way, shop,
        ("query", {"dataset": "frontent"}),
        ("query", {"dataset": "frontend", "breakdowns": ["biuld"]}),
        ("query", {"dataset": "frontend", "filters": "build == = 8"}),
        ("query", {"dataset": "frontend", "group": "build"}),
        ("contrast", {"dataset": "frontend"}),
        ("trace", {"id": "0" * 31 + "1"}),
        ("trace", {"id": shop.bad[0], "span": "77"}),
    )
    words = ["nearest names first: frontend", "did you mean 'build'", "^", "no argument `group`", "`select`", "find ids with query", "rows 0 to 1"]
    for (text, is_error), word in zip(answers, words, strict=True):
        assert is_error and word in text, (word, text)

    async def unknown():
        async with way(shop.server.url, shop.keys["query"]) as session:
            await session.initialize()
            await session.call_tool("delete_everything", {})

    with pytest.raises((McpError, ExceptionGroup)) as raised:
        asyncio.run(unknown())
    assert "list_datasets" in str(leaf(raised.value))


def leaf(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@WAYS
def test_huge_answers_are_cut_and_say_so(way, shop):
    for text in texts(
        way, shop,
        ("query", {"dataset": "long", "calculations": "EVENTS", "limit": 10_000}),
        ("query", {"dataset": "long", "breakdowns": "id", "limit": 10_000}),
        ("list_values", {"dataset": "long", "column": "id", "limit": 1_000}),
    ):
        assert CHARS_MAX / 2 < len(text) <= CHARS_MAX and "`limit`" in text, text[-500:]


def test_wrong_keys_are_refused(shop):
    async def first(way, key):
        async with way(shop.server.url, key) as session:
            await session.initialize()
            return await ask(session, "list_datasets", {})

    for key in (None, "wrong", shop.keys["ingest"]):
        with pytest.raises(BaseException) as raised:
            asyncio.run(first(over_http, key))
        assert "401" in str(leaf(raised.value)), raised.value
        text, is_error = asyncio.run(first(over_stdio, key))
        assert is_error and "unknown API key" in text and "WIDEYE_KEY" in text, text


def test_many_clients_at_once(shop):
    async def client(way, build):
        async with way(shop.server.url, shop.keys["query"]) as session:
            await session.initialize()
            question = {"dataset": "frontend", "filters": [f"build = {build}"], "last": "1h"}
            # Questions of one session may overlap, too.
            return await asyncio.gather(*[ask(session, "query", question) for _ in range(5)])

    async def run():
        return await asyncio.gather(*[client(way, build) for way in (over_stdio, over_http) for build in (7, 8)])

    for (answers, n) in zip(asyncio.run(run()), (180, 20, 180, 20), strict=True):
        assert all(not is_error and f": {n} events matched" in text for text, is_error in answers), answers


def test_a_server_that_is_not_there_is_told():
    async def run():
        async with over_stdio(f"http://127.0.0.1:{free_port()}") as session:
            await session.initialize()
            return [await ask(session, "list_datasets", {}), await ask(session, "query", {})]

    for text, is_error in asyncio.run(run()):
        assert is_error and "cannot reach wideye" in text and "wideye serve" in text, text


def test_a_cancelled_call_hangs_up(shop):
    """The question of a call that is cancelled is let go of: a socket that never answers sees the end of its connection."""

    async def run():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            loop = asyncio.get_running_loop()
            async with over_stdio(f"http://127.0.0.1:{listener.getsockname()[1]}") as session:
                await session.initialize()
                call = asyncio.create_task(session.call_tool("list_datasets", {}))
                connection, _ = await asyncio.wait_for(loop.sock_accept(listener), 30)
                with connection:
                    connection.setblocking(False)
                    assert b"GET /api/v1/datasets" in await asyncio.wait_for(loop.sock_recv(connection, 65_536), 30)
                    # The first request was the greeting, numbered 0.
                    gone = CancelledNotification(method="notifications/cancelled", params=CancelledNotificationParams(requestId=1))
                    await session.send_notification(ClientNotification(gone))
                    assert await asyncio.wait_for(loop.sock_recv(connection, 65_536), 30) == b""
                call.cancel()

    asyncio.run(run())


def test_standard_output_carries_the_protocol_alone(shop):
    """Even what is no protocol at all is answered on standard error, and the end of input is the end."""
    for given, status in ((b"", 0), (b"hello\n", None)):
        done = subprocess.run([str(BINARY), "mcp", "--url", shop.server.url], input=given, capture_output=True, timeout=60)
        assert all(line.startswith(b"{") for line in done.stdout.splitlines()), done.stdout
        assert status is None or done.returncode == status, done.stderr
