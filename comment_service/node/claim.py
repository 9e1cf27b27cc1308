"""One node number, one process: kept apart by a row with a lease in the store that all share.

A node number is a part of each id (history/core/ids.py): two processes with the same one could give one id to two
comments.
The row belongs to a holder, a random word that stands in the state folder: a process that was killed finds it there and
goes on at once; anybody else is refused until the lease has ended.

Until when the lease surely lasts stands in the state folder, too, in a file for each number: a process that was killed
accepts at once, whether the store answers or not, for nobody else can have got the number meanwhile.

What holds when the store is away: without such a lease the process waits for `wait_ms` at the start, and then accepts
without a claim; so two new processes with one number that start in such a time aren't told apart until the store is
back. Then the later one ends. A process that is cut off from the store for longer than its lease goes on accepting, for
its spool's sake, while another one may take the number; if nobody did, it takes the lease again. And one that stood
still for longer than its lease (SIGSTOP, a frozen machine) learns only at its next renewal that its number has gone.
"""

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from comment_service.clocks import wall_ms
from history.core.ids import NODES
from history.store import History, Records, StoreUnavailable

log = structlog.stdlib.get_logger()

HOLDER_FILE = "holder"
NODE_FILE = "node"


class NodeTaken(Exception):
    """Another process has the number."""

    def __init__(self, node: int, words: str) -> None:
        super().__init__(
            f"node {node} belongs to {words}; give each comment_service its own --node, or --node auto. If that "
            "process was killed and its state folder is lost, the number is free when its lease has ended"
        )


class NoNodeFree(Exception):
    def __init__(self) -> None:
        super().__init__(f"all {NODES} node numbers are taken")


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """What config.py says; its descriptions give the reasons."""

    lease_ms: int
    renew_ms: int
    retry_ms: int
    wait_ms: int


def holder_of(state_dir: Path) -> str:
    """The word in the folder; made when it isn't there. Raises OSError."""
    path = state_dir / HOLDER_FILE
    with contextlib.suppress(FileNotFoundError):
        if word := path.read_text().strip():
            return word
    state_dir.mkdir(parents=True, exist_ok=True)
    word = secrets.token_hex(8)
    path.write_text(word + "\n")
    return word


def words_of_this_process() -> str:
    return f"{socket.gethostname()}, process {os.getpid()}"


async def free_node(records: Records, state_dir: Path, lease_ms: int) -> int:
    """A number that is now ours: the last one if it can be had. Raises NoNodeFree, StoreUnavailable, OSError."""
    holder, words = holder_of(state_dir), words_of_this_process()
    for node in _candidates(last_node(state_dir)):
        if await records.claim_node(node, holder, words, wall_ms(), lease_ms) is None:
            remember_node(state_dir, node)
            return node
    raise NoNodeFree


def remember_node(state_dir: Path, node: int) -> None:
    """It becomes the `last_node` of the folder, whose spool and lease are found by it. Raises OSError."""
    state_dir.mkdir(parents=True, exist_ok=True)
    (state_dir / NODE_FILE).write_text(f"{node}\n")


def last_node(state_dir: Path) -> int | None:
    """The number that this folder's last process had"""
    with contextlib.suppress(OSError, ValueError):
        node = int((state_dir / NODE_FILE).read_text())
        return node if 0 <= node < NODES else None
    return None


def is_leased(state_dir: Path, node: int, now_ms: int) -> bool:
    """Whether the lease of this folder's last process with that number surely still lasts"""
    with contextlib.suppress(OSError, ValueError):
        return now_ms < int(lease_file(state_dir, node).read_text())
    return False


def lease_file(state_dir: Path, node: int) -> Path:
    return state_dir / f"lease-node{node}"


def surely_until_ms(now_ms: int, lease_ms: int) -> int:
    """Until when nobody else can get a number that was claimed at now_ms or later, by clocks that agree. Cassandra
    counts whole seconds, from the one that has begun: its row may go up to a second before lease_ms have passed."""
    return now_ms + lease_ms // 1000 * 1000 - 1000


def _candidates(last: int | None) -> Iterator[int]:
    if last is not None:
        yield last
    yield from random.sample(range(NODES), NODES)


class NodeClaim:
    """Keeps one number for as long as `keep` runs. Belongs to one event loop."""

    def __init__(self, node: int, state_dir: Path, history: Callable[[], History], settings: LeaseSettings) -> None:
        """history: the open store; raises StoreUnavailable until there is one. Raises OSError for the folder."""
        self._node = node
        self._holder = holder_of(state_dir)
        self._lease_file = lease_file(state_dir, node)
        self._history = history
        self._settings = settings
        self._decided = asyncio.Event()
        self._is_ours = True
        if is_leased(state_dir, node, wall_ms()):
            self._decided.set()

    async def keep(self) -> None:
        """For ever. Raises NodeTaken."""
        words = words_of_this_process()
        while True:
            pause_ms, now_ms = self._settings.renew_ms, wall_ms()
            try:
                theirs = await self._history().claim_node(
                    self._node, self._holder, words, now_ms, self._settings.lease_ms
                )
            except StoreUnavailable:
                pause_ms = self._settings.retry_ms
            else:
                self._is_ours = theirs is None
                self._decided.set()
                if theirs is not None:
                    self._forget_lease()
                    raise NodeTaken(self._node, theirs)
                with contextlib.suppress(OSError):  # an older one is right, too
                    self._lease_file.write_text(f"{surely_until_ms(now_ms, self._settings.lease_ms)}\n")
            await asyncio.sleep(pause_ms / 1000)

    async def wait_decided(self) -> bool:
        """False: another process has the number. True: it is ours, or the store has been away for wait_ms."""
        try:
            async with asyncio.timeout(self._settings.wait_ms / 1000):
                await self._decided.wait()
        except TimeoutError:
            log.warning("accepting without a claim on the node number, the store is away", node=self._node)
        return self._is_ours

    async def release(self) -> None:
        """The next process may have the number at once."""
        self._forget_lease()
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(self._settings.wait_ms / 1000):
                await self._history().release_node(self._node, self._holder)

    def _forget_lease(self) -> None:
        """Before the number can be anybody else's"""
        with contextlib.suppress(OSError):
            self._lease_file.unlink(missing_ok=True)
