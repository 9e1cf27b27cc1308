"""tests/shares.py: a process that dies ends with its test, not with the run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

CONFTEST = """
from tests.shares import Shares
def pytest_xdist_make_scheduler(config, log):
    return Shares(config, log)
"""
DIES = """
import os
def test_before(): pass
def test_that_dies(): os._exit(3)
def test_after(): pass
"""
LIVES = "def test_it(): pass\n"


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_process_that_dies_fails_its_test_and_the_others_are_run(tmp_path: Path, processes: int) -> None:
    for name, text in {"conftest": CONFTEST, "test_dies": DIES, "test_lives": LIVES, "test_too": LIVES}.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(processes), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "1 failed, 4 passed" in run.stdout
    assert "crashed while running 'test_dies.py::test_that_dies'" in run.stdout
