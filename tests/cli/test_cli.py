"""The command line against a running server: import, query, export, lists, check."""
import gzip
import json

import pytest
import zstandard

from lib import times
from lib.cli import wideye
from lib.times import T0

ROWS = [{"n": i, "route": ["/a", "/b", "/ü"][i % 3], "ms": i * 1.5, "ok": i % 2 == 0} for i in range(300)]


def lines(rows, envelope=False):
    if envelope:
        return "".join(json.dumps({"time": times.at(i), "samplerate": 2, "data": r}) + "\n" for i, r in enumerate(rows)).encode()
    return "".join(json.dumps({"time": times.at(i)} | r) + "\n" for i, r in enumerate(rows)).encode()


@pytest.mark.parametrize("name,pack", [("e.ndjson", bytes), ("e.ndjson.gz", gzip.compress), ("e.ndjson.zst", zstandard.compress), ("e.json", bytes)])
@pytest.mark.parametrize("envelope", [False, True], ids=["flat", "envelope"])
def test_import_of_lines(server, dataset, tmp_path, name, pack, envelope):
    path = tmp_path / name
    path.write_bytes(pack(lines(ROWS, envelope)))
    r = wideye("import", "--dataset", dataset, "--url", server.url, path)
    assert r.returncode == 0, r.stderr
    assert "300" in (r.stdout + r.stderr).replace(",", "")
    events = server.events(dataset)
    assert [e.data["n"] for e in events] == list(range(300))
    assert events[7].time_ns == (T0 + 7) * times.SECOND and events[7].sample_rate == (2 if envelope else 1)
    assert ROWS[7].items() <= events[7].data.items()


def test_import_from_standard_input_with_a_time_column(server, dataset):
    body = "".join(json.dumps({"at": T0 + i, "n": i}) + "\n" for i in range(10))
    r = wideye("import", "--dataset", dataset, "--url", server.url, "--time-column", "at", "-", stdin=body)
    assert r.returncode == 0, r.stderr
    assert [e.time_ns for e in server.events(dataset)] == [(T0 + i) * times.SECOND for i in range(10)]


def test_import_names_what_it_refuses_and_keeps_the_rest(server, dataset, tmp_path):
    path = tmp_path / "e.ndjson"
    path.write_bytes(lines(ROWS[:5]) + b"not json\n" + b"[1,2]\n" + b"\n" + lines(ROWS[5:10]))
    r = wideye("import", "--dataset", dataset, "--url", server.url, path)
    assert r.returncode == 1
    text = r.stdout + r.stderr
    assert "6" in text and "7" in text and "2" in text, text
    assert server.count(dataset) == 10


def test_import_of_a_large_file(server, dataset, tmp_path):
    path = tmp_path / "e.ndjson.zst"
    n = 60_000
    path.write_bytes(zstandard.compress("".join('{"time":%d,"n":%d,"t":"value %d"}\n' % (T0 + i % 3600, i, i % 100) for i in range(n)).encode()))
    r = wideye("import", "--dataset", dataset, "--url", server.url, path)
    assert r.returncode == 0, r.stderr
    row = server.query(dataset, {"calculations": [{"op": "COUNT"}, {"op": "SUM", "column": "n"}, {"op": "COUNT_DISTINCT", "column": "n"}]}).only()
    assert row["COUNT"] == n and row["SUM(n)"] == n * (n - 1) // 2 and row["COUNT_DISTINCT(n)"] == pytest.approx(n, rel=0.03)


def test_import_of_what_is_not_there(server, dataset, tmp_path):
    r = wideye("import", "--dataset", dataset, "--url", server.url, tmp_path / "none.ndjson")
    assert r.returncode != 0 and "none.ndjson" in r.stderr and "panicked" not in r.stderr


@pytest.fixture
def filled(server, dataset):
    server.batch(dataset, [{"time": times.at(i), "data": r} for i, r in enumerate(ROWS)])
    return dataset


RANGE = f"from {T0} to {T0 + 3600}"


def test_query_prints_a_table(server, filled):
    r = wideye("query", "--url", server.url, f"COUNT, SUM(ms) by route in {filled} {RANGE} where ok = true order by route")
    assert r.returncode == 0, r.stderr
    assert "/a" in r.stdout and "/ü" in r.stdout and "50" in r.stdout
    assert "\x1b[" not in r.stdout, "no colours into a pipe"


def test_query_as_json_is_the_servers_answer(server, filled):
    r = wideye("query", "--url", server.url, "--json", "-d", filled, "-c", "COUNT", "-b", "route", "-o", "COUNT desc, route", "--from", T0, "--to", T0 + 3600)
    assert r.returncode == 0, r.stderr
    assert [x["data"] for x in json.loads(r.stdout)["results"]] == [{"route": k, "COUNT": 100} for k in ("/a", "/b", "/ü")]


