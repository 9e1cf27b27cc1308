"""scripts/benches/naive.py"""

from scripts.benches.naive import Naive
from tests.scripts.benches.measured import assert_delivers_everything


async def test_it_delivers_everything() -> None:
    await assert_delivers_everything(Naive)
