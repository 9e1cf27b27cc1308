"""What the benches of the edge start: nodes with paths of their own, a comment_service, and a balancer in front."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import aiohttp

from history.opening import open_store
from scripts.balancers import KINDS, PLACED, Balancer, find, make_certificates
from scripts.benches import procfs
from scripts.benches.config import EDGE, EdgeSettings
from scripts.benches.publishing import publish_grpc, steadily
from scripts.benches.running import pid_of, running
from scripts.benches.schedule import Schedule
from scripts.benches.viewers import Audience, an_audience
from scripts.plan import ROLES, Part, Plan, free_ports, make_plan, ports_of
from scripts.processes import Process

CROWD_NETWORK = "127.1.0.0/16"
"""where viewers.c's viewers come from: they have no limits of their own. Whoever else comes is a stranger."""

TRUSTING = ("--trusted-proxies", "127.0.0.1/32", "--unlimited-networks", CROWD_NETWORK)

DIRECT = "none"
"""In place of a balancer's name: viewers go to the nodes themselves."""

FRONTS = (DIRECT, *KINDS)


class State(NamedTuple):
    """What a system holds at a moment."""

    seats: int  # viewers, on all nodes
    files: int  # open ones, of all processes, the balancer's too
    rss_bytes: int  # likewise


@dataclass(frozen=True, slots=True)
class EdgeSystem:
    plan: Plan
    processes: Sequence[Process]

    @property
    def node_ports(self) -> list[int]:
        return [port_of(part.address) for part in self.plan["rms"]]

    @property
    def service_port(self) -> int:
        return port_of(self.plan["comment-service"][0].address)

    async def publish(self, schedule: Schedule) -> None:
        """Returns when the dispatcher has taken all. Raises grpc.RpcError."""
        await publish_grpc(self.plan["dispatcher"][0].address, steadily(schedule))

    def cpu_s(self) -> float:
        """Of all processes since their start; without the balancer"""
        return sum(procfs.cpu_s(pid_of(process)) for process in self.processes)

    async def seats(self) -> list[int]:
        """How many viewers each node has. Raises aiohttp.ClientError."""
        async with aiohttp.ClientSession() as session:
            return list(await asyncio.gather(*(_viewers(session, part) for part in self.plan["rms"])))

    async def state(self, balancer: "Front") -> State:
        seats = sum(await self.seats())
        pids = [*(pid_of(process) for process in self.processes), *balancer.pids]
        return State(seats, sum(map(procfs.open_files, pids)), sum(map(procfs.rss_bytes, pids)))


@dataclass(frozen=True, slots=True)
class Front:
    """What clients connect to."""

    stream_ports: Sequence[int]  # clients spread evenly over these
    service_port: int
    balancer: Balancer | None = None

    @property
    def pids(self) -> list[int]:
        return sorted({self.balancer.pid, *self.balancer.workers()}) if self.balancer else []

    def cpu_s(self) -> float:
        """Of the balancer since its start"""
        return sum(map(procfs.cpu_s, self.pids))


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def viewers_of(video: str, viewers: int, comments: int) -> contextlib.AbstractAsyncContextManager[Audience]:
    """Nobody is connected yet. They get what is said from then on."""
    return an_audience(f"/comments/{video}?backfill=0", viewers, comments)


def lacks(front: str) -> str:
    """What can't be run here; empty: nothing"""
    return "" if front == DIRECT or find(front) else f"{front} is missing (scripts/test installs it)"


async def _viewers(session: aiohttp.ClientSession, part: Part) -> int:
    async with session.get(f"http://{part.operators}/health") as answer:
        return int(json.loads(await answer.text())["viewers"])


@asynccontextmanager
async def an_edge_system(settings: EdgeSettings = EDGE) -> AsyncIterator[EdgeSystem]:
    """A dispatcher, nodes and a comment_service, all ready. Raises NotReady."""
    with tempfile.TemporaryDirectory(prefix="bench-edge-") as folder:
        store = f"sqlite:{Path(folder) / 'comments.db'}"
        await (await open_store(store)).close()  # makes the tables
        plan = make_plan(
            dispatchers=1,
            rms=settings.nodes,
            store=store,
            data=Path(folder),
            ports=free_ports(ports_of(dispatchers=1, rms=settings.nodes)),
            log_format="json",
            more_flags=lambda role: () if role == "dispatcher" else TRUSTING,  # the last flag counts
        )
        groups = [[_below_a_path(part) if role == "rms" else part for part in plan[role]] for role in ROLES]
        async with running(groups) as processes:
            yield EdgeSystem(plan, processes)


def _below_a_path(part: Part) -> Part:
    return replace(part, command=(*part.command, "--public-url", f"/n/{part.name}"))


@asynccontextmanager
async def a_front(system: EdgeSystem, kind: str, way: str = PLACED, nodes: int = 1) -> AsyncIterator[Front]:
    """kind: of FRONTS. nodes: how many of them viewers go to if no balancer is there. Raises NotReady."""
    if kind == DIRECT:
        yield Front(system.node_ports[:nodes], system.service_port)
        return
    with tempfile.TemporaryDirectory(prefix="bench-edge-") as folder:
        await asyncio.to_thread(make_certificates, Path(folder))
        service, nodes_addresses = system.plan["comment-service"][0].address, [p.address for p in system.plan["rms"]]
        async with Balancer(kind, way, service, nodes_addresses, Path(folder)) as balancer:
            yield Front([balancer.clear_port], balancer.clear_port, balancer)
