"""scripts/benches/fanout.py: the whole command with few viewers"""

import json
import re
from pathlib import Path

import pytest

from scripts.benches.building import CannotBuild
from scripts.benches.contender import Contender
from scripts.benches.contenders import CONTENDERS
from scripts.benches.fanout import Wishes, fanout
from scripts.benches.nchan import Nchan
from scripts.benches.run import Figures, Load
from scripts.benches.schedule import Line
from tests.scripts.benches.figures import like

FEW = Wishes(
    viewers=40,
    rates=[10],
    seconds=0.5,
    repeats=1,
    peers=["c"],
    slow=0,
    gzip=(),
    joins=0,
    highest=False,
    json=None,
    svg=None,
)


def wishes(**changes: object) -> Wishes:
    return Wishes(**{**{name: getattr(FEW, name) for name in Wishes.__dataclass_fields__}, **changes})


def test_the_table_the_json_and_the_drawing_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = wishes(slow=10, gzip=[Line("ann", "hi")], joins=20, json=tmp_path / "f.json", svg=tmp_path / "f.svg")
    assert fanout(asked) == 0
    shown = capsys.readouterr().out
    assert "40 viewers of one video" in shown
    assert "10 who never read beside 30" in shown
    assert "gzip, 10 comments/s: " in shown
    assert "20 joins, 20 at once" in shown
    figures = json.loads((tmp_path / "f.json").read_text())
    assert [(row["server"], row["rate"], row["lost"]) for row in figures["fanout"]] == [("rms", 10, 0), ("c", 10, 0)]
    assert len(figures["runs"]) == 6
    assert figures["gzip"][0]["beside"]["gzip"]
    assert figures["slow"][0]["beside"]["idle"] == 10
    assert figures["machine"]["cores"] >= 1
    assert "<svg" in (tmp_path / "f.svg").read_text()


def test_the_highest_rates_are_searched_and_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def pretend(kind: type[Contender], load: Load) -> Figures:
        """Ours sustains 100 comments/s, nchan 10; nothing is started."""
        arrive = min(load.rate, {"rms": 100, "nchan": 10}[kind.name])
        return like(
            server=kind.name,
            rate=load.rate,
            falls_behind=arrive < load.rate,
            deliveries_per_s=arrive * load.viewers,
        )

    monkeypatch.setattr("scripts.benches.fanout.run", pretend)
    monkeypatch.setattr(Nchan, "prepare", lambda: "")
    assert fanout(wishes(peers=["nchan"], rates=[5], highest=True)) == 0
    shown = capsys.readouterr().out
    ours, theirs = (
        float(match.replace(",", "")) for match in re.findall(r"highest sustained, \w+: ([\d,]+) deliveries/s", shown)
    )
    assert 0.95 * 100 <= ours / FEW.viewers <= 100
    assert 0.95 * 10 <= theirs / FEW.viewers <= 10
    assert f"that is {ours / theirs:.1f} × nchan's" in shown


def test_without_a_compiler_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str, gzip: bool) -> None:
        raise CannotBuild("no compiler")

    monkeypatch.setattr("scripts.benches.fanout.build", fail)
    assert fanout(FEW) == 1
    assert capsys.readouterr().err == "bench: no compiler\n"


def test_a_peer_that_is_missing_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Nchan, "prepare", lambda: "it is missing")
    assert fanout(wishes(peers=["nchan"])) == 0
    captured = capsys.readouterr()
    assert "nchan is left out: it is missing" in captured.err
    assert "rms" in captured.out


def test_a_server_that_breaks_does_not_end_the_bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CONTENDERS["starlette"], "path", "/nowhere")  # 404
    assert fanout(wishes(peers=["starlette"])) == 0
    assert "40 of 40 viewers did not get a stream" in capsys.readouterr().err
