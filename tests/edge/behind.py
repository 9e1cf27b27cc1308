"""The system behind a balancer: three nodes, each with a path of its own under the balancer's address."""

import asyncio
import os
import sys

import aiohttp

from scripts.plan import Part
from scripts.processes import ROOT
from tests.system import System

TRUSTING = ("--trusted-proxies", "127.0.0.0/8")
SOON = {"rms": ("--retry-ms", "300", *TRUSTING), "comment-service": TRUSTING, "dispatcher": (), "door": TRUSTING}
"""--retry-ms: so that viewers are back soon after a cut"""


def behind(prefix: str = "") -> System:
    """Not started yet. prefix: of the site's paths, as /live"""

    def command_of(part: Part) -> tuple[str, ...]:
        # The last flag counts.
        return (*part.command, "--public-url", f"{prefix}/n/{part.name}") if part.role == "rms" else part.command

    return System(rms=3, dispatchers=1, command_of=command_of, more_flags=SOON.__getitem__)


def addresses(system: System) -> tuple[str, list[str]]:
    """of comment_service and the nodes"""
    return system.plan["comment-service"][0].address, [part.address for part in system.plan["rms"]]


async def viewers(part: Part) -> int:
    """of a node"""
    async with aiohttp.request("GET", f"http://{part.operators}/health") as answer:
        return int((await answer.json())["viewers"])


async def viewers_of(system: System, number: int, count: int) -> bool:
    """Whether rms-{number} has so many"""
    return await viewers(system.plan["rms"][number - 1]) == count


async def node_of_most(system: System) -> int:
    """The number of the node with most viewers"""
    parts = system.plan["rms"]
    counts = await asyncio.gather(*map(viewers, parts))
    return max(zip(counts, parts, strict=True), key=lambda pair: pair[0])[1].number


async def drain(system: System, number: int) -> None:
    """As an operator does. Returns when the node's viewers are told to leave."""
    replicas = ",".join(part.address for part in system.plan["dispatcher"])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "dispatcher.cli.topology", "--dispatchers", replicas, "drain", f"rms-{number}"),
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert await process.wait() == 0
