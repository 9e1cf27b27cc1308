"""scripts/processes.py, with real processes: restarts, order, and a clean end."""

import asyncio
import os
import signal
import sys
from functools import partial

import pytest

from scripts.config import SupervisorSettings
from scripts.processes import NotReady, Process, ProcessSupervisor
from tests.waiting import eventually

QUICK = SupervisorSettings(ready_timeout_s=20, stop_timeout_s=1, restart_first_s=0.01, restart_max_s=0.02)

POLITE = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nprint('up', flush=True)\n"
STAYS = f"{POLITE}while True: signal.pause()"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\nsignal.pause()"


class Recorder:
    """Makes processes, and records every line in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, name: str, line: str) -> None:
        self.said.append(f"{name}: {line}")

    def has_said(self, line: str, times: int) -> bool:
        return self.said.count(line) == times

    def process(self, name: str, code: str) -> Process:
        async def is_up() -> bool:
            return f"{name}: up" in self.said

        command = (sys.executable, "-S", "-c", code)
        return Process(name, command, is_ready=is_up, on_output=self.say, settings=QUICK)


async def test_a_killed_process_is_started_again() -> None:
    recorder = Recorder()
    process = recorder.process("p", STAYS)
    supervisor = ProcessSupervisor([[process]], restart=True, say=recorder.say, settings=QUICK)
    await supervisor.start()
    for lives in (2, 3, 4):
        process.signal(signal.SIGKILL)
        await eventually(partial(recorder.has_said, "p: up", lives))
    assert await supervisor.stop()
    assert process.pid is None
    assert process.returncodes == [-9, -9, -9, 0]
    assert "p: has been ended by SIGKILL; starting it again in 0.0 s" in recorder.said


async def test_a_guard_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    process = recorder.process("p", STAYS)
    supervisor = ProcessSupervisor([[process]], restart=True, say=recorder.say, settings=QUICK)
    await supervisor.start()

    async def fail() -> None:
        raise RuntimeError("says the test")

    monkeypatch.setattr(process, "start", fail)
    process.signal(signal.SIGKILL)
    await eventually(partial(recorder.has_said, "p: can't be started again: RuntimeError('says the test')", 1))
    assert await supervisor.stop()


async def test_without_restart_it_stays_down() -> None:
    recorder = Recorder()
    process = recorder.process("p", STAYS)
    supervisor = ProcessSupervisor([[process]], restart=False, say=recorder.say, settings=QUICK)
    await supervisor.start()
    process.signal(signal.SIGKILL)
    await eventually(lambda: any("not started again" in line for line in recorder.said))
    assert process.pid is None
    assert await supervisor.stop()


async def test_a_restart_that_fails_is_reported_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    process = recorder.process("p", STAYS)
    supervisor = ProcessSupervisor([[process]], restart=True, say=recorder.say, settings=QUICK)
    await supervisor.start()
    start = process.start
    failures = [OSError("no more processes")]

    async def fail_once() -> None:
        if failures:
            raise failures.pop()
        await start()

    monkeypatch.setattr(process, "start", fail_once)
    process.signal(signal.SIGKILL)
    await eventually(partial(recorder.has_said, "p: up", 2))
    assert "p: can't be started: no more processes" in recorder.said
    assert await supervisor.stop()


async def test_groups_end_in_reverse_order() -> None:
    recorder = Recorder()
    code = STAYS.replace("sys.exit(0)", "(print('bye', flush=True), sys.exit(0))")
    groups = [[recorder.process("a1", code), recorder.process("a2", code)], [recorder.process("b", code)]]
    supervisor = ProcessSupervisor(groups, restart=True, say=recorder.say, settings=QUICK)
    await supervisor.start()
    assert recorder.said[-1] == "b: up"
    assert await supervisor.stop()
    byes = [line for line in recorder.said if line.endswith("bye")]
    assert byes[0] == "b: bye"
    assert set(byes[1:]) == {"a1: bye", "a2: bye"}


async def test_a_process_that_does_not_end_is_killed() -> None:
    recorder = Recorder()
    supervisor = ProcessSupervisor([[recorder.process("p", STUBBORN)]], restart=True, say=recorder.say, settings=QUICK)
    await supervisor.start()
    assert not await supervisor.stop()
    assert "p: did not end in 1 s: killed" in recorder.said


async def test_a_process_that_ends_before_it_is_ready_is_reported() -> None:
    recorder = Recorder()
    supervisor = ProcessSupervisor(
        [[recorder.process("p", "import sys; print('no disk'); sys.exit(3)")]],
        restart=True,
        say=recorder.say,
        settings=QUICK,
    )
    with pytest.raises(NotReady, match="p has ended with exit code 3 before it was ready"):
        await supervisor.start()
    assert await supervisor.stop()
    assert recorder.said == ["p: no disk"]


async def test_a_process_that_never_gets_ready_is_reported_with_its_reason() -> None:
    recorder = Recorder()
    process = Process(
        "p",
        (sys.executable, "-S", "-c", STUBBORN),
        is_ready=lambda: asyncio.sleep(0, False),
        trouble=lambda: asyncio.sleep(0, "no dispatcher answers"),
        on_output=recorder.say,
        settings=SupervisorSettings(ready_timeout_s=0.1, stop_timeout_s=0.1),
    )
    await process.start()
    with pytest.raises(NotReady, match="p was not ready after 0 s: no dispatcher answers"):
        await process.wait_ready()
    await process.stop()


async def test_only_a_process_that_was_ready_must_handle_sigterm() -> None:
    recorder = Recorder()
    process = recorder.process("p", "import signal; print('up', flush=True); signal.pause()")
    await process.start()
    assert await process.stop(), "it was on its way up"
    recorder.said.clear()
    await process.start()
    await process.wait_ready()
    assert not await process.stop()
    assert recorder.said == ["p: up", "p: has been ended by SIGTERM"]


async def test_long_lines_come_in_pieces_and_the_last_line_needs_no_end() -> None:
    recorder = Recorder()
    process = recorder.process("p", "print('x' * 200_000); print(end='rest')")
    await process.start()
    assert await process.wait() == 0
    assert "".join(line.removeprefix("p: ") for line in recorder.said) == "x" * 200_000 + "rest"


async def test_a_child_does_not_get_the_terminals_ctrl_c() -> None:
    recorder = Recorder()
    process = recorder.process("p", STAYS)
    await process.start()
    await process.wait_ready()
    assert process.pid is not None
    assert os.getpgid(process.pid) != os.getpgid(0)
    await process.stop()
