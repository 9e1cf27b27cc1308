"""scripts/benches/buffers.py"""

from scripts.benches.buffers import Buffers
from tests.scripts.benches.measured import assert_delivers_everything


async def test_it_delivers_everything() -> None:
    await assert_delivers_everything(Buffers)
