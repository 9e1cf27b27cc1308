"""scripts/bench: what the parts of this project can do on this machine, beside others of their kind."""

import logging
from pathlib import Path
from typing import Annotated

import structlog
import typer

from scripts.benches.chaos import Wishes as ChaosWishes
from scripts.benches.chaos import chaos
from scripts.benches.contenders import CONTENDERS
from scripts.benches.dispatcher import PARTS as DISPATCHER_PARTS
from scripts.benches.dispatcher import dispatcher
from scripts.benches.fanout import OURS, Wishes, fanout
from scripts.benches.footprint import footprint
from scripts.benches.history import PARTS, STORES, HistoryWishes, history
from scripts.benches.history_config import HISTORY, QUICK
from scripts.benches.million import million
from scripts.benches.outage import Wishes as OutageWishes
from scripts.benches.outage import outage
from scripts.benches.schedule import Line
from scripts.chat_log import read

PEERS = ",".join(name for name in CONTENDERS if name != OURS)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def about() -> None:
    """Benches that start real processes on 127.0.0.0/8, measure, print a table, and end what they started."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # the store's own words


@app.command("fanout")
def fanout_command(
    viewers: Annotated[int, typer.Option(min=1, help="viewers of the one video")] = 10_000,
    rates: Annotated[str, typer.Option(help="comments/s, with commas between")] = "5,20,100",
    seconds: Annotated[float, typer.Option(min=0.1, help="how long each run publishes")] = 8.0,
    repeats: Annotated[int, typer.Option(min=1, help="runs of each, of which the medians are shown")] = 3,
    peers: Annotated[str, typer.Option(help="whom to run beside ours, with commas between; empty: nobody")] = PEERS,
    slow: Annotated[int, typer.Option(min=0, help="also: so many of the viewers never read")] = 0,
    gzip: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="also: this chat log's texts (t, user, text), packed"),
    ] = None,
    joins: Annotated[int, typer.Option(min=0, help="also: so many joins with backfill at once")] = 0,
    highest: Annotated[bool, typer.Option("--highest", help="also: search the highest sustained rate")] = False,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="write all figures here")] = None,
    svg: Annotated[Path | None, typer.Option(dir_okay=False, help="draw the table here")] = None,
) -> None:
    """One video, many viewers: our RMS on its whole path (gRPC in, SSE out) beside servers of the same kind.

    Deliveries are counted exactly, for each viewer and comment. Latency is from the time when a comment was due to
    the time when a viewer read it. Exit code 1: our own server lost or doubled something.
    """
    names = [name for name in peers.split(",") if name]
    if unknown := sorted(set(names) - set(PEERS.split(","))):
        raise typer.BadParameter(f"{', '.join(unknown)}: known are {PEERS}", param_hint="--peers")
    if slow >= viewers:
        raise typer.BadParameter("somebody must read", param_hint="--slow")
    said = _said(gzip) if gzip else []
    wishes = Wishes(viewers, _rates(rates), seconds, repeats, names, slow, said, joins, highest, json, svg)
    raise typer.Exit(fanout(wishes))


@app.command("million")
def million_command(
    viewers: Annotated[int, typer.Option(min=1, help="viewers in all; fewer for a try-out")] = 1_000_000,
    comments: Annotated[int, typer.Option(min=1, max=1000, help="comments that each of them gets")] = 3,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="write all figures here")] = None,
) -> None:
    """A million viewers on this machine: real sockets, real handshakes, placed by two dispatchers over many RMS nodes.

    Then some comments, each to everybody, counted exactly. Takes some minutes and 9 KB of memory for each viewer.
    Changes no setting of the machine. The nodes run with their defaults but for slower heartbeats and viewer counts:
    here two cores serve what fifty machines would. Exit code 1: something was lost or doubled, or there was no room.
    """
    raise typer.Exit(million(viewers, comments, json))


def _said(log: Path) -> list[Line]:
    with log.open("rb") as lines:
        entries, _ = read(lines)
    if not entries:
        raise typer.BadParameter(f"{log} has no line of a chat", param_hint="--gzip")
    return [Line(entry.user, entry.text) for entry in entries]


@app.command("dispatcher")
def dispatcher_command(
    only: Annotated[str, typer.Option(help=f"parts, with commas between: {','.join(DISPATCHER_PARTS)}")] = ",".join(
        DISPATCHER_PARTS
    ),
    repeats: Annotated[int, typer.Option(min=1, help="runs of each, of which the medians are shown")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="a try-out: small, and it proves nothing")] = False,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="write all measured figures here")] = None,
) -> None:
    """One dispatcher replica in its own process: comments/s, latency, 1,300 nodes, a restart, a million videos.

    Then where placement puts viewers, beside plain consistent hashing and round robin. Takes a minute and a half, and
    half a minute more for each repeat. Exit code 1: a comment was lost, doubled or pushed in vain, or a process failed.
    """
    names = [name for name in only.split(",") if name]
    if not names or set(names) - set(DISPATCHER_PARTS):
        raise typer.BadParameter(f"{only!r}: the parts are {', '.join(DISPATCHER_PARTS)}", param_hint="--only")
    raise typer.Exit(dispatcher(names, repeats, quick, json))


@app.command("chaos")
def chaos_command(
    rate: Annotated[float, typer.Option(min=1, help="comments/s that are posted, over all videos")] = 2_000,
    seconds: Annotated[float, typer.Option(min=1, help="how long; a fifth of it for each fault")] = 60,
    videos: Annotated[int, typer.Option(min=1, help="videos")] = 20,
    viewers: Annotated[int, typer.Option(min=1, help="viewers of all videos together")] = 80,
    store: Annotated[str, typer.Option(help="sqlite, or the URL of a store that is there")] = "sqlite",
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="write all figures here")] = None,
    logs: Annotated[Path | None, typer.Option(dir_okay=False, help="write what the services logged here")] = None,
) -> None:
    """Three replicas, four RMS, one comment_service: kill -9 of a replica and of an RMS, then SIGSTOP of one of each.

    The replica is the one that is published to, the RMS the one with the most viewers. Every acknowledged comment is
    looked for at every viewer of its video. Exit code 1: one was lost or doubled, an author got an error, or a service
    logged one.
    """
    raise typer.Exit(chaos(ChaosWishes(rate, seconds, videos, viewers, store, json, logs)))


@app.command("outage")
def outage_command(
    nodes: Annotated[int, typer.Option(help="1: all of Cassandra is away; 3: one of three nodes is killed")] = 1,
    rate: Annotated[float, typer.Option(min=1, help="comments/s that are posted")] = 500,
    seconds: Annotated[float, typer.Option(min=1, help="how long Cassandra is away, or a node dead")] = 30,
    viewers: Annotated[int, typer.Option(min=2, help="viewers of two videos together")] = 30,
    repeats: Annotated[int, typer.Option(min=1, help="runs of each")] = 1,
    how: Annotated[str, typer.Option(help="kill, hang, or both with a comma between; of 1 node")] = "kill,hang",
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="write all figures here")] = None,
    logs: Annotated[Path | None, typer.Option(dir_okay=False, help="write what the last run's services logged")] = None,
) -> None:
    """People talk while Cassandra is killed (or stuck), comment_service is killed in the middle, and both come back.

    Then all of Cassandra is read: every comment for which an author had a 200 must be there, and must have come to
    every viewer once. Exit code 1: not so, an author got an error, nobody got a 200 for more than 1 s while
    comment_service was up, or a service logged an error.
    """
    faults = how.split(",") if nodes == 1 else ["node"]
    if nodes not in (1, 3) or not {*faults} <= {"kill", "hang", "node"}:
        raise typer.BadParameter("--nodes 1 or 3, --how kill,hang")
    raise typer.Exit(outage(OutageWishes(faults, rate, seconds, viewers, repeats, json, logs)))


@app.command("footprint")
def footprint_command(
    comments: Annotated[int, typer.Option(min=1_000, help="comments that are written to each store")] = 200_000,
    message_bytes: Annotated[int, typer.Option(min=1, max=500, help="letters in a message, on average")] = 40,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="write all figures here")] = None,
) -> None:
    """Bytes on disk that a comment takes in SQLite and in Cassandra, once all is flushed and compacted."""
    raise typer.Exit(footprint(comments, message_bytes, json))


@app.command("history")
def history_command(
    store: Annotated[str, typer.Option(help="sqlite, cassandra, or both")] = "both",
    only: Annotated[str, typer.Option(help="the parts to run, with commas between")] = ",".join(PARTS),
    repeats: Annotated[int, typer.Option(min=1, help="runs of each, of which the median counts")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="a try-out: everything small")] = False,
    json: Annotated[Path | None, typer.Option(dir_okay=False, help="write all figures here")] = None,
) -> None:
    """The write path and the pages on real stores, beside the least that could do the same, in one run.

    Cassandra is one node that is started for it. On two cores it shares them with all else: so there is the CPU of each
    process beside the requests/s. Exit code 1: something wasn't reached.
    """
    parts = only.split(",")
    if unknown := sorted(set(parts) - set(PARTS)):
        raise typer.BadParameter(f"{', '.join(unknown)}: known are {', '.join(PARTS)}", param_hint="--only")
    if store not in (*STORES, "both"):
        raise typer.BadParameter(f"known are {', '.join(STORES)} and both", param_hint="--store")
    stores = STORES if store == "both" else (store,)
    raise typer.Exit(history(HistoryWishes(stores, parts, repeats, json, QUICK if quick else HISTORY)))


def _rates(text: str) -> list[float]:
    try:
        rates = sorted({float(part) for part in text.split(",")})
    except ValueError:
        rates = []
    if not rates or rates[0] <= 0:
        raise typer.BadParameter(f"{text!r} are no rates: 5,20,100 would be", param_hint="--rates")
    return rates


if __name__ == "__main__":
    app(prog_name="scripts/bench")
