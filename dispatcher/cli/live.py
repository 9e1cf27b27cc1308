"""What scripts/topology shows as it happens: `watch`, a picture again and again, and `tail`, a line for each event."""

import itertools
import json

from rich.console import Console, Group
from rich.text import Text

from dispatcher import clocks
from dispatcher.cli.operate import tail
from dispatcher.cli.options import Options
from dispatcher.cli.survey import Survey, plain
from dispatcher.cli.tables import node_table, replica_table, video_table
from proto.dispatch_pb2 import Event, TopologyRequest

_BAD_NEWS = ("node_left", "unreachable")


def watched(options: Options, top: int, every_s: float) -> tuple[Survey, Group]:
    """What the replicas know now, and a picture of it"""
    found = options.ask(TopologyRequest(videos_max=top))
    clock = clocks.local_time(clocks.wall_ms())
    away = [Text(f"replica {each.address}: {each.reason}", style="bold red") for each in found.unreachable]
    return found, Group(
        Text(f"{clock}   every {every_s:g} s, ends with Ctrl-C", style="dim"),
        replica_table(found.replicas()),
        "",
        node_table(found.nodes(), found),
        "",
        video_table(found.videos()[:top], found),
        *away,
    )


def watch_for_a_program(options: Options, top: int, every_s: float, count: int) -> None:
    for look in itertools.count(1):
        found = options.ask(TopologyRequest(videos_max=top))
        rows = {
            "replicas": plain(found.replicas()),
            "nodes": plain(found.nodes()),
            "videos": plain(found.videos()[:top]),
            "unreachable": plain(found.unreachable),
        }
        print(json.dumps(rows), flush=True)  # noqa: T201 # it is the answer
        if look == count:
            return
        clocks.block_s(every_s)


async def print_tail(options: Options, count: int) -> None:
    console = Console(soft_wrap=True)
    shown = 0
    async for address, event in tail(options.dispatchers.split(","), options.timeout_ms, options.tls):
        if options.as_json:
            facts = {"replica": address, "at_ms": event.at_ms, "kind": event.kind, "node_id": event.node_id}
            more = {"video_id": event.video_id, "reason": event.reason, "lost": event.lost}
            print(json.dumps(facts | more), flush=True)  # noqa: T201 # it is the answer
        else:
            console.print(event_line(address, event))
        shown += 1
        if shown == count:
            return


def event_line(address: str, event: Event) -> Text:
    at = clocks.local_time(event.at_ms)
    line = Text(f"{at}.{event.at_ms % 1000:03} {address}  ", style="dim")
    if event.lost:
        line.append(f"({event.lost} lost) ", style="bold red")
    line.append(event.kind.replace("_", " "), style="bold red" if event.kind in _BAD_NEWS else "bold")
    for text in (event.node_id, event.video_id, event.reason):
        if text:
            line.append(f"  {text}", style="not dim")
    return line
