"""Chains: a video's events leave in the order of their ids, and each says which one came before"""

from hypothesis import given
from hypothesis import strategies as st

from comment_service.core.chains import Chains, service_of
from comment_service.core.outbox import Publishable
from history.core.ids import IdSource

FIRST = IdSource(5).next(1_700_000_000_000)


def event(event_id: int, video_id: str = "v") -> Publishable:
    return Publishable(event_id, video_id, b"")


def ids(events: list[Publishable]) -> list[int]:
    return [each.id for each in events]


@given(st.lists(st.tuples(st.sampled_from("vw"), st.booleans()), max_size=30), st.randoms(use_true_random=False))
def test_whatever_order_they_become_durable_in(begun: list[tuple[str, bool]], random: "st.random.Random") -> None:  # type: ignore[name-defined]
    chains: Chains[Publishable] = Chains(FIRST, 10)
    source = IdSource(5)
    after: dict[int, int] = {}
    plan = []
    for video_id, is_accepted in begun:
        event_id = source.next(1_700_000_000_001)
        after[event_id] = chains.begin(video_id, event_id)
        plan.append((event_id, video_id, is_accepted))
    left: list[Publishable] = []
    for event_id, video_id, is_accepted in random.sample(plan, len(plan)):
        left += chains.put(event(event_id, video_id)) if is_accepted else chains.abandon(video_id, event_id)
    for video_id in "vw":
        published = ids([each for each in left if each.video_id == video_id])
        assert published == [each for each, of_video, is_accepted in plan if is_accepted and of_video == video_id]
        known = FIRST
        for event_id, of_video, _ in plan:
            if of_video == video_id:
                assert after[event_id] == known
                known = event_id
    assert len(chains) == 0


def test_an_event_waits_only_for_its_own_video() -> None:
    chains: Chains[Publishable] = Chains(FIRST, 10)
    for event_id, video_id in ((FIRST + 1, "v"), (FIRST + 2, "w"), (FIRST + 3, "v")):
        chains.begin(video_id, event_id)
    assert ids(chains.put(event(FIRST + 3))) == []
    assert ids(chains.put(event(FIRST + 2, "w"))) == [FIRST + 2]
    assert len(chains) == 1
    assert ids(chains.put(event(FIRST + 1))) == [FIRST + 1, FIRST + 3]


def test_what_was_refused_at_once_is_no_hole_in_the_chain() -> None:
    chains: Chains[Publishable] = Chains(FIRST, 10)
    assert chains.begin("v", FIRST + 1) == FIRST
    for number in (2, 3):  # as from a service that is overloaded
        after_id = chains.begin("v", FIRST + number)
        assert after_id == FIRST + 1
        chains.abandon("v", FIRST + number, after_id)
    assert chains.begin("v", FIRST + 4) == FIRST + 1
    chains.abandon("v", FIRST + 1, FIRST)  # another one stands behind it
    assert chains.begin("v", FIRST + 5) == FIRST + 4
    chains.abandon("v", FIRST + 5)  # it may be stored
    assert chains.begin("v", FIRST + 6) == FIRST + 5


def test_a_video_that_was_dropped_from_memory_claims_nothing_that_it_does_not_know() -> None:
    chains: Chains[Publishable] = Chains(FIRST, 2)
    for number, video_id in enumerate(("a", "b", "c"), 1):
        assert chains.begin(video_id, FIRST + number) == FIRST
    assert chains.begin("a", FIRST + 10) == FIRST + 1, "the last of all that were dropped"
    assert chains.begin("d", FIRST + 11) >= FIRST + 2


def test_another_services_event_is_chained_to_nothing_and_waits_for_nobody() -> None:
    chains: Chains[Publishable] = Chains(FIRST, 2)
    chains.begin("v", FIRST + 1)
    other = IdSource(6).next(1_600_000_000_000)
    assert chains.begin("v", other) == other - 1
    assert ids(chains.put(event(other))) == [other]
    assert chains.abandon("v", other) == []
    assert ids(chains.put(event(FIRST + 1))) == [FIRST + 1]


def test_the_number_of_a_service_stands_in_its_ids() -> None:
    assert [service_of(number << 6 | 63) for number in (0, 1, 512, 1_023)] == [0, 1, 512, 1_023]


def test_an_id_that_this_process_has_not_just_given_is_chained_to_nothing() -> None:
    first_id = 1 << 20 | 5 << 6
    chains: Chains[Publishable] = Chains(first_id, 10)
    assert chains.begin("v", first_id) == first_id - 1
    others = 2 << 20 | 6 << 6
    assert chains.begin("v", others) == others - 1
    assert chains.begin("v", first_id + 1) == first_id
