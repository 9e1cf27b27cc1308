"""Gives each process a node number of its own: a row with a lease, in the store that all processes share.

A node number is a part of each id (history/core/ids.py), so two processes with the same one could give one id to two
comments. The row belongs to a holder: a random word that is kept in the state folder, and a life of it
(history/core/holder.py). A process that was killed finds its word there and goes on at once; any other process is
refused until the lease has ended.

The state folder also has a file for each number that says until when its lease surely lasts. A process that was killed
and starts again before that accepts comments at once, whether the store answers or not: nobody else can have got the
number meanwhile.

**No id without a lease.** Before each id a process looks whether its lease surely lasts, by a clock that goes on while
it is stopped or the machine sleeps. If not, it gives none (comment_service/fence.py) until it has renewed the lease, or
has lost it and ends.

While the store is away. A process without a lease waits for `wait_ms`, and then accepts comments without a claim; so
does one that stood still for longer than its lease. Two processes with one number that do so in such a time notice it
only when the store is back; then one ends. A process whose renewals all failed goes on without a break for as long as
the store is away: while another process may take its number; if none did, it takes the lease again. If two have given
one id, the stores refuse the second comment (`history.store.IdTaken`), and it gets another id.
"""

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from comment_service.clocks import boot_ms, wall_ms
from comment_service.node.holding import begin_life, forget_word, is_leased, lease_file, leased_ms, save_lease
from comment_service.publish.watermark import lives
from history.core.ids import NODES
from history.store import History, StoreUnavailable

log = structlog.stdlib.get_logger()

NODE_FILE = "node"

SHARE_OF_LEASE = 1 / 3
"""How much of a lease one renewal may take: then there is time for the next one"""


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
    holder, words = begin_life(state_dir), words_of_this_process()
    for node in _candidates(last_node(state_dir)):
        if lives(state_dir, node):  # with this folder's word: the claim would be taken from it
            continue
        if await history.claim_node(node, str(holder), words, wall_ms(), lease_ms) is None:
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


def surely_until_ms(now_ms: int, lease_ms: int) -> int:
    """Until when nobody else can get a number that was claimed at now_ms or later, if clocks agree. Cassandra counts
    whole seconds, from the one that has begun: its row may expire up to a second before lease_ms have passed."""
    return now_ms + lease_ms // 1000 * 1000 - 1000


def surely_ms(lease_ms: int) -> int:
    """How long nobody else can get a number that was just claimed"""
    return surely_until_ms(0, lease_ms)


def _candidates(last: int | None) -> Iterator[int]:
    if last is not None:
        yield last
    yield from random.sample(range(NODES), NODES)


class NodeClaim:
    """Holds one number while `keep` runs; a Fence. Belongs to one event loop. Made by the process that holds the
    folder's lock on the number (comment_service/publish/watermark.py)."""

    def __init__(self, node: int, state_dir: Path, history: Callable[[], History], settings: LeaseSettings) -> None:
        """history: the open store; raises StoreUnavailable until there is one. Raises OSError for the folder."""
        self._node = node
        self._state_dir = state_dir
        self._holder = begin_life(state_dir)
        self._history = history
        self._settings = settings
        self._decided = asyncio.Event()
        self._renewed = asyncio.Event()
        self._due = asyncio.Event()  # the renewal, before its time
        self._is_ours = True
        self._sure_until_ms = 0  # by boot_ms
        if left_ms := leased_ms(state_dir, node, wall_ms()):
            self._sure_until_ms = boot_ms() + min(left_ms, surely_ms(settings.lease_ms))
            self._decided.set()

    def is_sure(self) -> bool:
        return boot_ms() < self._sure_until_ms

    async def wait_sure(self) -> None:
        """After wait_ms it is sure, too: the store is away."""
        end_s = asyncio.get_running_loop().time() + self._settings.wait_ms / 1000
        while not self.is_sure():
            self._refuse_lost()
            self._due.set()
            self._renewed.clear()
            try:
                async with asyncio.timeout_at(end_s):
                    await self._renewed.wait()
            except TimeoutError:
                self._refuse_lost()
                self._go_on_unclaimed()
                return

    async def keep(self) -> None:
        """Claims the number and renews the lease, for ever. Raises NodeTaken."""
        words, lease_ms = words_of_this_process(), self._settings.lease_ms
        while True:
            pause_ms, now_ms, begin_ms = self._settings.renew_ms, wall_ms(), boot_ms()
            self._due.clear()
            try:
                async with asyncio.timeout(lease_ms * SHARE_OF_LEASE / 1000):  # else a store that hangs ends the lease
                    theirs = await self._history().claim_node(self._node, str(self._holder), words, now_ms, lease_ms)
            except (StoreUnavailable, TimeoutError):
                pause_ms = self._settings.retry_ms
                if begin_ms < self._sure_until_ms:
                    self._sure_until_ms = begin_ms + surely_ms(lease_ms)
            else:
                self._is_ours = theirs is None
                self._decided.set()
                self._renewed.set()
                if theirs is not None:
                    self._sure_until_ms = 0
                    self._drop_lease_file()
                    forget_word(self._state_dir)
                    raise NodeTaken(self._node, theirs)
                self._sure_until_ms = begin_ms + surely_ms(lease_ms)
                with contextlib.suppress(OSError):  # an older file holds, too
                    save_lease(self._state_dir, self._node, self._holder, surely_until_ms(now_ms, lease_ms))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_ms / 1000):
                    await self._due.wait()

    async def wait_decided(self) -> bool:
        """True: the number is ours, or the store has been away for wait_ms. False: another process has it."""
        try:
            async with asyncio.timeout(self._settings.wait_ms / 1000):
                await self._decided.wait()
        except TimeoutError:
            self._go_on_unclaimed()
        return self._is_ours

    async def release(self) -> None:
        """Frees the number for the next process at once. Does no more than it can while the store is away."""
        self._drop_lease_file()
        with contextlib.suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(self._settings.wait_ms / 1000):
                await self._history().release_node(self._node, str(self._holder))

    def _refuse_lost(self) -> None:
        if not self._is_ours:
            raise StoreUnavailable(f"node {self._node} belongs to another process")

    def _go_on_unclaimed(self) -> None:
        log.warning("accepting without a claim on the node number, the store is away", node=self._node)
        self._sure_until_ms = boot_ms() + surely_ms(self._settings.lease_ms)
        self._renewed.set()

    def _drop_lease_file(self) -> None:
        """Has to come before the number can be anybody else's."""
        with contextlib.suppress(OSError):
            lease_file(self._state_dir, self._node).unlink(missing_ok=True)
