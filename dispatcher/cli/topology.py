"""scripts/topology: shows what the dispatcher replicas know, and drains nodes. The commands, and their exit codes."""

import asyncio
import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from dispatcher.cli.drain import Drained
from dispatcher.cli.drain import drain as drain_node
from dispatcher.cli.explain import explain as explain_video
from dispatcher.cli.live import print_tail, print_watch, watched
from dispatcher.cli.options import (
    Dispatchers,
    Json,
    NodeName,
    Options,
    TimeoutMs,
    TlsFiles,
    Video,
    check_addresses,
    check_duration,
    milliseconds,
    options_of,
    read_tls,
)
from dispatcher.cli.survey import Survey, Unreachable, ask_all, plain
from dispatcher.cli.tables import hop_table, node_table, replica_table, video_table
from dispatcher.clocks import block_s
from dispatcher.config import TOPOLOGY
from proto.dispatch_pb2 import DrainRequest, ExplainRequest, TopologyRequest

EXIT_UNREACHABLE = 3
EXIT_NOT_FOUND = 4
EXIT_TROUBLE = 5

EXIT_CODES = (
    "Exit codes: 0 done; 2 wrong usage; 3 a replica can't be reached (the others are shown); 4 not found; "
    "5 not as it should be."
)

app = typer.Typer(
    help="What the dispatcher replicas know: which nodes are connected, and which videos they serve.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def before_the_command(
    context: typer.Context,
    dispatchers: Dispatchers = None,
    as_json: Json = False,
    timeout_ms: TimeoutMs = None,
    tls: TlsFiles = None,
) -> None:
    assumed = check_addresses(os.environ.get("LIVECOMMENTS_DISPATCHERS")) or TOPOLOGY.dispatchers
    context.obj = Options(
        dispatchers or assumed,
        as_json,
        timeout_ms or TOPOLOGY.timeout_ms,
        read_tls(tls or os.environ.get("LIVECOMMENTS_TLS")),
    )


@app.command(epilog=EXIT_CODES)
def nodes(
    context: typer.Context, dispatchers: Dispatchers = None, as_json: Json = False, timeout_ms: TimeoutMs = None
) -> None:
    """The connected nodes, with their load and what they have yet to acknowledge."""
    options = options_of(context, dispatchers, as_json, timeout_ms)
    found = options.ask(TopologyRequest())
    if options.as_json:
        _print_json(found, nodes=plain(found.nodes()))
    elif found.responses:
        Console().print(node_table(found.nodes(), found))
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
    options = options_of(context, dispatchers, as_json, timeout_ms)
    found = options.ask(TopologyRequest(videos_max=top))
    rows = found.videos()[:top]
    total = max((response.videos_total for _, response in found.responses), default=0)
    if options.as_json:
        _print_json(found, videos=plain(rows), videos_total=total)
    elif found.responses:
        Console().print(video_table(rows, found, caption=f"{len(rows)} of {total}"))
    _end(found)


@app.command(epilog=EXIT_CODES)
def where(
    context: typer.Context,
    video: Video,
    dispatchers: Dispatchers = None,
    as_json: Json = False,
    timeout_ms: TimeoutMs = None,
) -> None:
    """Which nodes serve a video. Exit code 4: none does, so far as every replica knows."""
    options = options_of(context, dispatchers, as_json, timeout_ms)
    found = options.ask(TopologyRequest(video_id=video))
    rows = found.videos()
    if options.as_json:
        _print_json(found, video=plain(rows)[0] if rows else None, nodes=plain(found.nodes()))
    elif rows:
        Console().print(video_table(rows, found), "", node_table(found.nodes(), found), sep="\n")
    elif found.responses:
        Console(stderr=True).print(f"no node serves {video}: nobody watches it")
    _end(found, missing=not rows)


@app.command(epilog=EXIT_CODES)
def replicas(
    context: typer.Context, dispatchers: Dispatchers = None, as_json: Json = False, timeout_ms: TimeoutMs = None
) -> None:
    """The replicas, and where they disagree: nodes that one misses, states, numbers of videos."""
    options = options_of(context, dispatchers, as_json, timeout_ms)
    found = options.ask(TopologyRequest())
    if options.as_json:
        _print_json(found, replicas=plain(found.replicas()))
    elif found.responses:
        Console().print(replica_table(found.replicas()))
    _end(found)


@app.command(epilog=EXIT_CODES)
def explain(
    context: typer.Context,
    video: Video,
    dispatchers: Dispatchers = None,
    as_json: Json = False,
    timeout_ms: TimeoutMs = None,
) -> None:
    """Would a viewer of the video get a comment now? Every hop, its age, its last acknowledgement.

    Exit code 4: nobody watches it. 5: a comment may be delayed for some viewers.
    """
    options = options_of(context, dispatchers, as_json, timeout_ms)
    request = ExplainRequest(video_id=video)
    responses, unreachable = ask_all(
        options.dispatchers.split(","),
        lambda stub: stub.Explain.future(request, timeout=options.timeout_ms / 1000),
        options.timeout_ms,
        options.tls,
    )
    found = explain_video(video, [response for _, response in responses], [away.address for away in unreachable])
    if options.as_json:
        print(json.dumps(asdict(found) | {"unreachable": plain(unreachable)}, indent=2))  # noqa: T201 # it is the answer
    else:
        verdict, *findings = found.findings
        console = Console(soft_wrap=True)
        console.print(Text(verdict, style="bold green" if found.arrives else "bold yellow"))
        for finding in findings:
            console.print(Text(f"- {finding}"))
        if found.hops:
            Console().print("", hop_table(found.hops), sep="\n")
        _print_unreachable(unreachable)
    if unreachable:
        raise typer.Exit(EXIT_UNREACHABLE)
    if not found.arrives:
        raise typer.Exit(EXIT_TROUBLE if found.served else EXIT_NOT_FOUND)


