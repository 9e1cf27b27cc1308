"""dispatcher/core/errors.py: what a peer wrote can be put into a sentence, and every error has a status."""

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.errors import DispatcherError, NoRoom, Stopping, shown
from dispatcher.servicer import STATUS


@given(st.text())
def test_shown_text_is_short_and_plain(text: str) -> None:
    short = shown(text)
    assert short.isascii()
    assert short.isprintable()
    assert len(short) <= 40 * len("\\U0001f600") + len("''...")


def test_every_error_has_a_status() -> None:
    assert set(STATUS) == set(DispatcherError.__subclasses__())


def test_sentences_say_what_to_do() -> None:
    assert "demo" in str(NoRoom("demo"))
    assert "another" in str(Stopping())
