"""rms/upstream/registration.py: what is said on one stream, without the stream"""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from history.core.ids import first_id_at
from proto import dispatch_pb2
from proto.event_pb2 import Comment, Event, VideoEvents
from rms.clocks import wall_ms
from rms.feed.event import Event as FeedEvent
from rms.feed.event import Promise
from rms.upstream.registration import CLOCKS_APART_MS, Identity, Registration

Down = dispatch_pb2.DispatcherMessage


class FakeServed:
    """What a test gives out as served, and what came"""

    def __init__(self) -> None:
        self.useless = 0
        self.came: list[tuple[str, list[int]]] = []
        self.read_from: list[int] = []
        self.promised: list[tuple[tuple[str, ...], Promise | None]] = []
        self.told: list[dict[str, int]] = []

    def __len__(self) -> int:
        return 0

    def deliver(self, video_id: str, events: Sequence[FeedEvent]) -> None:
        self.came.append((video_id, [event.id for event in events]))

    def sure_until(self, sure_ms: int | None) -> None:
        self.sure_ms = sure_ms

    def note_unreadable(self, from_ids: Mapping[int, int]) -> None:
        self.unreadable = dict(from_ids)

    def catch_up(
        self, from_id: int, live_waits: bool, video_ids: Sequence[str] = (), promise: Promise | None = None
    ) -> None:
        assert live_waits, "what comes now is behind what this replica had before"
        self.read_from.append(from_id)
        self.promised.append((tuple(video_ids), promise))

    def serving(self) -> dict[str, int]:
        return {"served": 3}

    def changed_viewers(self) -> tuple[dict[str, int], int]:
        return {}, 0

    def set_totals(self, viewers: Mapping[str, int]) -> None:
        self.told.append(dict(viewers))


class Drained:
    draining = False

    def start(self, over_ms: int) -> None:
        self.draining = True

    def cancel(self) -> None:
        self.draining = False


@pytest.fixture
def served() -> FakeServed:
    return FakeServed()


def registration(
    served: FakeServed, unrouted_from_id: int | None = None, drained: Drained | None = None
) -> Registration:
    identity = Identity("rms-1", 7, "http://rms-1.example", 100)
    return Registration("127.0.0.1:1", identity, served, drained or Drained(), unrouted_from_id)


def welcome(catch_up_from_id: int = 0) -> dispatch_pb2.Welcome:
    return dispatch_pb2.Welcome(replica_id="d1", lease_ms=2_000, beat_ms=500, catch_up_from_id=catch_up_from_id)


async def said(by: Registration) -> list[dispatch_pb2.NodeMessage]:
    async with asyncio.timeout(10):
        return await by.to_say()


async def test_the_hello_has_what_is_served_and_later_changes_are_said_together(served: FakeServed) -> None:
    node = registration(served)
    hello = node.hello(silent_ms=5).hello
    assert [(video.video_id, video.viewers) for video in hello.videos] == [("served", 3)]
    assert (hello.node_id, hello.incarnation, hello.load.viewers, hello.silent_ms) == ("rms-1", 7, 3, 5)
    node.welcome(welcome())
    acks = [node.announce("a", True), node.announce("b", True), node.announce("a", False)]
    ack = acks[0]
    assert ack is not None
    assert ack is acks[1] is acks[2]
    node.beat(dispatch_pb2.Beat())
    interest, beat = await said(node)
    assert (list(interest.interest.joined), list(interest.interest.left)) == (["b"], ["a"])
    assert beat.HasField("beat")
    assert not node.has_acknowledged
    assert node.owes_acknowledgement
    node.take(Down(interest_ack=dispatch_pb2.InterestAck(number=2)))
    assert not ack.done(), "there was no such interest"
    node.take(Down(interest_ack=dispatch_pb2.InterestAck(number=1)))
    assert ack.done()
    assert node.has_acknowledged
    assert not node.owes_acknowledgement


