"""The command line of the built binary."""
import os
import subprocess

from .server import BINARY


def wideye(*args, stdin=None, timeout=60, env=None):
    """Runs it without a terminal; returns the finished process, with text output."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WIDEYE_")}
    return subprocess.run([str(BINARY), *map(str, args)], input=stdin, capture_output=True, text=not isinstance(stdin, bytes), timeout=timeout, env=clean | (env or {}))
