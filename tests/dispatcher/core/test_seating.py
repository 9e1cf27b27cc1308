"""dispatcher/core/seating.py: the counts agree with the seats, and each node wins in proportion to its capacity."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.seating import Seating, Seats, points, rank

NEAREST = [[0, 2, 2, 3, 3, 3, 3], [1, 1, 0, 0, 2, 3, 3], [1, 0, 1, 1, 1, 0, 3], [1, 0, 0, 2, 2, 3, 3]]
AROUND = [[3, 1, 2, 0], [0, 1, 3, 2], [3, 2, 1, 0], [2, 3, 1, 0]]
RANK = 4384498441404016902


def winner(seating: Seating, video_id: str) -> int:
    return seating.nearest(video_id)[0]


def test_the_same_text_has_the_same_places_in_every_process() -> None:
    assert points("demo", 2) == (15579910197388362530, 4380275887677389836)
    assert rank("demo", "rms-1") != rank("other", "rms-1")


steps = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "viewers", "promise", "drain"]), st.integers(0, 4), st.integers(0, 6)),
    max_size=40,
)


@given(steps)
def test_the_counts_agree_with_the_seats(steps: list[tuple[str, int, int]]) -> None:
    seating, here = Seating(), dict[int, Seats]()
    for what, session, number in steps:
        if what == "add" and session not in here:
            here[session] = Seats(f"rms-{session}", capacity=number, viewers=0)
            seating.add(session, here[session])
        elif what == "remove" and session in here:
            seating.remove(session)
            del here[session]
        elif session in here:
            seating.change(
                session,
                viewers=number if what == "viewers" else None,
                promised=number if what == "promise" else 0,
                draining=number > 2 if what == "drain" else None,
            )
    staying = [seats for seats in here.values() if not seats.draining]
    assert list(seating) == list(here.values())
    assert seating.open_nodes == sum(seats.is_open for seats in here.values())
    assert (seating.viewers, seating.promised, seating.capacity) == (
        sum(seats.viewers for seats in staying),
        sum(seats.promised for seats in staying),
        sum(seats.capacity for seats in staying),
    )
    assert set(seating.around("demo")) == set(here)
    assert set(seating.nearest("demo")) <= set(here)


def test_among_many_nodes_each_wins_about_its_share() -> None:
    seating = Seating()
    for session in range(200):
        seating.add(session, Seats(f"rms-{session}", 1000 if session % 2 else 2000, 0))
    wins = Counter(winner(seating, f"video-{number}") for number in range(20_000))
    large = sum(count for session, count in wins.items() if session % 2 == 0)
    assert 0.63 < large / 20_000 < 0.71
    assert max(wins.values()) < 2.5 * 20_000 / 200


def test_a_table_of_the_ring_changes_no_answer() -> None:
    """It is made after some look-ups on the same nodes, and thrown away when one comes or goes."""
    seating = Seating()
    for session in range(30):
        seating.add(session, Seats(f"rms-{session}", 1000, 0))
    videos = [f"video-{number}" for number in range(500)]
    assert [seating.nearest(video_id) for video_id in videos] == [seating.nearest(video_id) for video_id in videos]
    seating.remove(7)
    fresh = Seating()
    for session in (*range(7), *range(8, 30)):
        fresh.add(session, Seats(f"rms-{session}", 1000, 0))
    assert [seating.nearest(video_id) for video_id in videos] == [fresh.nearest(video_id) for video_id in videos]


def test_a_node_that_comes_takes_only_what_it_wins() -> None:
    seating = Seating()
    for session in range(50):
        seating.add(session, Seats(f"rms-{session}", 1000, 0))
    before = {f"video-{number}": winner(seating, f"video-{number}") for number in range(500)}
    seating.add(50, Seats("rms-50", 1000, 0))
    assert all(winner(seating, video_id) in (session, 50) for video_id, session in before.items())


def test_the_seats_of_a_node() -> None:
    seats = Seats("rms-1", 10, 3)
    assert (seats.promised, seats.draining, seats.taken, seats.is_open, seats.load) == (0, False, 3, True, 0.3)
    seats.promised = 6
    assert (seats.taken, seats.is_open, seats.load) == (9, True, 0.9)
    seats.promised = 7
    assert (seats.taken, seats.is_open, seats.load) == (10, False, 1.0)
    seats.promised, seats.draining = 0, True
    assert not seats.is_open
    none = Seats("rms-2", 0, 0)
    assert (none.is_open, none.load) == (False, math.inf)


def test_the_seats_of_all_nodes() -> None:
    seating = Seating()
    assert (seating.load, seating.open_nodes) == (math.inf, 0)
    seating.add(1, Seats("rms-1", 10, 2, promised=1))
    seating.add(2, Seats("rms-2", 30, 1))
    assert (seating.load, seating.viewers, seating.promised, seating.open_nodes) == (0.1, 3, 1, 2)
    seating.change(2, viewers=5)
    assert (seating[2].viewers, seating[2].promised, seating[2].draining) == (5, 0, False)
    seating.change(2, draining=True)
    assert (seating[2].draining, seating.capacity, seating.viewers, seating.open_nodes) == (True, 10, 2, 1)
    seating.change(2, promised=2)
    assert (seating[2].draining, seating[2].promised, seating.promised) == (True, 2, 1)
    seating.remove(1)
    assert (seating.viewers, seating.promised, seating.capacity, seating.open_nodes) == (0, 0, 0, 0)
    seating.change(2, draining=False)
    assert (seating.viewers, seating.promised, seating.capacity, seating.open_nodes) == (5, 2, 30, 1)


def test_every_release_finds_the_same_nodes() -> None:
    """Replicas of two releases stand side by side in an update, and must not spread one video over two nodes."""
    seating = Seating()
    for session, capacity in enumerate((1_000, 2_000, 500, 0)):
        seating.add(session, Seats(f"rms-{session}", capacity, 0))
    assert [seating.nearest(video_id) for video_id in ("demo", "a", "b", "c")] == NEAREST
    assert [[*dict.fromkeys(seating.around(video_id))] for video_id in ("demo", "a", "b", "c")] == AROUND
    assert rank("demo", "rms-1") == RANK


def test_the_nearest_are_those_that_a_walk_around_the_whole_ring_finds() -> None:
    seating, ring = Seating(), []
    for session, capacity in enumerate((1_000, 0, 3)):
        seating.add(session, Seats(f"rms-{session}", capacity, 0))
        ring += [(point, capacity or 1, session) for point in points(f"rms-{session}", 32)]
    for number in range(300):  # some of their places lie behind the last point
        found = []
        for place in points(f"video-{number}", 7):
            distance, capacity, session = min(((point - place) % 2**64, size, node) for point, size, node in ring)
            found.append((distance / capacity, session))
        assert seating.nearest(f"video-{number}") == [session for _, session in sorted(found)]
