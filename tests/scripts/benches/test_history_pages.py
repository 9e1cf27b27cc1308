"""First and deep pages of a real store"""

from pathlib import Path

from history.opening import open_reader
from scripts.benches.history_pages import VIDEO, depth, load_deep
from tests.scripts.benches.tiny import TINY


async def test_a_deep_video_is_loaded_and_both_its_ends_are_read(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/comments.db"
    assert await load_deep(url, TINY) > 0
    reader = await open_reader(url)
    assert len(await reader.newer(VIDEO, 0, 1_000)) == TINY.depth + TINY.page
    await reader.close()
    chilled = 0

    def chill() -> None:
        nonlocal chilled
        chilled += 1

    found = await depth(url, TINY, chill)
    assert chilled == 2 * TINY.depth_pages
    assert found.ratio == found.deep_ms / found.first_ms > 0
