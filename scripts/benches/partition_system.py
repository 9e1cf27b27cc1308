"""Runs the whole system on hosts of their own, strikes it, and holds viewers' accounts against what was acknowledged.

The hosts are network namespaces (hosts.py), the store is a real Cassandra on one of them.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import aiohttp

from scripts.audience import Audience
from scripts.benches.accounts import Account, Balance, Gap, balance, faults_of
from scripts.benches.authors import Connect
from scripts.benches.cassandra import BenchCassandra
from scripts.benches.chaos import longest_silence_s
from scripts.benches.config import PARTITION, SCHEMA_MS, PartitionSettings
from scripts.benches.faults import AUTHORS, Struck
from scripts.benches.hosts import Hosts
from scripts.benches.keyed_authors import KeyedAuthors
from scripts.benches.outage import UNDRAINED
from scripts.benches.running import Log, running, ungrouped
from scripts.benches.striking import OPERATORS_PORT, PORTS, Striking
from scripts.benches.system import is_complaint
from scripts.benches.wrong_clock import WrongClocks, libfaketime
from scripts.config import SSE, SUPERVISOR, SseSettings
from scripts.plan import ROLES, Part, Plan, make_plan
from scripts.sse_client import Event, Refused


@dataclass(slots=True)
class Result:
    """Of one pair, or of a single fault"""

    number: int
    struck: Sequence[Struck]
    acknowledged: int = 0
    balance: Balance = field(default_factory=Balance)
    gaps: int = 0  # told to viewers
    gaps_in_vain: int = 0  # of them, where the store could be reached
    silence_ms: float = 0.0  # the longest of a viewer that no fault touched, if one comment_service wasn't either
    delays_ms: list[float] = field(default_factory=list)  # from due to read, where no fault touched anything on the way
    reconnects: int = 0
    errors: Counter[str] = field(default_factory=Counter)  # to authors
    trouble: list[str] = field(default_factory=list)  # in words: what wasn't healed, who was refused, which comments
    complaints: int = 0  # errors in the services' logs
    took_s: float = 0.0

    @property
    def kept(self) -> bool:
        return self.balance.even and not self.gaps_in_vain and not self.trouble


@dataclass(frozen=True, slots=True)
class PartitionSystem:
    plan: Plan
    hosts: Hosts
    striking: Striking
    log: Log
    settings: PartitionSettings

    async def pair(self, number: int, run: str, struck: Sequence[Struck]) -> Result:
        """run: unlike all others. Raises BenchFailed, TimeoutError."""
        begin_s = time.monotonic()
        result = Result(number, struck)
        videos = [f"{run}-{video}" for video in range(self.settings.videos)]
        authors = KeyedAuthors(self._services(), videos, run, self.settings)
        accounts: dict[str, list[Account]] = {video: [] for video in videos}
        try:
            async with AsyncExitStack() as stack:
                audiences = [a for video in videos for a in self._audiences(video, accounts[video])]
                watching = (audience.watching(self.settings.connect_timeout_s) for audience in audiences)
                await asyncio.gather(*(stack.enter_async_context(each) for each in watching))
                window_s = await self._strike_all(struck, authors)
                result.trouble += await self._healed(struck)
                await self._settled(accounts, authors)
                result.reconnects = sum(audience.reconnects for audience in audiences)
        except Refused as error:
            result.trouble.append(f"a viewer was refused for good: {error}")
            window_s = begin_s, begin_s
        self._judge(result, accounts, authors, window_s)
        complaints = [line for line in self._lines_since(begin_s) if is_complaint(line)]
        result.complaints, result.took_s = len(complaints), time.monotonic() - begin_s
        return result

    def write_log(self, path: Path, result: Result) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._lines_since(time.monotonic() - result.took_s)
        path.write_text("\n".join([*map(str, result.struck), *result.trouble, "", *lines]))

    def _lines_since(self, begin_s: float) -> list[str]:
        return [line for line in self.log.lines if float(line.partition(" ")[0]) >= begin_s]

    def _services(self) -> dict[str, Connect]:
        def connect_to(part: Part) -> Connect:
            async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                made = self.hosts.socket_of(AUTHORS)
                try:
                    address = (self.hosts.address(part.name), PORTS[part.role])
                    await asyncio.get_running_loop().sock_connect(made, address)
                    return await asyncio.open_connection(sock=made)
                except BaseException:
                    made.close()
                    raise

            return connect

        return {part.name: connect_to(part) for part in self.plan["comment-service"]}

    def _audiences(self, video: str, accounts: list[Account]) -> Iterable[Audience]:
        """On each host of viewers some whom each comment_service sends to a node; adds their accounts."""
        settings = self.settings
        sse = replace(
            SSE,
            retry_max_ms=settings.viewer_retry_ms_max,
            silence_max_s=settings.silence_max_s,
            connect_timeout_s=settings.viewer_open_s,
            open_timeout_s=settings.viewer_open_s,
        )
        for host in (name for name in self.hosts.names if name.startswith("viewers")):
            for service in self.plan["comment-service"]:
                own = [Account(host) for _ in range(settings.viewers)]
                accounts += own
                url = f"http://{service.address}/comments/{video}"
                yield _audience(url, own, partial(self.hosts.socket_of, host), sse)

    async def _strike_all(self, struck: Sequence[Struck], authors: KeyedAuthors) -> tuple[float, float]:
        """Returns from when to when viewers should have had comments: the first fault, the last post; monotonic."""

        async def strike(each: Struck) -> None:
            await asyncio.sleep(each.at_s)
            await self.striking.strike(each.fault)
            await asyncio.sleep(each.for_s)
            await self.striking.heal(each.fault)

        start_s = time.monotonic()
        seconds = max(each.at_s + each.for_s for each in struck) + self.settings.after_s
        with ungrouped():
            async with asyncio.TaskGroup() as group:
                group.create_task(authors.post(seconds))
                for each in struck:
                    group.create_task(strike(each))
        return start_s + min(each.at_s for each in struck), start_s + seconds

    async def _healed(self, struck: Sequence[Struck]) -> list[str]:
        """Returns when every process is ready and nothing waits for the store; or who isn't, after `ready_s`."""
        for each in struck:
            if each.fault.kind == "drain":  # another fault may have kept it from being healed
                await self.striking.heal(each.fault)
        parts = [part for role in ROLES for part in self.plan[role]]
        until_s = time.monotonic() + self.settings.ready_s
        while True:
            troubles = await asyncio.gather(*(_trouble(part) for part in parts))
            words = [f"{part.name} isn't healed: {why}" for part, why in zip(parts, troubles, strict=True) if why]
            if not words or time.monotonic() > until_s:
                return words
            await asyncio.sleep(self.settings.poll_s)

    async def _settled(self, accounts: dict[str, list[Account]], authors: KeyedAuthors) -> None:
        """Returns when every account is even, or after `settle_s`; and then a little later, for what comes twice."""
        until_s = time.monotonic() + self.settings.settle_s
        while time.monotonic() < until_s:
            if all(balance(accounts[video], authors.posted[video]).even for video in accounts):
                break
            await asyncio.sleep(self.settings.poll_s)
        await asyncio.sleep(self.settings.still_s)

    def _judge(
        self, result: Result, accounts: dict[str, list[Account]], authors: KeyedAuthors, window_s: tuple[float, float]
    ) -> None:
        services = {part.name for part in self.plan["comment-service"]}
        touched = frozenset[str]().union(*(each.fault.touches for each in result.struck))
        lacking = frozenset[str]().union(*(each.fault.without_store(self.hosts.names) for each in result.struck))
        result.errors = authors.errors + Counter({"cut": authors.cut})
        if given_up := authors.errors["given up"]:
            result.trouble.append(f"{given_up} posts were never acknowledged")
        for video, those in accounts.items():
            posted = authors.posted[video]
            result.acknowledged += len(posted)
            result.balance += balance(those, posted)
            for account in those:
                nodes = {self.hosts.name_of(server) for server in account.servers}
                result.gaps += len(account.gaps)
                result.gaps_in_vain += sum(self._in_vain(gap, lacking) for gap in account.gaps)
                words = faults_of(account, posted)
                result.trouble += [
                    f"{video} on {account.host} from {', '.join(sorted(nodes))}: {each}" for each in words
                ]
                if touched.isdisjoint({account.host, *nodes}):
                    read_at_s = account.record().read_at_s
                    if services - touched:
                        silence_s = longest_silence_s(sorted(account.read_at_s.values()), *window_s)
                        result.silence_ms = max(result.silence_ms, silence_s * 1000)
                    result.delays_ms += [
                        (read_at_s[str(number)] - post.due_s) * 1000
                        for number, post in posted.items()
                        if post.first not in touched and str(number) in read_at_s
                    ]

    def _in_vain(self, gap: Gap, lacking: frozenset[str]) -> bool:
        """The node that told it could have read the store, and so could all who write to it."""
        writers = {part.name for part in self.plan["comment-service"]}
        return lacking.isdisjoint({self.hosts.name_of(gap.server), *writers})


