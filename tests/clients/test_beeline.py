"""honeycomb-beeline for Python: spans as events, the child sent before its parent, dataset from the service's name."""
import beeline
import pytest

from expect import check, columns
from lib.server import CLASSIC_KEY

CONTEXT = {"text": "Grüße 🦀", "empty": "", "int": 2**63 - 1, "float": 0.1, "yes": True, "no": False, "nested": {"a": {"b": 1}}, "list": [1, "x"], "long": "x" * 60_000}
ITS_OWN = ["meta.*", "duration_ms"]


@pytest.fixture
def bee(server):
    def start(**options):
        beeline.init(api_host=server.url, send_frequency=0.05, block_on_send=True, **options)
    yield start
    beeline.close()


def trace():
    with beeline.tracer("root") as root:
        beeline.add_context(CONTEXT)
        beeline.add_trace_field("tenant", "t-1")
        with beeline.tracer("child") as child:
            beeline.add_context_field("n", -5)
            with beeline.tracer("grandchild") as grandchild:
                beeline.add_context_field("f", 1.5)
    beeline.close()
    return root, child, grandchild


@pytest.mark.parametrize("service", ["shop-{}", "my shop/eu {}"])
def test_a_trace_comes_back(server, dataset, bee, service):
    service = service.format(dataset)
    bee(writekey=server.key, service_name=service)
    root, child, grandchild = trace()
    events = {e.data["name"]: e for e in server.events(service)}
    assert set(events) == {"root", "child", "grandchild"}
    base = {"service_name": service, "service.name": service, "trace.trace_id": root.trace_id}
    check(events["root"].data, base | columns(CONTEXT) | {"name": "root", "trace.span_id": root.id, "app.tenant": "t-1"}, more=ITS_OWN)
    check(events["child"].data, base | {"name": "child", "trace.span_id": child.id, "trace.parent_id": root.id, "n": -5, "app.tenant": "t-1"}, more=ITS_OWN)
    check(events["grandchild"].data, base | {"name": "grandchild", "trace.span_id": grandchild.id, "trace.parent_id": child.id, "f": 1.5, "app.tenant": "t-1"}, more=ITS_OWN)
    assert events["root"].data["duration_ms"] >= events["child"].data["duration_ms"] >= events["grandchild"].data["duration_ms"] > 0
    assert events["root"].time_ns <= events["child"].time_ns <= events["grandchild"].time_ns
    text = server.get(f"/api/v1/traces/{root.trace_id}").text
    assert text.index('"root"') < text.index('"child"') < text.index('"grandchild"')


def test_with_a_classic_key_the_dataset_is_as_configured(server, dataset, bee):
    bee(writekey=CLASSIC_KEY, dataset=dataset, service_name="some service")
    trace()
    assert {e.data["name"] for e in server.events(dataset)} == {"root", "child", "grandchild"}


def test_sample_rate(server, dataset, bee):
    bee(writekey=server.key, service_name=dataset, sampler_hook=lambda fields: (True, 25))
    trace()
    assert {e.sample_rate for e in server.events(dataset)} == {25}
    assert server.query(dataset, {"calculations": [{"op": "COUNT"}], "time_range": 600}).only() == {"COUNT": 75}
