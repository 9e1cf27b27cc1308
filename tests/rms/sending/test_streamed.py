"""rms/sending/streamed.py: another server streams the same feed"""

import asyncio

import hypercorn.asyncio
import hypercorn.config

from rms.clocks import wall_ms
from rms.feed.byte_log import EditionOffset
from rms.feed.editions import FilteredEdition, Form, PlainEdition
from rms.feed.entry import Attach, FeedLimits
from rms.feed.feed import Feed
from rms.feed.position import parse_position
from rms.feed.resuming import Resuming
from rms.http.app import build_app
from rms.sending.audience import Audience
from rms.sending.streamed import stream_from
from tests.rms.conftest import StartNode
from tests.rms.http.test_app import viewer
from tests.rms.parts import comment, event, ids
from tests.waiting import eventually


async def test_another_server_streams_the_same_feed(start_node: StartNode) -> None:
    node = await start_node(heartbeat_ms=50, log_bytes_max=2_000, backfill_max=5, backfill=5)
    config = hypercorn.config.Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = config.errorlog = None
    stop = asyncio.Event()
    sockets = config.create_sockets()
    config.create_sockets = lambda: sockets  # type: ignore[method-assign]
    sockets.insecure_sockets[0].listen()  # from now on who comes waits until hypercorn serves
    port = sockets.insecure_sockets[0].getsockname()[1]
    app = build_app(node.node.settings, node.node.face)
    serving = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    talk = [comment(n, wall_ms()) for n in range(31)]
    await node.store.append(talk[:3])
    async with viewer(port, "/comments/v") as raw:
        assert b"text/event-stream" in raw.head
        await raw.read_until(b"%016x" % talk[2].id)
        await raw.read_until(b":\n")
        assert len(node.node.viewers) == 1
        assert len(node.node.sweeper) == 0
        await node.store.append(talk[3:30])
        node.dispatcher.deliver(talk[3:30])  # more than the log holds
        assert ids(await raw.read_until(30)) == [each.id for each in talk[:30]]
        assert b"event: gap\n" not in raw.body
        (video,) = node.node.served.videos
        video.feed.add_gap(talk[1].id, talk[2].id, wall_ms())
        node.dispatcher.deliver([talk[30]])
        assert b"event: gap\n" in await raw.read_until(31)
    await eventually(lambda: len(node.node.viewers) == 0)
    stop.set()
    await serving


async def test_who_falls_off_an_editions_log_goes_on_in_that_log_not_at_the_feeds_offset() -> None:
    """The feed's log is far longer than that of one comment a second: the feed's offset lies behind its end."""
    feed = Feed(FeedLimits(2_000, 3_600_000, 2, 100, 60_000), [], 0, wall_ms())
    edition = FilteredEdition(feed, 1, wall_ms(), 0)
    audience = Audience("v", Form(1), edition, lambda viewer: None, 1)

    async def resume(stood_at: bytes | None) -> tuple[Audience, Attach[EditionOffset]]:
        assert stood_at is not None
        gap = Resuming(feed).gap(parse_position(stood_at.decode()), 2, "too_far_behind")
        return audience, edition.attach(gap, wall_ms())

    _, start, _ = edition.attach(feed.join(0), wall_ms())
    body = stream_from(audience, b"head", start, resume, 10_000, heartbeat_s=600)
    assert await anext(body) == b"head"
    for number in range(100):
        feed.append(event(comment(number)), wall_ms())
    assert b"event: gap\n" in await anext(body)
    feed.append(event(comment(200)), wall_ms() + 2_000)
    for waiter in audience.waiters:
        waiter.set()
    received = b""
    async with asyncio.timeout(10):
        while b"%016x" % comment(200).id not in received:
            received += await anext(body)
    await body.aclose()


async def test_who_falls_off_may_go_on_in_another_audience() -> None:
    """Of those who have what the feed has not: what comes later, and what they have, is left out for them."""
    feed = Feed(FeedLimits(2_000, 3_600_000, 2, 100, 60_000), [], 0, wall_ms())
    plain = Audience("v", Form(), PlainEdition(feed), lambda viewer: None, 1)
    had = parse_position(f"{comment(500).id:016x}")
    claimed = FilteredEdition(feed, None, wall_ms(), 0, had)
    other = Audience("v", Form(claims=had), claimed, lambda viewer: None, 1)

    async def resume(stood_at: bytes | None) -> tuple[Audience, Attach[EditionOffset]]:
        return other, claimed.attach(Attach(b"private", feed.log.end, had), wall_ms())

    body = stream_from(plain, b"head", plain.edition.attach(feed.join(0), wall_ms()).offset, resume, 10_000, 600)
    assert await anext(body) == b"head"
    for number in range(100):
        feed.append(event(comment(number)), wall_ms())
    assert await anext(body) == b"private"
    coming = asyncio.ensure_future(anext(body))
    await eventually(lambda: bool(other.waiters))
    assert not plain.waiters
    for number in (500, 501):
        feed.append(event(comment(number)), wall_ms())
    for waiter in other.waiters:
        waiter.set()
    async with asyncio.timeout(10):
        assert ids(await coming) == [comment(501).id]
    await body.aclose()
    assert not other.waiters
