"""All viewers of one server, in as many processes as the limit of open files asks for."""

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from scripts.benches.config import BENCH, BenchSettings
from scripts.benches.viewers import Connected, Generator, GeneratorFailed, Report, merge


class Audience:
    """`async with Audience(...) as audience`: on leaving, all are gone."""

    def __init__(
        self,
        port: int,
        path: str,
        *,
        viewers: int,
        idle: int = 0,
        comments_max: int,
        gzip: bool = False,
        settings: BenchSettings = BENCH,
    ) -> None:
        """viewers: who read. idle: who ask and never read."""
        self._port = port
        self._shares = list(zip(*(_shares(count, viewers + idle, settings) for count in (viewers, idle)), strict=True))
        self._generators = [
            Generator(number, path, comments_max, gzip=gzip, settings=settings) for number in range(len(self._shares))
        ]
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for generator in self._generators:
                await stack.enter_async_context(generator)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def connect(self) -> float:
        """Returns the seconds until all had their stream. Raises GeneratorFailed if the server refused one."""
        answers = await asyncio.gather(
            *(self._connect(generator, *share) for generator, share in zip(self._generators, self._shares, strict=True))
        )
        return max(answers)

    async def _connect(self, generator: Generator, viewers: int, idle: int) -> float:
        seconds = 0.0
        if idle:
            seconds += _all(await generator.idle(idle, self._port)).seconds
        if viewers:
            seconds += _all(await generator.connect(viewers, self._port)).seconds
        return seconds

    async def wait_for(self, comments: int, timeout_s: float) -> bool:
        """True: everybody who reads has the first `comments` comments."""
        return all(await asyncio.gather(*(generator.wait_for(comments, timeout_s) for generator in self._generators)))

    async def report(self, comments: int) -> Report:
        """`lost` counts against the first `comments` comments."""
        return merge(await asyncio.gather(*(generator.report(comments) for generator in self._generators)))


def _all(answer: Connected) -> Connected:
    if answer.refused:
        whole = answer.connected + answer.refused
        raise GeneratorFailed(f"{answer.refused} of {whole} viewers did not get a stream: {answer.reason}")
    return answer


def _shares(count: int, together: int, settings: BenchSettings) -> list[int]:
    """`count` in nearly equal parts, as many as the processes that `together` viewers need"""
    processes = max(1, -(-together // settings.viewers_per_process_max))
    return [count // processes + (number < count % processes) for number in range(processes)]
