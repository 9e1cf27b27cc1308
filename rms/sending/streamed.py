"""A viewer as a streamed response, for servers that can't hand over their sockets: the same log and offsets, but a task
for each viewer."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from rms.clocks import wall_ms
from rms.feed.byte_log import EditionOffset
from rms.feed.entry import Attach
from rms.feed.sse import HEARTBEAT, heartbeat_event
from rms.sending.audience import Audience


async def stream_from(
    audience: Audience,
    head: bytes,
    offset: EditionOffset,
    resume: Callable[[bytes | None], Awaitable[tuple[Audience, Attach[EditionOffset]]]],
    chunk_bytes: int,
    heartbeat_s: float,
) -> AsyncGenerator[bytes, None]:
    """The body of the response, without end: `head`, then the audience's log from `offset` on.

    resume: finds the audience in whose log a viewer goes on that has fallen off its own, and where.
    """
    grown = asyncio.Event()
    audience.waiters.add(grown)
    heartbeat = heartbeat_event(round(heartbeat_s * 1000)) if audience.form.beat_events else HEARTBEAT
    log, edition = audience.log, audience.edition
    stood_at = edition.text_at(offset)  # kept: once the log has dropped the offset, it is known no longer
    try:
        yield head
        while True:
            grown.clear()
            edition.update(wall_ms())
            while offset < log.end:
                if offset < log.base and (moved := edition.moved(offset)) is not None:
                    offset = moved
                    continue
                if offset < log.base:
                    audience.waiters.discard(grown)
                    audience, (private, offset, _) = await resume(stood_at)
                    audience.waiters.add(grown)
                    log, edition = audience.log, audience.edition
                    stood_at = edition.text_at(offset)
                    if private:
                        yield private
                    continue
                chunk = log.read(offset, chunk_bytes)
                offset, rest = log.rest_of_frame(offset, len(chunk))
                stood_at = edition.text_at(offset)
                yield chunk + rest
            try:
                await asyncio.wait_for(grown.wait(), heartbeat_s)
            except TimeoutError:
                yield edition.aside(heartbeat)
    finally:
        audience.waiters.discard(grown)
