"""scripts/run as a person uses it: a banner, comments, Ctrl-C, and no process is left behind."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from scripts.plan import free_ports
from scripts.processes import ROOT
from tests.waiting import eventually


class Run:
    """A running scripts/run, and its output so far"""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.base_url = f"http://127.0.0.1:{port}"
        self.text = ""

    async def read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            self.text += chunk.decode()

    async def ready(self) -> None:
        await eventually(lambda: "livecomments is ready" in self.text and "Ctrl-C ends all" in self.text, 60)

    @property
    def pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r":\d+ pid (\d+)", self.text)]

    def has_printed(self, pattern: str) -> bool:
        return re.search(pattern, self.text) is not None

    def hang_up(self) -> None:
        """Closes the pipe from its stdout, as `| head` does."""
        transport = self.process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
        transport.close()

    async def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        async with asyncio.timeout(60):
            return await self.process.wait()


@asynccontextmanager
async def running(data: Path, *arguments: str, port: int | None = None) -> AsyncIterator[Run]:
    port = port or free_ports(1)[0]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "scripts.run", "--port", str(port), "--data", str(data), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300"},
        cwd=data.parent,
    )
    run = Run(process, port)
    reading = asyncio.create_task(run.read())
    try:
        yield run
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def post(run: Run, message: str) -> int:
    body = {"liveVideoId": "v", "message": message}
    async with aiohttp.request("POST", f"{run.base_url}/comment/create", json=body) as created:
        return created.status


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_ends_cleanly_and_keeps_the_comments(how: signal.Signals, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running(data) as run:
        await run.ready()
        pids = run.pids
        assert len(set(pids)) == 5, run.text
        assert alive(pids) == pids
        assert await post(run, "remember me") == 200
        assert await run.end(how) == 0, run.text
        assert alive(pids) == []
    assert "Traceback" not in run.text, run.text
    async with running(data, "--dispatchers", "1", "--rms", "1") as again:
        await again.ready()
        async with aiohttp.ClientSession(again.base_url) as session, session.get("/comments/v") as page:
            assert [comment["message"] for comment in (await page.json())["comments"]] == ["remember me"]
        assert await again.end(how) == 0


async def test_kill_9_of_the_run_leaves_no_process_behind(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as run:
        await run.ready()
        pids = run.pids
        await run.end(signal.SIGKILL)
        await eventually(lambda: alive(pids) == [])


async def test_ctrl_c_during_the_start(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as run:
        await eventually(lambda: "dispatcher-1" in run.text)
        assert await run.end(signal.SIGINT) == 0, run.text
    assert "Traceback" not in run.text, run.text


async def test_ends_when_its_output_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path / "data", "--dispatchers", "1", "--rms", "0") as run:
        await eventually(lambda: "dispatcher-1" in run.text)
        run.hang_up()
        async with asyncio.timeout(60):
            assert await run.process.wait() == 0, run.text


async def test_a_killed_service_is_started_again_on_its_port(tmp_path: Path) -> None:
    async with running(tmp_path / "data", "--dispatchers", "1", "--rms", "1") as run:
        await run.ready()
        os.kill(run.pids[2], signal.SIGKILL)
        await eventually(lambda: run.has_printed("comment-service-1 +started again, pid"))

        async def posts() -> bool:
            try:
                return await post(run, "still here") == 200
            except aiohttp.ClientError:
                return False

        await eventually(posts)
        assert await run.end(signal.SIGTERM) == 0, run.text
    assert run.has_printed("comment-service-1 +has been ended by SIGKILL; starting it again")


async def test_a_taken_port_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with running(tmp_path / "data", port=port) as run:
            assert await run.process.wait() == 1
    assert run.text == f"run: port {port} is taken; choose another: scripts/run --port {port + 100}\n"
    assert not (tmp_path / "data").exists()


async def test_others_are_served_on_another_address(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    async with running(tmp_path / "data", "--host", "127.0.0.2", "--door", "--rms", "1", port=port) as run:
        await run.ready()
        run.base_url = f"http://127.0.0.2:{port}"
        assert await post(run, "from elsewhere") == 200
        headers = {"Accept": "text/event-stream"}
        async with aiohttp.request("GET", f"{run.base_url}/comments/v", headers=headers) as stream:
            assert stream.url.host == "127.0.0.2"
            async with asyncio.timeout(30):
                assert await stream.content.readuntil(b"from elsewhere")
        with pytest.raises(aiohttp.ClientConnectorError):
            await aiohttp.request("GET", f"http://127.0.0.1:{port}/comments/v").__aenter__()
        assert await run.end(signal.SIGTERM) == 0, run.text
