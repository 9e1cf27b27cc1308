"""What a connection waits for, and until when; and one timer for whatever is due.

What the client owes, and until when (`Phase`):

| phase | what is waited for | limit | then |
|---|---|---|---|
| IDLE | a first byte | `head_timeout_s` before the first request, `keep_alive_s` after a response | closed |
| HEAD | the rest of a head | `head_timeout_s`, `head_bytes_max`, `headers_max` | closed; 431 |
| BODY | the rest of a body | the app's own, which reads it | |
| ANSWERING | our response | the app's own | |
| SKIPPING | the rest of a body that has its response already | `head_timeout_s`, `DISCARDED_BYTES_MAX` | closed |
| LINGERING | the client's end, after a last response | `LINGER_S`, `DISCARDED_BYTES_MAX` | closed |

In every phase a client must go on taking what was written: if it takes nothing for `send_timeout_s` while we wait for
it, the connection is cut.
"""

import asyncio
import math
from enum import Enum, auto


class Phase(Enum):
    """What the connection waits for; the table above says until when."""

    IDLE = auto()
    HEAD = auto()
    BODY = auto()
    ANSWERING = auto()
    SKIPPING = auto()
    LINGERING = auto()
    CLOSED = auto()


class Timed(asyncio.Protocol):
    """A connection that ends when its client is late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, send_timeout_s: float) -> None:
        self.write_paused = False
        self._loop = loop
        self._send_timeout_s = send_timeout_s
        self._transport: asyncio.Transport
        self._phase = Phase.IDLE
        self._timer: asyncio.TimerHandle | None = None
        self._rings_s = math.inf  # when it rings
        self._due_s = math.inf  # when what the phase waits for is overdue, by the loop's clock
        self._send_due_s = math.inf  # when the client must have taken something more of what was written
        self._unsent = 0  # bytes that it had not taken when that was set
        self._writable = asyncio.Event()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._writable.clear()
        self._expect_progress()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._send_due_s = math.inf
        self._writable.set()

    def abort(self) -> None:
        self._transport.abort()

    def _cut(self) -> None:
        """Ends the connection at once, whatever is still to be written or read."""
        self._phase = Phase.CLOSED
        self.abort()

    def _close(self) -> None:
        """Closes it once the client has taken what was written; one that takes nothing is cut off."""
        self._phase, self._due_s = Phase.CLOSED, math.inf
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._expect_progress()

    def _enter(self, phase: Phase, limit_s: float) -> None:
        self._phase = phase
        if limit_s == math.inf:
            self._due_s = math.inf
        else:
            self._due_s = due_s = self._loop.time() + limit_s
            if due_s < self._rings_s:
                self._set_timer()

    def _expect_progress(self) -> None:
        self._unsent = self._transport.get_write_buffer_size()
        self._send_due_s = self._loop.time() + self._send_timeout_s
        self._set_timer()

    def _set_timer(self) -> None:
        """A timer that rings too early stays as it is: most times are put off before they come, and a timer for each
        would cost."""
        due_s = min(self._due_s, self._send_due_s)
        if due_s < self._rings_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._rings_s = self._loop.call_at(due_s, self._ring), due_s

    def _ring(self) -> None:
        self._timer, self._rings_s = None, math.inf
        now_s = self._loop.time()
        if self._send_due_s <= now_s:
            unsent = self._transport.get_write_buffer_size()
            if unsent >= self._unsent:
                self.abort()
                return
            self._expect_progress()
        if self._due_s > now_s:
            self._set_timer()
        elif self._phase is Phase.LINGERING and not self._transport.get_write_buffer_size():
            self.abort()
        else:
            self._close()

    def _stop(self) -> None:
        """The connection is lost."""
        self._phase = Phase.CLOSED
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
