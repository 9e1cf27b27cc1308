"""rms/http/admission.py: who gets in, and what is counted meanwhile; the streams themselves are in test_app.py"""

import asyncio
import socket

import pytest

from rms.feed.editions import Form
from rms.http.admission import refusal_headers
from rms.videos.request import Refused, StreamRequest
from tests.rms.conftest import StartNode

ASKED = StreamRequest("v", None, 50, Form())


async def test_those_on_their_way_in_count(start_node: StartNode) -> None:
    node = await start_node(capacity=1)
    mine, theirs = socket.socketpair()
    go_on = asyncio.Event()

    async def take() -> int:
        await go_on.wait()
        return theirs.detach()

    theirs.setblocking(False)
    entering = asyncio.create_task(node.node.viewers.enter(ASKED, take))
    await asyncio.sleep(0)
    assert len(node.node.viewers) == 1
    assert not node.node.viewers.takes_more
    with pytest.raises(Refused, match="full"):
        await node.node.viewers.enter(ASKED, take)
    go_on.set()
    assert await entering is None
    assert len(node.node.viewers) == len(node.node.sweeper) == 1
    assert mine.recv(15) == b"HTTP/1.1 200 OK"
    mine.close()


async def test_who_gives_no_socket_gets_a_body(start_node: StartNode) -> None:
    node = await start_node()

    async def none() -> None:
        return None

    body = await node.node.viewers.enter(ASKED, none)
    assert body is not None
    assert (await anext(body)).startswith(b"retry: ")
    assert len(node.node.viewers) == 1
    await body.aclose()  # type: ignore[attr-defined]
    assert len(node.node.viewers) == 0


def test_who_may_come_back_is_told_when() -> None:
    full = Refused(503, "full", "this node is full")
    waits = {int(refusal_headers(full, 50)["retry-after"]) for _ in range(200)}
    assert min(waits) >= 50
    assert max(waits) <= 100
    assert len(waits) > 10, "not all together"
    assert refusal_headers(Refused(400, "bad", "never"), 50) == {"cache-control": "no-store"}