def test_query_by_specification(server, filled):
    spec = {"calculations": [{"op": "MAX", "column": "ms"}], "start_time": T0, "end_time": T0 + 3600}
    r = wideye("query", "--url", server.url, "--json", "-d", filled, "--spec", "-", stdin=json.dumps(spec))
    assert r.returncode == 0, r.stderr
    assert json.loads(r.stdout)["results"] == [{"data": {"MAX(ms)": 448.5}}]


@pytest.mark.parametrize("text,named", [("COUNT by rout in {}", "rout"), ("NOPE in {}", "NOPE"), ("COUNT in no-such-dataset", "no-such-dataset"), ("COUNT by", "by")])
def test_query_mistakes_are_told(server, filled, text, named):
    r = wideye("query", "--url", server.url, text.format(filled))
    assert r.returncode != 0 and named in r.stderr and "panicked" not in r.stderr, r.stderr


def test_no_server_is_told(tmp_path):
    r = wideye("query", "--url", "http://127.0.0.1:9", "COUNT")
    assert r.returncode != 0 and "127.0.0.1:9" in r.stderr and "panicked" not in r.stderr


def test_export_is_taken_back_by_import(server, filled, dataset, tmp_path):
    r = wideye("export", "--url", server.url, "-d", filled, RANGE)
    assert r.returncode == 0, r.stderr
    copy = dataset + "-copy"
    assert wideye("import", "--url", server.url, "--dataset", copy, "-", stdin=r.stdout).returncode == 0
    original, copied = server.events(filled), server.events(copy)
    assert [(e.time_ns, e.sample_rate, e.data) for e in copied] == [(e.time_ns, e.sample_rate, e.data) for e in original]


def test_lists(server, filled):
    assert filled in wideye("datasets", "--url", server.url).stdout
    text = wideye("columns", filled, "--url", server.url).stdout
    assert all(c in text for c in ("n", "route", "ms", "ok"))
    assert {c["name"] for c in json.loads(wideye("columns", filled, "--json", "--url", server.url).stdout)} == {"n", "route", "ms", "ok"}


def test_trace(server, dataset):
    trace = "5af7183fb1d4cf5f6a8e3f0bb2d4c6e8"
    server.send(dataset, {"trace.trace_id": trace, "trace.span_id": "a" * 16, "name": "the root", "duration_ms": 5},
                {"trace.trace_id": trace, "trace.span_id": "b" * 16, "trace.parent_id": "a" * 16, "name": "the child", "duration_ms": 2})
    text = wideye("trace", trace, "--url", server.url).stdout
    assert text.index("the root") < text.index("the child")


def test_check_of_a_whole_and_of_a_damaged_directory(fresh_server):
    s = fresh_server
    for i in range(20):
        s.send("ds", *[{"n": i, "k": k, "t": f"{i}-{k}"} for k in range(50)])
    assert s.terminate() == 0
    r = wideye("check", s.data_dir)
    assert r.returncode == 0, r.stdout + r.stderr
    segments = [p for p in s.files() if p.suffix == ".seg"]
    assert segments, s.files()
    victim = max(segments, key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0x40
    victim.write_bytes(data)
    r = wideye("check", s.data_dir)
    assert r.returncode == 1 and victim.name in r.stdout + r.stderr, r.stdout + r.stderr
    victim.unlink()
    r = wideye("check", s.data_dir)
    assert r.returncode == 1 and victim.name in r.stdout + r.stderr, r.stdout + r.stderr


def test_check_of_no_directory(tmp_path):
    r = wideye("check", tmp_path / "none")
    assert r.returncode != 0 and "panicked" not in r.stderr


@pytest.mark.parametrize("command", [[], ["serve"], ["query"], ["import"], ["export"], ["check"], ["keys"], ["datasets"], ["columns"], ["trace"], ["demo"], ["fleet"]])
def test_help(command):
    r = wideye(*command, "--help")
    assert r.returncode == 0 and "Usage" in r.stdout


def test_version():
    r = wideye("--version")
    assert r.returncode == 0 and r.stdout.startswith("wideye ")


def test_openapi_is_what_the_server_gives(server):
    r = wideye("openapi")
    assert r.returncode == 0
    assert json.loads(r.stdout)["paths"].keys() == server.get("/api/v1/openapi.json").json()["paths"].keys()


def test_unknown_setting_is_told():
    r = wideye("serve", "--no-such-flag", "1")
    assert r.returncode != 0 and "no-such-flag" in r.stderr