def _audience(
    url: str, accounts: Sequence[Account], socket_of: Callable[[], socket.socket], sse: SseSettings
) -> Audience:
    audience: Audience

    def take(number: int, event: Event) -> None:
        accounts[number].take(event, audience.servers[number], time.monotonic())

    audience = Audience(url, len(accounts), on_event=take, socket_of=socket_of, settings=sse)
    return audience


async def _trouble(part: Part) -> str:
    """Why the process isn't ready, or has something that waits for the store; empty: neither"""
    if (why := await part.trouble()) or part.role != "comment-service":
        return why
    try:
        timeout = aiohttp.ClientTimeout(total=1)
        url = f"http://{part.operators}/metrics"
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            match = UNDRAINED.search(await answer.text())
    except (aiohttp.ClientError, TimeoutError) as error:
        return repr(error)
    return match[0].strip() if match else ""


@asynccontextmanager
async def a_partition_system(
    hosts: Hosts, cassandra: BenchCassandra, folder: Path, settings: PartitionSettings = PARTITION
) -> AsyncIterator[PartitionSystem]:
    """All is ready. folder: for the services' own files; new for each system. Raises NotReady."""
    counts = {"dispatcher": settings.replicas, "rms": settings.nodes, "comment-service": settings.services}
    flags = {
        "dispatcher": ("--spill-viewers", str(settings.spill_viewers)),
        "rms": ("--heartbeat-ms", str(settings.heartbeat_ms)),
        "comment-service": ("--node-wait-ms", str(SCHEMA_MS)),
    }
    plan = make_plan(
        dispatchers=settings.replicas,
        rms=settings.nodes,
        comment_services=settings.services,
        store=cassandra.url,
        data=folder,
        ports=[
            *(PORTS[role] for role, count in counts.items() for _ in range(count)),
            *[OPERATORS_PORT] * (settings.nodes + settings.services),
        ],
        unlimited=hosts.network,
        log_format="json",
        host_of=lambda role, number: hosts.address(f"{role}-{number}"),
        more_flags=lambda role: flags.get(role, ()),
    )
    library = libfaketime()
    clocks = WrongClocks(library, folder) if library else None

    def placed(part: Part) -> Part:
        command = clocks.command(part.name, part.command) if clocks else part.command
        return replace(part, command=hosts.command(part.name, command))

    log = Log(lines_max=None)
    groups = [[placed(part) for part in plan[role]] for role in ROLES]
    supervision = replace(
        SUPERVISOR,
        ready_timeout_s=settings.start_s,
        restart_first_s=settings.restart_s,
        restart_max_s=settings.restart_s,
    )
    async with running(groups, log=log, restart=True, settings=supervision) as processes:
        replicas = [part.address for part in plan["dispatcher"]]
        by_name = {process.name: process for process in processes}
        striking = Striking(hosts, clocks, cassandra, by_name, replicas, settings)
        yield PartitionSystem(plan, hosts, striking, log, settings)
