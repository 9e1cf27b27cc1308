"""Two processes with one node number: a copied folder, a cloned machine, a pause, a kill. No id is two comments'."""

import asyncio
import contextlib
import shutil
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace

from comment_service.clocks import wall_ms
from history.core.ids import first_id_at, format_id, time_of
from history.core.model import Author, Comment
from history.core.spool_format import SpooledKey
from history.opening import open_store
from history.spool.draining import Taken
from history.store import Claim
from tests.comment_service.conftest import StartService
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.comment_service.test_keys_in_an_outage import CutOff, eventually_page
from tests.comment_service.test_main import post, started
from tests.waiting import eventually

LEASE = ("--node", "3", "--node-lease-ms", "3000", "--node-renew-ms", "500")


async def test_a_copied_folder_has_no_number_while_the_first_one_lives(
    tmp_path: Path, dispatcher: FakeDispatcher
) -> None:
    async with started(tmp_path, dispatcher.address, *LEASE) as first, aiohttp.ClientSession() as http:
        url = await first.wait_ready()
        await post(http, url, "one")
        await eventually(lambda: (tmp_path / "state" / "lease-node3").exists())
        shutil.copytree(tmp_path / "state", tmp_path / "copy")
        async with started(tmp_path, dispatcher.address, *LEASE, "--state-dir", str(tmp_path / "copy")) as second:
            assert await second.process.wait() == 1
            assert second.process.stderr is not None
            assert b"node 3 belongs to" in await second.process.stderr.read()
        await post(http, url, "two")


CLONE = """
import runpy
from comment_service.node import holding
holding._identity = lambda status: "one"
runpy.run_module("comment_service", run_name="__main__")
"""
"""The copy of a whole machine: its folder's file is the same one, on a host with the same name."""


async def test_of_a_machine_and_its_clone_one_has_the_number(tmp_path: Path, dispatcher: FakeDispatcher) -> None:
    program = (sys.executable, "-c", CLONE)
    async with started(tmp_path, dispatcher.address, *LEASE, program=program) as first:
        await first.wait_ready()
        await eventually(lambda: (tmp_path / "state" / "lease-node3").exists())
        shutil.copytree(tmp_path / "state", tmp_path / "copy")
        copy = (*LEASE, "--state-dir", str(tmp_path / "copy"))
        async with started(tmp_path, dispatcher.address, *copy, program=program) as second:
            url = await second.wait_ready()
            assert await first.process.wait() == 1  # it has learned it with its next renewal
            async with started(tmp_path, dispatcher.address, *LEASE, program=program) as again:
                assert await again.process.wait() == 1
            async with aiohttp.ClientSession() as http:
                await post(http, url, "hi")


async def test_after_a_pause_no_id_of_a_number_that_is_anothers_is_given(
    tmp_path: Path, dispatcher: FakeDispatcher
) -> None:
    """Its request waits already when the process goes on."""
    async with started(tmp_path, dispatcher.address, *LEASE) as running, aiohttp.ClientSession() as http:
        url = await running.wait_ready()
        await post(http, url, "before")
        running.process.send_signal(signal.SIGSTOP)
        store = await open_store(f"sqlite:{tmp_path / 'comments.db'}")

        async def is_taken() -> bool:
            return await store.claim_node(3, "other", "another process", wall_ms(), 60_000) is None

        await eventually(is_taken)
        host, _, port = url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = b'{"videoId": "demo", "message": "after"}'
        head = f"POST /comment/create HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)  # it is in the process's socket now
        running.process.send_signal(signal.SIGCONT)
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = await reader.read()
        writer.close()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 503")
        assert await running.process.wait() == 1
        assert [each.message for each in (await store.newer("demo", 0, 9)).comments] == ["before"]
        await store.close()


SET_BACK = """
import runpy, time
real_ns = time.time_ns
time.time_ns = lambda: real_ns() - 3_600_000_000_000
runpy.run_module("comment_service", run_name="__main__")
"""


async def test_after_kill_9_and_a_clock_that_was_set_back_ids_go_on_above_the_newest(
    tmp_path: Path, nowhere: str
) -> None:
    """No dispatcher answers: the watermark stays at the first comment, which was accepted seconds before the last."""
    ids: list[int] = []
    async with started(tmp_path, nowhere, *LEASE) as first, aiohttp.ClientSession() as http:
        url = await first.wait_ready()
        while not ids or time_of(ids[-1]) < time_of(ids[0]) + 2_000:
            ids.append(await post(http, url, "hi"))
        first.process.kill()
        await first.process.wait()
    program = (sys.executable, "-c", SET_BACK)
    async with started(tmp_path, nowhere, *LEASE, program=program) as second, aiohttp.ClientSession() as http:
        url = await second.wait_ready()
        later = [await post(http, url, "again") for _ in range(10)]
    assert min(later) > max(ids)


@pytest.mark.parametrize("key", [None, "key"])
async def test_of_two_spooled_comments_with_one_id_both_stand(
    start_service: StartService, dispatcher: FakeDispatcher, *, key: str | None
) -> None:
    """Nobody could tell while the store was away. What is drained later gets an id of its own, and once only."""
    first = await start_service(dispatchers=dispatcher.address, node=1)
    second = await start_service(dispatchers=dispatcher.address, node=2)
    now_ms = wall_ms() - 20_000
    comments = [
        Comment(first_id_at(now_ms), "demo", Author(f"guest:{name}", name), name, now_ms) for name in ("Ann", "Bob")
    ]
    for running, comment in zip((first, second), comments, strict=True):
        with pytest.MonkeyPatch.context() as patched:
            outage = CutOff(running, patched)
            if key is None:
                await running.service.spooled.append([comment])
            else:
                claim = Claim(comment.author.id, "demo", key, comment.id, now_ms, b"digest")
                await running.service.spooled.append_claimed([(comment, claim)], wall_ms(), 60_000)
            outage.end()
            await running.service.spooled.wait_drained()
    history = first.service._opened()
    standing, anew = (await history.newer("demo", 0, 9)).comments
    assert standing == comments[0]
    assert replace(anew, id=0, after_id=0) == replace(comments[1], id=0)
    for running in (first, second):
        await eventually_page(running, [format_id(anew.id), format_id(standing.id)])
    await eventually(lambda: anew.id in dispatcher.published)
    again = Taken(comments[1], None if key is None else SpooledKey(key, b"digest"))
    await second.service._withdraw(again)  # as after a kill
    assert (await history.newer("demo", 0, 9)).comments == [standing, anew]
