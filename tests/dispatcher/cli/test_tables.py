"""dispatcher/cli/tables.py: numbers and durations as people read them; the tables are tested in test_topology.py."""

import pytest
from rich.console import Console

from dispatcher.cli.survey import NodeRow, Survey
from dispatcher.cli.tables import duration, node_table


def test_a_node_is_one_line_of_a_terminal_with_80_columns() -> None:
    row = NodeRow(
        "rms-17", "http://192.168.100.17:8017", "draining", 18_234, 19_000, 5_000, 86_400_000, 420, 12, 3, 1, ()
    )
    console = Console(width=80)
    with console.capture() as captured:
        console.print(node_table([row, row], Survey((), ())))
    lines = captured.get().splitlines()
    assert len(lines) == 4
    assert "rms-17" in lines[1]
    assert "18,234" in lines[1]


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (3200, "3.2 s"),
        (119_000, "119 s"),
        (300_000, "5 min"),
        (27_000_000, "7.5 h"),
        (10**9, "11 d"),
    ],
)
def test_durations(ms: int, text: str) -> None:
    assert duration(ms) == text
