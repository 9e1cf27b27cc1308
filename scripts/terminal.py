"""Prints the tools' output without highlighting or wrapping, and ends a tool cleanly when its reader goes away."""

import io
import os
import signal
import sys

from rich.console import Console


class Terminal(Console):
    """A Console that ends the tool with SIGTERM when nobody reads its output any more, as in `scripts/run | head`."""

    def __init__(self) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal that knows no emoji shows a "?", and goes on
        super().__init__(highlight=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        os.kill(os.getpid(), signal.SIGTERM)
