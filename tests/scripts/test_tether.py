"""scripts/tether.py, with real processes: no child outlives its parent."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.processes import ROOT
from tests.waiting import eventually

TETHER = str(ROOT / "scripts" / "tether.py")
STAYS = "import signal; signal.pause()"


def is_alive(pid: int) -> bool:
    """False also for a zombie"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


PARENT = """
import asyncio, sys
from scripts.processes import Process
async def ready(): return True
async def main():
    process = Process("p", (sys.executable, "-S", "-c", sys.argv[1]), is_ready=ready, on_output=lambda *said: None)
    await process.start()
    print(process.pid, flush=True)
    await process.wait()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
async def test_no_child_outlives_a_killed_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", PARENT, STAYS),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert is_alive(child)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not is_alive(child))


def test_it_becomes_the_command() -> None:
    code = "import os, sys; print(os.getpid(), sys.argv[1:])"
    command = (sys.executable, "-S", TETHER, str(os.getpid()), sys.executable, "-S", "-c", code, "a b", "-c")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.read() == f"{process.pid} ['a b', '-c']\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
def test_it_starts_nothing_if_the_parent_is_gone() -> None:
    command = (sys.executable, "-S", TETHER, "1", sys.executable, "-c", "print('started')")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "the parent is gone\n")
