"""Asks for several who ask the same at the same time, as the viewers of a video do when it begins."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from proto.tasks import Cancelled, Supervisor

T = TypeVar("T")

Ask = Callable[[str, int], Awaitable[Sequence[T]]]
"""(what is asked, by how many) -> an answer for each of them; fewer: the others ask again. Raises for all of them; an
empty answer is a fault."""


class TooManyAsk(Exception):
    """More wait than may wait."""


class Together(Generic[T]):
    """Who asks while no question may be sent joins those that wait for the same. First come, first answered, by what is
    asked. Belongs to one event loop."""

    def __init__(self, name: str, ask: Ask[T], *, asks_max: int, together_max: int, waiting_max: int) -> None:
        """name: in the log. asks_max: questions at once. together_max: for whom one question is asked at most.
        waiting_max: who waits at once."""
        self._name = name
        self._ask = ask
        self._asks_max = asks_max
        self._together_max = together_max
        self._waiting_max = waiting_max
        self._waiting: dict[str, deque[asyncio.Future[T]]] = {}  # in the order of asking
        self._count = 0
        self._asking = 0
        self._tasks = Supervisor()

    async def ask(self, what: str) -> T:
        """Raises TooManyAsk, Cancelled, or what the question raised. May be cancelled; the others go on."""
        if self._count >= self._waiting_max:
            raise TooManyAsk
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(what, deque()).append(answer)
        self._count += 1
        if self._asking < self._asks_max:
            self._asking += 1
            self._tasks.spawn(self._name, self._ask_all())
        try:
            return await answer
        finally:
            self._count -= 1

    async def close(self) -> None:
        """Ends the questions. Who waits gets Cancelled."""
        await self._tasks.close()
        while self._waiting:
            _fail(self._next()[1], Cancelled("the service ends"))

    async def _ask_all(self) -> None:
        """Until nobody waits"""
        try:
            while self._waiting:
                what, asking = self._next()
                if asking:
                    await self._ask_for(what, asking)
        finally:
            self._asking -= 1

    async def _ask_for(self, what: str, asking: list[asyncio.Future[T]]) -> None:
        try:
            answers = await self._ask(what, len(asking))
        except Exception as error:
            _fail(asking, error)
            return
        except asyncio.CancelledError:
            _fail(asking, Cancelled("the question was ended"))
            raise
        for each, answer in zip(asking, answers, strict=False):
            if not each.done():
                each.set_result(answer)
        if not answers:
            _fail(asking, ValueError(f"no answer to {what!r}"))
        elif len(answers) < len(asking):
            self._waiting.setdefault(what, deque()).extendleft(reversed(asking[len(answers) :]))

    def _next(self) -> tuple[str, list[asyncio.Future[T]]]:
        """What was asked first, and for whom; those who have gone are left out."""
        what = next(iter(self._waiting))
        waiting = self._waiting.pop(what)
        asking: list[asyncio.Future[T]] = []
        while waiting and len(asking) < self._together_max:
            each = waiting.popleft()
            if not each.done():
                asking.append(each)
        if waiting:
            self._waiting[what] = waiting  # behind the others
        return what, asking


def _fail(asking: list[asyncio.Future[T]], error: Exception) -> None:
    for each in asking:
        if not each.done():
            each.set_exception(error)
