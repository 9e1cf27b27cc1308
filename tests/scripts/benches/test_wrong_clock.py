"""Only the wall clock of the named process is wrong, and Python can sleep meanwhile."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.benches.wrong_clock import MISSING, WrongClocks, libfaketime

HOUR_S = 3600
LOOK = """
import time
while True:
    input()
    time.sleep(0.001)
    print(time.time(), time.monotonic(), flush=True)
"""


def test_the_wall_clock_is_wrong_while_it_is_set_so_and_the_monotonic_one_never(tmp_path: Path) -> None:
    if (library := libfaketime()) is None:
        pytest.skip(MISSING)
    clocks = WrongClocks(library, tmp_path)
    command = clocks.command("rms-1", [sys.executable, "-c", LOOK])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout

        def off_s() -> int:
            """By how many hours"""
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            wall, monotonic = map(float, process.stdout.readline().split())
            assert abs(monotonic - time.monotonic()) < HOUR_S / 2
            return round((wall - time.time()) / HOUR_S)

        try:
            assert off_s() == 0
            for hours in (1, -2, 0):
                clocks.set("rms-1", hours * HOUR_S)
                clocks.set("rms-2", 7 * HOUR_S)
                until_s = time.monotonic() + 60
                while off_s() != hours:
                    assert time.monotonic() < until_s
        finally:
            process.kill()
