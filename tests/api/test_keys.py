"""Keys: needed off loopback or when asked for, scoped, told in Honeycomb's words (honeycomb-wire.md 2.1)."""
import grpc
import pytest

from lib import otlp, times
from lib.cli import wideye
from lib.server import Server

UNKNOWN = "unknown API key - check your credentials"
COUNT = {"calculations": [{"op": "COUNT"}]}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that asks for keys even on loopback, with one key of each scope."""
    data = tmp_path_factory.mktemp("keys") / "data"
    keys = {}
    for name, scopes in (("ingest", ["ingest"]), ("query", ["query"]), ("manage", ["manage"]), ("both", ["ingest", "query"])):
        r = wideye("keys", "create", "--data-dir", data, "--name", name, *[x for s in scopes for x in ("--scope", s)])
        assert r.returncode == 0, r.stderr
        words = [w.strip("`'\".,") for w in r.stdout.split()]
        [keys[name]] = {w for w in words if len(w) >= 20 and "/" not in w}
    with Server(data, env={"WIDEYE_REQUIRE_KEYS": "true"}) as s:
        s.keys = keys
        yield s


def with_key(server, key, header="X-Honeycomb-Team"):
    return {"X-Honeycomb-Team": None} | ({header: key} if key else {})


@pytest.mark.parametrize("key", [None, "wrong", "aBcDeFgHiJkLmNoPqRsTuV"])
@pytest.mark.parametrize("method,path,body", [("POST", "/1/events/ds", {"a": 1}), ("POST", "/1/batch/ds", [{"data": {"a": 1}}]), ("GET", "/1/auth", None), ("GET", "/1/datasets", None),
                                              ("POST", "/api/v1/query", {"dataset": "ds", "query": {}}), ("GET", "/api/v1/datasets", None)])
def test_no_key_or_a_wrong_one_is_401(guarded, method, path, body, key):
    reply = guarded.request(method, path, body, headers=with_key(guarded, key))
    assert reply.status == 401, reply
    assert reply.error()
    if path.startswith("/1/") and key:
        assert reply.error().startswith(UNKNOWN)


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/v1/metrics"])
def test_otlp_without_a_key(guarded, path):
    headers = with_key(guarded, None) | {"Content-Type": "application/json"}
    reply = guarded.post(path, b"{}", headers=headers)
    assert reply.status == 401 and reply.json()["message"]
    # The content type is looked at first.
    assert guarded.post(path, b"{}", headers=headers | {"Content-Type": "text/plain"}).status == 415
    # A browser's preflight carries no key.
    assert guarded.request("OPTIONS", path, headers={"X-Honeycomb-Team": None, "Origin": "http://a", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}).status in (200, 204)


def test_grpc_without_a_key(guarded):
    with grpc.insecure_channel(guarded.grpc) as channel:
        stub = otlp.STUBS["ExportTraceServiceRequest"](channel)
        with pytest.raises(grpc.RpcError) as e:
            stub.Export(otlp.traces("ds", otlp.span()), timeout=10)
        assert e.value.code() == grpc.StatusCode.UNAUTHENTICATED
        stub.Export(otlp.traces("grpc-ds", otlp.span()), timeout=10, metadata=[("x-honeycomb-team", guarded.keys["ingest"])])


@pytest.mark.parametrize("header,form", [("X-Honeycomb-Team", "{}"), ("X-Hny-Team", "{}"), ("Authorization", "Bearer {}")])
def test_a_key_in_every_header(guarded, header, form):
    reply = guarded.post("/1/events/headers", {"a": 1}, headers=with_key(guarded, form.format(guarded.keys["both"]), header))
    assert reply.status == 200, reply


def test_scopes(guarded):
    k = guarded.keys

    def status(method, path, body, key):
        return guarded.request(method, path, body, headers=with_key(guarded, key)).status

    send = ("POST", "/1/batch/scopes", [{"time": times.at(0), "data": {"a": 1}}])
    ask = ("POST", "/api/v1/query", {"dataset": "scopes", "query": COUNT | {"start_time": times.T0, "end_time": times.T0 + 1}})
    mark = ("POST", "/1/markers/scopes", {"message": "m"})
    assert [status(*send, k[n]) for n in ("ingest", "manage", "both")] == [200, 200, 200]
    assert status(*send, k["query"]) in (401, 403)
    assert [status(*ask, k[n]) for n in ("query", "manage", "both")] == [200, 200, 200]
    assert status(*ask, k["ingest"]) in (401, 403)
    assert status(*mark, k["manage"]) == 201 and status(*mark, k["ingest"]) in (401, 403)
    for root in ("/1/boards", "/api/v1/boards"):
        board = ("POST", root, {"name": "b", "type": "flexible"})
        assert status(*board, k["manage"]) == 201 and {status(*board, k[n]) for n in ("ingest", "query", "both")} <= {401, 403}
        assert status("GET", root, None, k["query"]) == 200 and status("GET", root, None, k["ingest"]) in (401, 403)


def test_auth_tells_the_scopes(guarded):
    def access(name):
        body = guarded.get("/1/auth", headers=with_key(guarded, guarded.keys[name])).json()
        return body["type"], body["api_key_access"]

    kind, flags = access("ingest")
    assert kind == "ingest" and flags["events"] and flags["createDatasets"] and flags["create_datasets"] and not flags["queries"] and not flags["columns"]
    _, flags = access("query")
    assert flags["queries"] and flags["columns"] and not flags["events"] and not flags["markers"]
    kind, flags = access("manage")
    assert kind == "configuration" and all(flags.values())


def test_health_needs_no_key(guarded):
    for path in ("/healthz", "/readyz"):
        assert guarded.get(path, headers=with_key(guarded, None)).status == 200


def test_keys_are_not_on_disk_in_plain(guarded):
    for path in guarded.files():
        data = path.read_bytes()
        for key in guarded.keys.values():
            assert key.encode() not in data, path
            assert key.rsplit("_", 1)[-1].encode() not in data, path


def test_a_revoked_key_is_unknown(tmp_path):
    data = tmp_path / "data"
    r = wideye("keys", "create", "--data-dir", data, "--name", "old", "--scope", "ingest")
    [key] = {w.strip("`'\".,") for w in r.stdout.split() if len(w) >= 20 and "/" not in w}
    assert "old" in wideye("keys", "list", "--data-dir", data).stdout
    assert key.rsplit("_", 1)[-1] not in wideye("keys", "list", "--data-dir", data).stdout
    wideye("keys", "create", "--data-dir", data, "--name", "other", "--scope", "ingest")
    assert wideye("keys", "revoke", "--data-dir", data, key.split("_")[1]).returncode == 0
    with Server(data, env={"WIDEYE_REQUIRE_KEYS": "true"}) as s:
        assert s.post("/1/events/ds", {"a": 1}, headers=with_key(s, key)).status == 401
