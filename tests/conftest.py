"""Fixtures: one shared server for the tests that only add data, a fresh one for those that end or fill it.

The tests of questions run twice: over the memtable, and over sealed segments.
"""
import re
import uuid

import pytest

from lib.server import SealingServer, Server

OVER_SEGMENTS_TOO = {"test_event_values", "test_filters", "test_calculations", "test_groups", "test_series", "test_raw_rows", "test_otlp_traces"}


def pytest_generate_tests(metafunc):
    if "shared_server" in metafunc.fixturenames:
        ways = [pytest.param(Server, id=pytest.HIDDEN_PARAM)]
        if metafunc.module.__name__.rsplit(".", 1)[-1] in OVER_SEGMENTS_TOO:
            ways.append(pytest.param(SealingServer, id="sealed"))
        metafunc.parametrize("shared_server", ways, indirect=True, scope="session")


@pytest.fixture(scope="session")
def shared_server(request, tmp_path_factory):
    """Started once a session."""
    with request.param(tmp_path_factory.mktemp("shared") / "data") as s:
        yield s


@pytest.fixture
def server(shared_server):
    """The shared server; a test that finds it dead fails for itself and the next one gets a new process."""
    if not shared_server.alive():
        shared_server.start()
    yield shared_server
    assert shared_server.alive(), f"the server ended during this test:\n{shared_server.log()}"


@pytest.fixture
def fresh_server(tmp_path):
    with Server(tmp_path / "data") as s:
        yield s


@pytest.fixture
def dataset(request):
    """A dataset of this test's own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    return f"{name}-{uuid.uuid4().hex[:8]}"
