"""Posts a chat log through the public API at its own pace, and checks what viewers get of it: scripts/replay."""

import asyncio
import contextlib
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import aiohttp
import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from history.core.model import InvalidVideoId, check_video_id
from scripts.audience import Audience, judge
from scripts.chat_log import BadLine, Entry, read
from scripts.config import POST, REPLAY
from scripts.posting import Acknowledged, GaveUp, Poster
from scripts.replay_report import Report, Tally
from scripts.sse_client import Refused

USAGE, FAILED = 2, 1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


@app.command()
def main(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON lines with t (seconds), user, text")],
    video: Annotated[str, typer.Option(help="the live video to post to")] = "demo",
    speed: Annotated[float, typer.Option(min=0.001, help="how many times faster than the log")] = 1.0,
    viewers: Annotated[int, typer.Option(min=0, help="number of SSE viewers to open first")] = 0,
    verify: Annotated[
        bool, typer.Option("--verify", help="print at the end what the viewers lost; needs --viewers")
    ] = False,
    base: Annotated[str, typer.Option(help="URL of a comment_service")] = "http://localhost:8000",
    limit: Annotated[int | None, typer.Option(min=1, help="post only this many lines, the first ones")] = None,
    settle_s: Annotated[
        float, typer.Option(min=0, help="seconds that viewers may need for the last comments")
    ] = REPLAY.settle_s,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object in place of the summary")] = False,
) -> None:
    """Posts a chat log at its own pace times --speed, one comment a line, with as many concurrent requests as needed.

    Lines with the same t are spread evenly up to the next t, because many logs know only whole minutes. After lost
    connections, 5xx and 429 it retries with the same Idempotency-Key. --verify counts only the acknowledged comments of
    this run. It prints how many were lost (acknowledged, never read), doubled (read twice by one viewer) and disordered
    (read after a larger id), and the time from when a comment was due until a viewer had read it.

    Exit codes: 0 no comment was lost (lines that the service refuses are counted, and are no failure); 1 a comment was
    lost or doubled, or couldn't be posted; 2 wrong arguments, or no answer at --base.
    """
    if verify and not viewers:
        _give_up("--verify needs viewers: add --viewers 20")
    try:
        check_video_id(video)
    except InvalidVideoId as wrong:
        _give_up(f"--video: {wrong}")
    with file.open("rb") as lines:
        entries, bad = read(lines, limit)
    if not entries:
        _give_up(f"{file}: no line of it is a comment" + (f"; line {bad[0].line}: {bad[0].reason}" if bad else ""))
    try:
        report = asyncio.run(_run(entries, bad, base.rstrip("/"), video, speed, viewers, verify, settle_s))
    except (Refused, aiohttp.ClientError, TimeoutError) as error:
        _give_up(str(error) or "the viewers could not connect in time")
    except KeyboardInterrupt:
        print("replay: interrupted", file=sys.stderr)
        raise typer.Exit(130) from None
    print(msgspec.json.encode(report.for_programs()).decode() if as_json else "\n".join(report.for_people()))
    raise typer.Exit(FAILED if report.failed else 0)


async def _run(
    entries: list[Entry],
    bad: list[BadLine],
    base: str,
    video: str,
    speed: float,
    viewers: int,
    verify: bool,
    settle_s: float,
) -> Report:
    tally = Tally(refused=Counter("not a comment" for _ in bad))
    audience = Audience(f"{base}/comments/{video}", viewers)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        await _check_base(session, base)
        if viewers:
            await stack.enter_async_context(audience.watching(REPLAY.connect_timeout_s))
        started_s = time.monotonic()
        with _progress(len(entries) + len(bad), tally) as show:
            await _post_all(entries, Poster(session, base, video), speed, tally, show)
        took_s = time.monotonic() - started_s
        await audience.wait_for(set(tally.due_at_s), settle_s)
    verdict = judge(audience.records, tally.due_at_s) if verify else None
    return Report(tally, verdict, viewers, audience.reconnects, took_s)


async def _check_base(session: aiohttp.ClientSession, base: str) -> None:
    try:
        async with session.get(f"{base}/health/live", timeout=aiohttp.ClientTimeout(total=POST.answer_timeout_s)):
            return
    except (aiohttp.ClientError, TimeoutError) as error:
        raise aiohttp.ClientError(f"nobody answers at {base}: {error}. scripts/run starts the whole system.") from error


async def _post_all(entries: list[Entry], poster: Poster, speed: float, tally: Tally, show: Callable[[], None]) -> None:
    """Posts each entry at its time, even if earlier ones are under way. So slowness shows only in the latencies."""
    run = uuid.uuid4().hex
    slots = asyncio.Semaphore(POST.in_flight_max)
    started_s = time.monotonic()

    async def post(entry: Entry, due_at_s: float) -> None:
        try:
            outcome = await poster.post(entry.user, entry.text, f"replay-{run}-{entry.line}")
        except GaveUp as error:
            tally.failed[str(error)] += 1
        else:
            if isinstance(outcome, Acknowledged):
                tally.due_at_s[outcome.comment_id] = due_at_s
                tally.answer_ms.append((time.monotonic() - due_at_s) * 1000)
                tally.retries += outcome.tries - 1
            else:
                tally.refused[outcome.code] += 1
        finally:
            slots.release()
            show()

    async with asyncio.TaskGroup() as group:
        for entry in entries:
            due_at_s = started_s + entry.due_s / speed
            await asyncio.sleep(max(0.0, due_at_s - time.monotonic()))
            await slots.acquire()
            tally.posted += 1
            group.create_task(post(entry, due_at_s))


@contextlib.contextmanager
def _progress(total: int, tally: Tally) -> Iterator[Callable[[], None]]:
    """A progress bar on a terminal, a line every few seconds elsewhere. On stderr, so stdout has only the result."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_progress(total, tally)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("posting", total=total)
        yield lambda: bar.update(
            task,
            completed=tally.done,
            description=f"acknowledged {len(tally.due_at_s)}, refused {tally.refused.total()}",
        )


def _plain_progress(total: int, tally: Tally) -> Callable[[], None]:
    next_at_s = time.monotonic() + REPLAY.progress_every_s

    def show() -> None:
        nonlocal next_at_s
        if time.monotonic() >= next_at_s:
            next_at_s = time.monotonic() + REPLAY.progress_every_s
            print(f"replay: {tally.done} of {total}", file=sys.stderr, flush=True)

    return show


def _give_up(reason: str) -> NoReturn:
    print(f"replay: {reason}", file=sys.stderr)
    raise typer.Exit(USAGE)


if __name__ == "__main__":
    app(prog_name="scripts/replay")
