"""FastCreate: answers as the app behind it does, and leaves to it what is unusual"""

import json
from typing import Any

import pytest

from comment_service.http.whole_responses import ORIGINS_MAX
from history.store import StoreUnavailable
from tests.comment_service.conftest import RunningService, StartService

JSON = {"content-type": "application/json"}
SLOW = {"content-encoding": "identity"}
"""A header that changes nothing, but is unusual: the request goes to the app behind"""

BODIES = (
    b'{"liveVideoId":"demo","message":"hi"}',
    '{"videoId":"demo","message":"😀","author":{"name":"Ann"}}'.encode(),
    b"",
    b"{",
    b'{"liveVideoId":"demo"}',
    b'{"liveVideoId":"demo","message":""}',
    b'{"liveVideoId":"demo","message":"\xff"}',
    b'{"liveVideoId":"/","message":"hi"}',
    b'{"liveVideoId":"demo","message":"' + b"x" * 501 + b'"}',
    b" " * 16_385,
)


async def answer(running: RunningService, body: bytes, headers: dict[str, str]) -> tuple[Any, ...]:
    async with running.http.post("/comment/create", data=body, headers=headers) as got:
        words = json.loads(await got.read())
        shown = {name.lower(): value for name, value in got.headers.items() if name.lower() != "date"}
        if got.status == 200:
            del words["id"], words["createdAt"]
        return got.status, words, shown


@pytest.mark.parametrize("origins", ["*", "https://here.example,https://there.example"])
async def test_both_ways_answer_alike(start_service: StartService, origins: str) -> None:
    running = await start_service(cors_origins=origins)
    for body in BODIES:
        for origin in ({}, {"origin": "https://here.example"}, {"origin": "https://stranger.example"}):
            fast = await answer(running, body, {**JSON, **origin})
            assert fast == await answer(running, body, {**JSON, **origin, **SLOW}), body
    for content_type in ({}, {"content-type": "text/plain"}):
        status, words, _ = await answer(running, BODIES[0], {"content-type": "", **content_type})
        assert (status, words["error"]["code"]) == (415, "unsupported_media_type")


async def test_a_key_is_answered_alike(start_service: StartService) -> None:
    running = await start_service()
    other = b'{"liveVideoId":"demo","message":"something else"}'
    for n, key in enumerate(("", " ", "x" * 129, "ö", "k", "a key, with: things;")):
        fast = await answer(running, BODIES[0], {**JSON, "idempotency-key": key and f"{n}{key}"})
        assert fast == await answer(running, BODIES[0], {**JSON, **SLOW, "idempotency-key": key and f"{n}s{key}"})
    for way in ({}, SLOW):
        status, words, _ = await answer(running, other, {**JSON, **way, "idempotency-key": "4k"})
        assert (status, words["error"]["code"]) == (422, "idempotency_key_reused")


async def test_a_failing_store_is_answered_alike(start_service: StartService, monkeypatch: pytest.MonkeyPatch) -> None:
    running = await start_service(spool_bytes_max=0, retry_after_min_s=3, retry_after_max_s=3)

    async def away(*_: object) -> None:
        raise StoreUnavailable("cut off by the test")

    monkeypatch.setattr(running.service.lazy_store, "append", away)
    status, words, headers = await answer(running, BODIES[0], JSON)
    assert (status, words["error"]["code"], headers["retry-after"]) == (503, "store_unavailable", "3")
    assert (status, words, headers) == await answer(running, BODIES[0], {**JSON, **SLOW})


async def test_any_number_of_origins_may_come(start_service: StartService) -> None:
    running = await start_service()
    for n in range(ORIGINS_MAX + 2):
        status, _, headers = await answer(running, BODIES[0], {**JSON, "origin": f"https://{n}.example"})
        assert (status, headers["access-control-allow-origin"]) == (200, "*")
