"""What the spool holds, in the order of ids"""

from hypothesis import given, settings
from hypothesis import strategies as st

from history.core.spooled_comments import SpooledComments
from tests.history.comments import a_comment

ids = st.lists(st.integers(1, 40), max_size=30)


@settings(max_examples=100, deadline=None)
@given(ids, ids, st.integers(0, 42), st.integers(0, 10))
def test_it_reads_as_a_sorted_list_does(added: list[int], removed: list[int], bound: int, limit: int) -> None:
    spooled = SpooledComments()
    for comment_id in added:
        spooled.add([a_comment(comment_id, f"video-{comment_id % 2}")])
    spooled.remove([a_comment(comment_id, f"video-{comment_id % 2}") for comment_id in removed])
    left = sorted(set(added) - set(removed))
    assert len(spooled) == len(left)
    for n in (0, 1):
        mine = [comment_id for comment_id in left if comment_id % 2 == n]
        below = [comment_id for comment_id in reversed(mine) if comment_id < bound]
        above = [comment_id for comment_id in mine if comment_id > bound]
        assert [comment.id for comment in spooled.older(f"video-{n}", bound, limit)] == below[:limit]
        assert [comment.id for comment in spooled.older(f"video-{n}", None, limit)] == mine[::-1][:limit]
        assert [comment.id for comment in spooled.newer(f"video-{n}", bound, limit)] == above[:limit]
        assert spooled.reaches(f"video-{n}", bound) == any(comment_id <= bound for comment_id in mine)


def test_what_is_erased_is_not_read() -> None:
    spooled = SpooledComments()
    spooled.add([a_comment(1), a_comment(2)])
    spooled.evict("another", [1])
    spooled.evict("video", [2, 3])
    assert spooled.older("video", None, 9) == [a_comment(1)]
    spooled.remove([a_comment(1), a_comment(2)])
    assert len(spooled) == 0


def test_videos_do_not_mix() -> None:
    """Ids are unique; should two comments have the same one nevertheless, neither hides the other."""
    spooled = SpooledComments()
    spooled.add([a_comment(1, "a"), a_comment(1, "b")])
    assert (len(spooled), spooled.older("b", None, 9)) == (2, [a_comment(1, "b")])
    spooled.remove([a_comment(1, "a")])
    assert (spooled.older("a", None, 9), spooled.newer("b", 0, 9)) == ([], [a_comment(1, "b")])
