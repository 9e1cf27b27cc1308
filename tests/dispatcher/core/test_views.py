"""dispatcher/core/views.py: nobody can change the registry through what it shows."""

from dataclasses import FrozenInstanceError

import pytest

from dispatcher.core.views import Hello, VideoView


def test_views_are_frozen() -> None:
    view = VideoView("demo", 3, ("rms-1",))
    with pytest.raises(FrozenInstanceError):
        view.viewers = 4  # type: ignore[misc]


def test_a_node_that_says_no_more_neither_drains_nor_was_away() -> None:
    hello = Hello("rms-1", 1, "http://rms-1", 10, 0, {})
    assert (hello.silent_ms, hello.draining) == (0, False)
