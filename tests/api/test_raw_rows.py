"""Raw events: a question with an empty list of calculations."""
from lib import times
from lib.times import T0


def test_newest_first_up_to_the_limit(server, dataset):
    server.send(dataset, *[{"n": i} for i in range(50)])
    answer = server.query(dataset, {"calculations": [], "limit": 10})
    assert [e.data["n"] for e in answer.events()] == list(range(49, 39, -1))


def test_only_matching_events_with_all_their_columns(server, dataset):
    server.send(dataset, {"n": 1, "a": "x"}, {"n": 2, "b": None, "c": True}, {"n": 3, "d.e": 1.5})
    assert server.event(dataset, [{"column": "n", "op": "=", "value": 2}]).data == {"n": 2, "c": True}
    assert server.event(dataset, [{"column": "d.e", "op": "exists"}]).data == {"n": 3, "d.e": 1.5}


def test_times_and_rates_come_with_the_event(server, dataset):
    server.batch(dataset, [{"time": times.rfc3339(T0 * times.SECOND + 123_456_789), "samplerate": 17, "data": {"n": 1}}])
    event = server.event(dataset)
    assert (event.time_ns, event.sample_rate, event.data) == (T0 * times.SECOND + 123_456_789, 17, {"n": 1})


def test_ten_thousand_rows(server, dataset):
    server.send(dataset, *[{"n": i} for i in range(10_000)])
    answer = server.query(dataset, {"calculations": [], "limit": 10_000}, disable_series=True)
    assert len({e.data["n"] for e in answer.events()}) == 10_000


def test_ordered_by_a_column(server, dataset):
    """Orders of raw rows are an extension: either done or refused, never ignored."""
    server.send(dataset, *[{"n": (i * 7) % 20} for i in range(20)])
    reply = server.ask(dataset, {"calculations": [], "limit": 5, "orders": [{"column": "n", "order": "descending"}], "start_time": T0, "end_time": T0 + 100})
    if reply.status == 200:
        assert [r["data"]["n"] for r in reply.json()["results"]] == [19, 18, 17, 16, 15]
    else:
        assert 400 <= reply.status < 500 and reply.error()


def test_no_events_is_an_empty_answer(server, dataset):
    server.send(dataset, {"n": 1})
    assert server.query(dataset, {"calculations": [], "start_time": 1, "end_time": 2}).rows == []
