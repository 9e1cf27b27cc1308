"""scripts/bench: measures what the parts of this project can do on this machine, beside others of their kind."""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import structlog
import typer

from scripts.benches import chaos as chaos_bench
from scripts.benches import edge as edge_bench
from scripts.benches import outage as outage_bench
from scripts.benches import page as page_bench
from scripts.benches import partition as partition_bench
from scripts.benches import small as small_bench
from scripts.benches.attack_mixes import MIXES
from scripts.benches.config import (
    DISPATCHER,
    DISPATCHER_QUICK,
    EDGE,
    EDGE_QUICK,
    HISTORY,
    HISTORY_QUICK,
    SMALL,
    SMALL_QUICK,
)
from scripts.benches.dispatcher import PARTS as DISPATCHER_PARTS
from scripts.benches.dispatcher import dispatcher as run_dispatcher
from scripts.benches.edge_system import FRONTS
from scripts.benches.fanout import OURS, Fanout, Form
from scripts.benches.history import PARTS as HISTORY_PARTS
from scripts.benches.history import history as run_history
from scripts.benches.million import Million
from scripts.benches.running import run_bench
from scripts.benches.schedule import Line
from scripts.benches.servers import CONTENDERS
from scripts.benches.stores import STORES
from scripts.chat_log import read

PEERS = [name for name in CONTENDERS if name != OURS]

