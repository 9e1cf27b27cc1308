"""scripts/topology: what the dispatcher replicas know, for operators: nodes, videos, where a video is, replicas."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dispatcher.config import TOPOLOGY
from dispatcher.survey import NodeRow, ReplicaRow, Survey, VideoRow, plain, survey
from proto.dispatch_pb2 import TopologyRequest
from proto.settings import Addresses

EXIT_UNREACHABLE = 3
EXIT_NOT_FOUND = 4

EXIT_CODES = (
    "Exit codes: 0 done; 2 wrong usage; 3 a replica can't be reached (the others' answers are shown); 4 not found."
)

app = typer.Typer(
    help="What the dispatcher replicas know: which nodes are connected, and which videos they serve.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _check_addresses(value: str | None) -> str | None:
    try:
        return value and TypeAdapter(Addresses).validate_python(value)
    except ValidationError:
        raise typer.BadParameter(f"{value!r} is not host:port, or several with commas between") from None


def _check_video(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:~-]{1,128}", value):
        raise typer.BadParameter(f"{value!r} is no video id: 1 to 128 of A-Z a-z 0-9 _ . : ~ -")
    return value


@dataclass(frozen=True, slots=True)
class Options:
    """May stand before the command or behind it; behind wins."""

    dispatchers: str
    as_json: bool
    timeout_ms: int

    def ask(self, request: TopologyRequest) -> Survey:
        return survey(self.dispatchers.split(","), request, self.timeout_ms)


Dispatchers = Annotated[
    str | None,
    typer.Option(
        help=f"the replicas: host:port, several with commas between; LIVECOMMENTS_DISPATCHERS if not given, "
        f"else {TOPOLOGY.dispatchers}",
        callback=_check_addresses,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON object instead of a table; durations in milliseconds")]
TimeoutMs = Annotated[
    int | None,
    typer.Option(min=1, help=f"how many milliseconds each replica may take; {TOPOLOGY.timeout_ms} if not given"),
]


@app.callback()
def before_the_command(
    context: typer.Context, dispatchers: Dispatchers = None, as_json: Json = False, timeout_ms: TimeoutMs = None
) -> None:
    assumed = _check_addresses(os.environ.get("LIVECOMMENTS_DISPATCHERS")) or TOPOLOGY.dispatchers
    context.obj = Options(dispatchers or assumed, as_json, timeout_ms or TOPOLOGY.timeout_ms)


@app.command(epilog=EXIT_CODES)
def nodes(
    context: typer.Context, dispatchers: Dispatchers = None, as_json: Json = False, timeout_ms: TimeoutMs = None
) -> None:
    """The connected nodes, with their load and what they have yet to acknowledge."""
    options = _options(context, dispatchers, as_json, timeout_ms)
    found = options.ask(TopologyRequest())
    if options.as_json:
        _print_json(found, nodes=plain(found.nodes()))
    elif found.answers:
        Console().print(_node_table(found.nodes(), found))
    _end(found)


@app.command(epilog=EXIT_CODES)
def videos(
    context: typer.Context,
    top: Annotated[int, typer.Option(min=1, help="how many, by viewers")] = TOPOLOGY.videos,
    dispatchers: Dispatchers = None,
    as_json: Json = False,
    timeout_ms: TimeoutMs = None,
) -> None:
    """The videos with the most viewers, and the nodes that serve them."""
    options = _options(context, dispatchers, as_json, timeout_ms)
    found = options.ask(TopologyRequest(videos_max=top))
    rows = found.videos()[:top]
    total = max((answer.videos_total for _, answer in found.answers), default=0)
    if options.as_json:
        _print_json(found, videos=plain(rows), videos_total=total)
    elif found.answers:
        Console().print(_video_table(rows, found, caption=f"{len(rows)} of {total}"))
    _end(found)


@app.command(epilog=EXIT_CODES)
def where(
    context: typer.Context,
    video: Annotated[str, typer.Argument(help="the live video's id", callback=_check_video)],
    dispatchers: Dispatchers = None,
    as_json: Json = False,
    timeout_ms: TimeoutMs = None,
) -> None:
    """Which nodes serve a video. Exit code 4: none does, so far as every replica knows."""
    options = _options(context, dispatchers, as_json, timeout_ms)
    found = options.ask(TopologyRequest(video_id=video))
    rows = found.videos()
    if options.as_json:
        _print_json(found, video=plain(rows)[0] if rows else None, nodes=plain(found.nodes()))
    elif rows:
        Console().print(_video_table(rows, found), "", _node_table(found.nodes(), found), sep="\n")
    elif found.answers:
        Console(stderr=True).print(f"no node serves {video}: nobody watches it")
    _end(found, missing=not rows)


@app.command(epilog=EXIT_CODES)
def replicas(
    context: typer.Context, dispatchers: Dispatchers = None, as_json: Json = False, timeout_ms: TimeoutMs = None
) -> None:
    """The replicas, and which nodes one of them misses that another one knows."""
    options = _options(context, dispatchers, as_json, timeout_ms)
    found = options.ask(TopologyRequest())
    if options.as_json:
        _print_json(found, replicas=plain(found.replicas()))
    elif found.answers:
        Console().print(_replica_table(found.replicas()))
    _end(found)


def _options(context: typer.Context, dispatchers: str | None, as_json: bool, timeout_ms: int | None) -> Options:
    before: Options = context.obj
    return Options(
        dispatchers=dispatchers or before.dispatchers,
        as_json=as_json or before.as_json,
        timeout_ms=timeout_ms or before.timeout_ms,
    )


def _print_json(found: Survey, **parts: object) -> None:
    print(json.dumps({**parts, "unreachable": plain(found.unreachable)}, indent=2))  # noqa: T201 # it is the answer


def _end(found: Survey, *, missing: bool = False) -> None:
    """Says which replicas are away, and ends with the exit code that scripts look at."""
    for away in found.unreachable:
        Console(stderr=True, soft_wrap=True).print(Text(f"replica {away.address}: {away.reason}", style="bold red"))
    if found.unreachable:
        raise typer.Exit(EXIT_UNREACHABLE)
    if missing:
        raise typer.Exit(EXIT_NOT_FOUND)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str | None = None) -> Table:
    """The first column is a name, columns that begin with # are numbers."""
    table = Table(caption=caption, caption_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        number = column.startswith("#")
        table.add_column(column.lstrip("#"), justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _node_table(rows: Sequence[NodeRow], found: Survey) -> Table:
    columns = ("node", "url", "state", "#viewers", "#load", "#videos", "#up", "#heard", "#queued", "#unacked")
    return _table(
        (*columns, "#replicas"),
        (
            (
                row.node_id,
                row.public_url,
                row.state,
                f"{row.viewers:,}",
                f"{row.viewers / row.capacity_viewers:.0%}" if row.capacity_viewers else "-",
                f"{row.videos:,}",
                duration(row.connected_ms),
                duration(row.heard_ms_ago),
                f"{row.outbox_comments:,}",
                f"{row.unacked_comments:,}",
                f"{len(row.replicas)} of {len(found.answers)}",
            )
            for row in rows
        ),
        caption=None if rows else "no node is connected",
    )


def _video_table(rows: Sequence[VideoRow], found: Survey, caption: str | None = None) -> Table:
    return _table(
        ("video", "#viewers", "#nodes", "#replicas", "served by"),
        (
            (
                row.video_id,
                f"{row.viewers:,}",
                str(len(row.node_ids)),
                f"{len(row.replicas)} of {len(found.answers)}",
                " ".join(row.node_ids),
            )
            for row in rows
        ),
        caption,
    )


def _replica_table(rows: Sequence[ReplicaRow]) -> Table:
    return _table(
        ("replica", "address", "#up", "#nodes", "#videos", "#viewers", "#unacked", "misses"),
        (
            (
                row.replica_id,
                row.address,
                duration(row.uptime_ms),
                str(row.nodes),
                f"{row.videos:,}",
                f"{row.viewers:,}",
                f"{row.unacked_comments:,}",
                " ".join(row.missing_nodes) or "-",
            )
            for row in rows
        ),
    )


def duration(ms: int) -> str:
    """Two digits that matter: 420 ms, 3.2 s, 5 min, 7.5 h, 12 d"""
    for unit, size, below in (("ms", 1, 1000), ("s", 1000, 120_000), ("min", 60_000, 7_200_000)):
        if ms < below:
            return f"{ms / size:.3g} {unit}" if unit == "s" else f"{ms // size} {unit}"
    return f"{ms / 3_600_000:.3g} h" if ms < 48 * 3_600_000 else f"{ms // 86_400_000} d"


if __name__ == "__main__":
    app()
