"""Pairs are drawn by seed and number alone; each fault knows whom it touches, and who can't reach the store."""

import pytest

from scripts.benches.config import PARTITION
from scripts.benches.faults import KINDS, Fault, draw, hosts, known_faults

FAULTS = known_faults(PARTITION)


def test_a_pair_needs_nothing_of_the_pairs_before_it() -> None:
    every = [draw(7, number, FAULTS, PARTITION) for number in range(1, 50)]
    assert draw(7, 33, FAULTS, PARTITION) == every[32]
    assert draw(8, 33, FAULTS, PARTITION) != every[32]
    assert len({str(pair) for pair in every}) == len(every)


def test_pairs_overlap_follow_and_never_undo_each_other() -> None:
    overlapping = 0
    for number in range(1, 500):
        first, second = draw(1, number, FAULTS, PARTITION)
        assert first.fault.place != second.fault.place
        overlapping += first.at_s < second.at_s + second.for_s and second.at_s < first.at_s + first.for_s
    assert 0 < overlapping < 499


def test_every_kind_is_drawn() -> None:
    drawn = {each.fault.kind for number in range(1, 200) for each in draw(1, number, FAULTS, PARTITION)}
    assert drawn == {*KINDS}


def test_names_are_unlike_and_every_place_is_a_host() -> None:
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS)
    assert frozenset[str]().union(*(fault.touches for fault in FAULTS)) <= {*hosts(PARTITION)}


def test_without_clocks_no_clock_is_wrong() -> None:
    assert "clock" not in {fault.kind for fault in known_faults(PARTITION, clocks=False)}


@pytest.mark.parametrize(
    ("fault", "name", "touches", "without_store"),
    [
        (Fault("cut", "rms-1"), "cut:rms-1", {"rms-1"}, {"rms-1"}),
        (Fault("cut", "store"), "cut:store", {"store"}, {*hosts(PARTITION)}),
        (Fault("pause", "store"), "pause:store", {"store"}, {*hosts(PARTITION)}),
        (Fault("link", "rms-1", "store"), "link:rms-1-store", {"rms-1", "store"}, {"rms-1"}),
        (Fault("way", "store", "rms-1"), "way:store>rms-1", {"rms-1", "store"}, {"rms-1"}),
        (Fault("way", "rms-1", "dispatcher-2"), "way:rms-1>dispatcher-2", {"rms-1", "dispatcher-2"}, set()),
        (Fault("clock", "rms-1", off_s=-8), "clock:rms-1:-8", {"rms-1"}, set()),
        (Fault("kill", "rms-1"), "kill:rms-1", {"rms-1"}, set()),
    ],
)
def test_what_a_fault_means(fault: Fault, name: str, touches: set[str], without_store: set[str]) -> None:
    assert str(fault) == name
    assert {*fault.touches} == touches
    assert {*fault.without_store(hosts(PARTITION))} == without_store