Repeats = Annotated[int, typer.Option(min=1, help="runs of each, of which the median counts")]
Quick = Annotated[bool, typer.Option("--quick", help="a try-out: everything small; it proves nothing")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def about() -> None:
    """Benches that start real processes on 127.0.0.0/8, measure, print a table, and end what they started."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # the store's own words


@app.command()
def fanout(
    viewers: Annotated[int, typer.Option(min=1, help="viewers of the one video")] = 10_000,
    rates: Annotated[str, typer.Option(help="comments/s, with commas between")] = "5,20,100",
    seconds: Annotated[float, typer.Option(min=0.1, help="how long each run publishes")] = 8.0,
    repeats: Repeats = 3,
    peers: Annotated[str, typer.Option(help="whom to run beside ours, with commas between; empty: nobody")] = ",".join(
        PEERS
    ),
    slow: Annotated[int, typer.Option(min=0, help="also: so many of the viewers never read")] = 0,
    gzip: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="also: this chat log's texts (t, user, text), packed"),
    ] = None,
) -> None:
    """One video, many viewers: our RMS on its whole path (gRPC in, SSE out) beside servers of the same kind.

    Deliveries are counted exactly, for each viewer and comment. Latency is from the time when a comment was due to
    the time when a viewer read it. Exit code 1: our own server lost or doubled something.
    """
    names = _chosen(peers, PEERS, "--peers") if peers else []
    if slow >= viewers:
        raise typer.BadParameter("somebody must read", param_hint="--slow")
    lines = _lines(gzip) if gzip else []
    form = Form(viewers, _rates(rates), seconds, repeats, names, slow, lines)
    raise typer.Exit(run_bench(Fanout(form).run()))


@app.command()
def million(
    viewers: Annotated[int, typer.Option(min=1, help="viewers in all; fewer for a try-out")] = 1_000_000,
    comments: Annotated[int, typer.Option(min=1, max=1000, help="comments that each of them gets")] = 3,
) -> None:
    """A million viewers on this machine: real sockets, real handshakes, placed by two dispatchers over many RMS nodes.

    Then some comments, each to everybody, counted exactly. Takes some minutes and 9 KB of memory for each viewer.
    Changes no setting of the machine. The nodes run with their defaults but for slower heartbeats and viewer counts:
    here two cores serve what fifty machines would. Exit code 1: something was lost or doubled, or there was no room.
    """
    raise typer.Exit(run_bench(Million(viewers, comments).run()))


@app.command()
def dispatcher(
    only: Annotated[str, typer.Option(help="the parts to run, with commas between")] = ",".join(DISPATCHER_PARTS),
    repeats: Repeats = 3,
    quick: Quick = False,
    beside: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="another checkout: its bench runs alternately with this one"),
    ] = None,
) -> None:
    """One dispatcher replica in its own process: comments/s, latency, 1,300 nodes, a restart, a million videos.

    Then where placement puts viewers, beside plain consistent hashing and round robin. Takes a minute and a half, and
    half a minute more for each repeat. Exit code 1: a comment was lost, doubled or pushed in vain, or a process failed.
    """
    parts = _chosen(only, DISPATCHER_PARTS, "--only")
    raise typer.Exit(run_bench(run_dispatcher(parts, repeats, DISPATCHER_QUICK if quick else DISPATCHER, beside)))


@app.command()
def chaos(
    rate: Annotated[float, typer.Option(min=1, help="comments/s that are posted, over all videos")] = 2_000,
    seconds: Annotated[float, typer.Option(min=1, help="how long; a fifth of it for each fault")] = 60,
    videos: Annotated[int, typer.Option(min=1, help="videos")] = 20,
    viewers: Annotated[int, typer.Option(min=1, help="viewers of all videos together")] = 80,
) -> None:
    """Three replicas, four RMS, one comment_service: kill -9 of a replica and of an RMS, then SIGSTOP of one of each.

    The replica is the one that is published to, the RMS the one with the most viewers. Every acknowledged comment is
    looked for at every viewer of its video. Exit code 1: one was lost or doubled, an author got an error, or a service
    logged one.
    """

    async def run() -> bool:
        return chaos_bench.show(await chaos_bench.chaos(chaos_bench.Form(rate, seconds, videos, viewers)))

    raise typer.Exit(run_bench(run()))


@app.command()
def outage(
    nodes: Annotated[int, typer.Option(help="1: all of Cassandra is away; 3: one of three nodes is killed")] = 1,
    rate: Annotated[float, typer.Option(min=1, help="comments/s that are posted")] = 500,
    seconds: Annotated[float, typer.Option(min=1, help="how long Cassandra is away, or a node dead")] = 30,
    viewers: Annotated[int, typer.Option(min=2, help="viewers of two videos together")] = 30,
    repeats: Annotated[int, typer.Option(min=1, help="runs of each")] = 1,
) -> None:
    """People talk while Cassandra is killed, then stuck; comment_service is killed in the middle, and both come back.

    Then all of Cassandra is read: every comment for which an author had a 200 must be there, and must have come to
    every viewer once. Exit code 1: not so, an author got an error, nobody got a 200 for more than 1 s while
    comment_service was up, or a service logged an error.
    """
    if nodes not in (1, 3):
        raise typer.BadParameter("1 or 3", param_hint="--nodes")
    raise typer.Exit(run_bench(outage_bench.outage(outage_bench.Form(nodes, rate, seconds, viewers, repeats))))


@app.command()
def partition(
    pairs: Annotated[int, typer.Option(min=1, help="random pairs of faults")] = 100,
    seed: Annotated[int | None, typer.Option(help="which pairs; printed, so that they can be run again")] = None,
    first: Annotated[int, typer.Option(min=1, help="number of the first pair: one can be run alone")] = 1,
    fault: Annotated[list[str] | None, typer.Option(help="only this fault, by itself; may be repeated")] = None,
    single: Annotated[bool, typer.Option("--single", help="every known fault by itself")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="show the faults, and do nothing")] = False,
) -> None:
    """Two comment_services, two replicas, three RMS, viewers and Cassandra, each on a host of its own; pairs of faults.

    Hosts are network namespaces, so this needs root. Faults are cuts (whole, of a link, one way, of a port), wrong
    clocks, kills, restarts, pauses and drains. People talk all the time, each post with an Idempotency-Key. When all is
    healed, each viewer's account is held against what was acknowledged. A pair takes some 20 s. Exit code 1: something
    was lost or doubled, a gap was told where the store could be reached, a viewer was refused for good, or a process
    didn't recover.
    """
    raise typer.Exit(partition_bench.command(pairs, seed, first, fault or [], single=single, show_list=show_list))


@app.command()
def history(
    store: Annotated[str, typer.Option(help="sqlite, cassandra, or both with a comma between")] = ",".join(STORES),
    only: Annotated[str, typer.Option(help="the parts to run, with commas between")] = ",".join(HISTORY_PARTS),
    repeats: Repeats = 3,
    quick: Quick = False,
) -> None:
    """The write path and the pages on real stores, beside the least that could do the same, in one run.

    Cassandra is one node that is started for it. On two cores it shares them with all else: so there is the CPU of each
    process beside the requests/s. Exit code 1: something wasn't reached.
    """
    parts, stores = _chosen(only, HISTORY_PARTS, "--only"), _chosen(store, STORES, "--store")
    raise typer.Exit(run_bench(run_history(parts, stores, repeats, HISTORY_QUICK if quick else HISTORY)))


@app.command()
def small(
    only: Annotated[str, typer.Option(help="the parts to run, with commas between")] = ",".join(small_bench.PARTS),
    store: Annotated[str, typer.Option(help="sqlite, cassandra, or both with a comma between")] = "sqlite",
    beside: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="another checkout, in turns")
    ] = None,
    repeats: Repeats = 3,
    quick: Quick = False,
) -> None:
    """Thousands of videos with two viewers each, through the whole system: what a comment and an opening cost.

    Then how long comments take at a high rate, and a kill -9 of the node that serves them all. Exit code 1: a viewer
    lacked a comment or had one twice, or an author got an error.
    """
    form = small_bench.Form(
        _chosen(only, small_bench.PARTS, "--only"), _chosen(store, STORES, "--store"), repeats, beside
    )
    raise typer.Exit(run_bench(small_bench.small(form, SMALL_QUICK if quick else SMALL)))


@app.command()
def edge(
    only: Annotated[str, typer.Option(help="the parts to run, with commas between")] = ",".join(edge_bench.PARTS),
    viewers: Annotated[str, typer.Option(help="numbers of viewers, with commas between")] = "1000,5000",
    fronts: Annotated[str, typer.Option(help="balancers whose cost is measured, and none")] = ",".join(FRONTS),
    attacked: Annotated[str, typer.Option(help="what stands in front of the attacked system")] = "none,haproxy",
    mixes: Annotated[str, typer.Option(help="attacks, with commas between")] = ",".join(MIXES),
    repeats: Repeats = 3,
    quick: Quick = False,
) -> None:
    """Three nodes behind HAProxy, nginx and Envoy, in both ways, beside no balancer: what it costs.

    Then strangers attack while 500 people watch, who have no part in it: their p99 with and without, who was refused,
    and what is left of it: seats, open files, memory. Over HTTP/1.1 without TLS. Strangers have 127.66.0.0/16, and the
    limits that hold for an address. Exit code 1: a comment was lost or doubled, somebody saw a 5xx that is no 503, or
    seats or files were not back.
    """
    counts = [round(each) for each in _rates(viewers, "--viewers")]
    form = edge_bench.Form(
        parts=_chosen(only, edge_bench.PARTS, "--only"),
        viewers=counts[:1] if quick else counts,
        fronts=_chosen(fronts, FRONTS, "--fronts"),
        attacked=_chosen(attacked, FRONTS, "--attacked"),
        mixes=_chosen(mixes, MIXES, "--mixes"),
        repeats=repeats,
    )
    raise typer.Exit(run_bench(edge_bench.edge(form, EDGE_QUICK if quick else EDGE)))


@app.command()
def page(
    rate: Annotated[float, typer.Option(min=0.1, help="comments/s")] = 100.0,
    seconds: Annotated[float, typer.Option(min=1, help="how long it is watched")] = 60.0,
    slower: Annotated[float, typer.Option(min=1, help="how many times slower the browser's CPU is made")] = 6.0,
    whole: Annotated[
        bool, typer.Option("--whole", help="every comment is shown, also those no rate edition has")
    ] = False,
) -> None:
    """The viewers' page in Chromium without a GPU, on a slow CPU: longest task, frames, memory, how fast a key shows.

    Exit code 1: a task took longer than 50 ms.
    """
    raise typer.Exit(run_bench(page_bench.page(page_bench.Form(rate, seconds, slower, whole))))


def _chosen(text: str, known: Collection[str], flag: str) -> list[str]:
    names = text.split(",")
    if unknown := sorted(set(names) - set(known)):
        raise typer.BadParameter(f"{', '.join(unknown)}: known are {','.join(known)}", param_hint=flag)
    return names


def _rates(text: str, flag: str = "--rates") -> list[float]:
    try:
        rates = sorted({float(part) for part in text.split(",")})
    except ValueError:
        rates = []
    if not rates or rates[0] <= 0:
        raise typer.BadParameter(f"{text!r} are no numbers: 5,20,100 would be", param_hint=flag)
    return rates


def _lines(log: Path) -> list[Line]:
    with log.open("rb") as file:
        entries, _ = read(file)
    if not entries:
        raise typer.BadParameter(f"{log} has no line of a chat", param_hint="--gzip")
    return [Line(entry.user, entry.text) for entry in entries]


if __name__ == "__main__":
    app(prog_name="scripts/bench")
