"""scripts/watch.py: what a terminal is shown can do nothing to it."""

import unicodedata

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from scripts.sse_client import Event
from scripts.watch import JOINERS, Shown, harmless, render


def comment(comment_id: str, name: str, message: str) -> Event:
    data = {"id": comment_id, "liveVideoId": "v", "author": {"id": "a", "name": name}, "message": message}
    return Event("message", msgspec.json.encode(data | {"createdAt": 1_700_000_000_000}).decode(), "")


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    clean = harmless(text)
    assert len(clean) == len(text)
    assert not any(
        unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in JOINERS for char in clean
    )


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S", "M", "Zs"))))
def test_what_people_write_stays(text: str) -> None:
    assert harmless(text) == text


def test_escape_sequences_are_shown_as_text() -> None:
    assert harmless("\x1b[2Jgone\x07\x9b31m") == "\ufffd[2Jgone\ufffd\ufffd31m"
    assert harmless("one\r\ntwo") == "one  two"
    assert harmless("\u202egnirts") == "\ufffdgnirts"
    assert harmless("👨‍👩‍👧 می‌خواهم") == "👨‍👩‍👧 می‌خواهم"


def test_a_comment_is_one_line_and_markup_is_text() -> None:
    (line,) = render(comment("1", "[red]Ann\n", "[bold]hi\x1b[0m"), Shown())
    assert line.plain[8:] == "  [red]Ann   [bold]hi\ufffd[0m"


def test_a_comment_that_comes_again_is_not_shown_again() -> None:
    shown = Shown(ids_max=2)
    assert render(comment("1", "a", "x"), shown)
    assert not render(comment("1", "a", "x"), shown)
    assert render(comment("2", "a", "x"), shown)
    assert render(comment("3", "a", "x"), shown)
    assert shown.add("1"), "only the last two are remembered"


def test_a_gap_is_told_and_unknown_events_are_not() -> None:
    assert render(Event("gap", "{}", ""), Shown())[0].plain == "some comments could not be shown"
    assert render(Event("viewers", "{}", ""), Shown()) == []
