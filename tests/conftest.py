"""Fixtures: one shared server for the tests that only add data, a fresh one for those that end or fill it."""
import re
import uuid

import pytest

from lib.server import Server


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    """Started once a session."""
    with Server(tmp_path_factory.mktemp("shared") / "data") as s:
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
