"""rms/videos/background.py: what nobody waits for is ended, and its errors are told"""

import asyncio

from structlog.testing import capture_logs

from rms.videos.background import Background
from tests.waiting import eventually


async def test_an_error_is_told_and_the_rest_goes_on_until_the_end() -> None:
    background, ended = Background(), asyncio.Event()

    async def fails() -> None:
        raise ValueError("says the test")

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with capture_logs() as lines:
        background.begin(fails())
        background.begin(lasts())
        await eventually(lambda: len(background) == 1)
    assert [line["error"] for line in lines] == ["ValueError('says the test')"]
    assert not ended.is_set()
    await background.close()
    assert ended.is_set()
    await eventually(lambda: not len(background))
