"""Two comment_services on one store: one of them can't reach it, and a keyed retry goes to the other. In the outage
both comments are there. Afterwards one stands on every page and at every viewer, and both answers lead to it."""

import json

import aiohttp
import pytest

from history.core.ids import parse_id
from history.core.purges import Purge
from history.store import StoreUnavailable
from tests.comment_service.conftest import RunningService, StartService
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.comment_service.test_spooling import page
from tests.waiting import eventually


class CutOff:
    """A service whose store takes nothing until `end`"""

    def __init__(self, running: RunningService, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        for name in ("append", "append_claimed", "check"):
            monkeypatch.setattr(running.service.lazy_store, name, self._away)

    def end(self) -> None:
        self._monkeypatch.undo()

    async def _away(self, *_: object) -> None:
        raise StoreUnavailable("cut off by the test")


async def post(http: aiohttp.ClientSession, key: str, message: str = "hi", video_id: str = "demo") -> str:
    body = {"videoId": video_id, "message": message}
    async with http.post("/comment/create", json=body, headers={"Idempotency-Key": key}) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["id"])


def taken_back(dispatcher: FakeDispatcher) -> list[dict[str, str]]:
    return [json.loads(event.data) for _, event in dispatcher.events if event.HasField("erased")]


@pytest.mark.parametrize("both", [False, True])
async def test_one_of_two_comments_of_a_key_stands_after_the_outage(
    start_service: StartService, dispatcher: FakeDispatcher, *, both: bool
) -> None:
    """both: neither service reaches the store, and the one that drains first has the one that stands."""
    first = await start_service(dispatchers=dispatcher.address, node=1)
    second = await start_service(dispatchers=dispatcher.address, node=2)
    with pytest.MonkeyPatch.context() as of_first, pytest.MonkeyPatch.context() as of_second:
        outage = CutOff(first, of_first)
        lost = await post(first.http, "key")
        assert first.service.spooled.is_away
        if both:
            outage_of_second = CutOff(second, of_second)
        stands = await post(second.http, "key")
        assert second.service.spooled.is_away == both
        assert stands != lost
        await eventually(lambda: {parse_id(lost), parse_id(stands)} <= set(dispatcher.published))
        if both:
            outage_of_second.end()
            await second.service.spooled.wait_drained()
        outage.end()
        await first.service.spooled.wait_drained()
    for running in (first, second):
        await eventually_page(running, [stands])
    await eventually(lambda: taken_back(dispatcher) == [{"id": lost, "standsAs": stands}])
    for running in (first, second):
        assert await post(running.http, "key") == stands
    assert await page(first.http, "pagesize=9") == [stands]


async def eventually_page(running: RunningService, ids: list[str]) -> None:
    """Another service's copies become true within the time of its next look."""
    seen: list[str] = []

    async def look() -> bool:
        seen[:] = await page(running.http, "pagesize=9")
        return seen == ids

    await eventually(look)


async def test_what_a_dead_process_had_claimed_is_stored_and_published_before_the_other_is_taken_back(
    start_service: StartService, dispatcher: FakeDispatcher
) -> None:
    """In Cassandra a process may die between a claim and its comment."""
    first = await start_service(dispatchers=dispatcher.address, node=1)
    second = await start_service(node=2)  # it reaches no dispatcher
    with pytest.MonkeyPatch.context() as of_first:
        outage = CutOff(first, of_first)
        await post(first.http, "key")
        stands = await post(second.http, "key")
        file = second.service._opened()._file  # type: ignore[attr-defined]
        await file.write(lambda connection: connection.execute("DELETE FROM comments").rowcount)
        outage.end()
        await first.service.spooled.wait_drained()
    await eventually_page(first, [stands])
    await eventually(lambda: parse_id(stands) in dispatcher.published and taken_back(dispatcher) != [])


