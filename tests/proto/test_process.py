"""proto/process.py: a service starts, ends and fails in the same way, whichever it is."""

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
    def __init__(self): self.told = asyncio.Event()
    async def run(self):
        print("running", flush=True)
        if "run" in sys.argv: raise ValueError("a part broke")
        if "task" in sys.argv:
            async def lonely(): raise ValueError("nobody waits for me")
            asyncio.ensure_future(lonely())
        if "odd-run" in sys.argv: raise Odd("another process has it")
        await self.told.wait()
    async def stop(self):
        self.told.set()
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
@pytest.mark.parametrize(("faults", "told"), [([], ""), (["stop"], "no goodbye"), (["task"], "nobody waits for me")])
def test_a_signal_ends_it_whatever_goes_wrong_beside(number: signal.Signals, faults: list[str], told: str) -> None:
    with start(*faults) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0
        assert told in errors
        assert bool(errors) == bool(told)


@pytest.mark.parametrize(
    ("fault", "sentence", "traceback"),
    [
        ("build", "the port is taken", False),
        ("odd", "no such store", False),
        ("odd-run", "another process has it", False),
        ("run", "a part broke", True),
    ],
)
def test_what_cannot_go_on_says_why_and_exits_with_one(fault: str, sentence: str, traceback: bool) -> None:
    with start(fault) as process:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert sentence in errors
        assert ("Traceback" in errors) == traceback
