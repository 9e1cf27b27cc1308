"""Gives each process a node number of its own: a row with a lease, in the store that all processes share.

A node number is a part of each id (history/core/ids.py), so two processes with the same one could give one id to two
comments. The row belongs to a holder, a random word that is kept in the state folder. A process that was killed finds
its word there and goes on at once; any other process is refused until the lease has ended.

The state folder also has a file for each number that says until when its lease surely lasts. A process that was killed
and starts again before that accepts comments at once, whether the store answers or not: nobody else can have got the
number meanwhile.

While the store is away. A process without such a lease waits for `wait_ms` at its start, and then accepts comments
without a claim. Two new processes with one number that start in such a time notice it only when the store is back; then
the later one ends. A process that is cut off from the store for longer than its lease goes on accepting, into its
spool, while another process may take its number; if none did, it takes the lease again. A process that stood still for
longer than its lease (SIGSTOP, a frozen machine) finds out at its next renewal that it has lost its number.
"""

import asyncio
import contextlib
import os
import random
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from comment_service.clocks import wall_ms
from history.core.ids import NODES
from history.store import History, StoreUnavailable

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
    """The holder's word in the folder; made if there is none. Raises OSError."""
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


async def choose_node(state_dir: Path, lease_ms: int, open_history: Callable[[], Awaitable[History]]) -> int:
    """A node number for `--node auto`. Call it before any id is given, for the number never changes.

    The folder's last number is taken without asking the store while its lease lasts. Otherwise a free number is
    claimed, the last one if possible. While the store is away it is the last one, or a random one that is remembered as
    the last one; it is claimed once the store is back, and if it then belongs to another process, this one ends.

    Raises NoNodeFree, OSError, and what `open_history` raises, but for StoreUnavailable.
    """
    last = last_node(state_dir)
    if last is not None and is_leased(state_dir, last, wall_ms()):
        return last
    try:
        history = await open_history()
        try:
            return await free_node(history, state_dir, lease_ms)
        finally:
            await history.close()
    except StoreUnavailable as error:
        node = random.randrange(NODES) if last is None else last
        remember_node(state_dir, node)
        log.warning("node number not claimed yet, the store is away", node=node, reason=str(error))
        return node


async def free_node(history: History, state_dir: Path, lease_ms: int) -> int:
    """Claims a free number for lease_ms: the folder's last one if possible. Raises NoNodeFree, StoreUnavailable,
    OSError."""
    holder, words = holder_of(state_dir), words_of_this_process()
    for node in _candidates(last_node(state_dir)):
        if await history.claim_node(node, holder, words, wall_ms(), lease_ms) is None:
            remember_node(state_dir, node)
            return node
    raise NoNodeFree


def remember_node(state_dir: Path, node: int) -> None:
    """Makes it the folder's `last_node`, by which its spool and its lease are found. Raises OSError."""
    state_dir.mkdir(parents=True, exist_ok=True)
    (state_dir / NODE_FILE).write_text(f"{node}\n")


def last_node(state_dir: Path) -> int | None:
    """The number of this folder's last process; None if that isn't known"""
    with contextlib.suppress(OSError, ValueError):
        node = int((state_dir / NODE_FILE).read_text())
        return node if 0 <= node < NODES else None
    return None


def is_leased(state_dir: Path, node: int, now_ms: int) -> bool:
    """Whether the lease of this folder's last process with that number surely lasts"""
    with contextlib.suppress(OSError, ValueError):
        return now_ms < int(lease_file(state_dir, node).read_text())
    return False


def lease_file(state_dir: Path, node: int) -> Path:
    return state_dir / f"lease-node{node}"


def surely_until_ms(now_ms: int, lease_ms: int) -> int:
    """Until when nobody else can get a number that was claimed at now_ms or later, if clocks agree. Cassandra counts
    whole seconds, from the one that has begun: its row may expire up to a second before lease_ms have passed."""
    return now_ms + lease_ms // 1000 * 1000 - 1000


def _candidates(last: int | None) -> Iterator[int]:
    if last is not None:
        yield last
    yield from random.sample(range(NODES), NODES)


class NodeClaim:
    """Holds one number while `keep` runs. Belongs to one event loop."""

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
        """Claims the number and renews the lease, for ever. Raises NodeTaken."""
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
                    self._drop_lease_file()
                    raise NodeTaken(self._node, theirs)
                with contextlib.suppress(OSError):  # an older file holds, too
                    self._lease_file.write_text(f"{surely_until_ms(now_ms, self._settings.lease_ms)}\n")
            await asyncio.sleep(pause_ms / 1000)

    async def wait_decided(self) -> bool:
        """True: the number is ours, or the store has been away for wait_ms. False: another process has it."""
        try:
            async with asyncio.timeout(self._settings.wait_ms / 1000):
                await self._decided.wait()
        except TimeoutError:
            log.warning("accepting without a claim on the node number, the store is away", node=self._node)
        return self._is_ours

    async def release(self) -> None:
        """Frees the number for the next process at once. Does no more than it can while the store is away."""
        self._drop_lease_file()
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(self._settings.wait_ms / 1000):
                await self._history().release_node(self._node, self._holder)

    def _drop_lease_file(self) -> None:
        """Has to come before the number can be anybody else's."""
        with contextlib.suppress(OSError):
            self._lease_file.unlink(missing_ok=True)
