"""Start, stop, and two processes on one directory (semantics 1)."""
import subprocess
import threading
import time

import pytest
import requests

from durability.crash import DATASET, Load, check_directory
from durability.ledger import Ledger, verify
from lib import times
from lib.server import BINARY, Server, free_port


def test_second_process_on_the_directory_exits_with_an_error(fresh_server):
    fresh_server.send("ds", {"a": 1})
    second = subprocess.run([str(BINARY), "serve", "--data-dir", str(fresh_server.data_dir), "--listen", f"127.0.0.1:{free_port()}", "--otlp-grpc-listen", f"127.0.0.1:{free_port()}"],
                            capture_output=True, text=True, timeout=30)
    assert second.returncode != 0
    text = second.stdout + second.stderr
    assert str(fresh_server.data_dir) in text or "lock" in text.lower() or "in use" in text.lower(), text
    assert "panicked" not in text
    fresh_server.send("ds", {"a": 2})
    assert fresh_server.count("ds") == 2


def test_directory_is_free_after_a_kill(fresh_server):
    fresh_server.send("ds", {"a": 1})
    fresh_server.kill()
    fresh_server.start()
    assert fresh_server.count("ds") == 1


@pytest.mark.parametrize("which", ["http", "grpc"])
def test_taken_port_is_an_error_that_names_it(fresh_server, tmp_path, which):
    port = fresh_server.port if which == "http" else fresh_server.grpc_port
    listen, grpc_listen = (port, free_port()) if which == "http" else (free_port(), port)
    r = subprocess.run([str(BINARY), "serve", "--data-dir", str(tmp_path / "other"), "--listen", f"127.0.0.1:{listen}", "--otlp-grpc-listen", f"127.0.0.1:{grpc_listen}"],
                       capture_output=True, text=True, timeout=30)
    assert r.returncode != 0 and str(port) in r.stdout + r.stderr and "panicked" not in r.stderr


def test_no_keys_off_loopback_is_refused(tmp_path):
    r = subprocess.run([str(BINARY), "serve", "--data-dir", str(tmp_path / "d"), "--listen", f"0.0.0.0:{free_port()}", "--otlp-grpc-listen", f"127.0.0.1:{free_port()}"],
                       capture_output=True, text=True, timeout=30)
    assert r.returncode != 0 and "key" in (r.stdout + r.stderr).lower() and "panicked" not in r.stderr


def test_sigterm_when_idle_ends_with_0(fresh_server):
    fresh_server.send("ds", {"a": 1})
    at = time.monotonic()
    assert fresh_server.terminate(30) == 0
    assert time.monotonic() - at < 10
    check_directory(fresh_server.data_dir)
    fresh_server.start()
    assert fresh_server.event("ds").data == {"a": 1}


def test_sigterm_under_load_ends_with_0_and_keeps_what_was_acknowledged(fresh_server):
    ledger = Ledger(1)
    load = Load(fresh_server, ledger, "term").start()
    load.first.wait(10)
    time.sleep(1)
    at = time.monotonic()
    status = fresh_server.terminate(30)
    took = time.monotonic() - at
    load.join()
    assert status == 0 and took < 30
    fresh_server.start()
    assert verify(fresh_server, DATASET, ledger) >= len(ledger.acknowledged) > 0


def test_sigterm_with_an_idle_connection_and_half_a_request_open(fresh_server):
    """Clients that hold connections must not hold the server."""
    import socket
    sockets = []
    for text in (b"", b"POST /1/batch/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n[{", b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        s = socket.create_connection(("127.0.0.1", fresh_server.port))
        s.sendall(text)
        sockets.append(s)
    time.sleep(0.2)
    assert fresh_server.terminate(30) == 0


def test_sigint_ends_like_sigterm(fresh_server):
    import signal
    fresh_server.process.send_signal(signal.SIGINT)
    assert fresh_server.process.wait(30) == 0


def test_everything_is_there_after_many_restarts(tmp_path):
    server = Server(tmp_path / "data")
    for i in range(5):
        server.start()
        server.send("ds", {"i": i, f"col_{i}": "x"})
        assert [e.data["i"] for e in server.events("ds")] == list(range(i + 1)) or sorted(e.data["i"] for e in server.events("ds")) == list(range(i + 1))
        assert server.terminate() == 0 if i % 2 else server.kill() is None
    server.start()
    assert sorted(e.data["i"] for e in server.events("ds")) == list(range(5))
    server.stop()


def test_ready_only_when_recovered(fresh_server):
    """Nothing may be answered from half a store: a question during the start is refused or complete."""
    for k in range(20):
        fresh_server.batch("ds", [{"time": times.at(i), "data": {"n": k * 500 + i, "t": "x" * 500}} for i in range(500)])
    fresh_server.kill()
    fresh_server.spawn()
    seen, ready = [], threading.Event()
    end = time.monotonic() + 60
    while time.monotonic() < end and not ready.is_set():
        try:
            reply = fresh_server.ask("ds", {"calculations": [{"op": "COUNT"}], "start_time": times.T0, "end_time": times.T0 + 3600})
            seen.append((reply.status, reply.json()["results"][0]["data"]["COUNT"] if reply.status == 200 else None))
            if reply.status == 200:
                ready.set()
        except (requests.RequestException, ConnectionError):
            time.sleep(0.002)
    assert ready.is_set()
    assert all(s == (200, 10_000) or s[0] == 503 for s in seen), seen[:5]


def test_data_directory_that_cannot_be_written(tmp_path):
    target = tmp_path / "file"
    target.write_text("not a directory")
    r = subprocess.run([str(BINARY), "serve", "--data-dir", str(target), "--listen", f"127.0.0.1:{free_port()}", "--otlp-grpc-listen", f"127.0.0.1:{free_port()}"],
                       capture_output=True, text=True, timeout=30)
    assert r.returncode != 0 and str(target) in r.stdout + r.stderr and "panicked" not in r.stderr
    assert target.read_text() == "not a directory"
