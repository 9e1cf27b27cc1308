"""scripts/terminal.py: a reader that goes away ends the tool by SIGTERM, which the tools handle, and without a word."""

import os
import subprocess
import sys

from scripts.processes import ROOT

PRINTS = """
import signal
from scripts.terminal import Terminal
terminal = Terminal()
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while not ended:
    terminal.print("[1, 2] a line that is longer than a narrow terminal is wide, and is neither cut nor wrapped")
terminal.print("nobody sees this")
print("nor this", flush=True)
"""


def test_a_reader_that_goes_away_ends_the_tool() -> None:
    with subprocess.Popen(
        (sys.executable, "-P", "-c", PRINTS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "20"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"neither cut nor wrapped\n")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0
