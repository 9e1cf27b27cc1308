"""dispatcher/core/missed.py: who comes back is told since when, and by nobody's word but the replica's own."""

from dispatcher.core.missed import Missed

START_MS = 1_700_000_000_000


def missed(gone_max: int = 2) -> Missed:
    return Missed(recent_s=60, beat_ms=500, gone_max=gone_max, started_ms=START_MS)


def test_the_same_life_has_missed_what_came_since_it_left() -> None:
    memory = missed()
    memory.left("rms-1", 7, START_MS + 5000)
    assert memory.came("rms-1", 7) == START_MS + 5000


def test_another_life_or_a_stranger_has_missed_all_since_the_start() -> None:
    memory = missed()
    memory.left("rms-1", 7, START_MS + 5000)
    assert memory.came("rms-1", 8) == START_MS
    assert memory.came("rms-2", 1) == START_MS


def test_one_beat_is_read_to_spare() -> None:
    memory = missed()
    memory.published(5, START_MS + 9600)
    assert memory.catch_up_from(START_MS + 10_400, START_MS + 12_000) == 5
    assert memory.catch_up_from(START_MS + 10_600, START_MS + 12_000) == 0


def test_too_many_and_those_of_long_ago_are_forgotten() -> None:
    memory = missed()
    for number in range(3):
        memory.left(f"rms-{number}", 1, START_MS + number)
    memory.forget(START_MS + 10)
    assert len(memory) == 2
    assert memory.came("rms-0", 1) == START_MS
    memory.forget(START_MS + 60_002)
    assert len(memory) == 1
