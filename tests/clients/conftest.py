"""Node scripts, run as a sender's own process would be."""
import json
import pathlib
import subprocess
import sys

import pytest

JS = pathlib.Path(__file__).parent / "js"
sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(scope="session")
def node():
    """node(script, *args) -> what the script printed, as JSON."""
    assert (JS / "node_modules").is_dir(), f"run `npm ci` in {JS} (tests/run.sh does)"

    def run(script, *args):
        r = subprocess.run(["node", str(JS / script), *args], capture_output=True, timeout=60)
        assert r.returncode == 0, r.stderr.decode()
        return json.loads(r.stdout)

    return run
