"""The pure core of the page needs no browser: Node runs the tests beside this file, each file in a process."""

import asyncio
from pathlib import Path

import playwright
import pytest

HERE = Path(__file__).parent
NODE = Path(playwright.__file__).parent / "driver" / "node"
"""Playwright brings one, so all machines have the same version."""


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.mjs")))
async def test_in_node(name: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(str(NODE), "--test", "--test-reporter=spec", name),
        cwd=HERE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
