"""Where the tools print: nothing is highlighted, cut or wrapped, and a reader that goes away ends the tool cleanly."""

import os
import signal
import sys

from rich.console import Console


class Terminal(Console):
    """A Console that ends the tool as Ctrl-C does when nobody reads its output any more: `scripts/run | head`."""

    def __init__(self) -> None:
        super().__init__(highlight=False, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        os.kill(os.getpid(), signal.SIGTERM)
