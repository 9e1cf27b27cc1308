"""rms/running.py: both of the room's processes start, end and say what is wrong in the same way."""

import signal
import socket
from pathlib import Path

import pytest

from tests.rms.test_main import log_line, process

MODULES = ("rms", "rms.door")


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