async def test_what_an_operator_has_erased_of_the_two_comes_not_back(
    start_service: StartService, dispatcher: FakeDispatcher
) -> None:
    """Its key stands for it all the same, so the other one is taken back, too. Nor does a purged author's come back
    that a dead process had claimed."""
    first = await start_service(dispatchers=dispatcher.address, node=1)
    second = await start_service(node=2)
    with pytest.MonkeyPatch.context() as of_first:
        outage = CutOff(first, of_first)
        lost = [await post(first.http, key) for key in ("erased", "purged")]
        stands = [await post(second.http, key) for key in ("erased", "purged")]
        history = second.service._opened()
        await history.erase("demo", [parse_id(stands[0])])
        ((purged, *_),) = [(await history.newer("demo", parse_id(stands[0]), 1)).comments]
        file = history._file  # type: ignore[attr-defined]
        await file.write(
            lambda connection: connection.execute("DELETE FROM comments WHERE id = ?", (purged.id,)).rowcount
        )
        await history.begin_purge(Purge(purged.id + 1, purged.author.id, "demo", purged.id + 1))
        outage.end()
        await first.service.spooled.wait_drained()
    await eventually_page(first, [])
    await eventually(lambda: [each["id"] for each in taken_back(dispatcher)] == lost)
    assert not {parse_id(each) for each in stands} & set(dispatcher.published)


async def test_other_comments_of_the_outage_stay(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    first = await start_service(dispatchers=dispatcher.address, node=1)
    second = await start_service(dispatchers=dispatcher.address, node=2)
    with pytest.MonkeyPatch.context() as of_first:
        outage = CutOff(first, of_first)
        spooled = [await post(first.http, f"key {n}") for n in range(30)]
        stored = {n: await post(second.http, f"key {n}") for n in range(0, 30, 3)}
        outage.end()
        await first.service.spooled.wait_drained()
    standing = [stored.get(n, comment_id) for n, comment_id in enumerate(spooled)]
    for running in (first, second):
        await eventually_page(running, sorted(standing, reverse=True)[:9])
    answered = [await post(running.http, f"key {n}") for running in (first, second) for n in range(30)]
    assert answered == standing * 2
    expected = [{"id": spooled[n], "standsAs": stored[n]} for n in stored]
    await eventually(lambda: sorted(map(str, taken_back(dispatcher))) == sorted(map(str, expected)))


async def order(running: RunningService, method: str, path: str) -> int:
    async with running.http.request(method, f"/comments/demo/{path}", headers={"Authorization": "Bearer t"}) as answer:
        return answer.status


async def test_an_order_with_the_lost_id_is_about_the_comment_that_stands(
    start_service: StartService, dispatcher: FakeDispatcher
) -> None:
    first, second = [await start_service(dispatchers=dispatcher.address, node=n, admin_token="t") for n in (1, 2)]
    with pytest.MonkeyPatch.context() as of_first:
        outage = CutOff(first, of_first)
        lost = await post(first.http, "key")
        stands = await post(second.http, "key")
        outage.end()
        await first.service.spooled.wait_drained()
    for running in (first, second):
        assert await order(running, "POST", f"{lost}/hide") in (200, 202)
        await eventually_page(running, [])
        assert await order(running, "POST", f"{lost}/restore") in (200, 202)
        await eventually_page(running, [stands])
    assert await order(first, "DELETE", lost) in (200, 202)
    for running in (first, second):
        await eventually_page(running, [])
        assert await order(running, "POST", f"{lost}/restore") == 409


async def test_an_order_with_the_lost_id_before_it_is_lost_is_about_both(
    start_service: StartService, dispatcher: FakeDispatcher
) -> None:
    """The operator sees the comment on a screen, and the store is back before the spool is drained."""
    first, second = [await start_service(dispatchers=dispatcher.address, node=n, admin_token="t") for n in (1, 2)]
    with pytest.MonkeyPatch.context() as of_first:
        outage = CutOff(first, of_first)
        lost = await post(first.http, "key")
        await post(second.http, "key")
        assert await order(second, "DELETE", lost) in (200, 202)
        outage.end()
        await first.service.spooled.wait_drained()
    for running in (first, second):
        await eventually_page(running, [])
