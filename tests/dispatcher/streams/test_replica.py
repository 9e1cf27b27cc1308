"""dispatcher/streams/replica.py: what is decided and carried out in one go, without a network, by the
test's own clock."""

import pytest

from dispatcher.config import Config
from dispatcher.core.errors import Aborted, InvalidRequest, LimitReached, Stopping
from dispatcher.streams.link import Link
from dispatcher.streams.publisher import Publisher
from dispatcher.streams.replica import Replica
from proto.dispatch_pb2 import (
    Beat,
    DispatcherMessage,
    Hello,
    Interest,
    NodeMessage,
    PublishRequest,
    Unreadable,
    VideoViewers,
    Welcome,
)
from tests.dispatcher.peers import batches, comment, ids_of

START_MS = 1_700_000_000_000


class Clock:
    now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


class World:
    """A replica, its clock, and a publisher"""

    def __init__(self, **settings: int) -> None:
        self.clock = Clock()
        self.replica = Replica(Config.model_validate(settings), "d1", self.clock)

    def node(
        self, node_id: str = "rms-1", *video_ids: str, incarnation: int = 1, capacity: int = 10
    ) -> tuple[Link, Welcome]:
        link = self.replica.connect(
            Hello(
                node_id=node_id,
                incarnation=incarnation,
                public_url=f"http://{node_id}/",
                capacity_viewers=capacity,
                videos=[VideoViewers(video_id=video_id) for video_id in video_ids],
            )
        )
        (welcome,) = self.sent(link)
        return link, welcome.welcome

    def sent(self, link: Link) -> list[DispatcherMessage]:
        messages = []
        while encoded := link.next_message(self.clock.now_ms):
            messages.append(DispatcherMessage.FromString(encoded))
        return messages

    def publish(self, publisher: Publisher, seq: int, *ids: int, video_id: str = "a") -> None:
        request = PublishRequest(seq=seq, videos=batches(*(comment(each, video_id) for each in ids)))
        self.replica.publish(publisher, request)

    def pass_ms(self, ms: int) -> None:
        """Time passes as it does for a replica that looks at its leases all the while."""
        until_ms = self.clock.now_ms + ms
        while self.clock.now_ms < until_ms:
            self.clock.now_ms = min(until_ms, self.clock.now_ms + self.replica.config.beat_ms)
            self.replica.check_leases()


async def test_the_welcome_says_how_often_to_beat() -> None:
    world = World(lease_ms=3000, beat_ms=700)
    _, welcome = world.node()
    assert welcome == Welcome(replica_id="d1", lease_ms=3000, beat_ms=700)


async def test_a_silent_node_is_expired_after_its_lease_and_not_before() -> None:
    world = World()
    link, _ = world.node("rms-1", "a")
    publisher = world.replica.open_publisher("peer")
    world.publish(publisher, 1, 7)
    world.pass_ms(2000)
    assert not link.ended.done()
    assert publisher.unanswered == 1
    world.pass_ms(500)
    assert isinstance(link.ended.result(), Aborted)
    assert await publisher.done_batches() == [1]


async def test_for_a_lease_after_its_start_and_after_a_links_end_a_node_may_live_and_lack_something() -> None:
    world = World()
    assert world.replica.is_in_doubt, "nodes of its last life may not be back"
    world.pass_ms(2000)
    assert not world.replica.is_in_doubt
    link, _ = world.node("rms-1", "a")
    world.replica.end(link.session, None)
    world.pass_ms(1999)
    assert world.replica.is_in_doubt
    world.pass_ms(1)
    assert not world.replica.is_in_doubt
    silent, _ = world.node("rms-1", "a")
    world.pass_ms(2500)
    assert silent.ended.done()
    assert not world.replica.is_in_doubt, "it knows itself that it has heard nothing for a lease"


async def test_what_an_expired_node_did_not_acknowledge_it_reads_when_it_is_back() -> None:
    world = World()
    world.node("rms-1", "a")
    publisher = world.replica.open_publisher("peer")
    world.publish(publisher, 1, 7)
    world.pass_ms(60_000)
    _, welcome = world.node("rms-1", "a")
    assert welcome.catch_up_from_id == 7


async def test_a_node_that_connects_anew_reads_what_its_older_stream_had_not_delivered() -> None:
    world = World()
    world.node("rms-1", "a")
    publisher = world.replica.open_publisher("peer")
    world.publish(publisher, 1, 7)
    world.clock.now_ms += 1500
    _, welcome = world.node("rms-1", "a")
    assert welcome.catch_up_from_id == 7
    assert await publisher.done_batches() == [1]


async def test_beats_and_acknowledgements_keep_the_lease() -> None:
    world = World()
    link, _ = world.node("rms-1", "a")
    for _ in range(10):
        world.pass_ms(1500)
        world.replica.receive(link, NodeMessage(beat=Beat()))
        assert [message.WhichOneof("message") for message in world.sent(link)] == ["beat_ack"]
    assert not link.ended.done()


async def test_a_replica_that_was_stopped_itself_blames_nobody() -> None:
    world = World()
    link, _ = world.node("rms-1", "a")
    world.pass_ms(1000)
    world.clock.now_ms += 60_000
    world.replica.check_leases()
    assert not link.ended.done()
    world.pass_ms(2500)
    assert link.ended.done()


