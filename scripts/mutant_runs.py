"""Runs one file's tests on each of its mutants, in a fork of one warm pytest: the imports are paid for once.

A process of its own, begun by scripts/mutants.py in a copy of the project: `python -m scripts.mutant_runs`. The job
comes on stdin and the outcomes go to stdout, as JSON. A mutant stands in memory only, in place of its module.
"""

import importlib.abc
import importlib.machinery
import io
import os
import resource
import sys
import types
from collections.abc import Sequence
from contextlib import redirect_stdout

import msgspec
import pytest

from scripts.config import MUTANTS

PROFILE = "mutants"


class Mutant(msgspec.Struct, frozen=True):
    """A changed source. `was` and `becomes` are the changed lines, without what stands around them."""

    line: int
    was: str
    becomes: str
    source: str


class Job(msgspec.Struct, frozen=True):
    """What to run: the module that the sources stand for, its tests, and the sources. The first one is as it was."""

    module: str
    tests: list[str]
    sources: list[str]
    rooms: list[str]
    cpu_s_least: float = MUTANTS.cpu_s_least


class Outcome(msgspec.Struct, frozen=True):
    """`noticed`: a test failed, the module couldn't be imported, or a limit was reached."""

    noticed: bool
    cpu_s: float
    says: str = ""


class Replaced(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a given source."""

    def __init__(self, module: str, source: str) -> None:
        self._module, self._source = module, source

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self) if name == self._module else None

    def exec_module(self, module: types.ModuleType) -> None:
        exec(compile(self._source, f"<mutant of {self._module}>", "exec", dont_inherit=True), module.__dict__)  # noqa: S102


class Forks:
    """A pytest plugin: where tests would be collected, each source gets a child of its own that goes on from there."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.outcomes: list[Outcome] = []
        self.child = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings  # not above: pytest warns of a plugin that is imported before it begins

        # No shrinking of what is found, and nothing kept of it. The same examples come by a seed, not by `derandomize`,
        # whose one seed for each test happened to find little.
        settings.register_profile(
            PROFILE,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            max_examples=MUTANTS.examples_max,
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> bool | None:
        cpu_s = MUTANTS.first_cpu_s
        for number, source in enumerate(self._job.sources):
            read, write = os.pipe()
            if (pid := os.fork()) == 0:
                os.close(read)
                os.dup2(write, 1)
                self.child = True
                _limit(cpu_s)
                _forget_modules(self._job.rooms)
                sys.meta_path.insert(0, Replaced(self._job.module, source))
                return None
            os.close(write)
            with open(read, "rb") as output:
                said = output.read().decode(errors="replace")
            _, status, used = os.wait4(pid, 0)
            outcome = Outcome(status != 0, used.ru_utime + used.ru_stime, said)
            self.outcomes.append(outcome)
            if number == 0:
                if outcome.noticed:
                    break
                cpu_s = self._job.cpu_s_least + outcome.cpu_s * MUTANTS.cpu_times
        return True

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """What makes up examples comes last: most mutants die of the quick tests."""
        items.sort(key=lambda item: bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False)))


def _limit(cpu_s: float) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (MUTANTS.data_bytes_max, MUTANTS.data_bytes_max))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _forget_modules(rooms: Sequence[str]) -> None:
    """So that all who import the mutant get it. What conftest.py has imported stays with its own copy."""
    for name in list(sys.modules):
        if name.partition(".")[0] in rooms and not name.endswith(("conftest", "_pb2", "_pb2_grpc")):
            del sys.modules[name]


def main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    forks = Forks(job)
    stdout = os.dup(1)
    os.dup2(2, 1)
    options = ["-x", "-q", "-s", "--no-header", "--tb=line", "--no-cov", "-p", "no:cacheprovider", "-p", "no:xdist"]
    limits = ["-o", f"timeout={MUTANTS.wall_s}", f"--hypothesis-profile={PROFILE}", "--hypothesis-seed=1"]
    with redirect_stdout(io.StringIO()) as said:
        code = pytest.main([*options, *limits, *job.tests], plugins=[forks])
        if forks.child:
            os.write(1, said.getvalue()[-MUTANTS.said_bytes_max :].encode(errors="replace"))
            os._exit(int(code))
    os.write(stdout, msgspec.json.encode(forks.outcomes))
    os._exit(0)


if __name__ == "__main__":
    main()
