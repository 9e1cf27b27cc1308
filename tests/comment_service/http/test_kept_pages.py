"""Kept pages: as long as they are valid, and bounded"""

from hypothesis import given, settings
from hypothesis import strategies as st

from comment_service.http.kept_pages import ENTRY_BYTES, KeptPages, MadePage
from comment_service.http.whole_responses import Head
from history.core.runs import Validity

HEAD = Head(200, [])


def a_page(*until_s: float, body: bytes = b"") -> MadePage:
    return MadePage(body, '"e"', HEAD, HEAD, [Validity(each) for each in until_s])


def test_a_page_is_found_until_one_of_its_runs_ends() -> None:
    kept = KeptPages(bytes_max=1 << 20)
    page = a_page(20, 30)
    kept.keep(("/comments/a", b""), page, 10)
    assert kept.find(("/comments/a", b"pagesize=2"), 10) is None
    assert kept.find(("/comments/a", b""), 19.9) is page
    assert kept.find(("/comments/a", b""), 20) is None
    assert kept.find(("/comments/a", b""), 10) is None  # it has gone
    kept.keep(("/comments/a", b""), page, 10)
    page.validities[1].until_s = 0  # a comment came
    assert kept.find(("/comments/a", b""), 10) is None
    assert kept.statistics().hits == 1
    assert kept.statistics().bytes == 0


def test_what_is_over_already_is_not_kept() -> None:
    kept = KeptPages(bytes_max=1 << 20)
    kept.keep(("/", b""), a_page(20), 10)
    kept.keep(("/", b""), a_page(0, 20), 10)
    assert kept.find(("/", b""), 10) is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3_000)), max_size=40))
def test_it_is_bounded_and_the_latest_stay(keeping: list[tuple[int, int]]) -> None:
    kept = KeptPages(bytes_max=10_000)
    for number, size in keeping:
        page = a_page(99, body=b"x" * size)
        kept.keep((str(number), b""), page, 0)
        assert kept.find((str(number), b""), 0) is page
        assert ENTRY_BYTES < kept.statistics().bytes <= kept.statistics().bytes_max
    kept.keep(("large", b""), a_page(99, body=b"x" * 10_000), 0)
    assert kept.find(("large", b""), 0) is None
