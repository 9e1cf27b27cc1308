"""Runs the whole system for a bench that breaks it: processes that are started again, viewers, authors, the verdict.

Viewers are clients as our documents ask for (scripts/sse_client.py): after a cut they go back to the original URL with
their position.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from scripts.audience import Audience, judge
from scripts.benches.authors import Authors, longest_wait_s
from scripts.benches.config import FAULTS, FaultSettings
from scripts.benches.running import Log, running
from scripts.config import SUPERVISOR, SupervisorSettings
from scripts.plan import ROLES, Plan
from scripts.processes import Process

LISTENING = '"comment_service listening"'


@dataclass(frozen=True, slots=True)
class System:
    plan: Plan
    processes: dict[str, Process]  # by name
    authors: Authors
    audiences: dict[str, Audience]  # by video
    log: Log
    settings: FaultSettings

    async def settled(self) -> None:
        """Returns when every viewer has every acknowledged comment of its video, or after `settle_s`."""
        waits = (
            audience.wait_for(set(self.authors.due_at_s(video)), self.settings.settle_s)
            for video, audience in self.audiences.items()
        )
        await asyncio.gather(*waits)
        await asyncio.sleep(self.settings.doubles_s)

    def outcome(self) -> "Outcome":
        authors = self.authors
        verdicts = [judge(audience.records, authors.due_at_s(video)) for video, audience in self.audiences.items()]
        return Outcome(
            acknowledged=len(authors.acknowledged),
            lost=sum(verdict.lost for verdict in verdicts),
            doubled=sum(verdict.doubled for verdict in verdicts),
            disordered=sum(verdict.disordered for verdict in verdicts),
            errors=dict(authors.errors),
            cut=authors.cut,
            longest_wait_s=longest_wait_s(authors.acknowledged.values(), authors.lives),
            complaints=[line for line in self.log.lines if is_complaint(line)],
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the posts. `lost`, `doubled` and `disordered` count over all viewers."""

    acknowledged: int
    lost: int = 0
    doubled: int = 0
    disordered: int = 0  # read after a comment with a larger id
    errors: Mapping[str, int] = field(default_factory=dict)  # what authors got in place of a 200
    cut: int = 0  # posts that ended without an answer; they are sent again
    longest_wait_s: float = 0.0  # of an author, from when a comment was due to its 200
    complaints: Sequence[str] = ()  # log lines of the level error, and tracebacks

    @property
    def kept(self) -> bool:
        """Nothing lost, nothing doubled, no author refused, no service in trouble"""
        return not (self.lost or self.doubled or self.errors or self.complaints)


@asynccontextmanager
async def a_system(
    plan: Plan,
    videos: Sequence[str],
    viewers: int,
    *,
    keyed_every: int = 0,
    supervision: SupervisorSettings = SUPERVISOR,
    settings: FaultSettings = FAULTS,
) -> AsyncIterator[System]:
    """Everything is ready and every viewer is connected. Raises NotReady, TimeoutError, Refused."""
    authors = Authors(int(plan.base_url.rpartition(":")[2]), videos, keyed_every=keyed_every, settings=settings)

    def on_line(name: str, line: str) -> None:
        if LISTENING in line:
            authors.started()

    log = Log(on_line, lines_max=None)
    async with AsyncExitStack() as stack:
        groups = [plan[role] for role in ROLES]
        processes = await stack.enter_async_context(running(groups, log=log, restart=True, settings=supervision))
        audiences = {}
        for number, video in enumerate(videos):
            count = viewers // len(videos) + (number < viewers % len(videos))
            audiences[video] = Audience(f"{plan.base_url}/comments/{video}", count)
            await stack.enter_async_context(audiences[video].watching(settings.connect_timeout_s))
        yield System(plan, {process.name: process for process in processes}, authors, audiences, log, settings)


def is_complaint(line: str) -> bool:
    try:
        return bool(json.loads(line.split(" ", 2)[2])["level"] in ("error", "critical"))
    except (ValueError, KeyError, TypeError, IndexError):
        return "Traceback" in line
