"""Long polls at a node, through real sockets: rms/http/app.py, rms/http/admission.py, rms/sending/polled.py and
rms/videos/seats.py"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from history.core.model import Comment
from rms.clocks import wall_ms
from tests.rms.conftest import RunningNode, StartNode
from tests.rms.door.test_main import open_door
from tests.rms.http.test_app import answer, get, viewer
from tests.rms.parts import comment, erasure, ids
from tests.waiting import eventually


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def poll(http: aiohttp.ClientSession, port: int, position: str = "", wait: int = 30, **more: Any) -> Any:
    query = {"wait": str(wait), **more} | ({"last_event_id": position} if position else {})
    async with http.get(f"http://127.0.0.1:{port}/comments/v", params=query) as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert response.headers["cache-control"] == "no-store"
        return await response.json()


def said(got: Any) -> list[int]:
    """The ids of the comments"""
    return [int(event["data"]["id"], 16) for event in got["events"] if "event" not in event]


def named(got: Any) -> list[str]:
    return [event["event"] for event in got["events"] if "event" in event]


@asynccontextmanager
async def polling(http: aiohttp.ClientSession, node: RunningNode, position: str) -> AsyncIterator[asyncio.Task[Any]]:
    """A poll that waits"""
    asking = asyncio.create_task(poll(http, node.port, position))
    try:
        await eventually(lambda: waiting(node) == 1)
        yield asking
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def waiting(node: RunningNode) -> int:
    return sum(len(audience.waiters) for video in node.node.served.videos for audience in video.audiences.values())


async def test_a_new_one_gets_the_past_and_the_next_answer_what_came(
    start_node: StartNode, http: aiohttp.ClientSession
) -> None:
    node = await start_node()
    past = [comment(n) for n in range(60)]
    await node.store.append(past)
    got = await poll(http, node.port)
    assert said(got) == [each.id for each in past[10:]]
    assert got["events"][0]["data"]["message"] == "hello"
    assert (named(got), got["events"][-1]["data"]) == (["viewers"], {"viewers": 1})
    last = [event["id"] for event in got["events"] if "id" in event][-1]
    assert got["position"] == last
    node.dispatcher.deliver([comment(60), comment(61)])
    assert said(await poll(http, node.port, got["position"])) == [comment(60).id, comment(61).id]


async def test_where_nobody_has_said_anything_there_is_a_position_at_once(
    start_node: StartNode, http: aiohttp.ClientSession
) -> None:
    node = await start_node()
    got = await poll(http, node.port)
    assert (said(got), named(got)) == ([], ["viewers"])
    talk = [comment(n, wall_ms()) for n in range(60)]
    async with viewer(node.port, "/comments/v") as other:
        node.dispatcher.deliver(talk)
        await other.read_until(60)
    assert said(await poll(http, node.port, got["position"])) == [each.id for each in talk]


async def test_one_that_waits_is_answered_when_something_comes(
    start_node: StartNode, http: aiohttp.ClientSession
) -> None:
    node = await start_node()
    first = await poll(http, node.port)
    async with polling(http, node, first["position"]) as asking:
        node.dispatcher.deliver([comment(1, wall_ms())])
        got = await asking
        assert len(said(got)) == 1
    async with polling(http, node, got["position"]) as asking:
        node.dispatcher.deliver([comment(2, wall_ms())])
        assert len(said(await asking)) == 1


async def test_one_that_waits_in_vain_keeps_its_position(start_node: StartNode, http: aiohttp.ClientSession) -> None:
    node = await start_node()
    await node.store.append([comment(1)])
    first = await poll(http, node.port)
    for wait in (0, 1):
        got = await poll(http, node.port, first["position"], wait)
        assert (named(got), said(got), got["position"]) == (["viewers"], [], first["position"])
        assert "more" not in got


async def test_changes_and_gaps_come_as_in_the_stream(start_node: StartNode, http: aiohttp.ClientSession) -> None:
    node = await start_node(resume_events_max=60)
    now_ms = wall_ms()
    await node.store.append([comment(n, now_ms - 6_000_000 + n * 20_000) for n in range(200)])
    got = await poll(http, node.port, f"{comment(3, now_ms - 5_940_000).id:016x}")
    assert named(got) == ["gap", "viewers"]
    assert got["events"][0]["data"]["reason"] == "too_far_behind"
    assert len(said(got)) == 50
    (video,) = node.node.served.videos
    victim = comment(199, now_ms - 2_020_000)
    async with polling(http, node, got["position"]) as asking:
        node.node.served.deliver("v", [erasure(comment(5, wall_ms()).id, victim.id)])
        erased = await asking
    assert named(erased) == ["deleted", "viewers"]
    assert erased["events"][0] == {
        "id": erased["position"],
        "event": "deleted",
        "data": {"id": f"{victim.id:016x}"},
    }
    assert video.viewers == 1


async def test_an_answer_is_bounded_and_says_that_there_is_more(
    start_node: StartNode, http: aiohttp.ClientSession
) -> None:
    node = await start_node(poll_bytes_max=2_000)
    await node.store.append([comment(n, message="x" * 400) for n in range(50)])
    got = await poll(http, node.port)
    have = said(got)
    while got.get("more"):
        assert len(json.dumps(got)) < 4_000
        got = await poll(http, node.port, got["position"])
        have += said(got)
    assert have == [comment(n).id for n in range(50)]


async def test_who_falls_off_the_log_while_it_waits_goes_on_from_where_it_was(
    start_node: StartNode, http: aiohttp.ClientSession
) -> None:
    node = await start_node(log_bytes_max=2_000, backfill=2, backfill_max=2)
    first = await poll(http, node.port)
    talk = [comment(n, wall_ms()) for n in range(50)]
    await node.store.append(talk)
    async with polling(http, node, first["position"]) as asking:
        node.dispatcher.deliver(talk)
        got = await asking
    assert (said(got), got["more"], got["position"]) == ([], True, first["position"])
    assert said(await poll(http, node.port, got["position"])) == [each.id for each in talk]


async def test_it_counts_while_it_waits_and_for_a_moment_between(
    start_node: StartNode, http: aiohttp.ClientSession
) -> None:
    node = await start_node(capacity=1, poll_rest_ms=600_000)
    first = await poll(http, node.port)
    (video,) = node.node.served.videos
    assert (len(node.node.viewers), video.viewers, node.node.viewers.takes_more) == (1, 1, False)
    status, headers, _ = await answer(node.port, get("/comments/v?wait=1", "*/*"))
    assert status == 503
    assert "retry-after" in headers
    async with polling(http, node, first["position"]):
        assert (len(node.node.viewers), video.viewers) == (1, 1)
    await eventually(lambda: len(node.node.viewers) == 0)
    assert video.viewers == 0, "it has gone, and nobody keeps a seat for it"


async def test_a_seat_is_given_up_if_nobody_comes(start_node: StartNode, http: aiohttp.ClientSession) -> None:
    node = await start_node(poll_rest_ms=1)
    await poll(http, node.port)
    await eventually(lambda: len(node.node.viewers) == 0)


async def test_a_drain_answers_those_who_wait(start_node: StartNode, http: aiohttp.ClientSession) -> None:
    node = await start_node()
    first = await poll(http, node.port)
    async with polling(http, node, first["position"]) as asking:
        node.node.drain.start(over_ms=0)
        got = await asking
    assert named(got) == ["viewers", "reconnect"]
    assert 0 <= got["events"][-1]["data"]["delay_ms"] <= 250
    assert got["position"] == first["position"]
    status, _, body = await answer(node.port, get(f"/comments/v?wait=5&last_event_id={got['position']}", "*/*"))
    assert (status, json.loads(body)["error"]["code"]) == (503, "draining")


async def test_many_who_are_sent_away_at_once_come_back_one_after_the_other(
    start_node: StartNode, http: aiohttp.ClientSession
) -> None:
    node = await start_node(drain_viewers_per_s=1)
    first = await poll(http, node.port)
    asking = [asyncio.create_task(poll(http, node.port, first["position"])) for _ in range(30)]
    await eventually(lambda: waiting(node) == 30)
    node.node.drain.start(over_ms=0)
    delays = [(await each)["events"][-1]["data"]["delay_ms"] for each in asking]
    assert max(delays) - min(delays) > 5_000, "spread over 30 s"


async def test_a_node_that_ends_answers_those_who_wait(start_node: StartNode, http: aiohttp.ClientSession) -> None:
    node = await start_node()
    first = await poll(http, node.port)
    async with polling(http, node, first["position"]) as asking:
        ending = asyncio.create_task(node.node.stop())
        assert "reconnect" in named(await asking)
        await ending


async def test_who_has_ended_only_its_own_side_is_answered_early(start_node: StartNode) -> None:
    node = await start_node()
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"GET /comments/v?wait=30 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    writer.write_eof()
    async with asyncio.timeout(10):
        whole = await reader.read()
    assert b'"position":"' in whole
    writer.close()
    await eventually(lambda: len(node.node.viewers) == 0)


@pytest.mark.parametrize("wait", ["-1", "31", "x", "", "1.5"])
async def test_a_wait_that_is_no_good_is_explained(start_node: StartNode, wait: str) -> None:
    node = await start_node()
    status, _, body = await answer(node.port, get(f"/comments/v?wait={wait}", "application/json"))
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (400, "invalid_wait")
    assert "0 to 30" in error["message"]


async def test_who_accepts_a_stream_gets_one_all_the_same(start_node: StartNode) -> None:
    node = await start_node()
    async with viewer(node.port, "/comments/v?wait=never") as raw:
        assert b"text/event-stream" in raw.head
    status, headers, _ = await answer(node.port, get("/comments/v?wait=30", "*/*", method="HEAD"))
    assert (status, headers["content-type"]) == (200, "application/json")
    assert len(node.node.viewers) == 0


@pytest.mark.parametrize("rate", ["", "5"])
async def test_nothing_is_lost_or_doubled_between_nodes_and_streams(
    start_node: StartNode, http: aiohttp.ClientSession, rate: str
) -> None:
    """Each answer comes from another node, in between a stream goes on from the position, while people talk."""
    nodes = [await start_node(poll_bytes_max=1_500), await start_node()]
    first = await poll(http, nodes[0].port)
    await poll(http, nodes[1].port)
    talk: list[Comment] = []
    have: list[int] = []
    position = first["position"]
    draw = random.Random(16)
    more = {"max_rate": rate} if rate else {}
    began_ms = wall_ms()
    for turn in range(60):
        now = [comment(len(talk) + n, began_ms) for n in range(draw.choice([0, 1, 3, 12]))]
        talk += now
        if now:
            await nodes[0].store.append(now)
            for node in nodes:
                number = node.dispatcher.deliver(now)
                await eventually(lambda node=node, number=number: node.dispatcher.delivered == number)  # type: ignore[misc]
        got = await poll(http, draw.choice(nodes).port, position, wait=0, **more)
        have += said(got)
        position = got["position"]
        assert "gap" not in named(got)
        if turn % 10 == 9:
            path = f"/comments/v?last_event_id={position}"
            lacks = len(talk) - len(have)
            if not rate and lacks:
                async with viewer(draw.choice(nodes).port, path) as raw:
                    have += ids(await raw.read_until(lacks))
                    *_, position = [line[4:] for line in raw.body.decode().split("\n") if line.startswith("id: ")]
    got = {"more": True}
    while got.get("more"):
        got = await poll(http, nodes[0].port, position, wait=0)
        have, position = have + said(got), got["position"]
    assert len(have) == len(set(have)), "doubled=0"
    assert have[-1] == talk[-1].id
    if not rate:
        assert have == [each.id for each in talk], "lost=0"


async def test_through_the_door(start_node: StartNode, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    named_origin = "http://a.example"
    node = await start_node(door_socket=str(tmp_path / "n1.sock"), credentials_origins=named_origin)
    node.dispatcher.placements = ["n1"]
    await node.store.append([comment(n) for n in range(5)])
    async with open_door(node.dispatcher, tmp_path, more=("--credentials-origins", named_origin)) as port:
        got = await poll(http, port, backfill="3")
        assert said(got) == [comment(n).id for n in (2, 3, 4)]
        asking = asyncio.create_task(poll(http, port, got["position"]))
        await eventually(lambda: waiting(node) == 1)
        node.dispatcher.deliver([comment(9)])
        assert said(await asking) == [comment(9).id]
        for path in ("/comments/v?wait=0", "/comments/v?wait=31", "/comments/v?wait=1&last_event_id=~"):
            for origin, allowed in ((named_origin, named_origin), ("http://other.example", "*")):
                status, headers, _ = await answer(port, get(path, "*/*", more=f"Origin: {origin}\r\n"))
                assert status == (200 if path.endswith("wait=0") else 400)
                assert headers["access-control-allow-origin"] == allowed
                if "last_event_id" not in path:  # that one the door refuses itself
                    assert headers["connection"] == "close"
        leaving = asyncio.create_task(poll(http, port, f"{comment(9).id:016x}"))
        await eventually(lambda: waiting(node) == 1)
        leaving.cancel()
        await eventually(lambda: waiting(node) == 0)
        assert not node.node.server.server_state.connections


async def test_a_gap_of_long_ago_is_no_reason_to_answer_at_once(
    start_node: StartNode, http: aiohttp.ClientSession
) -> None:
    """It moves no position: who has read nothing since is told again, and would ask without a pause."""
    node = await start_node()
    async with viewer(node.port, "/comments/v") as raw:
        node.dispatcher.deliver([comment(n, wall_ms()) for n in range(3)])
        await raw.read_until(3)
    first = await poll(http, node.port)
    (video,) = node.node.served.videos
    async with polling(http, node, first["position"]) as asking:
        video.announce_gap(comment(0).id, comment(1).id)
        got = await asking
    assert named(got) == ["gap", "viewers"]
    async with polling(http, node, first["position"]) as asking:
        node.dispatcher.deliver([comment(1, wall_ms() + 1)])
        got = await asking
    assert named(got)[0] == "gap"
    assert len(said(got)) == 1
    assert "gap" not in named(await poll(http, node.port, got["position"], wait=0))
