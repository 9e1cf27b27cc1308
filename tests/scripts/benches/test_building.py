"""scripts/benches/building.py"""

import subprocess
from pathlib import Path

import pytest

from scripts.benches.building import build
from scripts.benches.running import BenchFailed


def test_a_program_is_compiled_once(tmp_path: Path) -> None:
    first = build("bare", tmp_path)
    made = first.stat().st_mtime_ns
    assert build("bare", tmp_path) == first
    assert first.stat().st_mtime_ns == made
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    assert subprocess.run([first], capture_output=True, check=False).returncode == 2


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BenchFailed, match="apt-get install gcc"):
        build("viewers", tmp_path)


def test_what_the_compiler_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "false")
    with pytest.raises(BenchFailed, match="failed"):
        build("viewers", tmp_path)
