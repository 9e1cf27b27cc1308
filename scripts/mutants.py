"""Changes files in small ways, and says which changes their own tests don't notice: scripts/mutants."""

import ast
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from scripts.config import MUTANTS
from scripts.mutant_runs import Job, Mutant, Outcome
from scripts.processes import ROOT
from scripts.terminal import Terminal

ROOMS = ("proto", "dispatcher", "rms", "comment_service", "history", "scripts", "tests")
PURE_FOLDERS = ("proto/core", "rms/feed", "dispatcher/core", "comment_service/core", "history/core")
"""As in tests/test_house.py"""

LISTED = ROOT / "scripts" / "mutants.toml"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mutant that is not noticed, and why not."""

    was: str
    becomes: str
    because: str
    is_hole: bool = False
    """A test could notice it, and none does: it counts. The others are equivalent: they do what the file is to do."""


class Result(msgspec.Struct):
    """What became of one file's mutants. `gone`: listed, and not among them any more, or noticed after all."""

    path: str
    mutants: int
    noticed: int
    equivalent: int
    unlisted: list[Mutant]
    gone: list[Listed]

    @property
    def share(self) -> float:
        """Of the mutants that aren't equivalent, those that are noticed; 1.0 if there are none."""
        counted = self.mutants - self.equivalent
        return self.noticed / counted if counted else 1.0

    @property
    def is_good(self) -> bool:
        return self.share >= MUTANTS.share_min and not self.unlisted and not self.gone


class NoTests(Exception):
    """A file has no tests of its own, or they fail without any change."""


@app.command()
def main(
    files: Annotated[
        list[str] | None, typer.Argument(help="source files; without: all files of the pure folders")
    ] = None,
) -> None:
    """Changes each file in small ways, one at a time, and runs its own tests on each change.

    Exit code 1: a change isn't noticed and isn't in scripts/mutants.toml with a reason, a listed one is noticed or
    gone, less than 95 % of those that aren't equivalent are noticed, or a file has no tests. Takes 10 s to 10 minutes
    for a file. Made for pure files: what a conftest.py has imported stays unchanged. docs/mutants.md says more.
    """
    console = Terminal()
    good = True
    listed = listed_in(LISTED.read_text())
    console.print(f"{'file':<42}{'mutants':>8}{'noticed':>8}{'equal':>7}{'share':>8}")
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        copy = Path(scratch) / "project"
        _copy_project(copy)
        for path in [_name(file) for file in files] if files else list(_pure_files()):
            try:
                result = examined(path, listed.get(path, []), copy)
            except NoTests as error:
                console.print(f"{path:<42}{error}", markup=False)
                good = False
                continue
            share = f"{result.share:.1%}"
            console.print(
                f"{path:<42}{result.mutants:>8}{result.noticed:>8}{result.equivalent:>7}{share:>8}", markup=False
            )
            for mutant in result.unlisted:
                console.print(f"  {path}:{mutant.line}: {mutant.was}\n    not noticed: {mutant.becomes}", markup=False)
            for entry in result.gone:
                console.print(f"  listed, but noticed or gone: {entry.was} -> {entry.becomes}", markup=False)
            good = good and result.is_good
    raise typer.Exit(0 if good else 1)


def examined(path: str, listed: Sequence[Listed], copy: Path) -> Result:
    """Runs a file's own tests on all its mutants, in a copy of the project. Raises NoTests."""
    from scripts.mutating import mutants_of  # needs cosmic-ray, which isn't there where the tests of this file run

    source = (copy / path).read_text()
    mutants = mutants_of(source)
    tests = own_tests(copy, path)
    if not tests:
        raise NoTests("has no tests of its own")
    module = path.removesuffix(".py").replace("/", ".")
    job = Job(module, tests, [source, *(mutant.source for mutant in mutants)], list(ROOMS))
    first, *outcomes = outcomes_of(job, copy)
    if first.noticed:
        raise NoTests(f"its tests fail without any change:\n{first.says}")
    return judged(path, mutants, outcomes, listed)


def judged(path: str, mutants: Sequence[Mutant], outcomes: Sequence[Outcome], listed: Sequence[Listed]) -> Result:
    """Compares a run with the list."""
    survivors = [mutant for mutant, outcome in zip(mutants, outcomes, strict=True) if not outcome.noticed]
    excused = {(entry.was, entry.becomes) for entry in listed}
    alive = {(mutant.was, mutant.becomes) for mutant in survivors}
    unlisted = [mutant for mutant in survivors if (mutant.was, mutant.becomes) not in excused]
    gone = [entry for entry in listed if (entry.was, entry.becomes) not in alive]
    equivalent = {(entry.was, entry.becomes) for entry in listed if not entry.is_hole}
    equal = sum((mutant.was, mutant.becomes) in equivalent for mutant in survivors)
    return Result(path, len(mutants), len(mutants) - len(survivors), equal, unlisted, gone)


def own_tests(root: Path, path: str) -> list[str]:
    """A file's own tests: those of its name, and those of its folder that belong to no file and import it.

    Without one of its name: all of its folder that import it.
    """
    source = Path(path)
    module = path.removesuffix(".py").replace("/", ".")
    folder = root / "tests" / source.parent
    own = folder / f"test_{source.name}"
    named = [own] if own.exists() else []
    beside = [
        test
        for test in sorted(folder.glob("test_*.py"))
        if test != own
        and (not named or not (root / source.parent / test.name.removeprefix("test_")).exists())
        and module in _imports(test)
    ]
    return [str(test.relative_to(root)) for test in (*named, *beside)]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def outcomes_of(job: Job, copy: Path) -> list[Outcome]:
    """Runs a job in a copy of the project. Only the first outcome, if the tests fail on the file as it is."""
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "scripts.mutant_runs"],
        input=msgspec.json.encode(job),
        capture_output=True,
        cwd=copy,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(copy), "LANG": "C.UTF-8"},
        check=False,
    )
    if ran.returncode:
        raise NoTests(f"its tests can't be run:\n{ran.stderr.decode(errors='replace')}")
    return msgspec.json.decode(ran.stdout, type=list[Outcome])


def listed_in(text: str) -> dict[str, list[Listed]]:
    return msgspec.convert(tomllib.loads(text), dict[str, list[Listed]])


def _pure_files() -> Iterator[str]:
    for folder in PURE_FOLDERS:
        yield from (_name(str(path)) for path in sorted((ROOT / folder).glob("*.py")) if path.name != "__init__.py")


def _name(file: str) -> str:
    path = Path(file).resolve()
    if not path.is_relative_to(ROOT) or not path.is_file():
        raise typer.BadParameter(f"{file} is no file of the project")
    return str(path.relative_to(ROOT))


def _copy_project(copy: Path) -> None:
    """Only what the tests need: a mutant that writes or deletes files does it there."""
    copy.mkdir()
    shutil.copy2(ROOT / "pyproject.toml", copy)
    for room in ROOMS:
        shutil.copytree(ROOT / room, copy / room, symlinks=True)  # with its bytecode, which saves compiling


if __name__ == "__main__":
    app()
