"""Ends a service on SIGTERM (from its supervisor) and SIGINT (from a person)."""

import asyncio
import signal
from collections.abc import Callable


def on_stop_signals(stop: Callable[[], object]) -> None:
    """Calls `stop` in the running loop on the first SIGTERM or SIGINT. A second one of a kind ends the process."""
    loop = asyncio.get_running_loop()

    def first(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first, number)
