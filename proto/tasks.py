"""Runs supervised tasks: one that fails is logged, and is begun again or ends the process. None dies in silence.

The services start all concurrent work here; `tests/test_house.py` checks it. Which function to use:

- `Supervisor.keep`: work without an end, such as a beat. It is begun again when it fails.
- `Supervisor.spawn`: work with an end that nobody waits for, such as a catch-up.
- `Shared`: one piece of work that several callers wait for, such as a read. They get its error.
- `shared`: the same as a plain task, for work that reports its errors itself.
- `first_ended`: pieces of work that end together, such as the two directions of a stream. `asyncio.TaskGroup` is as
  good where each of them ends by raising.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, NoReturn, TypeVar

import structlog

log = structlog.stdlib.get_logger()

T = TypeVar("T")

Work = Coroutine[Any, Any, T]

PAUSE_S_MIN = 0.1
PAUSE_S_MAX = 10.0
"""Seconds between a failure and the restart; doubled after each failure in a row. After work that ran for longer than
PAUSE_S_MAX, the pause is PAUSE_S_MIN again."""


class Cancelled(Exception):
    """The work was ended by a cancellation that did not come from its supervisor. gRPC cancels calls by itself."""


class Supervisor:
    """Owns tasks until they end or `close` ends them. Belongs to one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._fatal: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()

    def __len__(self) -> int:
        """tasks that haven't ended"""
        return len(self._tasks)

    def keep(
        self, name: str, begin: Callable[[], Work[None]], *, fatal: tuple[type[Exception], ...] = ()
    ) -> asyncio.Task[None]:
        """Work that has to go on: when it raises, the error is logged and `begin` is called again after a pause.

        It is over when it returns. name: in the log. fatal: errors after which it must not go on; `wait_fatal` raises
        the first one.
        """
        return self._start(name, self._keep(name, begin, fatal))

    def spawn(self, name: str, work: Work[None]) -> asyncio.Task[None]:
        """Work that ends by itself. Its error is logged under this name."""
        task = self._start(name, self._once(name, work))
        task.add_done_callback(lambda _: work.close())  # if it was cancelled before it had begun
        return task

    async def wait_fatal(self) -> NoReturn:
        """Raises the first fatal error of what is kept; waits for ever if there is none."""
        await asyncio.shield(self._fatal)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Cancels all that is under way, and returns when it has ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, name: str, work: Work[None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _keep(self, name: str, begin: Callable[[], Work[None]], fatal: tuple[type[Exception], ...]) -> None:
        now_s = asyncio.get_running_loop().time
        pause_s = 0.0
        while True:
            begun_s = now_s()
            try:
                await _uncancelled(begin())
                return
            except Exception as error:
                if isinstance(error, fatal):
                    if not self._fatal.done():
                        self._fatal.set_exception(error)
                        self._fatal.exception()  # `wait_fatal` raises it; this keeps asyncio from logging it as well
                    return
                if now_s() - begun_s > PAUSE_S_MAX:
                    pause_s = 0.0
                pause_s = min(pause_s * 2, PAUSE_S_MAX) or PAUSE_S_MIN
                log.exception("task failed, and is begun again", task=name, reason=repr(error), pause_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _once(self, name: str, work: Work[None]) -> None:
        try:
            await _uncancelled(work)
        except Exception as error:
            log.exception("task failed", task=name, reason=repr(error))


class Shared(Generic[T]):
    """Work that several callers wait for. It goes on when they are cancelled."""

    def __init__(
        self,
        name: str,
        work: Work[T],
        *,
        expected: tuple[type[Exception], ...] = (),
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        """Begins the work. name: in the log. expected: errors that aren't logged, as they are no faults. on_end: called
        when the work has ended, before its callers go on."""
        self._name = name
        self._expected = expected
        self._on_end = on_end
        self._waiting = 0
        self._seen = False  # an error, by a caller
        self._task = asyncio.create_task(_uncancelled(work), name=name)
        self._task.add_done_callback(self._end)
        self._task.add_done_callback(lambda _: work.close())  # if it was cancelled before it had begun

    async def wait(self) -> T:
        """The result, or the error that was raised. An error that no caller is left to see is logged."""
        self._waiting += 1
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Cancelled("the work was ended") from error
        except Exception:
            self._seen = True
            raise
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Cancels the work, and returns when it has ended."""
        self._task.cancel()
        await asyncio.wait([self._task])

    def _end(self, task: asyncio.Task[T]) -> None:
        self._on_end()
        error = None if task.cancelled() else task.exception()
        if error is not None and not (self._waiting or self._seen or isinstance(error, self._expected)):
            log.error("task failed", task=self._name, reason=repr(error), exc_info=error)


def shared(work: Work[T]) -> asyncio.Task[T]:
    """A task for callers who wait for it, behind `asyncio.shield` if there are several. Its error is theirs; one that
    was never retrieved goes to the loop's exception handler."""
    return asyncio.create_task(work)


async def first_ended(*works: Work[None]) -> None:
    """Runs them side by side until one has ended, and cancels the others. If several raise, raises the error of the one
    that comes first in the arguments."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


async def _uncancelled(work: Work[T]) -> T:
    """Raises Cancelled if the work was cancelled from inside."""
    try:
        return await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise Cancelled("a cancellation from inside") from error
        raise