@app.command(epilog=EXIT_CODES)
def watch(
    context: typer.Context,
    top: Annotated[int, typer.Option(min=1, help="how many videos, by viewers")] = TOPOLOGY.videos,
    every_s: Annotated[float, typer.Option(min=0.1, help="seconds between two looks")] = TOPOLOGY.every_s,
    count: Annotated[int, typer.Option(min=0, help="end after so many looks; 0: never")] = 0,
    dispatchers: Dispatchers = None,
    as_json: Json = False,
    timeout_ms: TimeoutMs = None,
) -> None:
    """Replicas, nodes and videos, live and in place. With --json one object a line for each look."""
    options = options_of(context, dispatchers, as_json, timeout_ms)
    with contextlib.suppress(KeyboardInterrupt):
        if options.as_json:
            print_watch(options, top, every_s, count)
            return
        found, picture = watched(options, top, every_s)
        with Live(picture, console=Console(), auto_refresh=False, vertical_overflow="crop") as live:
            for look in itertools.count(1):
                if look == count:
                    break
                block_s(every_s)
                found, picture = watched(options, top, every_s)
                live.update(picture, refresh=True)
        _end(found)


@app.command(epilog=EXIT_CODES)
def drain(
    context: typer.Context,
    node: NodeName,
    over: Annotated[
        str,
        typer.Option(help="send its viewers to other nodes over this time: 500ms, 60s, 5min", callback=check_duration),
    ] = TOPOLOGY.drain_over,
    wait: Annotated[bool, typer.Option("--wait", help="return when it has no viewers any more")] = False,
    dispatchers: Dispatchers = None,
    as_json: Json = False,
    timeout_ms: TimeoutMs = None,
) -> None:
    """Makes a node take no more viewers and send its own to other nodes. Until they have left they get their comments.

    Exit code 4: no such node. 5: the node hasn't confirmed it in time; with --wait: viewers are left.
    """
    options = options_of(context, dispatchers, as_json, timeout_ms)
    over_ms = milliseconds(over)
    wait_ms = max(options.timeout_ms, int(over_ms * TOPOLOGY.wait_empty_factor)) if wait else None
    _drain(options, DrainRequest(node_id=node, draining=True, over_ms=over_ms), wait_ms)


@app.command(epilog=EXIT_CODES)
def undrain(
    context: typer.Context,
    node: NodeName,
    dispatchers: Dispatchers = None,
    as_json: Json = False,
    timeout_ms: TimeoutMs = None,
) -> None:
    """Lets a draining node take viewers again. Exit code 4: no such node. 5: the node hasn't confirmed it in time."""
    options = options_of(context, dispatchers, as_json, timeout_ms)
    _drain(options, DrainRequest(node_id=node, draining=False), wait_ms=None)


@app.command("tail", epilog=EXIT_CODES)
def tail_command(
    context: typer.Context,
    count: Annotated[int, typer.Option(min=0, help="end after so many events; 0: never")] = 0,
    dispatchers: Dispatchers = None,
    as_json: Json = False,
    timeout_ms: TimeoutMs = None,
) -> None:
    """Nodes that come and go, drains and spills, as they happen, from all replicas. With --json one object a line."""
    options = options_of(context, dispatchers, as_json, timeout_ms)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(print_tail(options, count))


def _print_json(found: Survey, **parts: object) -> None:
    print(json.dumps({**parts, "unreachable": plain(found.unreachable)}, indent=2))  # noqa: T201 # it is the answer


def _print_unreachable(unreachable: Iterable[Unreachable]) -> None:
    for away in unreachable:
        Console(stderr=True, soft_wrap=True).print(Text(f"replica {away.address}: {away.reason}", style="bold red"))


def _end(found: Survey, *, missing: bool = False) -> None:
    """Prints which replicas are away, and exits with the code that scripts look at."""
    _print_unreachable(found.unreachable)
    if found.unreachable:
        raise typer.Exit(EXIT_UNREACHABLE)
    if missing:
        raise typer.Exit(EXIT_NOT_FOUND)


def _drain(options: Options, request: DrainRequest, wait_ms: int | None) -> None:
    outcome = drain_node(options.dispatchers.split(","), request, options.timeout_ms, wait_ms, options.tls)
    if options.as_json:
        print(json.dumps(asdict(outcome), indent=2))  # noqa: T201 # it is the answer
    else:
        Console(soft_wrap=True).print(Text(_drained_words(request, outcome)))
        _print_unreachable(outcome.unreachable)
    if not outcome.known:
        raise typer.Exit(EXIT_UNREACHABLE if outcome.unreachable else EXIT_NOT_FOUND)
    if not outcome.agreed or (wait_ms and outcome.viewers):
        raise typer.Exit(EXIT_TROUBLE)


def _drained_words(request: DrainRequest, outcome: Drained) -> str:
    if not outcome.known:
        return f"{request.node_id} is connected to no replica that answers"
    if not outcome.agreed:
        return f"{request.node_id} has been asked, and hasn't confirmed it yet"
    if request.draining:
        return f"{request.node_id} drains; it has {outcome.viewers:,} viewers"
    return f"{request.node_id} takes viewers again"


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is for the answer
    app(prog_name="topology")


if __name__ == "__main__":
    main()
