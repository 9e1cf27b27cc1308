"""rms/door/places.py: any dispatcher will do"""

import asyncio
import socket

import pytest
from structlog.testing import capture_logs

from rms.config import DoorSettings
from rms.door.places import NoPlace, Places
from tests.rms.fake_dispatcher import fake_dispatcher
from tests.serving import serving
from tests.waiting import eventually


def places(*addresses: str, timeout_ms: int = 5000) -> Places:
    return Places(DoorSettings.parse(["--dispatchers", ",".join(addresses), "--place-timeout-ms", str(timeout_ms)]))


async def test_the_one_that_answers_is_asked_first_from_then_on() -> None:
    async with fake_dispatcher() as alive:
        alive.placements = ["n1", "n2"]
        asked = places("127.0.0.1:1", "127.0.0.1:2", alive.address)
        assert await asked.node_for("v", []) == "n1"
        assert await asked.node_for("v", ["n1"]) == "n2"
        await asked.close()


async def test_nobody_answers() -> None:
    asked = places("127.0.0.1:1", "127.0.0.1:2")
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(NoPlace, match="later"):
                await asked.node_for("v", [])
    assert asked.trouble == "nothing listens there"
    assert [line["reason"] for line in lines] == [asked.trouble], "any stranger can ask: once is enough"
    await asked.close()


async def test_no_room_is_no_trouble() -> None:
    async with fake_dispatcher() as full:
        asked = places("127.0.0.1:1", full.address)
        with pytest.raises(NoPlace, match="later"):
            await asked.node_for("v", [])
        assert asked.trouble == ""
        await asked.close()


async def test_replicas_are_found_by_their_name() -> None:
    async with fake_dispatcher() as fake:
        fake.placements = ["n1"]
        asked = places(f"dns:localhost:{fake.address.rpartition(':')[2]}")
        with pytest.raises(NoPlace):
            await asked.node_for("v", [])
        assert asked.trouble == "no dispatcher is known yet"
        following = asyncio.create_task(asked.follow())

        async def placed() -> bool:
            try:
                return await asked.node_for("v", []) == "n1"
            except NoPlace:
                return False

        await eventually(placed)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await asked.close()


async def test_dispatchers_that_stay_away_are_tried_often() -> None:
    """gRPC's own waits grow to two minutes; the first ten tries alone would take more than one."""
    tries = 0

    async def slam(*_: object) -> None:
        nonlocal tries
        tries += 1

    async with serving(slam) as port:
        asked = places(f"127.0.0.1:{port}", timeout_ms=100)

        async def often() -> bool:
            with pytest.raises(NoPlace):
                await asked.node_for("v", [])
            return tries >= 10

        await eventually(often)
        await asked.close()


async def test_nobody_waits_for_ever_behind_others() -> None:
    """The replica is silent, and one question is asked at a time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        flags = ["--dispatchers", address, "--place-timeout-ms", "60000", "--place-asks-max", "1"]
        asked = Places(DoorSettings.parse([*flags, "--place-wait-ms", "50"]))
        for video_id in "ab":
            with pytest.raises(NoPlace, match="later"):
                await asked.node_for(video_id, [])
        await asked.close()
