"""dispatcher/cli/options.py: what may stand in an option; the rest is tested in test_topology.py."""

import pytest
import typer

from dispatcher.cli.options import check_addresses, milliseconds


@pytest.mark.parametrize(("text", "ms"), [("500ms", 500), ("60s", 60_000), ("5min", 300_000), ("1h", 3_600_000)])
def test_durations(text: str, ms: int) -> None:
    assert milliseconds(text) == ms


@pytest.mark.parametrize("text", ["", "60", "-1s", "1.5s", "1 s", "9" * 12 + "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        milliseconds(text)


def test_addresses() -> None:
    assert check_addresses("a:1,[::1]:2") == "a:1,[::1]:2"
    with pytest.raises(typer.BadParameter):
        check_addresses("a")
