"""dispatcher/core/placement.py: the same answer everywhere, never a full node, few nodes for each video."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.placement import PlacementPolicy, Promises
from dispatcher.core.placement import choose as choose_all
from dispatcher.core.seating import Seating, Seats

POLICY = PlacementPolicy(nearly_full=0.9, spill_viewers=100, load_bound=1.25, idle_load=0.1, looked_at_max=4)


def nodes(*loads: int, capacity: int = 1000) -> dict[int, Seats]:
    """Sessions 0, 1, ... with these numbers of viewers"""
    return {session: Seats(f"rms-{session}", capacity, viewers) for session, viewers in enumerate(loads)}


def seated(seats: Mapping[int, Seats]) -> Seating:
    seating = Seating()
    for session, each in seats.items():
        seating.add(session, each)
    return seating


def choose(
    video_id: str,
    serving: Sequence[int],
    seats: Mapping[int, Seats] | Seating,
    viewers: int,
    policy: PlacementPolicy,
    excluded: Collection[str] = (),
) -> int | None:
    """The session alone"""
    seating = seats if isinstance(seats, Seating) else seated(seats)
    choice = choose_all(video_id, serving, seating, viewers, policy, excluded)
    return None if choice is None else choice.session


seats_strategy = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), max_size=12).map(
    lambda pairs: {i: Seats(f"rms-{i}", capacity, viewers) for i, (capacity, viewers) in enumerate(pairs)}
)


@given(seats_strategy, st.data())
def test_the_answer_has_room_and_is_not_excluded_and_none_means_none(
    seats: dict[int, Seats], data: st.DataObject
) -> None:
    serving = data.draw(st.lists(st.sampled_from(sorted(seats)), unique=True)) if seats else []
    excluded = data.draw(st.sets(st.sampled_from([seat.node_id for seat in seats.values()]))) if seats else set()
    possible = {s for s, seat in seats.items() if seat.taken < seat.capacity and seat.node_id not in excluded}
    viewers = data.draw(st.integers(0, 2000))
    answer = choose("demo", serving, seats, viewers, POLICY, excluded)
    assert answer in possible if possible else answer is None


@given(seats_strategy, st.data())
def test_another_replica_with_other_sessions_in_another_order_answers_the_same(
    seats: dict[int, Seats], data: st.DataObject
) -> None:
    serving = data.draw(st.lists(st.sampled_from(sorted(seats)), unique=True)) if seats else []
    in_order = sorted(serving, key=lambda session: seats[session].node_id)
    here = choose("demo", in_order, seats, 7, POLICY)
    order = data.draw(st.permutations(sorted(seats)))
    there_seats = {1000 - session: seats[session] for session in order}
    there = choose("demo", [1000 - session for session in in_order], there_seats, 7, POLICY)
    assert there == (None if here is None else 1000 - here)


def test_a_video_that_needs_all_of_its_nodes_goes_to_the_least_loaded() -> None:
    assert choose("demo", [1, 2], nodes(0, 300, 200, 0), 150, POLICY) == 2


def test_a_video_with_many_viewers_on_each_node_spills_to_one_more() -> None:
    assert choose("demo", [1], nodes(100, 100, 100), 99, POLICY) == 1
    assert choose("demo", [1], nodes(100, 100, 100), 100, POLICY) in (0, 2)
    assert choose("demo", [0, 1], nodes(100, 100, 100), 199, POLICY) in (0, 1)


def test_a_video_spills_when_its_nodes_are_nearly_full() -> None:
    assert choose("demo", [0], nodes(899, 500), 10, POLICY) == 0
    assert choose("demo", [0], nodes(900, 500), 10, POLICY) == 1


def test_a_nearly_full_node_still_takes_viewers_when_it_is_the_last() -> None:
    assert choose("demo", [0], nodes(999, 1000), 10, POLICY) == 0
    assert choose("demo", [0], nodes(1000, 1000), 10, POLICY) is None


def test_a_further_node_is_not_loaded_far_above_the_average() -> None:
    seats = nodes(800, 100, 100, 100)
    assert all(choose(f"video-{n}", [], seats, 0, POLICY) != 0 for n in range(200))


def test_new_videos_spread_by_capacity() -> None:
    seats = {i: Seats(f"rms-{i}", 2000 if i < 5 else 1000, 0) for i in range(10)}
    seating = seated(seats)
    counts = Counter(choose(f"video-{n}", [], seating, 0, POLICY) for n in range(10_000))
    for session, seat in seats.items():
        assert 0.8 < counts[session] * 15_000 / seat.capacity / 10_000 < 1.2


def test_a_lost_node_moves_only_its_own_videos() -> None:
    seating = seated(nodes(*[0] * 30))
    before = {f"video-{n}": choose(f"video-{n}", [], seating, 0, POLICY) for n in range(1000)}
    seating.remove(3)
    for video_id, session in before.items():
        assert session == 3 or choose(video_id, [], seating, 0, POLICY) == session


def test_a_giant_is_compared_on_a_few_nodes_and_still_spread_evenly() -> None:
    seats = nodes(*[0] * 100, capacity=10_000)
    seating = seated(seats)
    for viewers in range(20_000):
        session = choose("giant", list(seats), seating, 9900 + viewers, POLICY)
        assert session is not None
        seating.change(session, promised=1)
    loads = [seat.taken for seat in seats.values()]
    assert max(loads) - min(loads) <= 20


def test_a_video_that_has_shrunk_gathers_on_the_first_of_its_nodes() -> None:
    seats = nodes(60, 40, 20, 0)
    assert choose("demo", [0, 1, 2], seats, 299, POLICY) == 2
    assert choose("demo", [0, 1, 2], seats, 199, POLICY) == 1
    assert choose("demo", [0, 1, 2], seats, 99, POLICY) == 0


def test_when_the_first_node_is_nearly_full_the_others_that_serve_it_come_before_a_new_one() -> None:
    assert choose("demo", [0, 1], nodes(950, 500, 0), 10, POLICY) == 1
    assert choose("demo", [0, 1], nodes(950, 960, 0), 10, POLICY) == 2


def test_a_draining_node_is_never_chosen_and_counts_for_no_average() -> None:
    seats = nodes(0, 300, 300)
    seats[0].draining = True
    assert {choose(f"video-{n}", [], seats, 0, POLICY) for n in range(50)} == {1, 2}
    assert choose("demo", [0], seats, 1, POLICY) in (1, 2)
    assert choose("demo", [0], {0: seats[0]}, 1, POLICY) is None


def test_one_more_node_is_a_spill_and_the_first_one_is_not() -> None:
    seating = seated(nodes(0, 0))
    first = choose_all("demo", [], seating, 0, POLICY)
    one_more = choose_all("demo", [0], seating, 100, POLICY)
    assert first is not None
    assert one_more is not None
    assert (first.spilled, one_more.spilled) == (False, True)


def test_a_giant_finds_the_only_node_with_room() -> None:
    seats = nodes(*[1000] * 50)
    seats[17].viewers = 999
    assert choose("giant", sorted(seats), seats, 49_999, POLICY) == 17


@dataclass
class Promised:
    session: int
    video_id: str
    beats_left: int = 2
    expected: bool = True


promise_steps = st.lists(
    st.one_of(
        st.tuples(st.just("promise"), st.integers(0, 2), st.sampled_from("ab")),
        st.tuples(st.just("beat"), st.integers(0, 2), st.just("")),
        st.tuples(st.just("joined"), st.integers(0, 2), st.sampled_from("ab")),
    ),
    max_size=40,
)


@given(promise_steps)
def test_a_promise_lasts_until_the_second_beat(steps: list[tuple[str, int, str]]) -> None:
    seats = nodes(0, 0, 0)
    promises = Promises(seated(seats))
    alive: list[Promised] = []
    for what, session, video_id in steps:
        if what == "promise":
            promises.promise(session, video_id, serves=False)
            alive.append(Promised(session, video_id))
        elif what == "joined":
            promises.joined(session, video_id)
            for promise in alive:
                promise.expected &= (promise.session, promise.video_id) != (session, video_id)
        else:
            promises.beat(session)
            for promise in alive:
                promise.beats_left -= promise.session == session
            alive = [promise for promise in alive if promise.beats_left]
    for session, seat in seats.items():
        assert seat.promised == sum(promise.session == session for promise in alive)
    for video_id in "ab":
        of_video = [promise for promise in alive if promise.video_id == video_id]
        assert promises.of_video(video_id) == len(of_video)
        assert set(promises.expected(video_id)) == {promise.session for promise in of_video if promise.expected}


def test_an_ended_session_leaves_no_promise() -> None:
    seats = nodes(0)
    promises = Promises(seated(seats))
    promises.promise(0, "demo", serves=False)
    promises.beat(0)
    promises.promise(0, "demo", serves=False)
    promises.remove(0)
    assert (seats[0].promised, promises.of_video("demo"), list(promises.expected("demo"))) == (0, 0, [])


def test_at_the_bound_a_node_counts_as_nearly_full() -> None:
    assert choose("demo", [0, 1], nodes(900, 500), 10, POLICY) == 1
    assert choose("demo", [0, 1], nodes(950, 950), 10, POLICY) == 0, "of equal ones the first stays"
    assert choose("demo", [0], nodes(900, 950), 10, POLICY) == 0
    assert choose("demo", [0], nodes(950, 950), 10, POLICY) == 0


def test_only_one_more_node_is_a_spill() -> None:
    for serving, loads in (([0], (10, 10)), ([0], (900, 950))):
        choice = choose_all("demo", serving, seated(nodes(*loads)), 10, POLICY)
        assert choice is not None
        assert (choice.session, choice.spilled) == (0, False)


def test_as_many_as_are_compared_are_all_compared() -> None:
    seats = nodes(40, 30, 10, 20)
    assert {choose("demo", [0, 1, 2, 3], seats, 300 + viewers, POLICY) for viewers in range(90)} == {2}


def test_a_node_that_is_loaded_as_far_as_it_may_be_is_fit() -> None:
    seats = nodes(125, 75)
    assert {choose(f"video-{n}", [], seats, 0, POLICY) for n in range(50)} == {0, 1}


def test_a_loaded_node_is_better_than_none() -> None:
    assert choose("demo", [], nodes(999, 0), 0, POLICY, {"rms-1"}) == 0


def test_who_is_expected_to_serve_a_video() -> None:
    promises = Promises(seated(nodes(0, 0)))
    promises.promise(0, "a", serves=True)
    assert list(promises.expected("a")) == []
    for session in (0, 0, 1):
        promises.promise(session, "b", serves=False)
    assert list(promises.expected("b")) == [0, 1]
    promises.joined(0, "b")
    assert list(promises.expected("b")) == [1]
    promises.beat(1)
    promises.promise(1, "b", serves=False)
    promises.beat(1)
    assert list(promises.expected("b")) == [1], "by the younger promise"
    promises.beat(1)
    assert list(promises.expected("b")) == []
