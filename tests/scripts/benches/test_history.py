"""scripts/bench history: its parts on SQLite, its words, and its exit code"""

from pathlib import Path

import msgspec
import pytest

from scripts.benches.history import PARTS, HistoryWishes, history
from scripts.benches.history_figures import HistoryFigure
from tests.scripts.benches.tiny import TINY


def test_every_part_gives_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    code = history(HistoryWishes(["sqlite"], list(PARTS), 1, file, TINY))
    figures = msgspec.json.decode(file.read_bytes(), type=list[HistoryFigure])
    assert code == (0 if all(figure.is_reached for figure in figures) else 1)
    shown = capsys.readouterr().out
    for words in ("POST /comment/create", "first page, hot", "depth", "pages of 10"):
        assert any(words in figure.what for figure in figures)
    assert "GiB" in shown
    assert all(len(figure.values) == 1 for figure in figures)


def test_what_fails_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr(
        "scripts.benches.building.build.__kwdefaults__", {"gzip": False, "folder": Path("/nonexistent")}
    )
    assert history(HistoryWishes(["sqlite"], ["scroll"], 1, None, TINY)) == 1
    assert "no C compiler" in capsys.readouterr().err
