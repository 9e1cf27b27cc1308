"""Logs what peers do, at a bounded rate: anybody can connect and misbehave a thousand times a second."""

from collections.abc import Callable

import structlog


class Journal:
    """At most `lines_per_s_max` lines in a second; then one line says how many were left out."""

    def __init__(self, lines_per_s_max: int, now_ms: Callable[[], int]) -> None:
        self._log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger()
        self._lines_per_s_max = lines_per_s_max
        self._now_ms = now_ms
        self._second: int | None = None
        self._lines = 0

    def note(self, event: str, **facts: object) -> None:
        if self._has_room():
            self._log.info(event, **facts)

    def failed(self, event: str, error: Exception, **facts: object) -> None:
        """An error of ours, with its traceback"""
        if self._has_room():
            self._log.error(event, reason=repr(error), exc_info=error, **facts)

    def close_second(self) -> None:
        """Says what was left out, once the second is over. Call it now and then, also when nothing happens."""
        second = self._now_ms() // 1000
        if second == self._second:
            return
        left_out = self._lines - self._lines_per_s_max
        self._second, self._lines = second, 0
        if left_out > 0:
            self._log.warning("log lines left out", lines=left_out)

    def _has_room(self) -> bool:
        self.close_second()
        self._lines += 1
        return self._lines <= self._lines_per_s_max
