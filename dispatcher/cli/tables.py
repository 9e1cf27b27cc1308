"""Draws the tables that scripts/topology shows to people; programs get the same rows as JSON."""

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.table import Table
from rich.text import Text

from dispatcher.cli.explain import HopRow
from dispatcher.cli.survey import NodeRow, ReplicaRow, Survey, VideoRow
from dispatcher.core.life import State


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], caption: str | None = None) -> Table:
    """A column that begins with # has numbers; one that ends with ~ is cut when the terminal is narrow."""
    made = Table(
        caption=caption, caption_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold"
    )
    for column in columns:
        justify: Literal["right", "left"] = "right" if column.startswith("#") else "left"
        made.add_column(column.strip("#~"), justify=justify, no_wrap=not column.endswith("~"), overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made


def node_table(rows: Sequence[NodeRow], found: Survey) -> Table:
    """A line for each node, also with 80 columns: the URL is cut where there is no room. `--json` has all of it."""
    return table(
        ("node", "url~", "state", "#viewers", "#load", "#videos", "#up", "#heard", "#owed", "#at"),
        (
            (
                row.node_id,
                _cut(row.public_url.removeprefix("http://")),
                row.state,
                f"{row.viewers:,}",
                f"{row.viewers / row.capacity_viewers:.0%}" if row.capacity_viewers else "-",
                f"{row.videos:,}",
                duration(row.connected_ms),
                duration(row.heard_ms_ago),
                f"{row.outbox_events + row.unacked_events:,}",
                f"{len(row.replicas)}/{len(found.responses)}",
            )
            for row in rows
        ),
        caption="owed: comments not acknowledged yet; at: replicas that know it" if rows else "no node is connected",
    )


def video_table(rows: Sequence[VideoRow], found: Survey, caption: str | None = None) -> Table:
    return table(
        ("video", "#viewers", "#nodes", "#replicas", "served by~"),
        (
            (
                row.video_id,
                f"{row.viewers:,}",
                str(len(row.node_ids)),
                f"{len(row.replicas)} of {len(found.responses)}",
                " ".join(row.node_ids),
            )
            for row in rows
        ),
        caption,
    )


def replica_table(rows: Sequence[ReplicaRow]) -> Table:
    return table(
        ("replica", "#up", "#nodes", "#videos", "#viewers", "#unacked", "differs from the others~"),
        (
            (
                row.address if row.replica_id == row.address else f"{row.replica_id} {row.address}",
                duration(row.uptime_ms),
                str(row.nodes),
                f"{row.videos:,}",
                f"{row.viewers:,}",
                f"{row.unacked_events:,}",
                "; ".join(row.differences) or "-",
            )
            for row in rows
        ),
    )


def hop_table(rows: Sequence[HopRow]) -> Table:
    return table(
        ("replica", "hop", "who~", "#up", "#heard", "#last ack", "#waits", "#open", "#viewers"),
        (
            (
                row.replica_id,
                f"{row.state} {row.hop}" if row.state == State.DRAINING.value else row.hop,
                _cut(row.who.removeprefix("ipv4:")),
                duration(row.connected_ms),
                _age(row.heard_ms_ago),
                _age(row.acked_ms_ago),
                _age(row.waiting_ms),
                f"{row.unacknowledged:,}",
                "" if row.viewers is None else f"{row.viewers:,}",
            )
            for row in rows
        ),
    )


def _cut(text: str) -> Text:
    """One line, cut where there is no room"""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _age(ms: int | None) -> str:
    return "-" if ms is None else duration(ms)


def duration(ms: int) -> str:
    """Two digits that matter: 420 ms, 3.2 s, 5 min, 7.5 h, 12 d"""
    for unit, size, below in (("ms", 1, 1000), ("s", 1000, 120_000), ("min", 60_000, 7_200_000)):
        if ms < below:
            return f"{ms / size:.3g} {unit}" if unit == "s" else f"{ms // size} {unit}"
    return f"{ms / 3_600_000:.3g} h" if ms < 48 * 3_600_000 else f"{ms // 86_400_000} d"
