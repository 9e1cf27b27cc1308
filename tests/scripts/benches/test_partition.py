"""scripts/bench partition: a real round in namespaces keeps every promise, and what breaks one is told."""

import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

from scripts.benches.accounts import Balance
from scripts.benches.building import build
from scripts.benches.config import PARTITION
from scripts.benches.faults import Fault, Struck
from scripts.benches.hosts import needs
from scripts.benches.partition import command, partition
from scripts.benches.partition_report import say, show
from scripts.benches.partition_system import Result
from tests.network_lock import network_changes

STRUCK = [Struck(Fault("cut", "rms-1"), 3.0, 5.0), Struck(Fault("way", "rms-2", "dispatcher-1"), 4.0, 2.0)]
SOON = replace(PARTITION, first_at_s=0.5, after_s=0.5)


def left_over() -> str:
    """The names of all namespaces and links"""
    commands = (["ip", "-br", what] for what in ("netns", "link"))
    return "".join(subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in commands)


@pytest.mark.timeout(300)  # a JVM and seven services on a machine that may be busy; 25 s on a quiet one
async def test_nothing_is_lost_or_doubled_while_hosts_are_cut() -> None:
    if missing := needs():
        pytest.skip(missing)
    if shutil.which("java") is None or shutil.which("mvn") is None:
        pytest.skip("Cassandra needs java and mvn")
    results: list[tuple[Result, str]] = []
    struck = [Struck(Fault("cut", "rms-1"), 0.5, 4.0), Struck(Fault("kill", "comment-service-2"), 1.0, 1.0)]
    with network_changes():
        await partition([(1, struck)], lambda result, log: results.append((result, log)), SOON)
    [(result, log)] = results
    # On a busy machine a read of the store may take too long: then a gap is told, and the round keeps its log.
    assert (result.balance.even, result.trouble) == (True, []), log
    assert result.acknowledged == 150
    assert result.reconnects > 0  # viewers of rms-1 had to come again
    assert f"lc{os.getpid()}" not in left_over()


@pytest.mark.parametrize(
    ("what", "kept", "words"),
    [
        ({}, True, "lost=0 doubled=0"),
        ({"gaps": 3}, True, "gaps=3 in_vain=0"),
        ({"errors": Counter(cut=4)}, True, "authors: cut:4"),
        ({"balance": Balance(lost=1)}, False, "lost=1"),
        ({"balance": Balance(doubled=1)}, False, "doubled=1"),
        ({"gaps_in_vain": 1}, False, "in_vain=1"),
        ({"trouble": ["rms-1 isn't healed: no"]}, False, "rms-1 isn't healed: no"),
        ({"trouble": [*"abcdefghij"]}, False, "and 2 more"),
    ],
)
def test_a_broken_promise_is_told_with_what_repeats_it(
    what: dict[str, Any], kept: bool, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = Result(7, STRUCK, acknowledged=20, **what)
    say(result, "/tmp/7.log", "the command")
    told = capsys.readouterr().out
    assert "7  cut:rms-1 (3.0 to 8.0 s) + way:rms-2>dispatcher-1 (4.0 to 6.0 s): acknowledged=20" in told
    assert words in told
    assert ("the command" in told) is not kept
    assert "/tmp/7.log" in told
    assert show([result]) is kept
    assert f"broken: {'none' if kept else '7'} of 1 rounds" in capsys.readouterr().out


def test_the_table_has_a_row_for_each_kind_and_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    result = Result(1, STRUCK, acknowledged=40_000, balance=Balance(1, 2, 3), delays_ms=[5.0], silence_ms=12_345)
    show([result, replace(result, struck=STRUCK[:1])])
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.split()}
    assert rows["cut"] == ["2", "80000", "2", "4", "6", "0", "0", "12345", "5", "5"]
    assert rows["way"][0] == "1"
    assert rows["all"][0] == "2"
    assert max(map(len, lines[1:8])) <= 80


def test_the_list_shows_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(1, 1, 1, [], single=False, show_list=True) == 0
    shown = capsys.readouterr().out.splitlines()
    assert {"cut:store", "way:store>rms-2", "port:rms-3", "kill:dispatcher-1", "drain:rms-1"} <= {*shown}


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="flood:rms-1: --list shows all"):
        command(1, 1, 1, ["flood:rms-1"], single=False, show_list=False)


def test_a_machine_without_the_clock_library_is_told_and_has_no_clock_faults(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("scripts.benches.partition.libfaketime", lambda: None)
    command(1, 1, 1, [], single=False, show_list=True)
    shown = capsys.readouterr().out
    assert "apt-get install libfaketime" in shown
    assert not re.search(r"^clock:", shown, re.MULTILINE)


def test_the_sleep_library_is_built_from_its_source() -> None:
    assert Path(build("true_sleep", shared=True)).exists()
