"""A request that is refused before its body is read must not cost the sender its answer or, unannounced, its connection:
most clients do not send again after a reset."""
import socket
import time

import pytest

from lib.cli import wideye
from lib.server import Server

BODY = b'[{"data":{"a":1}}]'
EARLY = {
    "unknown encoding": ("/1/batch/x", {"Content-Encoding": "br"}, 415),
    "unknown encoding of OTLP": ("/v1/traces", {"Content-Encoding": "br", "Content-Type": "application/json"}, 415),
    "unknown content type of OTLP": ("/v1/traces", {"Content-Type": "text/plain"}, 415),
    "impossible name": ("/1/batch/%20", {}, 400),
    "no such path": ("/no/such/path", {}, 404),
    "wrong method": ("/1/auth", {}, 405),
    "unknown dataset": ("/1/queries/no-such-dataset", {}, 404),
}


def head(path, headers, n):
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {n}"] + [f"{k}: {v}" for k, v in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_reply(s):
    """(status, headers, body), or None if the peer has closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            return None
        data += piece
    top, _, body = data.partition(b"\r\n\r\n")
    lines = top.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        body += s.recv(65536)
    return int(lines[0].split()[1]), headers, body


def exchange(server, path, headers, body, pause):
    """Send head and body apart, read the answer, then use the connection again unless told not to. Returns the first status."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as s:
        s.sendall(head(path, headers, len(body)))
        time.sleep(pause)
        s.sendall(body)
        reply = read_reply(s)
        assert reply, "no answer"
        status, answered, _ = reply
        if answered.get("connection", "").lower() != "close":
            s.sendall(head("/1/batch/connections", {}, len(BODY)) + BODY)
            again = read_reply(s)
            assert again and again[0] == 200, f"the connection was closed unannounced after {status}"
        return status


@pytest.mark.parametrize("pause", [0, 0.05], ids=["at once", "later"])
@pytest.mark.parametrize("size", [len(BODY), 3_000_000], ids=["small", "large"])
@pytest.mark.parametrize("name", EARLY)
def test_refused_before_the_body(server, name, size, pause):
    path, headers, want = EARLY[name]
    assert exchange(server, path, headers, BODY.ljust(size), pause) == want


@pytest.mark.parametrize("pause", [0, 0.05], ids=["at once", "later"])
@pytest.mark.parametrize("path,headers", [("/1/batch/x", {}), ("/v1/traces", {"Content-Type": "application/json"})])
def test_refused_for_the_key(tmp_path, path, headers, pause):
    assert wideye("keys", "create", "--data-dir", tmp_path / "d", "--name", "k", "--scope", "manage").returncode == 0
    with Server(tmp_path / "d", env={"WIDEYE_REQUIRE_KEYS": "true"}) as s:
        with socket.create_connection(("127.0.0.1", s.port), 20) as c:
            c.sendall(head(path, headers, 3_000_000))
            time.sleep(pause)
            c.sendall(BODY.ljust(3_000_000))
            assert read_reply(c)[0] == 401


@pytest.mark.parametrize("pause", [0, 0.05], ids=["at once", "later"])
def test_refused_for_its_size(server, pause):
    """Announced as too large: the sender still gets to read why."""
    assert exchange(server, "/1/batch/x", {}, b" " * 30_000_000, pause) == 413


def test_expect_continue(server):
    """Who asks first is told before sending."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        s.sendall(head("/1/batch/x", {"Expect": "100-continue"}, 50_000_000))
        assert read_reply(s)[0] == 413
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        s.sendall(head("/1/batch/expect", {"Expect": "100-continue"}, len(BODY)))
        assert s.recv(100).startswith(b"HTTP/1.1 100")
        s.sendall(BODY)
        assert read_reply(s)[0] == 200


def test_many_requests_on_one_connection(server):
    """Also pipelined."""
    with socket.create_connection(("127.0.0.1", server.port), 20) as s:
        one = head("/1/batch/pipelined", {}, len(BODY)) + BODY
        s.sendall(one * 50)
        data = b""
        while data.count(b'[{"status":202}]') < 50:
            piece = s.recv(65536)
            assert piece, "closed"
            data += piece
    assert server.count("pipelined") == 50
