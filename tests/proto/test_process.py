"""proto/process.py, signals.py and collector.py: every service starts, ends and fails in the same way."""

import asyncio
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys
from proto.process import run_process
from proto.settings import Settings

class Odd(Exception): ...

class Service:
    def __init__(self): self.stopped = asyncio.Event()
    async def run(self):
        print("running", flush=True)
        if "run" in sys.argv: raise ValueError("a part broke")
        if "task" in sys.argv:
            async def lonely(): raise ValueError("nobody waits for me")
            asyncio.ensure_future(lonely())
        if "odd-run" in sys.argv: raise Odd("another process has it")
        await self.stopped.wait()
    async def stop(self):
        self.stopped.set()
        if "stop" in sys.argv: raise ValueError("no goodbye")

async def build(settings):
    if "build" in sys.argv: raise OSError("the port is taken")
    if "odd" in sys.argv: raise Odd("no such store")
    return Service()

run_process("demo", Settings(log_format="console"), build, (Odd,))
"""


def start(*faults: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *faults], stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("faults", "logged"), [([], ""), (["stop"], "no goodbye"), (["task"], "nobody waits for me")])
def test_a_signal_ends_it_even_if_something_else_fails(number: signal.Signals, faults: list[str], logged: str) -> None:
    with start(*faults) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert logged in errors
        assert bool(errors) == bool(logged)


@pytest.mark.parametrize(
    ("fault", "sentence", "traceback"),
    [
        ("build", "the port is taken", False),
        ("odd", "no such store", False),
        ("odd-run", "another process has it", False),
        ("run", "a part broke", True),
    ],
)
def test_a_service_that_cannot_go_on_logs_why_and_exits_with_1(fault: str, sentence: str, traceback: bool) -> None:
    with start(fault) as process:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert sentence in errors
        assert ("Traceback" in errors) == traceback


SIGNALS = """
import asyncio
from proto.signals import on_stop_signals
async def main():
    stop = asyncio.Event()
    on_stop_signals(stop.set)
    print("ready", flush=True)
    await stop.wait()
    print("stopping", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_it_and_the_second_kills_it(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SIGNALS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)
        assert process.wait(10) == -number


async def test_the_garbage_collector_runs_less_often() -> None:
    code = "import gc; from proto.collector import calm_collector; import asyncio; calm_collector(5000); "
    code += "print(gc.get_threshold()[0], gc.get_freeze_count() > 10_000)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.split() == [b"5000", b"True"]
