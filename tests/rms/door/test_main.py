"""rms/door/__main__.py, door_places.py, door_nodes.py and doorway.py together: one port, and the sockets travel"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from structlog.testing import capture_logs

from rms.config import DoorSettings
from rms.door.__main__ import Door
from tests.rms.conftest import StartNode
from tests.rms.fake_dispatcher import FakeDispatcher
from tests.rms.http.test_app import answer, get, viewer
from tests.rms.parts import comment, ids
from tests.waiting import eventually


@asynccontextmanager
async def open_door(
    dispatcher: FakeDispatcher, sockets: Path, others: str = "", more: tuple[str, ...] = ()
) -> AsyncIterator[int]:
    """Gives its port."""
    door = Door(
        DoorSettings.parse(
            ["--listen", "127.0.0.1:0", "--dispatchers", others + dispatcher.address, "--sockets", str(sockets), *more]
        )
    )
    running = asyncio.create_task(door.run())
    await eventually(lambda: door.server.started)
    try:
        yield int(door.address.rpartition(":")[2])
    finally:
        await door.stop()
        await running


async def test_a_viewer_comes_through_and_the_door_keeps_nothing(start_node: StartNode, tmp_path: Path) -> None:
    node = await start_node(door_socket=str(tmp_path / "n1.sock"), gzip_viewers_min=1)
    node.dispatcher.placements = ["n1"]
    await node.store.append([comment(n) for n in range(5)])
    async with open_door(node.dispatcher, tmp_path) as port:
        async with viewer(port, "/comments/v?backfill=3", "Accept-Encoding: gzip\r\n") as raw:
            assert b"content-encoding: gzip" in raw.head
            assert len(node.node.sweeper) == 1
            node.dispatcher.deliver([comment(9)])
            assert ids(await raw.read_until(4)) == [comment(n).id for n in (2, 3, 4, 9)]
        async with viewer(port, "/comments/v?backfill=3", version="1.0") as raw:
            assert b"chunked" not in raw.head
            assert ids(await raw.read_until(3)) == [comment(n).id for n in (3, 4, 9)]
        await eventually(lambda: len(node.node.sweeper) == 0)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            async with viewer(port, "/comments/v"):
                pass
        await eventually(lambda: len(node.node.viewers) == 0 and len(os.listdir("/proc/self/fd")) <= before)


async def test_a_named_origin_reads_with_credentials(start_node: StartNode, tmp_path: Path) -> None:
    named = "http://a.example"
    node = await start_node(door_socket=str(tmp_path / "n1.sock"), credentials_origins=named)
    node.dispatcher.placements = ["n1"]
    async with open_door(node.dispatcher, tmp_path, more=("--credentials-origins", named)) as port:
        for origin, allowed in ((named, named), ("http://" + "x" * 30_000, "*")):
            async with viewer(port, "/comments/v", f"Origin: {origin}\r\n") as raw:
                assert f"access-control-allow-origin: {allowed}\r\n".encode() in raw.head
            for path in ("/comments/v?max_rate=0", "/comments/v?backfill=9999"):  # refused by the door, by the node
                _, headers, _ = await answer(port, get(path, more=f"Origin: {origin}\r\n"))
                assert headers["access-control-allow-origin"] == allowed


async def test_a_position_goes_through(start_node: StartNode, tmp_path: Path) -> None:
    node = await start_node(door_socket=str(tmp_path / "n1.sock"))
    node.dispatcher.placements = ["n1"]
    await node.store.append([comment(n, 1_700_000_000_000 + n * 10_000) for n in range(9)])
    last = f"{comment(5, 1_700_000_050_000).id:016x}"
    async with open_door(node.dispatcher, tmp_path) as port, viewer(port, f"/comments/v?last_event_id={last}") as raw:
        assert ids(await raw.read_until(3)) == [comment(n, 1_700_000_000_000 + n * 10_000).id for n in (6, 7, 8)]


async def test_a_request_of_any_length_comes_through(start_node: StartNode, tmp_path: Path) -> None:
    node = await start_node(door_socket=str(tmp_path / "n1.sock"), gzip_viewers_min=1)
    node.dispatcher.placements = ["n1"]
    last = f"{comment(1).id:016x}"
    with capture_logs() as lines:
        async with open_door(node.dispatcher, tmp_path, more=("--head-bytes-max", "400000")) as port:
            for length in (20_000, 300_000):
                much = "x" * length
                for name in ("Accept", "Accept-Encoding"):
                    async with viewer(port, "/comments/v", f"{name}: gzip, {much}\r\n") as raw:
                        assert raw.head.startswith(b"HTTP/1.1 200 "), (name, length)
                    await eventually(lambda: len(node.node.sweeper) == 0)
                async with viewer(
                    port, f"/comments/v?last_event_id={much[:60_000]}", f"Last-Event-ID: {last}\r\n"
                ) as raw:
                    assert raw.head.startswith(b"HTTP/1.1 200 "), "the header is newer, the query means nothing"
                status, _, body = await answer(port, get(f"/comments/v?backfill={much[:60_000]}"))
                assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_backfill")
    assert not [line for line in lines if line["log_level"] in ("warning", "error")]


async def test_a_dead_node_and_a_dead_dispatcher_are_passed_over(start_node: StartNode, tmp_path: Path) -> None:
    node = await start_node(door_socket=str(tmp_path / "n2.sock"))
    node.dispatcher.placements = ["n1", "n2"]
    await node.store.append([comment(1)])
    async with open_door(node.dispatcher, tmp_path, "127.0.0.1:1,") as port:
        for _ in range(3):
            async with viewer(port, "/comments/v") as raw:
                assert ids(await raw.read_until(1)) == [comment(1).id]


async def test_a_node_that_was_started_again_is_found(start_node: StartNode, tmp_path: Path) -> None:
    node = await start_node(door_socket=str(tmp_path / "n1.sock"))
    node.dispatcher.placements = ["n1"]
    async with open_door(node.dispatcher, tmp_path) as port:
        async with viewer(port, "/comments/v"):
            pass
        assert node.node.doorway is not None
        node.node.doorway.close()
        again = await start_node(door_socket=str(tmp_path / "n1.sock"))
        async with viewer(port, "/comments/v"):
            assert len(again.node.sweeper) == 1


async def test_what_is_wrong_is_said_by_the_door_or_by_the_node(start_node: StartNode, tmp_path: Path) -> None:
    node = await start_node(door_socket=str(tmp_path / "n1.sock"), capacity=1)
    async with open_door(node.dispatcher, tmp_path) as port:
        status, headers, body = await answer(port, get("/comments/v"))
        assert (status, json.loads(body)["error"]["code"]) == (503, "no_place")
        assert int(headers["retry-after"]) >= 5
        status, _, _ = await answer(port, get("/health/ready"))
        assert status == 503
        node.dispatcher.placements = ["n1"]
        for target, expected in (
            ("/comments/a%20b", 400),
            ("/nothing", 404),
            ("/health/ready", 200),
            ("/health/live", 200),
        ):
            status, _, _ = await answer(port, get(target))
            assert status == expected, target
        status, _, body = await answer(port, get("/comments/v?backfill=9999"))
        assert (status, json.loads(body)["error"]["code"]) == (400, "invalid_backfill")
        status, headers, _ = await answer(port, get("/comments/v", method="HEAD"))
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert "content-length" not in headers, "a stream has none"
        async with viewer(port, f"/comments/v?_=1&utm_source={'x' * 30_000}"):
            status, headers, body = await answer(port, get("/comments/v"))
            assert (status, json.loads(body)["error"]["code"]) == (503, "full")
            assert int(headers["retry-after"]) >= 5
    await eventually(lambda: len(node.node.viewers) == 0)


async def test_whoever_comes_back_is_told_to_come_again(start_node: StartNode, tmp_path: Path) -> None:
    """By the door, or by the node through it: anything but 200 would end a plain EventSource for good."""
    node = await start_node(door_socket=str(tmp_path / "n1.sock"), capacity=1)
    back = f"Last-Event-ID: {comment(1).id:016x}\r\n"
    async with open_door(node.dispatcher, tmp_path) as port:
        status, headers, body = await answer(port, get("/comments/v", more=back))
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert body.startswith(b"retry: "), "no node has room"
        node.dispatcher.placements = ["n1"]
        async with viewer(port, "/comments/v"):
            for of, at in (("node", node.port), ("node behind the door", port)):
                status, headers, body = await answer(at, get("/comments/v", more=back))
                assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8"), of
                assert body.startswith(b"retry: "), of
                query = f"/comments/v?last_event_id={comment(1).id:016x}"
                status, _, _ = await answer(at, get(query))
                assert status == 503, "it reads statuses"
            for at in (node.port, port):
                unknown = "Last-Event-ID: of another system\r\n"
                status, _, body = await answer(at, get("/comments/v", more=unknown))
                assert (status, b"\nevent: gap\nid\n" in body) == (200, True)
                assert (await answer(at, get("/comments/v?last_event_id=nonsense")))[0] == 400
    await eventually(lambda: len(node.node.viewers) == 0)


async def test_when_no_node_takes_it_the_viewer_is_let_go(start_node: StartNode, tmp_path: Path) -> None:
    node = await start_node()
    node.dispatcher.placements = ["n1", "n2", "n3", "n4"]
    async with open_door(node.dispatcher, tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/comments/v").encode())
        async with asyncio.timeout(10):
            assert await reader.read() == b"", "closed, so that an EventSource tries again"
        writer.close()
