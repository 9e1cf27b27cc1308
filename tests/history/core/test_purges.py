"""Purged authors as a process remembers them, and as the store does"""

from history.core.ids import first_id_at
from history.core.late import ALL_VIDEOS
from history.core.purges import Purge, RecentPurges, author_hash

NOW_MS = 1_760_000_000_000


def test_comments_up_to_the_purge_are_gone() -> None:
    recent = RecentPurges(1_000)
    assert not recent
    here, everywhere = first_id_at(NOW_MS), first_id_at(NOW_MS) - 10
    assert recent.learn([("ann", "demo", here), ("ann", ALL_VIDEOS, everywhere)], NOW_MS) == ["ann", "ann"]
    assert recent.bar("ann", "demo", here)
    assert not recent.bar("ann", "demo", here + 1)
    assert recent.bar("ann", "other", everywhere)
    assert not recent.bar("ann", "other", everywhere + 1)
    assert not recent.bar("bob", "demo", here)
    assert recent.learn([("ann", "demo", here - 1)], NOW_MS) == []  # an older one takes nothing back
    assert recent.bar("ann", "demo", here)


def test_old_ones_are_forgotten() -> None:
    recent = RecentPurges(1_000)
    recent.learn([("ann", "demo", first_id_at(NOW_MS)), ("bob", "demo", first_id_at(NOW_MS - 2_000))], NOW_MS)
    assert not recent.bar("bob", "demo", 1)
    recent.learn([], NOW_MS + 1_001)
    assert not recent


def test_a_hash_tells_authors_apart() -> None:
    assert len({author_hash(name) for name in ("ann", "bob", "Ann", "", "\ud800")}) == 5
    assert len(author_hash("ann")) == 16


def test_the_oldest_that_counts_and_what_is_known_already() -> None:
    recent = RecentPurges(1_000)
    oldest = first_id_at(NOW_MS - 1_000)
    assert recent.learn([("ann", "demo", oldest), ("bob", "demo", oldest - 1)], NOW_MS) == ["ann"]
    assert recent.bar("ann", "demo", oldest)
    assert not recent.bar("bob", "demo", oldest - 1)
    assert recent.learn([("ann", "demo", oldest)], NOW_MS) == []
    assert recent.bar("ann", "demo", oldest), "it is as old as may be"


def test_an_order_begins_without_a_look() -> None:
    assert Purge(1, "ann", "demo", 2) == Purge(1, "ann", "demo", 2, looks=0)
