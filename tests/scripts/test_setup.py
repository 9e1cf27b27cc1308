"""scripts/setup in a small project of its own: it installs once, and explains what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.processes import ROOT

OLD_PYTHON = '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit\nexit 1\n'
NO_VENV = f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n'
TOOLS = ("dirname", "cmp", "grep", "cp", "cat", "sh")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Its locks have no packages, so nothing is downloaded. Its PATH has only the tools of scripts/setup."""
    (tmp_path / "scripts" / "locks").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    for wanted in ("run", "test"):
        (tmp_path / "scripts" / "locks" / f"{wanted}.txt").write_text("# nothing\n")
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def put(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)


def setup(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    return subprocess.run(
        [project / "scripts" / "setup", *arguments],
        env=env | {"PATH": str(project / "bin")},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def test_installs_once_and_again_when_the_lock_has_changed(project: Path) -> None:
    put(project / "bin" / "python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    first = setup(project, "test")
    assert first.returncode == 0, first.stderr
    assert "making .venv" in first.stderr
    assert "installing" in first.stderr
    for wanted in ("test", "run"):  # the test set contains the run set
        again = setup(project, wanted)
        assert (again.returncode, again.stderr) == (0, "")
    (project / "scripts" / "locks" / "test.txt").write_text("# changed\n")
    changed = setup(project, "test")
    assert "making" not in changed.stderr
    assert "installing" in changed.stderr


def test_an_old_python_is_refused_and_a_newer_one_is_found(project: Path) -> None:
    put(project / "bin" / "python3", OLD_PYTHON)
    refused = setup(project)
    assert refused.returncode == 1
    assert "Python 3.11 or newer is needed" in refused.stderr
    assert "(Python 3.9.2)" in refused.stderr
    put(project / "bin" / "python3.12", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    found = setup(project)
    assert found.returncode == 0, found.stderr


def test_a_missing_venv_module_is_named(project: Path) -> None:
    put(project / "bin" / "python3", NO_VENV)
    refused = setup(project)
    assert refused.returncode == 1
    assert "lacks its venv module" in refused.stderr
    assert "apt-get install python3-venv" in refused.stderr