async def test_messages_of_a_replaced_stream_change_nothing() -> None:
    world = World()
    old, _ = world.node("rms-1", "a")
    new, _ = world.node("rms-1", "b", incarnation=2)
    world.replica.receive(old, NodeMessage(beat=Beat(videos=[VideoViewers(video_id="b", viewers=9)])))
    world.replica.end(old.session, None)
    publisher = world.replica.open_publisher("peer")
    world.publish(publisher, 1, 1, video_id="a")
    world.publish(publisher, 2, 2, video_id="b")
    assert [ids_of(message.deliver) for message in world.sent(new)] == [[2]]
    known = world.replica.registry.interests.most_watched(10)
    assert [(video.video_id, video.viewers) for video in known] == [("b", 0)]


async def test_a_replaced_stream_cannot_send_garbage_either() -> None:
    world = World()
    link, _ = world.node()
    with pytest.raises(InvalidRequest):
        world.replica.receive(link, NodeMessage())


async def test_the_public_url_has_no_slash_at_its_end() -> None:
    world = World()
    world.node("rms-1")
    assert world.replica.registry.nodes()[0].public_url == "http://rms-1"


async def test_an_overflowing_link_ends_and_the_others_go_on() -> None:
    world = World(outbox_events_max=2)
    slow, _ = world.node("rms-1", "a")
    good, _ = world.node("rms-2", "a")
    publisher = world.replica.open_publisher("peer")
    world.publish(publisher, 1, 1, 2)
    good_numbers = [message.deliver.number for message in world.sent(good)]
    good.delivered(good_numbers[-1], world.clock.now_ms)
    world.publish(publisher, 2, 3)
    assert slow.ended.done()
    assert not good.ended.done()
    assert await publisher.done_batches() == [1]


async def test_a_stopping_replica_answers_no_batch_that_it_has_not_delivered() -> None:
    world = World()
    link, _ = world.node("rms-1", "a")
    publisher = world.replica.open_publisher("peer")
    world.publish(publisher, 1, 7)
    assert world.replica.stop_publishers() == [publisher.ended]
    assert not publisher.ended.done()
    world.replica.stop_links()
    assert isinstance(publisher.ended.result(), Stopping)
    assert isinstance(link.ended.result(), Stopping)
    with pytest.raises(Stopping):
        world.node("rms-2")
    with pytest.raises(Stopping):
        world.replica.open_publisher("peer")


async def test_a_stopping_replica_waits_for_batches_that_are_under_way() -> None:
    world = World()
    link, _ = world.node("rms-1", "a")
    publisher = world.replica.open_publisher("peer")
    world.publish(publisher, 1, 7)
    world.replica.stop_publishers()
    link.delivered(world.sent(link)[0].deliver.number, world.clock.now_ms)
    publisher.written(len(await publisher.done_batches()))
    assert isinstance(publisher.ended.result(), Stopping)


async def test_acknowledgements_that_nobody_reads_have_a_limit() -> None:
    world = World(unread_acks_max=3)
    link, _ = world.node()
    interest = NodeMessage(interest=Interest(number=1, joined=["a"]))
    for _ in range(3):
        world.replica.receive(link, interest)
    with pytest.raises(LimitReached, match="aren't read"):
        world.replica.receive(link, interest)
    world.sent(link)
    world.replica.receive(link, interest)  # a node that reads has no limit


async def test_a_beat_can_acknowledge_deliveries() -> None:
    world = World()
    link, _ = world.node("rms-1", "a")
    publisher = world.replica.open_publisher("peer")
    world.publish(publisher, 1, 7)
    (message,) = world.sent(link)
    world.replica.receive(link, NodeMessage(beat=Beat(delivered=message.deliver.number)))
    assert await publisher.done_batches() == [1]
    with pytest.raises(InvalidRequest, match="delivery 2 was acknowledged"):
        world.replica.receive(link, NodeMessage(beat=Beat(delivered=2)))


async def test_the_more_nodes_there_are_the_later_each_may_acknowledge() -> None:
    world = World(acks_per_s_max=100, ack_gather_ms=5)
    assert world.replica.ack_within_ms == 5
    for number in range(3):
        world.node(f"rms-{number}")
    assert world.replica.ack_within_ms == 30


async def test_what_a_quiet_service_hides_is_known_as_long_as_it_is_connected_and_a_while_longer() -> None:
    """Nobody comments any more, and its spool is still not in history."""
    world = World(recent_s=10)
    publisher = world.replica.open_publisher("service")
    hidden = Unreadable(service=3, from_id=40)
    world.replica.publish(publisher, PublishRequest(seq=1, videos=batches(comment(50, "a")), unreadable=hidden))
    for _ in range(100):
        world.clock.now_ms += 500
        world.replica.check_leases()
    _, welcome = world.node("rms-1", "a")
    assert list(welcome.unreadable) == [hidden]
    world.replica.close_publisher(publisher)
    for node_id, known in (("rms-2", [hidden]), ("rms-3", [])):
        world.clock.now_ms += 9_000
        world.replica.check_leases()
        _, welcome = world.node(node_id, "a")
        assert list(welcome.unreadable) == known
