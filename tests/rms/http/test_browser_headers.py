"""A node's and a door's responses tell browsers what those of comment_service do, also on sockets that were taken"""

from pathlib import Path

import pytest

from tests.browser_headers import assert_browsers_are_told, headers_of
from tests.rms.conftest import StartNode
from tests.rms.door.test_main import open_door
from tests.rms.http.test_app import answer, get, viewer

ASKED = {
    "/comments/v?backfill=9999": 400,
    "/comments/a,b": 400,
    "/none": 404,
    "/health/live": 200,
    "/health/ready": 200,
}


@pytest.mark.parametrize("encoding", ["", "Accept-Encoding: gzip\r\n"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_streams(start_node: StartNode, encoding: str, version: str) -> None:
    node = await start_node(gzip_viewers_min=1)
    async with viewer(node.port, "/comments/v", encoding, version) as raw:
        assert_browsers_are_told(headers_of(raw.head), "a stream")
    _, headers, _ = await answer(node.port, get("/comments/v", method="HEAD"))
    assert_browsers_are_told(headers, "the head of a stream")


async def test_answers_and_refusals(start_node: StartNode, tmp_path: Path) -> None:
    node = await start_node(door_socket=str(tmp_path / "n1.sock"))
    node.dispatcher.placements = ["n1"] * 10
    async with open_door(node.dispatcher, tmp_path) as door:
        for port in (node.port, door):
            for path, status in {**ASKED, "/comments/v?wait=0": 200}.items():
                accept = "application/json" if "wait" in path else "text/event-stream"
                got, headers, _ = await answer(port, get(path, accept))
                assert got == status, path
                assert_browsers_are_told(headers, path)
        async with viewer(door, "/comments/v") as raw:
            assert_browsers_are_told(headers_of(raw.head), "a stream behind the door")
        _, headers, _ = await answer(door, get("/comments/v?backfill=9998"))
        assert_browsers_are_told(headers, "refused by the node, behind the door")
