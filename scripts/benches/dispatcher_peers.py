"""Who takes part in scripts/bench dispatcher: a replica, processes of nodes, and a publisher in this process."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from history.core.ids import IdSource
from proto.comment_pb2 import Author, Comment
from proto.dispatch_pb2 import PublishRequest
from scripts.benches.config import CHILDREN, DISPATCHER
from scripts.benches.dispatcher_nodes import Taken
from scripts.benches.publishing import NODE
from scripts.benches.schedule import VIDEO
from scripts.plan import free_ports, grpc_serving
from scripts.processes import ROOT, NotReady, Process

if TYPE_CHECKING:  # it is in the stubs only: at run time there is one class for both
    from proto.dispatch_pb2_grpc import DispatcherAsyncStub

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
TEXT = " what a goal" * 9  # with it a comment has 140 bytes


class Nodes:
    """A process with so many nodes at one replica"""

    def __init__(self, address: str, prefix: str, count: int) -> None:
        self._arguments = (address, prefix, str(count))
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "scripts.benches.dispatcher_nodes", *self._arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 30,
            env=ENVIRONMENT,
        )
        await self._line()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def report(self) -> list[Taken]:
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(b"\n")
        return msgspec.json.decode(await self._line(), type=list[Taken])

    async def _line(self) -> bytes:
        assert self._process
        assert self._process.stdout
        async with asyncio.timeout(DISPATCHER.nodes_timeout_s):
            line = await self._process.stdout.readline()
        if not line:
            raise NotReady(f"the nodes {self._arguments[1]} have ended")
        return line


class Replica:
    """A dispatcher process on a free port, with the settings that it has by default"""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_ports(1)[0]}"
        command = [sys.executable, "-P", "-m", "dispatcher", "--listen", self.address, "--log-level", "warning"]
        self.process = Process(
            "dispatcher", command, is_ready=lambda: grpc_serving(self.address), on_output=_ignore, settings=CHILDREN
        )

    async def __aenter__(self) -> Self:
        await self.process.start()
        await self.process.wait_ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.process.stop()


def _ignore(_name: str, _line: str) -> None:
    """What a replica says on the level `warning` is about its peers, which are ours."""


class Publisher:
    """One Publish stream. `as_fast_as_it_goes` and `steadily` return when all is acknowledged."""

    def __init__(self, stub: "DispatcherAsyncStub") -> None:
        self._call = stub.Publish()
        self._ids = IdSource(NODE)
        self._answered = 0
        self._wake = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def as_fast_as_it_goes(self, seconds: float) -> float:
        """Comments a second"""
        started, sent = time.monotonic(), 0
        while time.monotonic() - started < seconds:
            await self._send(sent, [time.monotonic_ns()] * DISPATCHER.batch_comments)
            sent += 1
            await self._until(sent - DISPATCHER.unanswered_batches)
        await self._until(sent)
        return sent * DISPATCHER.batch_comments / (time.monotonic() - started)

    async def steadily(self, rate: float, seconds: float) -> int:
        """What is due goes together, as comment_service does it. Returns the number of comments."""
        start_ns, due, batches, count = time.monotonic_ns(), 0, 0, int(rate * seconds)
        while due < count:
            first = due
            while due < count and start_ns + due / rate * 1e9 <= time.monotonic_ns():
                due += 1
            if due == first:
                await asyncio.sleep((start_ns + due / rate * 1e9 - time.monotonic_ns()) / 1e9)
                continue
            await self._send(batches, [int(start_ns + number / rate * 1e9) for number in range(first, due)])
            batches += 1
        await self._until(batches)
        return count

    async def close(self) -> None:
        self._call.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _send(self, seq: int, due_ns: Sequence[int]) -> None:
        now_ms = time.time_ns() // 1_000_000
        author = Author(id="u1", name="u1")
        comments = [
            Comment(id=self._ids.next(now_ms), video_id=VIDEO, author=author, message=TEXT, created_at_ms=each)
            for each in due_ns
        ]
        await self._call.write(PublishRequest(seq=seq, comments=comments))

    async def _read(self) -> None:
        async for answer in self._call:
            self._answered += 1 + len(answer.seqs)
            self._wake.set()

    async def _until(self, answered: int) -> None:
        while self._answered < answered:
            self._wake.clear()
            async with asyncio.timeout(DISPATCHER.nodes_timeout_s):
                await self._wake.wait()
