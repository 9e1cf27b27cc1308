"""history.js loads pages, and fills a range with as many pages as it needs, up to a limit."""

import pytest
from starlette.responses import JSONResponse

from proto.http.responses import error_response
from tests.browser_fixture import OpenPage
from tests.comment_service.page.modules import call, open_modules
from tests.comment_service.page.stand_in import StandIn

pytestmark = pytest.mark.asyncio(loop_scope="session")

BETWEEN = """const taken = [];
const take = (comments) => taken.push(...comments.map((comment) => comment.id));
const older = new it.History("demo");
const rest = await older.between(given.from, given.to, given.size, given.pages, take);
return [taken, rest];"""


async def test_a_page_is_newest_first_with_the_cursor_of_the_next(stand_in: StandIn, open_page: OpenPage) -> None:
    ids = [stand_in.say(str(number))["id"] for number in range(5)]
    page = await open_modules(open_page, stand_in)
    code = """const page = await new it.History("demo").page(given ?? undefined, 3);
    return [page.comments.map((comment) => comment.id), page.nextCursor];"""
    assert await call(page, "net/history.js", code) == [ids[:1:-1], ids[2]]
    assert await call(page, "net/history.js", code, ids[2]) == [ids[1::-1], None]
    assert stand_in.cursors == [None, ids[2]]


@pytest.mark.parametrize(("size", "pages", "complete"), [(100, 1, True), (5, 10, True), (5, 2, False)])
async def test_a_range_is_filled_within_the_limit(
    stand_in: StandIn, open_page: OpenPage, size: int, pages: int, complete: bool
) -> None:
    ids = [stand_in.say(str(number))["id"] for number in range(40)]
    page = await open_modules(open_page, stand_in)
    given = {"from": ids[9], "to": ids[30], "size": size, "pages": pages}
    taken, rest = await call(page, "net/history.js", BETWEEN, given)
    if complete:
        assert rest is None
        assert sorted(taken) == ids[10:30]
    else:
        assert rest == {"cursor": ids[20]}
        assert sorted(taken) == ids[20:30]


async def test_a_page_of_hidden_comments_is_passed(stand_in: StandIn, open_page: OpenPage) -> None:
    ids = [stand_in.say(str(number))["id"] for number in range(9)]
    stand_in.responses_to_pages.append(JSONResponse({"comments": [], "nextCursor": ids[5]}))
    page = await open_modules(open_page, stand_in)
    given = {"from": ids[2], "to": ids[8], "size": 5, "pages": 9}
    assert await call(page, "net/history.js", BETWEEN, given) == [ids[4:2:-1], None]


async def test_a_range_that_fails_says_where(stand_in: StandIn, open_page: OpenPage) -> None:
    ids = [stand_in.say(str(number))["id"] for number in range(40)]
    stand_in.responses_to_pages.append(error_response(503, "store_away", "the store is away"))
    page = await open_modules(open_page, stand_in)
    given = {"from": ids[9], "to": ids[30], "size": 5, "pages": 2}
    assert await call(page, "net/history.js", BETWEEN, given) == [[], {"cursor": ids[30]}]
