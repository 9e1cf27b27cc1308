"""rms/videos/served.py: opening and dropping, and that nothing falls between history and the live stream."""

import asyncio
import json
import socket
from collections import Counter
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from history.core.ids import format_id
from history.store import StoreUnavailable
from proto.tasks import Supervisor
from rms.clocks import wall_ms
from rms.config import RmsSettings
from rms.feed.byte_log import FeedOffset
from rms.feed.editions import Form
from rms.feed.event import Event
from rms.sending.audience import Viewer
from rms.sending.sweep import Sweeper
from rms.videos.past import Past
from rms.videos.served import CannotOpen, ServedVideos
from rms.videos.video import ServedVideo, State
from tests.rms.conftest import StartNode
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, erasure, events, ids
from tests.waiting import eventually


async def test_the_past_is_read_only_after_the_interest_is_acknowledged(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node(interest_ack_ms=60_000)
    node.dispatcher.acknowledges_interest = False
    joining = asyncio.create_task(node.node.served.enter("v"))
    await eventually(lambda: node.dispatcher.interest == {"v": True})
    # Published before the node counted here: durable, and pushed to nobody.
    await node.store.append([comment(1)])
    assert not joining.done()
    node.dispatcher.cut()  # an ended stream acknowledges everything: after it history is read anyway
    video = await joining
    assert ids(video.feed.log.read(FeedOffset(0), 1 << 20)) == [comment(1).id]


async def test_a_store_that_is_away_is_logged_once_for_any_number_of_videos(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()

    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away, says the test")

    with capture_logs() as lines:
        with monkeypatch.context() as outage:
            outage.setattr(Past, "seed", away)
            for number in range(30):
                node.node.served.release(await node.node.served.enter(f"random-{number}"))
        for number in range(30, 33):
            node.node.served.release(await node.node.served.enter(f"random-{number}"))
    said = [line for line in lines if "past" in line["event"]]
    assert [(line["event"], line.get("first"), line.get("without_past")) for line in said] == [
        ("feeds open without their past", "random-0", None),
        ("feeds open with their past again", None, 30),
    ]


async def test_what_comes_while_history_is_read_is_appended_once(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    await node.store.append([comment(1), comment(2)])
    reading, go_on = asyncio.Event(), asyncio.Event()
    seed = Past.seed

    async def slow_seed(*args: object) -> object:
        reading.set()
        await go_on.wait()
        return await seed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Past, "seed", slow_seed)
    joining = asyncio.create_task(node.node.served.enter("v"))
    await reading.wait()
    number = node.dispatcher.deliver([comment(2), comment(3)])
    await eventually(lambda: node.dispatcher.delivered == number)
    go_on.set()
    video = await joining
    assert ids(video.feed.log.read(FeedOffset(0), 1 << 20)) == [comment(n).id for n in (1, 2, 3)]


async def test_many_joiners_read_the_past_once(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node()
    reads = 0
    seed = Past.seed

    async def counted(*args: object) -> object:
        nonlocal reads
        reads += 1
        return await seed(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Past, "seed", counted)
    await asyncio.gather(*(node.node.served.enter("v") for _ in range(1_000)))
    assert reads == 1


async def test_a_video_is_dropped_a_while_after_its_last_viewer(start_node: StartNode) -> None:
    node = await start_node(feed_linger_ms=0)
    async with viewer(node.port, "/comments/v"):
        await eventually(lambda: node.dispatcher.interest == {"v": True})
    await eventually(lambda: node.dispatcher.interest == {"v": False})
    assert len(node.node.served) == 0
    node.dispatcher.deliver([comment(1)])
    await eventually(lambda: node.node.served.useless == 1)


async def test_the_numbers_of_viewers_are_told_with_the_beats(start_node: StartNode) -> None:
    node = await start_node()

    def told() -> dict[str, int]:
        return {video.video_id: video.viewers for beat in node.dispatcher.beats for video in beat.videos}

    async with viewer(node.port, "/comments/v"), viewer(node.port, "/comments/v"), viewer(node.port, "/comments/w"):
        await eventually(lambda: told() == {"v": 2, "w": 1} and node.dispatcher.beats[-1].load.viewers == 3)
    await eventually(lambda: told() == {"v": 0, "w": 0} and node.dispatcher.beats[-1].load.viewers == 0)


async def test_what_comes_later_than_ids_are_remembered_is_told_as_a_gap_and_not_sent_twice(
    start_node: StartNode,
) -> None:
    """A replica that was stopped for longer, and goes on, pushes what it had in hand. Nobody can tell any more what of
    it was here; all of it is in history."""
    node = await start_node(dedupe_ms=60_000)
    old = [comment(n, wall_ms() - 120_000) for n in range(4)]
    async with viewer(node.port, "/comments/v") as raw:
        await node.store.append(old)
        new = comment(1, wall_ms())
        node.dispatcher.deliver([new, *old[1:]])
        last = comment(2, wall_ms())
        node.dispatcher.deliver([last])
        assert ids(await raw.read_until(2)) == [new.id, last.id]
        (gap,) = [json.loads(event["data"]) for event in events(raw.body) if event.get("event") == "gap"]
        assert gap == {"from": format_id(old[1].id - 1), "to": format_id(old[3].id + 1), "reason": "too_long_ago"}
        assert node.node.statistics().too_old == 3


async def test_what_comes_late_and_is_known_is_dropped_quietly(start_node: StartNode) -> None:
    node = await start_node(dedupe_ms=60_000)
    old = comment(1, wall_ms() - 120_000)
    async with viewer(node.port, "/comments/v") as raw:
        for talk in ([old], [comment(2, wall_ms())], [old], [comment(3, wall_ms())]):
            node.dispatcher.deliver(talk)
        assert len(set(ids(await raw.read_until(3)))) == 3
        assert b"event: gap" not in raw.body


async def test_after_a_long_outage_all_that_follows_comes_live_in_its_order(start_node: StartNode) -> None:
    """It is old only beside what this feed has had since: a wrong clock, or a late beginning, stops no video."""
    node = await start_node(dedupe_ms=60_000)
    talk = [comment(n, wall_ms() - 600_000 + n * 50_000) for n in range(10)]
    async with viewer(node.port, "/comments/v") as raw:
        for each in talk:
            node.dispatcher.deliver([each])
        assert ids(await raw.read_until(10)) == [each.id for each in talk]


async def test_an_opening_that_fails_is_logged_and_tried_again_for_the_next_viewer(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()

    async def broken(*args: object) -> object:
        raise LookupError("says the test")

    with monkeypatch.context() as once, capture_logs() as lines:
        once.setattr(Past, "seed", broken)
        outcomes = await asyncio.gather(*(node.node.served.enter("v") for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [CannotOpen] * 3
    (line,) = lines
    assert (line["event"], line["video"], line["reason"]) == ("video not opened", "v", "LookupError('says the test')")
    await eventually(lambda: node.dispatcher.interest == {"v": False})
    assert len(node.node.served) == 0
    video = await node.node.served.enter("v")
    assert (video.state, video.viewers) == (State.LIVE, 1)
    assert node.dispatcher.interest == {"v": True}


async def test_a_comment_that_cannot_be_appended_stops_no_other_and_is_read_again(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start_node()
    append = ServedVideo.append

    def broken_once(video: ServedVideo, each: Event) -> None:
        if video.video_id == "v":
            monkeypatch.setattr(ServedVideo, "append", append)
            raise ValueError("says the test")
        append(video, each)

    async with viewer(node.port, "/comments/v") as v, viewer(node.port, "/comments/w") as w:
        talk = [comment(1, wall_ms()), comment(2, wall_ms(), "w"), comment(3, wall_ms())]
        await node.store.append(talk)
        monkeypatch.setattr(ServedVideo, "append", broken_once)
        with capture_logs() as lines:
            node.dispatcher.deliver(talk)
            assert ids(await w.read_until(1)) == [talk[1].id]
            assert sorted(ids(await v.read_until(2))) == [talk[0].id, talk[2].id]
        (line,) = lines
        assert (line["event"], line["video"], line["id"]) == ("event not appended", "v", talk[0].id)
        assert line["reason"] == "ValueError('says the test')"
        assert len(node.dispatcher.hellos) == 1, "the link goes on"


async def test_what_a_batch_erases_is_overwritten_at_once_in_every_form(start_node: StartNode) -> None:
    """A gzipped form makes its last blocks anew each time: with each of hundreds the event loop would stand still."""
    node = await start_node()
    now_ms = wall_ms()
    talk = [comment(n, now_ms, message=f"words {n}") for n in range(20)]
    await node.store.append(talk)
    async with viewer(node.port, "/comments/v") as raw:
        await raw.read_until(20)
        (video,) = node.node.served.videos
        limited = video.audience(Form(100), 50).edition
        gzipped = video.audience(Form(100, True), 50).edition
        orders = [erasure(talk[-1].id + 1 + n, each.id, talk[-1].id + n) for n, each in enumerate(talk)]
        with patch.object(gzipped, "rewrite", side_effect=gzipped.rewrite) as rewrites:
            node.node.served.deliver("v", orders[:10])
            assert rewrites.call_count == 1
            video.hold_live()
            node.node.served.deliver("v", orders[10:])
            video.flush()
            assert rewrites.call_count == 2
        assert b"words" not in limited.log.read(limited.log.base, 1 << 20)


async def test_gzip_is_for_videos_where_enough_viewers_share_it(start_node: StartNode) -> None:
    node = await start_node(gzip_viewers_min=3)
    gzip = "Accept-Encoding: gzip\r\n"
    async with viewer(node.port, "/comments/v", gzip) as first, viewer(node.port, "/comments/v") as second:
        assert b"content-encoding" not in first.head + second.head
        async with viewer(node.port, "/comments/v", gzip) as third, viewer(node.port, "/comments/w", gzip) as alone:
            assert b"content-encoding: gzip" in third.head
            assert b"content-encoding" not in alone.head
            (video,) = [video for video in node.node.served.videos if video.video_id == "v"]
            await eventually(lambda: len(video.audiences[Form()].viewers) == 2)
            assert len(video.audiences[Form(None, True)].viewers) == 1


CHANGES = st.lists(
    st.tuples(
        st.sampled_from("vwxy"),
        st.sampled_from(["enter", "release", "come", "go", "hold", "end hold", "drop", "beat", "hello"]),
    ),
    max_size=60,
)


@given(CHANGES)
@example([("w", "enter"), ("v", "beat"), ("w", "enter"), ("v", "hello"), ("w", "release")])
async def test_beats_tell_what_a_walk_over_all_videos_would(changes: list[tuple[str, str]]) -> None:
    """Whatever way viewers come and go, after each beat the dispatchers know of each video what a walk finds."""
    settings = RmsSettings(_cli_parse_args=False)  # type: ignore[call-arg]
    tasks = Supervisor()
    sweeper = Sweeper(settings, asyncio.get_running_loop())
    served = ServedVideos(settings, Past(settings, tasks), sweeper, tasks)
    served.use(NoInterest())
    told: dict[str, int] = {}
    entered: dict[str, int] = Counter()
    ends = []
    try:
        for name, change in (*changes, ("v", "beat")):
            video = served._videos.get(name)
            if change == "enter":
                await served.enter(name)
                entered[name] += 1
            elif change == "beat":
                changed, viewers = served.changed_viewers()
                told = {each: count for each, count in told.items() if each in served._videos} | changed
                assert told == served.serving() == {each.video_id: each.viewers for each in served.videos}
                assert viewers == sum(told.values())
            elif change == "hello":
                told = served.serving()
            elif video is None:
                continue
            elif change == "release" and entered[name]:
                served.release(video)
                entered[name] -= 1
            elif change == "come":
                mine, theirs = socket.socketpair()
                mine.setblocking(False)
                ends.append(theirs)
                audience = served.audience(video, Form())
                sweeper.add(Viewer(mine.detach(), audience, b"", audience.log.end))
            elif change == "go" and video.audiences and (viewers_in := video.audiences[Form()].viewers):
                sweeper._close(viewers_in[0], "left")
            elif change == "hold" and entered[name]:  # a streamed viewer's, which begins while it enters
                video.holds += 1
                served.release(video)
            elif change == "end hold" and video.holds > entered[name]:
                video.holds -= 1
            elif change == "drop" and not video.viewers:
                served.drop(video)
    finally:
        sweeper.close()
        for end in ends:
            end.close()
        await served.close()
        await tasks.close()


class NoInterest:
    async def join(self, video_id: str) -> None:
        pass

    def leave(self, video_id: str) -> None:
        pass

    def missed_from(self) -> int | None:
        return None
