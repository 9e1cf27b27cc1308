"""The history bench measures what it says"""

from dataclasses import astuple

from scripts.benches.history_config import HISTORY, QUICK


def test_there_is_enough_of_everything() -> None:
    for settings in (HISTORY, QUICK):
        assert all(number > 0 for number in astuple(settings) if not isinstance(number, str))
        assert settings.past > settings.scroll_pages * settings.page
        assert settings.authors >= settings.connections
    assert HISTORY.connections == 200
    assert HISTORY.depth == 1_000_000
