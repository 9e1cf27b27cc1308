"""A viewer that is answered with JSON, for proxies that hold streams back: the same log and offsets as a stream's. Each
answer says from which position on the next one is wanted; between two of them nothing is kept of a viewer."""

import asyncio
from collections.abc import Callable

from rms.clocks import wall_ms
from rms.feed.byte_log import EditionOffset
from rms.feed.entry import Attach
from rms.feed.polled import Answer, Answers, PolledEvent
from rms.sending.audience import Audience


async def answer_from(
    answers: Answers,
    audience: Audience,
    position: str,
    entered: Attach[EditionOffset],
    wait_s: float,
    bytes_max: int,
    woken: asyncio.Event,
    is_over: Callable[[], bool],
) -> Answer:
    """The events for a viewer that has entered there: at once if there are some, else when there are, or after wait_s.

    audience: of chunks, not gzipped. position: what the viewer has; empty: it is new, and what it enters with has one.
    woken: to be set when `is_over` may have become true; then what there is is answered, which may be nothing.
    """
    log, edition = audience.log, audience.edition
    now_s = asyncio.get_running_loop().time
    due_s = now_s() + wait_s
    private, offset, _ = entered
    carried: list[PolledEvent] = []
    has_waited = False
    audience.waiters.add(woken)
    try:
        while True:
            woken.clear()
            edition.update(wall_ms())
            if offset < log.base:  # it asks again, and goes on out of history
                return Answer([], position, more=True)
            chunk = log.read(offset, bytes_max)
            end, rest = log.rest_of_frame(offset, len(chunk))
            answer = answers.of(private + chunk + rest, position, bytes_max)
            # A gap moves no position, so that one that comes with the first look is told again with each answer until
            # somebody says something: it waits for others, or the viewer would ask without a pause.
            is_news = bool(answer.events) and (answer.position != position or has_waited)
            answer.events[:0] = carried
            answer.more = answer.more or end < log.end
            left_s = due_s - now_s()
            if is_news or answer.more or left_s <= 0 or is_over():
                return answer
            private, offset, position, carried = b"", end, answer.position, answer.events
            has_waited = True
            try:
                await asyncio.wait_for(woken.wait(), left_s)
            except TimeoutError:
                continue
    finally:
        audience.waiters.discard(woken)
