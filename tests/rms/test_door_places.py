"""rms/door_places.py: any dispatcher will do"""

import pytest

from rms.config import DoorSettings
from rms.door_places import NoPlace, Places
from tests.rms.fake_dispatcher import fake_dispatcher


def places(*addresses: str) -> Places:
    return Places(DoorSettings.parse(["--dispatchers", ",".join(addresses), "--place-timeout-ms", "5000"]))


async def test_the_one_that_answers_is_asked_first_from_then_on() -> None:
    async with fake_dispatcher() as alive:
        alive.placements = ["n1", "n2"]
        asked = places("127.0.0.1:1", "127.0.0.1:2", alive.address)
        assert await asked.node_for("v", []) == "n1"
        assert await asked.node_for("v", ["n1"]) == "n2"
        await asked.close()


async def test_nobody_answers() -> None:
    asked = places("127.0.0.1:1", "127.0.0.1:2")
    with pytest.raises(NoPlace, match="later"):
        await asked.node_for("v", [])
    await asked.close()
