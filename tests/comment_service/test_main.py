"""python -m comment_service as a process: ready, stopped, killed, stopped in its tracks"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from comment_service.publish.watermark import Watermark
from history.core.ids import parse_id
from tests.comment_service.fake_dispatcher import FakeDispatcher, fake_dispatcher, serving
from tests.waiting import eventually


class Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, object]] = []

    async def wait_for_line(self, event: str) -> dict[str, object]:
        """Reads the log until this event. What was read stays in `lines`."""
        assert self.process.stderr is not None
        async with asyncio.timeout(30):
            while line := await self.process.stderr.readline():
                entry: dict[str, object] = json.loads(line)
                self.lines.append(entry)
                if entry["event"] == event:
                    return entry
        raise AssertionError(f"no log line {event!r} in {self.lines}")

    async def operators(self) -> str:
        """The URL of its operators' port"""
        return f"http://{(await self.wait_for_line('comment_service listening'))['operators']}"

    async def wait_ready(self) -> str:
        """Its URL"""
        return f"http://{(await self.wait_for_line('comment_service ready'))['listen']}"


@asynccontextmanager
async def started(
    tmp_path: Path,
    dispatchers: str,
    *arguments: str,
    program: Sequence[str] = (sys.executable, "-m", "comment_service"),
) -> AsyncIterator[Process]:
    flags = {
        "--listen": "127.0.0.1:0",
        "--dispatchers": dispatchers,
        "--store": f"sqlite:{tmp_path / 'comments.db'}",
        "--state-dir": str(tmp_path / "state"),
        "--log-format": "json",
    }
    command = [*program, *(word for flag in flags.items() for word in flag), *arguments]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
        process._transport.close()  # type: ignore[attr-defined] # else the test's loop closes before it does


async def post(http: aiohttp.ClientSession, url: str, message: str) -> int:
    async with http.post(f"{url}/comment/create", json={"videoId": "demo", "message": message}) as answer:
        assert answer.status == 200
        return parse_id((await answer.json())["id"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_clean_end(tmp_path: Path, dispatcher: FakeDispatcher, number: signal.Signals) -> None:
    async with started(tmp_path, dispatcher.address) as running, aiohttp.ClientSession() as http:
        url = await running.wait_ready()
        ids = [await post(http, url, str(count)) for count in range(3)]
        running.process.send_signal(number)
        await running.wait_for_line("comment_service stopped")
        assert await running.process.wait() == 0
        assert dispatcher.published == ids
        assert [line for line in running.lines if line["level"] == "error"] == []


async def test_kill_9_at_any_moment_loses_nothing(tmp_path: Path, dispatcher: FakeDispatcher) -> None:
    """Whatever was acknowledged is published, or not below what the next process sends as its catch-up. One that was
    sent by a later life counts, whether it was answered or not: nodes have been told."""
    acknowledged: list[int] = []
    owed: set[int] = set()
    dispatcher.responds = False  # so that everything is on its way when it dies
    published: set[int] = set()
    for posts_before_kill in (1, 7, 40):
        first_of_this_life = len(acknowledged)
        async with started(tmp_path, dispatcher.address, "--publish-ack-timeout-ms", "600000") as running:
            url = await running.wait_ready()
            async with aiohttp.ClientSession() as http:
                for count in range(posts_before_kill):
                    acknowledged.append(await post(http, url, str(count)))
                    if count % 3 == 0:
                        dispatcher.responds = not dispatcher.responds
                running.process.send_signal(signal.SIGKILL)
                await running.process.wait()
        published |= set(dispatcher.published)
        owed = {each for each in owed - published if all(each < from_id for from_id in dispatcher.catch_ups)}
        dispatcher.requests.clear()
        lost = [each for each in acknowledged[first_of_this_life:] if each not in published]
        saved = Watermark(tmp_path / "state", 0).read()
        assert saved is not None
        assert not saved.clean
        owed.update(lost)
        assert all(saved.low_id <= each for each in owed)
    dispatcher.responds = True
    async with started(tmp_path, dispatcher.address) as running:
        await running.wait_ready()
        await eventually(lambda: bool(dispatcher.catch_ups))
        assert dispatcher.catch_ups[0] <= min(owed, default=acknowledged[-1] + 1)


async def test_kill_9_with_no_dispatcher_at_all(tmp_path: Path, nowhere: str) -> None:
    async with started(tmp_path, nowhere) as running, aiohttp.ClientSession() as http:
        url = await running.wait_ready()
        first = await post(http, url, "1")
        await post(http, url, "2")
        running.process.send_signal(signal.SIGKILL)
        await running.process.wait()
    async with fake_dispatcher() as dispatcher, started(tmp_path, dispatcher.address) as running:
        await running.wait_ready()
        await eventually(lambda: bool(dispatcher.catch_ups))
        assert dispatcher.catch_ups[0] <= first


DISPATCHER_PROCESS = """
import asyncio, sys
from tests.comment_service.fake_dispatcher import fake_dispatcher
async def main():
    async with fake_dispatcher() as fake:
        print(fake.address, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_a_stopped_replica_is_left(tmp_path: Path, nowhere: str) -> None:
    """SIGSTOP: its connections stay open and say nothing. Only keepalive can tell."""
    stopped = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DISPATCHER_PROCESS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        assert stopped.stdout is not None
        address = (await stopped.stdout.readline()).decode().strip()
        flags = ("--keepalive-ms", "200", "--keepalive-timeout-ms", "200", "--publish-ack-timeout-ms", "600000")
        async with started(tmp_path, f"{address},{nowhere}", *flags) as running, aiohttp.ClientSession() as http:
            operators = await running.operators()
            url = await running.wait_ready()
            await post(http, url, "before")
            await eventually(lambda: is_published(http, operators))
            async with serving(FakeDispatcher(), nowhere) as healthy:  # type: ignore[abstract]
                os.kill(stopped.pid, signal.SIGSTOP)
                last = await post(http, url, "while it is stopped")
                await eventually(lambda: last in healthy.published)
    finally:
        stopped.kill()
        await stopped.communicate()
        stopped._transport.close()  # type: ignore[attr-defined]


async def is_published(http: aiohttp.ClientSession, operators: str) -> bool:
    async with http.get(f"{operators}/health") as answer:
        publisher = (await answer.json())["publisher"]
        return bool(publisher["published"])


async def test_two_processes_with_one_number(tmp_path: Path, nowhere: str) -> None:
    async with started(tmp_path, nowhere) as first:
        url = await first.wait_ready()
        async with started(tmp_path, nowhere) as second:
            line = await second.wait_for_line("can't start")
            assert "--node" in str(line["reason"])
            assert await second.process.wait() == 1
        async with started(tmp_path, nowhere, "--node", "1", "--listen", url.removeprefix("http://")) as third:
            line = await third.wait_for_line("can't start")
            assert "in use" in str(line["reason"])
            assert await third.process.wait() == 1


async def test_a_wrong_store(tmp_path: Path, nowhere: str) -> None:
    async with started(tmp_path, nowhere, "--store", "paper:notebook") as running:
        line = await running.wait_for_line("can't start")
        assert "sqlite:PATH" in str(line["reason"])
        assert await running.process.wait() == 1
