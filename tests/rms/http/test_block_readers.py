"""Clients that read a body in blocks get each event when it comes."""

import asyncio

import pytest
import requests

from tests.rms.conftest import StartNode
from tests.rms.parts import comment


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_requests_gets_each_comment_at_once(start_node: StartNode, encoding: str) -> None:
    """It waits for 512 bytes, or for a chunk's end. So does all that is built on it."""
    node = await start_node(gzip_viewers_min=1)
    url = f"http://127.0.0.1:{node.port}/comments/v"
    headers = {"Accept": "text/event-stream", "Accept-Encoding": encoding}
    with await asyncio.to_thread(requests.get, url, headers=headers, stream=True, timeout=10) as response:
        lines = response.iter_lines()
        for number in range(5):
            node.dispatcher.deliver([comment(number)])
            line = b""
            while not line.startswith(b'data: {"id":'):
                line = await asyncio.to_thread(next, lines)
            assert b'"%016x"' % comment(number).id in line
        node.node.drain.start(0)
        rest = await asyncio.to_thread(list, lines)
        assert b"event: reconnect" in rest
