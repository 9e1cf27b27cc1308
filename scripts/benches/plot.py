"""The figures as a drawing: SVG for a README, on a light page or a dark one. Both axes linear, from 0."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from scripts.benches.run import Figures

PANEL_WIDTH, PANEL_HEIGHT = 380, 240
LEFT, TOP, GAP, BOTTOM = 70, 60, 100, 60
COLORS = ("#d1495b", "#4a7fb5", "#3f9b6b", "#b8860b", "#8e6bbf")  # each readable on white and on #0d1117

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-size: 14px; font-weight: 600; }
.grid { stroke: #d0d7de; } .axis { stroke: #57606a; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .grid { stroke: #30363d; } .axis { stroke: #8b949e; }
}
"""


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]


def draw(rows: Sequence[Figures], about: str) -> str:
    """Left: how much of what was asked arrives. Right: how late, for those that keep up."""
    servers = list(dict.fromkeys(row.server for row in rows))

    def line(server: str, y: Callable[[Figures], float], keep: Callable[[Figures], bool]) -> Line:
        mine = sorted((row for row in rows if row.server == server and keep(row)), key=lambda row: row.rate)
        return Line(server, [(row.rate * row.viewers, y(row)) for row in mine])

    reached = [line(server, lambda row: row.deliveries_per_s, lambda row: True) for server in servers]
    late = [line(server, lambda row: row.p99_ms, lambda row: not row.falls_behind) for server in servers]
    return svg(
        [
            Panel("Deliveries that arrive", "deliveries/s asked for", "deliveries/s", reached),
            Panel("p99 from due to read, where it keeps up", "deliveries/s asked for", "ms", late),
        ],
        about,
    )


def svg(panels: Sequence[Panel], about: str) -> str:
    """The panels side by side, with one legend. `about` stands below: what must be known to read the figures."""
    width = LEFT + len(panels) * (PANEL_WIDTH + GAP) - GAP + 30
    height = TOP + PANEL_HEIGHT + BOTTOM + 40
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(names)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(about)}</title>",
        f"<style>{STYLE}</style>",
        *_legend(colors),
    ]
    for index, panel in enumerate(panels):
        parts += _panel(panel, colors, LEFT + index * (PANEL_WIDTH + GAP))
    parts += [f'<text x="{LEFT}" y="{height - 12}">{escape(about)}</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def _legend(colors: dict[str, str]) -> list[str]:
    parts = []
    for index, (name, color) in enumerate(colors.items()):
        x = LEFT + index * 110
        parts.append(f'<line x1="{x}" x2="{x + 18}" y1="18" y2="18" stroke="{color}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 24}" y="22">{escape(name)}</text>')
    return parts


def _panel(panel: Panel, colors: dict[str, str], left: float) -> list[str]:
    x_ticks = ticks(max((x for line in panel.lines for x, _ in line.points), default=1))
    y_ticks = ticks(max((y for line in panel.lines for _, y in line.points), default=1))
    bottom, right = TOP + PANEL_HEIGHT, left + PANEL_WIDTH

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x / x_ticks[-1] * PANEL_WIDTH, bottom - y / y_ticks[-1] * PANEL_HEIGHT

    parts = [f'<text class="title" x="{left}" y="{TOP - 12}">{escape(panel.title)}</text>']
    for tick in y_ticks:
        _, y = at(0, tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in x_ticks:
        x, _ = at(tick, 0)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{short(tick)}</text>')
    parts.append(f'<path class="axis" fill="none" d="M{left} {TOP} V{bottom} H{right}"/>')
    middle = (left + right) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 36}" text-anchor="middle">{escape(panel.x_label)}</text>')
    parts.append(f'<text x="{right}" y="{TOP - 12}" text-anchor="end">{escape(panel.y_label)}</text>')
    for line in panel.lines:
        parts += _line([at(x, y) for x, y in line.points], colors[line.name])
    return parts


def _line(points: Sequence[tuple[float, float]], color: str) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in points]
    return [f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{path}"/>', *dots]


def ticks(highest: float) -> list[float]:
    """From 0 to at least `highest`, four to eight steps of 1, 2 or 5 times a power of ten"""
    if highest <= 0:
        return [0.0, 1.0]
    power = 10 ** math.floor(math.log10(highest / 4))
    step = next(power * factor for factor in (1, 2, 5, 10) if highest / (power * factor) <= 8)
    return [step * number for number in range(math.ceil(highest / step) + 1)]


def short(value: float) -> str:
    """250000 -> '250k'"""
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"
