"""Whatever stops a bench, what it started is ended first; and a program that fails is reported."""

import asyncio
import os
import signal
import sys
from functools import partial

import pytest

from scripts.benches import procfs
from scripts.benches.running import BenchFailed, Child, Program, listens, pid_of, run_bench, running, ungrouped
from scripts.plan import free_ports
from scripts.processes import NotReady

SERVER = "import socket, time\ns = socket.create_server(('127.0.0.1', {port}))\nprint('up', flush=True)\ntime.sleep(99)"
ECHO = "import sys\nfor line in sys.stdin: print({'4': '4', 'mute': ''}[line.strip()], flush=True)"


def a_program(code: str, port: int) -> Program:
    return Program("plain", (sys.executable, "-S", "-c", code.format(port=port)), partial(listens, port))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_work_in_order(number: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    ended = []

    async def work() -> bool:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            ended.append("all that was started")
        return True

    assert run_bench(work()) == 130
    assert ended
    assert "stopped" in capsys.readouterr().err


def test_the_exit_code_tells_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(result: bool | Exception) -> bool:
        if isinstance(result, Exception):
            result.add_note("its last words")
            raise result
        return result

    assert run_bench(work(True)) == 0
    assert run_bench(work(False)) == 1
    assert run_bench(work(BenchFailed("no seat"))) == 1
    assert capsys.readouterr().err == "bench: no seat\nits last words\n"


async def test_a_task_that_fails_is_not_hidden_in_a_group() -> None:
    async def fail() -> None:
        raise BenchFailed("in a task")

    with pytest.raises(BenchFailed, match="in a task"), ungrouped():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())


async def test_processes_end_with_their_block() -> None:
    (port,) = free_ports(1)
    async with running([[a_program(SERVER, port)]]) as (process,):
        assert await listens(port)
        assert procfs.rss_bytes(pid_of(process)) > 0
    assert not await listens(port)
    with pytest.raises(BenchFailed, match="plain has ended"):
        pid_of(process)


async def test_one_that_does_not_start_is_reported() -> None:
    with pytest.raises(NotReady) as raised:
        async with running([[a_program("raise SystemExit('no')", 1)]]):
            pass
    assert raised.value.__notes__[0].endswith("plain no")


async def test_a_child_answers_is_silent_or_has_ended() -> None:
    async with Child("echo", (sys.executable, "-S", "-c", ECHO)) as child:
        assert await child.ask("4", int, 20) == 4
        with pytest.raises(BenchFailed, match=r"echo has ended: (?s:.*)KeyError"):
            await child.ask("5", int, 20)
    async with Child("mute", (sys.executable, "-S", "-c", "input()\ninput()")) as child:
        with pytest.raises(BenchFailed, match=r"mute did not answer within 0\.1 s"):
            await child.ask("4", int, 0.1)
