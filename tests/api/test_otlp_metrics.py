"""OTLP metrics -> events: points that share time and attributes are one event (semantics 10)."""
import json

import pytest
from opentelemetry.proto.metrics.v1 import metrics_pb2

from lib import otlp
from lib.otlp import t

TRACE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
SPAN = bytes.fromhex("b7ad6b7169203331")
DELTA = metrics_pb2.AGGREGATION_TEMPORALITY_DELTA


@pytest.mark.parametrize("how", ["protobuf", "json", "grpc"])
def test_points_that_share_time_and_attributes_are_one_event(server, dataset, how):
    message = otlp.metrics(
        dataset,
        otlp.gauge("mem.used", otlp.point(2**53 + 1, {"host": "a"}), otlp.point(20, {"host": "b"}), otlp.point(11, {"host": "a"}, at=60)),
        otlp.gauge("mem.share", otlp.point(0.5, {"host": "a"}), otlp.point(0.25, {"host": "b"})),
        otlp.counter("requests", otlp.point(7, {"host": "a"})),
        res=otlp.resource(dataset, region="eu"), sc=otlp.scope("meter", "1"))
    if how == "grpc":
        otlp.call(server, message)
    else:
        otlp.ship(server, message, form=how)
    events = server.events(dataset)
    got = sorted(((e.time_ns, e.data["host"], e.data.get("mem.used"), e.data.get("mem.share"), e.data.get("requests")) for e in events), key=str)
    assert got == sorted([(t(0), "a", 2**53 + 1, 0.5, 7), (t(0), "b", 20, 0.25, None), (t(60), "a", 11, None, None)], key=str)
    for e in events:
        assert e.data["meta.signal_type"] == "metric" and e.data["region"] == "eu" and e.data["service.name"] == dataset


def test_histogram_gives_columns_that_start_with_its_name(server, dataset):
    point = metrics_pb2.HistogramDataPoint(time_unix_nano=t(0), start_time_unix_nano=t(-60), count=10, sum=55.5, min=0.5, max=20.0,
                                           bucket_counts=[1, 4, 3, 2], explicit_bounds=[1, 5, 10], attributes=otlp.attributes({"route": "/a"}))
    metric = metrics_pb2.Metric(name="latency", unit="ms", histogram=metrics_pb2.Histogram(data_points=[point], aggregation_temporality=DELTA))
    otlp.ship(server, otlp.metrics(dataset, metric))
    data = server.event(dataset).data
    mine = {k: v for k, v in data.items() if k.startswith("latency")}
    assert data["route"] == "/a"
    assert 10 in mine.values() and 55.5 in mine.values() and 0.5 in mine.values() and 20 in mine.values(), mine


def test_exponential_histogram_and_summary(server, dataset):
    exp = metrics_pb2.ExponentialHistogramDataPoint(time_unix_nano=t(0), count=6, sum=21.0, scale=2, zero_count=1, min=0.0, max=9.0,
                                                    positive=metrics_pb2.ExponentialHistogramDataPoint.Buckets(offset=1, bucket_counts=[2, 3]))
    summary = metrics_pb2.SummaryDataPoint(time_unix_nano=t(0), count=4, sum=10.0,
                                           quantile_values=[metrics_pb2.SummaryDataPoint.ValueAtQuantile(quantile=0.5, value=2.0), metrics_pb2.SummaryDataPoint.ValueAtQuantile(quantile=0.99, value=3.5)])
    otlp.ship(server, otlp.metrics(
        dataset, metrics_pb2.Metric(name="exp", exponential_histogram=metrics_pb2.ExponentialHistogram(data_points=[exp], aggregation_temporality=DELTA)),
        metrics_pb2.Metric(name="summ", summary=metrics_pb2.Summary(data_points=[summary]))))
    data = server.event(dataset).data
    exp_values = {v for k, v in data.items() if k.startswith("exp")}
    summ_values = {v for k, v in data.items() if k.startswith("summ")}
    assert {6, 21, 9} <= exp_values, data
    assert {4, 10, 2, 3.5} <= summ_values, data


def test_exemplars_keep_their_trace_ids(server, dataset):
    exemplar = metrics_pb2.Exemplar(time_unix_nano=t(0.5), as_double=99.5, trace_id=TRACE, span_id=SPAN)
    otlp.ship(server, otlp.metrics(dataset, otlp.gauge("latency", otlp.point(5, {"route": "/a"}, exemplars=[exemplar]))))
    text = json.dumps([e.data for e in server.events(dataset)])
    assert TRACE.hex() in text and SPAN.hex() in text


def test_a_metric_can_be_asked_like_any_column(server, dataset):
    otlp.ship(server, otlp.metrics(dataset, otlp.gauge("cpu.load", *[otlp.point(i / 10, {"host": f"h{i % 2}"}, at=i) for i in range(10)])))
    rows = server.query(dataset, {"calculations": [{"op": "AVG", "column": "cpu.load"}, {"op": "MAX", "column": "cpu.load"}], "breakdowns": ["host"]}).by("host")
    assert rows["h0"]["AVG(cpu.load)"] == pytest.approx(0.4) and rows["h1"]["MAX(cpu.load)"] == pytest.approx(0.9)


@pytest.mark.parametrize("value", [0, -5, 2**63 - 1, 0.0, -0.5, 1e308])
def test_number_points_keep_their_values(server, dataset, value):
    otlp.ship(server, otlp.metrics(dataset, otlp.gauge("m", otlp.point(value))))
    assert server.event(dataset).data["m"] == value


def test_point_without_value_is_not_zero(server, dataset):
    """NO_RECORDED_VALUE: staleness, not a measurement."""
    gone = metrics_pb2.NumberDataPoint(time_unix_nano=t(1), flags=1, attributes=otlp.attributes({"host": "a"}))
    otlp.ship(server, otlp.metrics(dataset, otlp.gauge("m", otlp.point(1, {"host": "a"}), gone)))
    row = server.query(dataset, {"calculations": [{"op": "MIN", "column": "m"}]}).only()
    assert row == {"MIN(m)": 1}


@pytest.mark.parametrize("service,want", [("shop", "shop"), (None, "unknown_metrics"), ("unknown_service:x", "unknown_metrics")])
def test_dataset_of_a_metric(fresh_server, service, want):
    """Without a Classic key the service names the dataset."""
    otlp.ship(fresh_server, otlp.metrics(service, otlp.gauge("m", otlp.point(1))))
    assert [d["name"] for d in fresh_server.get("/1/datasets").json() if d["name"] != "wideye"] == [want]
