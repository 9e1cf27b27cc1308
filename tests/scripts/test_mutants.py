"""scripts/mutants: which tests are a file's own, what a run says of its mutants, and what the list excuses"""

from pathlib import Path

import pytest

from scripts.mutant_runs import Job, Mutant, Outcome
from scripts.mutants import LISTED, PURE_FOLDERS, Listed, judged, listed_in, outcomes_of, own_tests
from tests import test_house

SOURCE = "def larger(one: int, other: int) -> int:\n    return one if one > other else other\n"
TEST = "from room.pair import larger\n\ndef test_larger() -> None:\n    assert larger(1, 2) == larger(2, 1) == 2\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("room", "tests/room"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "tests" / "__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\ntimeout = 9\n")
    (tmp_path / "room" / "pair.py").write_text(SOURCE)
    (tmp_path / "tests" / "room" / "test_pair.py").write_text(TEST)
    # The runner is ours; it is looked up beside the project's own rooms.
    (tmp_path / "scripts").symlink_to(test_house.ROOT / "scripts")
    return tmp_path


def outcomes(project: Path, *sources: str) -> list[bool]:
    tests = own_tests(project, "room/pair.py")
    job = Job("room.pair", tests, [SOURCE, *sources], ["room", "tests"], cpu_s_least=0.1)
    first, *others = outcomes_of(job, project)
    assert not first.noticed, first.says
    return [outcome.noticed for outcome in others]


def test_each_mutant_meets_the_tests_by_itself(project: Path) -> None:
    smaller, same, endless = (
        SOURCE.replace("one >", "one <"),
        SOURCE.replace("one >", "one >="),
        "while True:\n    pass\n",
    )
    assert outcomes(project, smaller, same, endless, "no Python", same) == [True, False, True, True, False]
    assert (project / "room" / "pair.py").read_text() == SOURCE


def test_tests_that_fail_without_a_change_are_told(project: Path) -> None:
    (project / "tests" / "room" / "test_pair.py").write_text("def test_it() -> None:\n    assert not 'what is wrong'\n")
    (first,) = outcomes_of(Job("room.pair", ["tests/room/test_pair.py"], [SOURCE, SOURCE], ["room", "tests"]), project)
    assert first.noticed
    assert "what is wrong" in first.says


def test_the_tests_of_a_file(project: Path) -> None:
    folder = project / "tests" / "room"
    imports = "from room import pair, other\n"
    (project / "room" / "other.py").touch()
    (folder / "test_other.py").write_text(imports)  # another file's own
    (folder / "test_any_order.py").write_text(imports)  # of the whole folder
    (folder / "test_else.py").write_text("from room import nothing\n")
    assert own_tests(project, "room/pair.py") == ["tests/room/test_pair.py", "tests/room/test_any_order.py"]
    (folder / "test_pair.py").unlink()
    assert own_tests(project, "room/pair.py") == ["tests/room/test_any_order.py", "tests/room/test_other.py"]


def test_a_run_is_compared_with_the_list() -> None:
    mutants = [Mutant(line, f"was {line}", "becomes", "") for line in range(1, 41)]
    outcomes = [Outcome(noticed=mutant.line > 2, cpu_s=0.1) for mutant in mutants]
    excused, noticed = (Listed(f"was {line}", "becomes", "equal") for line in (1, 9))
    result = judged("room/pair.py", mutants, outcomes, [excused])
    assert (result.noticed, result.equivalent, round(result.share, 3), result.is_good) == (38, 1, 0.974, False)
    assert [mutant.line for mutant in result.unlisted] == [2]
    outcomes[1] = Outcome(noticed=True, cpu_s=0.1)
    assert judged("room/pair.py", mutants, outcomes, [excused]).is_good
    result = judged("room/pair.py", mutants, outcomes, [excused, noticed])
    assert (result.gone, result.is_good) == ([noticed], False)


def test_a_listed_hole_counts() -> None:
    mutants = [Mutant(line, f"was {line}", "becomes", "") for line in range(1, 41)]
    holes = [Listed(f"was {line}", "becomes", "to be tested", is_hole=True) for line in (1, 2, 3)]
    for count, good in ((2, True), (3, False)):
        outcomes = [Outcome(noticed=mutant.line > count, cpu_s=0.1) for mutant in mutants]
        result = judged("room/pair.py", mutants, outcomes, holes[:count])
        assert (result.equivalent, result.unlisted, result.is_good) == (0, [], good)


def test_the_list_is_well_formed_and_gives_reasons() -> None:
    for path, entries in listed_in(LISTED.read_text()).items():
        assert (test_house.ROOT / path).is_file(), path
        for entry in entries:
            assert len(entry.because) > 10, entry


def test_the_pure_folders_are_those_of_the_house() -> None:
    assert PURE_FOLDERS == test_house.PURE_FOLDERS
