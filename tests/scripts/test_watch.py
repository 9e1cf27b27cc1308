"""scripts/watch.py and terminal.py: no comment can control a terminal, and a closed pipe ends the tool."""

import os
import subprocess
import sys
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from scripts import watch
from scripts.processes import ROOT
from scripts.sse_client import Event
from scripts.watch import JOINERS, Shown, _read_stdin, harmless, render


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
def test_ordinary_text_stays(text: str) -> None:
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


def test_a_gap_is_shown_and_unknown_events_are_not() -> None:
    assert render(Event("gap", "{}", ""), Shown())[0].plain == "some comments could not be shown"
    assert render(Event("viewers", "{}", ""), Shown()) == []


async def test_an_error_while_posting_ends_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("stdin is closed")

    monkeypatch.setattr(watch, "_post_lines", fail)
    with pytest.raises(ValueError, match="stdin is closed"):
        await watch._watch("http://127.0.0.1:1", "v", "Ann", Console(quiet=True))


PRINTS = """
import signal
from scripts.terminal import Terminal
terminal = Terminal()
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while not ended:
    terminal.print("[1, 2] a line that is longer than a narrow terminal is wide, and is neither cut nor wrapped")
terminal.print("nobody sees this")
print("nor this", flush=True)
"""


def test_a_closed_pipe_ends_the_tool_by_sigterm_without_an_error() -> None:
    with subprocess.Popen(
        (sys.executable, "-P", "-c", PRINTS),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "20"},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"neither cut nor wrapped\n")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_a_byte_order_mark_before_the_first_line_is_not_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = iter([b"\xef\xbb\xbfhel", b"lo\n\xef\xbb\xbfagain", b""])
    monkeypatch.setattr("scripts.watch.os.read", lambda *_: next(chunks))
    lines: list[str] = []
    _read_stdin(lines.append)
    assert lines == ["hello", "\ufeffagain"], "only there it is a mark"
