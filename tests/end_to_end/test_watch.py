"""scripts/watch as a person uses it: it shows comments, posts lines, survives cuts, and ends on Ctrl-C."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from scripts.processes import ROOT
from tests.system import System
from tests.waiting import eventually


class Watch:
    """A running scripts/watch, and its output so far"""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""

    async def read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            self.text += chunk.decode()

    async def shows(self, words: str) -> None:
        await eventually(lambda: words in self.text, 30)

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode())

    async def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        async with asyncio.timeout(30):
            return await self.process.wait()


@asynccontextmanager
async def watching(*arguments: str) -> AsyncIterator[Watch]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "scripts.watch", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    watch = Watch(process)
    reading = asyncio.create_task(watch.read())
    try:
        yield watch
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


async def test_shows_posts_survives_and_ends() -> None:
    async with System() as system, aiohttp.ClientSession(system.base_url) as session:
        body = {"liveVideoId": "v", "message": "an \x1b[2Jescape", "author": {"name": "Bo"}}
        async with session.post("/comment/create", json=body) as created:
            assert created.status == 200
        async with watching("v", "--base", system.base_url, "--name", "Ann") as watch:
            await watch.shows("Bo  an \ufffd[2Jescape\n")
            watch.type("hello Bo\n")
            await watch.shows("Ann  hello Bo\n")
            for number in (1, 2):
                await system.kill("rms", number)
            await watch.shows("trying again")
            watch.type("still here\n" + "x" * 501 + "\n")
            await watch.shows("Ann  still here\n")
            await watch.shows("refused: ")
            assert watch.text.count("hello Bo") == 1, "a resumed stream shows nothing twice"
            assert await watch.end(signal.SIGINT) == 0
        assert "Traceback" not in watch.text


async def test_an_invalid_video_id_is_refused() -> None:
    async with watching("no spaces") as watch:
        await watch.shows("is no video id")
        assert await watch.process.wait() == 2
