"""Bounds the log: a stranger who finds out what is logged mustn't fill the disk with it.

Of each kind of warning or error at most so many lines are written in a second. The others are counted, and one line
says how many of which kind were left out. The service's own lines below a warning aren't bounded: operators cause them,
and some tell who has erased what.
"""

import contextvars
import logging
import threading
from collections import Counter
from typing import TextIO

import structlog

log = structlog.stdlib.get_logger()

LEFT_OUT = "log lines left out"
KINDS_MAX = 100
"""kinds counted apart in one second: our own are some 60, and a library may make up any number; all others are one"""
TELL_AFTER_S = 1.0
"""A flood that ends is told so much later, when no other line comes: it was counted for a second."""


class BoundedHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream at most `lines_per_s_max` lines of one kind in a second of the records' own clock."""

    def __init__(self, stream: TextIO, lines_per_s_max: int) -> None:
        self._lines_per_s_max = lines_per_s_max
        self._second: int | None = None
        self._lines: Counter[str] = Counter()
        self._timer: threading.Timer | None = None
        super().__init__(stream)

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging, with this handler's lock, which a thread may take again."""
        kind, ours = _kind(record)
        if kind == LEFT_OUT or (ours and record.levelno < logging.WARNING):
            super().emit(record)
            return
        second = int(record.created)
        if second != self._second:
            self.tell_left_out()
            self._second = second
        if kind not in self._lines and len(self._lines) >= KINDS_MAX:
            kind = "others"
        self._lines[kind] += 1
        if self._lines[kind] <= self._lines_per_s_max:
            super().emit(record)
        elif self._timer is None:
            self._timer = threading.Timer(TELL_AFTER_S, contextvars.copy_context().run, (self.tell_left_out,))
            self._timer.daemon = True
            self._timer.start()

    def tell_left_out(self) -> None:
        """Says what was left out since the last time."""
        self.acquire()
        try:
            lines, self._lines, timer, self._timer = self._lines, Counter(), self._timer, None
            if timer is not None:
                timer.cancel()
            for kind, count in lines.items():
                if count > self._lines_per_s_max:
                    log.warning(LEFT_OUT, lines=count - self._lines_per_s_max, of=kind)
        finally:
            self.release()

    def close(self) -> None:
        """Called by logging at the process's end."""
        self.tell_left_out()
        super().close()


def _kind(record: logging.LogRecord) -> tuple[str, bool]:
    """What the lines of a flood have in common: our event, or a library's message before its values are put in; and
    whether it is ours"""
    if isinstance(record.msg, dict):
        return str(record.msg.get("event")), True
    return f"{record.name}: {record.msg}"[:200], False
