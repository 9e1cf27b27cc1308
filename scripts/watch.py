"""Shows a live video's comments on the terminal, and posts typed lines: scripts/watch."""

import asyncio
import contextlib
import os
import signal
import threading
import time
import unicodedata
import uuid
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated

import aiohttp
import msgspec
import typer
from rich.console import Console
from rich.text import Text

from history.core.model import InvalidVideoId, check_video_id
from proto.tasks import first_ended, shared
from scripts.config import WATCH
from scripts.posting import GaveUp, Poster, Refusal
from scripts.sse_client import Event, Phase, Refused, SseClient, State
from scripts.terminal import Terminal

AUTHOR_COLORS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red", "bright_cyan", "bright_magenta")
JOINERS = "\u200c\u200d"
"""Invisible characters that ordinary words (Persian) and emoji (families) contain"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command()
def main(
    video: Annotated[str, typer.Argument(help="the live video's id")],
    base: Annotated[str, typer.Option(help="URL of a comment_service")] = "http://localhost:8000",
    name: Annotated[str, typer.Option(help="also post: each typed line is a comment under this name")] = "",
) -> None:
    """Shows a live video's last comments, then new ones as they arrive. Reconnects by itself after a cut.

    Ctrl-C ends it, with exit code 0. Exit code 2: the server refuses this video for good.
    """
    console = Terminal()
    try:
        check_video_id(video)
        asyncio.run(_watch(base.rstrip("/"), video, name, console))
    except (InvalidVideoId, Refused) as error:
        console.print(Text(harmless(str(error)), style="bold red"))
        raise typer.Exit(2) from None


def harmless(text: str) -> str:
    """The text as one line, without anything that a terminal would interpret.

    A line break becomes a space. Control characters (escape sequences begin with one), invisible format characters and
    direction overrides become U+FFFD; the last two could make a text look like another.
    """
    return "".join(
        " "
        if char in "\n\r\t\u2028\u2029"
        else "\ufffd"
        if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in JOINERS
        else char
        for char in text
    )


async def _watch(base: str, video: str, name: str, console: Console) -> None:
    """Returns on SIGINT or SIGTERM. Raises Refused."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        works = [_follow(session, f"{base}/comments/{video}", console)]
        if name:
            works.append(_post_lines(Poster(session, base, video), name, console))
        watching = shared(first_ended(*works))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, watching.cancel)
        try:
            await watching
        except asyncio.CancelledError:
            console.print()


async def _follow(session: aiohttp.ClientSession, url: str, console: Console) -> None:
    client = SseClient(session, url, on_state=lambda state: _show_state(state, console))
    shown = Shown()
    async with aclosing(client.events()) as events:
        async for event in events:
            for line in render(event, shown):
                console.print(line)


class Shown:
    """Remembers the ids that were shown last, because a resumed stream may send some of them again."""

    def __init__(self, ids_max: int = WATCH.shown_max) -> None:
        self._ids: dict[str, None] = {}  # in the order of arrival
        self._ids_max = ids_max

    def add(self, comment_id: str) -> bool:
        """Returns False if the id was there already."""
        if comment_id in self._ids:
            return False
        self._ids[comment_id] = None
        if len(self._ids) > self._ids_max:
            del self._ids[next(iter(self._ids))]
        return True


class _Author(msgspec.Struct):
    name: str


class _Comment(msgspec.Struct, rename="camel"):
    id: str
    author: _Author
    message: str
    created_at: int


def render(event: Event, shown: Shown) -> list[Text]:
    """A comment as one line: time, author, message. Nothing if it was shown before. A gap gets a line, too."""
    if event.name == "gap":
        return [Text("some comments could not be shown", style="yellow")]
    if event.name != "message":
        return []
    comment = msgspec.json.decode(event.data, type=_Comment)
    if not shown.add(comment.id):
        return []
    author = harmless(comment.author.name)
    return [
        Text.assemble(
            (time.strftime("%H:%M:%S", time.localtime(comment.created_at / 1000)), "dim"),
            "  ",
            (author, AUTHOR_COLORS[zlib.crc32(author.encode()) % len(AUTHOR_COLORS)]),
            "  ",
            harmless(comment.message),
        )
    ]


def _show_state(state: State, console: Console) -> None:
    match state.phase:
        case Phase.LIVE:
            console.print(Text("live", style="dim green"))
        case Phase.WAITING:
            console.print(Text(f"{harmless(state.reason)}; trying again in {state.wait_s:.1f} s", style="dim yellow"))


async def _post_lines(poster: Poster, name: str, console: Console) -> None:
    """Posts each line of standard input, one after another, until it ends."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    # In a thread, because standard input can be a file, which an event loop can't wait for. It ends with the process.
    threading.Thread(
        target=_read_stdin, args=(lambda line: loop.call_soon_threadsafe(lines.put_nowait, line),), daemon=True
    ).start()
    while True:
        message = (await lines.get()).strip()
        if not message:
            continue
        try:
            outcome = await poster.post(name, message, uuid.uuid4().hex)
        except GaveUp as error:
            console.print(Text(f"not posted: {harmless(str(error))}", style="bold red"))
        else:
            if isinstance(outcome, Refusal):
                console.print(Text(f"refused: {harmless(outcome.message)}", style="bold red"))


def _read_stdin(take: Callable[[str], object]) -> None:
    rest = b""
    at_start = True
    with contextlib.suppress(RuntimeError):  # the loop is closed
        while chunk := os.read(0, 65536):  # not sys.stdin: this thread would hold its lock at exit
            *lines, rest = (rest + (chunk.removeprefix(BOM_UTF8) if at_start else chunk)).split(b"\n")
            at_start = False
            for line in lines:
                take(line.decode(errors="replace"))
        take(rest.decode(errors="replace"))


if __name__ == "__main__":
    app(prog_name="scripts/watch")