async def test_events_go_to_the_feeds_and_are_acknowledged_by_the_last_number(served: FakeServed) -> None:
    node = registration(served)
    node.welcome(welcome())
    videos = [
        VideoEvents(video_id="v", events=[Event(id=1, comment=Comment()), Event(id=2)]),
        VideoEvents(video_id="w", events=[Event(id=3)]),
        VideoEvents(video_id="v", events=[Event(id=4)]),
    ]
    assert node.take(Down(deliver=dispatch_pb2.Deliver(number=1, videos=videos))) == 4
    assert node.take(Down(catch_up=dispatch_pb2.CatchUp(number=2, from_id=9))) == 0
    assert served.came == [("v", [1, 2]), ("w", [3]), ("v", [4])]
    assert served.read_from == [9]
    (delivered,) = await said(node)
    assert delivered.delivered.number == 2


def deliver(number: int, ack_within_ms: int = 0) -> Down:
    return Down(deliver=dispatch_pb2.Deliver(number=number, ack_within_ms=ack_within_ms))


async def test_acknowledgements_that_may_wait_go_together(served: FakeServed) -> None:
    node = registration(served)
    node.welcome(welcome())
    node.take(deliver(1, ack_within_ms=20))
    speaking = asyncio.ensure_future(said(node))
    await asyncio.sleep(0)
    assert not speaking.done()
    node.take(deliver(2, ack_within_ms=20))
    (delivered,) = await speaking
    assert delivered.delivered.number == 2


async def test_one_that_may_wait_goes_with_one_that_may_not(served: FakeServed) -> None:
    node = registration(served)
    node.welcome(welcome())
    node.take(deliver(1, ack_within_ms=60_000))
    node.take(deliver(2))
    (delivered,) = await said(node)
    assert delivered.delivered.number == 2
    node.end()


async def test_a_beat_takes_an_acknowledgement_along_and_harms_no_other_link(served: FakeServed) -> None:
    node, other = registration(served), registration(served)
    for each in (node, other):
        each.welcome(welcome())
    node.take(deliver(7, ack_within_ms=60_000))
    beat = dispatch_pb2.Beat(load=dispatch_pb2.Load(viewers=3))
    for each in (node, other):
        each.beat(beat)
    (ours,), (others) = await said(node), await said(other)
    assert (ours.beat.delivered, ours.beat.load.viewers) == (7, 3)
    assert [each.beat.delivered for each in others] == [0]
    node.beat(beat)
    assert [each.beat.delivered for each in await said(node)] == [0]  # once is enough
    node.end()


def viewers_of(message: dispatch_pb2.NodeMessage) -> dict[str, int]:
    return {video.video_id: video.viewers for video in message.beat.videos}


async def test_a_beat_that_waits_loses_none_of_its_numbers_to_the_next_one(served: FakeServed) -> None:
    node = registration(served)

    def beat(viewers: int, **videos: int) -> None:
        changed = [dispatch_pb2.VideoViewers(video_id=video_id, viewers=n) for video_id, n in videos.items()]
        load = dispatch_pb2.Load(viewers=viewers, useless_events=2)
        node.beat(dispatch_pb2.Beat(videos=changed, load=load, draining=True))

    beat(5, a=5)  # between the hello and the welcome
    node.welcome(welcome())
    beat(13, b=8)
    beat(12, a=4)
    beat(12)
    (message,) = await said(node)
    assert viewers_of(message) == {"a": 4, "b": 8}
    assert (message.beat.load.viewers, message.beat.load.useless_events, message.beat.draining) == (12, 2, True)
    beat(12)
    (message,) = await said(node)
    assert viewers_of(message) == {}


async def test_a_video_that_comes_again_before_its_end_was_told_keeps_its_total(served: FakeServed) -> None:
    """The replica hears nothing of it, so it has no news of the total either."""
    node = registration(served)
    node.welcome(welcome())
    node.use_totals(True)
    node.take(Down(beat_ack=dispatch_pb2.BeatAck(videos=[dispatch_pb2.VideoViewers(video_id="v", viewers=9)])))
    node.announce("v", False)
    node.announce("v", True)
    assert served.told == [{}, {"v": 9}, {"v": 9}]
    told = len(served.told)
    await said(node)
    node.announce("v", False)
    await said(node)
    node.announce("v", True)
    assert len(served.told) == told, "once it has heard of it, it tells the total anew"


