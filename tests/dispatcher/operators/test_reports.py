"""dispatcher/operators/reports.py: times become ages, and what never was stays absent."""

from dispatcher.core.life import State
from dispatcher.core.views import NodeView
from dispatcher.operators.reports import node_state, publisher_state
from dispatcher.streams.link import LinkStatistics
from dispatcher.streams.publisher import PublisherStatistics

NOW_MS = 1_700_000_000_000
NODE = NodeView(
    session=1,
    node_id="rms-1",
    incarnation=2,
    public_url="http://rms-1",
    state=State.DRAINING,
    capacity_viewers=10,
    viewers=3,
    promised_viewers=1,
    videos=4,
    connected_ms=NOW_MS - 5000,
    heard_ms=NOW_MS - 100,
)


def test_a_node_has_ages() -> None:
    state = node_state(NODE, LinkStatistics(1, 2, 3, NOW_MS - 7, NOW_MS - 9), NOW_MS)
    assert (state.state, state.connected_ms, state.heard_ms_ago) == ("draining", 5000, 100)
    assert (state.outbox_comments, state.unacked_comments, state.delivered_comments) == (1, 2, 3)
    assert (state.acked_ms_ago, state.waiting_ms) == (7, 9)


def test_what_never_was_is_absent() -> None:
    state = node_state(NODE, LinkStatistics(0, 0, 0, None, None), NOW_MS)
    assert not state.HasField("acked_ms_ago")
    assert not state.HasField("waiting_ms")
    publisher = publisher_state(PublisherStatistics("ipv4:127.0.0.1:9", NOW_MS - 1, 0, 0, None, None), NOW_MS)
    assert (publisher.peer, publisher.connected_ms) == ("ipv4:127.0.0.1:9", 1)
    assert not publisher.HasField("batch_ms_ago")
    publisher = publisher_state(PublisherStatistics("p", NOW_MS - 9, 4, 2, NOW_MS - 3, NOW_MS - 2), NOW_MS)
    assert (publisher.batches, publisher.unanswered_batches) == (4, 2)
    assert (publisher.batch_ms_ago, publisher.answer_ms_ago) == (3, 2)
