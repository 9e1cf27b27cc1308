"""scripts/terminal.py: what a terminal can't show mustn't end a tool"""

import os
import subprocess
import sys

import pytest

from scripts.processes import ROOT

PROGRAM = "from scripts.terminal import Terminal; Terminal().print('caf\\u00e9 \\U0001f389')"


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "caf\u00e9 \U0001f389".encode()), ("latin-1", b"caf\xe9 ?"), ("ascii", b"caf? ?")]
)
def test_a_terminal_of_any_encoding(encoding: str, shown: bytes) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, env=environment, check=True)
    assert done.stdout.strip() == shown