async def test_a_catch_up_passes_its_videos_and_its_promise_on(served: FakeServed) -> None:
    node = registration(served)
    node.welcome(welcome())
    node.take(Down(catch_up=dispatch_pb2.CatchUp(number=1, from_id=9)))
    order = dispatch_pb2.CatchUp(number=2, from_id=9, up_to_id=12, service=3, video_ids=["v", "w"])
    node.take(Down(catch_up=order))
    assert served.promised == [((), None), (("v", "w"), Promise(3, 9, 12))]


async def test_viewers_on_all_nodes_may_come_with_a_delivery(served: FakeServed) -> None:
    node = registration(served)
    node.welcome(welcome())
    node.use_totals(True)
    viewers = [dispatch_pb2.VideoViewers(video_id="v", viewers=9)]
    node.take(Down(deliver=dispatch_pb2.Deliver(number=1, viewers=viewers)))
    assert served.told[-1] == {"v": 9}


async def test_a_video_that_opens_before_the_welcome_is_read_when_it_is_routed(served: FakeServed) -> None:
    node = registration(served)
    assert node.announce("early", True) is None
    assert node.unrouted_from_id
    from_id = node.unrouted_from_id
    node.welcome(welcome())
    assert served.read_from == []
    await said(node)
    node.take(Down(interest_ack=dispatch_pb2.InterestAck(number=1)))
    assert served.read_from == [from_id]
    assert node.unrouted_from_id is None


async def test_a_clock_that_was_set_since_the_hello_changes_nothing_of_what_is_read(
    served: FakeServed, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_ms = wall_ms()
    monkeypatch.setattr("rms.upstream.registration.wall_ms", lambda: true_ms + 3_600_000)
    node = registration(served)
    node.hello(silent_ms=5)
    monkeypatch.setattr("rms.upstream.registration.wall_ms", lambda: true_ms)
    node.announce("v", True)
    assert node.unrouted_from_id is not None
    assert node.unrouted_from_id <= first_id_at(true_ms - CLOCKS_APART_MS)


async def test_what_the_registration_before_had_left_is_read_with_the_welcome(served: FakeServed) -> None:
    node = registration(served, unrouted_from_id=5)
    node.welcome(welcome(catch_up_from_id=8))
    assert served.read_from == [8, 5]
    assert node.unrouted_from_id is None


async def test_the_numbers_of_viewers_are_told_by_the_replica_that_counts(served: FakeServed) -> None:
    node = registration(served)
    node.welcome(welcome())
    totals = [dispatch_pb2.VideoViewers(video_id="v", viewers=9)]
    node.take(Down(beat_ack=dispatch_pb2.BeatAck(videos=totals)))
    assert served.told == []
    node.use_totals(True)
    node.use_totals(True)
    assert served.told == [{"v": 9}], "what it has said before counts now"
    node.take(Down(beat_ack=dispatch_pb2.BeatAck(videos=totals)))
    assert served.told == [{"v": 9}] * 2


async def test_an_operators_word_is_carried_out(served: FakeServed) -> None:
    drained = Drained()
    node = registration(served, drained=drained)
    node.welcome(welcome())
    node.take(Down(drain=dispatch_pb2.Drain(draining=True, over_ms=5)))
    assert drained.draining
    node.take(Down(drain=dispatch_pb2.Drain(draining=False)))
    assert not drained.draining


async def test_nobody_waits_for_a_registration_that_has_ended(served: FakeServed) -> None:
    node = registration(served)
    node.welcome(welcome())
    told = node.announce("a", True)
    await said(node)
    waiting = node.announce("b", True)
    node.end()
    assert told is not None
    assert waiting is not None
    assert told.done()
    assert waiting.done()
