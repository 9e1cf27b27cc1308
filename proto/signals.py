"""How a service is told to end: SIGTERM from its supervisor, SIGINT from a person."""

import asyncio
import signal
from collections.abc import Callable


def on_stop_signals(stop: Callable[[], object]) -> None:
    """Calls `stop` on SIGTERM and SIGINT, in the running loop. A second signal of the same kind ends at once."""
    loop = asyncio.get_running_loop()

    def first(number: signal.Signals) -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first, number)
