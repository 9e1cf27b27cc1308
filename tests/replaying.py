"""Runs scripts/replay as a user does, and returns its exit code and output."""

import asyncio
import os
import re
import sys
from dataclasses import dataclass

from scripts.processes import ROOT

SMALL_CHAT = str(ROOT / "tests" / "data" / "small-chat.jsonl")
"""200 invented lines over 12 minutes. Four of them are at the limits, and two of these four are over."""

VERDICT = re.compile(r"lost=(\d+) doubled=(\d+) disordered=(\d+) p50_ms=(\d+\.\d|nan) p99_ms=(\d+\.\d|nan)")


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]


async def replay(*arguments: str) -> Result:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "scripts.replay", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"},
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Result(process.returncode, out.decode(), err.decode())
