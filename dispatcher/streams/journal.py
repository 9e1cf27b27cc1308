"""The log of what peers do. Anybody can connect and misbehave a thousand times a second; the log stays readable."""

from collections.abc import Callable

import structlog


class Journal:
    """At most `lines_per_s_max` lines in a second; then one line says how many were left out."""

    def __init__(self, lines_per_s_max: int, now_ms: Callable[[], int]) -> None:
        self._log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger()
        self._lines_per_s_max = lines_per_s_max
        self._now_ms = now_ms
        self._second = 0
        self._lines = 0

    def note(self, event: str, **facts: object) -> None:
        self.close_second()
        self._lines += 1
        if self._lines <= self._lines_per_s_max:
            self._log.info(event, **facts)

    def close_second(self) -> None:
        """Says what was left out, once the second is over. Call it now and then, also when nothing happens."""
        second = self._now_ms() // 1000
        if second == self._second:
            return
        left_out = self._lines - self._lines_per_s_max
        self._second, self._lines = second, 0
        if left_out > 0:
            self._log.warning("log lines left out", lines=left_out)
