"""python -m rms and python -m rms.door as processes: they say when they are ready, what is wrong, and end cleanly."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rms.__main__ import build
from rms.config import RmsSettings
from tests.dispatcher.peers import RunningReplica
from tests.rms.fake_dispatcher import fake_dispatcher
from tests.rms.http.test_app import viewer
from tests.waiting import eventually

MODULES = ("rms", "rms.door")


@asynccontextmanager
async def process(
    *arguments: str, module: str = "rms", program: str | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """program: Python's text, in place of the module"""
    what = ("-m", module) if program is None else ("-c", program)
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, *what, "--log-format", "json", *arguments), stderr=asyncio.subprocess.PIPE
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
        running._transport.close()  # type: ignore[attr-defined]


async def log_line(running: asyncio.subprocess.Process, event: str) -> dict[str, str]:
    assert running.stderr is not None
    async with asyncio.timeout(20):
        while line := await running.stderr.readline():
            entry: dict[str, str] = json.loads(line)
            if entry["event"] == event:
                return entry
    raise AssertionError(f"no log line {event!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly_and_sends_the_viewers_elsewhere(tmp_path: Path, number: signal.Signals) -> None:
    async with fake_dispatcher() as dispatcher:
        store = f"sqlite:{tmp_path / 'none.db'}"
        async with process("--listen", "127.0.0.1:0", "--dispatchers", dispatcher.address, "--store", store) as running:
            ready = await log_line(running, "rms ready")
            await eventually(lambda: dispatcher.connected)
            assert ready["service"] == "rms"
            port = int(ready["listen"].rpartition(":")[2])
            async with viewer(port, "/comments/v") as raw:
                running.send_signal(number)
                async with asyncio.timeout(10):
                    await raw.read_to_end()
            assert b"event: reconnect\n" in raw.body
            assert await running.wait() == 0
            await eventually(lambda: not dispatcher.connected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--capacity", "0"], "--capacity: Input should be greater than 0; it was '0'"),
        (["--listen", "here"], "--listen:"),
        (["--listen", "127.0.0.1:99999"], "--listen: Value error, there is no port 99999; ports end at 65535"),
        (["--dispatchers", "dns:x:99999"], "--dispatchers: Value error, there is no port 99999"),
        (["--public-url", "ftp://x"], "--public-url: Value error, it is scheme://host:port, or a path of"),
        (["--public-url", "/n/rms-1"], "--node-id: Value error, the node needs a name beside --public-url /n/rms-1"),
        (["--listen", "0.0.0.0:0"], "--public-url: Value error, viewers can't call 0.0.0.0:0: say where"),
        (["--listen", "[::]:0"], "--public-url: Value error, viewers can't call [::]:0: say where"),
        (["--colour", "red"], "unrecognized arguments"),
    ],
)
async def test_a_wrong_flag_is_explained(arguments: list[str], words: str) -> None:
    async with process(*arguments) as running:
        assert running.stderr is not None
        assert words in (await running.stderr.read()).decode()
        assert await running.wait() == 2


@pytest.mark.parametrize(("module", "ready"), [("rms", "rms ready"), ("rms.door", "door ready")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly(module: str, ready: str, number: signal.Signals, tmp_path: Path) -> None:
    more = ("--store", f"sqlite:{tmp_path / 'none.db'}") if module == "rms" else ("--sockets", str(tmp_path))
    async with process("--listen", "127.0.0.1:0", "--dispatchers", "127.0.0.1:1", *more, module=module) as running:
        assert (await log_line(running, ready))["service"] == module.rpartition(".")[2]
        running.send_signal(number)
        assert await running.wait() == 0


@pytest.mark.parametrize("module", MODULES)
async def test_a_port_that_is_taken_is_said_in_one_line(module: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with process("--listen", f"127.0.0.1:{port}", module=module) as running:
            line = await log_line(running, "can't start")
            assert line["level"] == "error"
            assert "address already in use" in line["reason"].lower()
            assert await running.wait() == 1


async def test_a_store_that_is_none_is_said_in_one_line() -> None:
    async with process("--listen", "127.0.0.1:0", "--store", "paper:notebook") as running:
        line = await log_line(running, "can't start")
        assert "'paper:notebook' names no store" in line["reason"]
        assert await running.wait() == 1


async def test_what_it_cannot_go_on_with_ends_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    door_socket = str(tmp_path / "file" / "rms.sock")
    async with process("--listen", "127.0.0.1:0", "--door-socket", door_socket) as running:
        assert "File exists" in (await log_line(running, "ended"))["reason"]
        assert await running.wait() == 1


WITHOUT_GOODBYE = """
from proto.process import run_process
from rms.__main__ import RmsSettings, Upstream, build

async def broken(upstream):
    raise ValueError("no goodbye")

Upstream.close = broken
run_process("rms", RmsSettings.parse(), build)
"""


async def test_a_stop_that_fails_is_logged_and_ends_the_process(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'none.db'}"
    arguments = ("--listen", "127.0.0.1:0", "--dispatchers", "127.0.0.1:1", "--store", store)
    async with process(*arguments, program=WITHOUT_GOODBYE) as running:
        await log_line(running, "rms ready")
        running.send_signal(signal.SIGTERM)
        line = await log_line(running, "task failed")
        assert (line["task"], line["reason"]) == ("stop", "ValueError('no goodbye')")
        assert await running.wait() == 0


@pytest.mark.parametrize(("files", "capacity"), [(256, 128), (1_000, 500), (1_500, 1_000), (1 << 20, 19_000)])
async def test_a_node_with_few_files_takes_few_viewers(
    files: int, capacity: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rms.__main__.raise_open_files", lambda: files)
    node = await build(RmsSettings.parse(["--listen", "127.0.0.1:0", "--store", f"sqlite:{tmp_path / 'x.db'}"]))
    assert node.settings.capacity == capacity
    running = asyncio.create_task(node.run())
    await eventually(lambda: node.server.started)
    await node.stop()
    await running


async def test_a_node_at_an_ipv6_address_joins(tmp_path: Path) -> None:
    async with RunningReplica(listen="[::1]:0") as replica:
        store = f"sqlite:{tmp_path / 'comments.db'}"
        node = await build(
            RmsSettings.parse(["--listen", "[::1]:0", "--dispatchers", replica.listen, "--store", store])
        )
        running = asyncio.create_task(node.run())
        try:
            await eventually(lambda: node.upstream.connected == 1)
            assert node.identity.public_url == f"http://{node.address}"
            assert node.address.startswith("[::1]:")
        finally:
            await node.stop()
            await running
