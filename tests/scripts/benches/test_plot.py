"""scripts/benches/plot.py"""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from scripts.benches.plot import Line, Panel, draw, short, svg, ticks
from tests.scripts.benches.figures import FIGURES, like

SVG = "{http://www.w3.org/2000/svg}"


def test_the_drawing_is_well_formed_and_named() -> None:
    rows = [FIGURES, like(server="c & co", rate=100.0), like(server="nchan", falls_behind=True)]
    root = ElementTree.fromstring(draw(rows, "2 cores <old>"))
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert {"rms", "c & co", "nchan", "2 cores <old>", "deliveries/s", "ms"} <= set(texts)
    assert "prefers-color-scheme: dark" in (root.findtext(f"{SVG}style") or "")


def test_who_falls_behind_has_no_point_among_the_latencies() -> None:
    kept = ElementTree.fromstring(draw([FIGURES], "about"))
    behind = ElementTree.fromstring(draw([like(falls_behind=True)], "about"))
    assert len(list(kept.iter(f"{SVG}circle"))) == 2
    assert len(list(behind.iter(f"{SVG}circle"))) == 1


def test_axes_are_linear() -> None:
    panel = Panel("t", "x", "y", [Line("a", [(0, 0), (5, 50), (10, 100)])])
    dots = [
        (float(dot.attrib["cx"]), float(dot.attrib["cy"]))
        for dot in ElementTree.fromstring(svg([panel], "")).iter(f"{SVG}circle")
    ]
    (x0, y0), (x1, y1), (x2, y2) = dots
    assert abs((x2 - x1) - (x1 - x0)) < 0.2
    assert abs((y2 - y1) - (y1 - y0)) < 0.2
    assert x2 > x0
    assert y2 < y0  # upwards


@given(st.just(0.0) | st.floats(0.001, 1e12))
def test_ticks_are_few_round_and_reach_the_highest(highest: float) -> None:
    steps = ticks(highest)
    assert steps[0] == 0
    assert steps[-1] >= highest
    assert 2 <= len(steps) <= 10


def test_numbers_on_the_axes_are_short() -> None:
    assert [short(value) for value in (0, 0.5, 200, 250_000, 1_500_000)] == ["0", "0.5", "200", "250k", "1.5M"]
