"""A retry with an Idempotency-Key goes to another comment_service while the store takes nothing, and both comments are
on the screens. When it is over, exactly one stands, on every page and at every viewer, and both ids lead to it."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator

import aiohttp

from tests.end_to_end.newsroom import Newsroom
from tests.end_to_end.test_moderated import Stage, stage
from tests.end_to_end.viewers import AGREE_S, ERASED, HIDDEN, VISIBLE, agree
from tests.waiting import eventually

VIDEO = "show"


@contextlib.contextmanager
def locked(on: Stage) -> Iterator[None]:
    """Nobody else can write to the store."""
    with contextlib.closing(sqlite3.connect(on.system.data / "comments.db", isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
        yield
        file.execute("ROLLBACK")


async def post(http: aiohttp.ClientSession, service: str, key: str) -> dict[str, object]:
    body = {"liveVideoId": VIDEO, "message": f"said with {key}", "author": {"id": "ann", "name": "ann"}}
    headers = {"Idempotency-Key": key}
    async with http.post(f"{service}/comment/create", json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


async def is_drained(http: aiohttp.ClientSession, room: Newsroom) -> bool:
    for service in room.operators:
        async with http.get(f"{service}/metrics") as response:
            if "comment_service_spool_comments 0.0" not in await response.text():
                return False
    return True


async def test_one_of_two_stands_everywhere_and_both_ids_lead_to_it() -> None:
    async with stage() as on, aiohttp.ClientSession() as http:
        room, keys = on.room, [f"key-{n}" for n in range(4)]
        await room.say(3)
        with locked(on):
            posted = await asyncio.gather(*(post(http, service, key) for key in keys for service in room.services))
            assert len({each["id"] for each in posted}) == 2 * len(keys)
            seen = {str(each["id"]) for each in posted}
            await eventually(
                lambda: all(seen <= each.shown.keys() for each in on.viewers if not each.is_thinned), AGREE_S
            )
        await eventually(lambda: is_drained(http, room), AGREE_S)
        by_id = {str(each["id"]): each for each in posted}
        lost = {}
        for key in keys:
            again = [await post(http, service, key) for service in room.services]
            (stands,) = {str(each["id"]) for each in again}
            room.book.said[stands], room.book.state[stands] = by_id[stands], VISIBLE
            said = f"said with {key}"
            lost[stands] = next(name for name, each in by_id.items() if each["message"] == said and name != stands)
        await agree(on.viewers, room.book)
        await room.newcomers_agree(1, 2)
        hidden, restored, erased, _ = lost
        for stands, method, order, state in (
            (hidden, "POST", "/hide", HIDDEN),
            (restored, "POST", "/hide", HIDDEN),
            (restored, "POST", "/restore", VISIBLE),
            (erased, "DELETE", "", ERASED),
        ):
            await room._moderate(method, f"/{lost[stands]}{order}", [stands], state)
        await agree(on.viewers, room.book)
        await room.newcomers_agree(1, 2)
