"""scripts/bench page: a short run of it measures everything, on the real system and in a real browser"""

import pytest

from scripts.benches.config import PageSettings
from scripts.benches.page import Form, page


@pytest.mark.parametrize("whole", [False, True])
async def test_a_short_run_measures_everything(capsys: pytest.CaptureFixture[str], whole: bool) -> None:
    settings = PageSettings(warm_s=0.5, key_s=0.05, task_ms_max=60_000)
    assert await page(Form(rate=30, seconds=1.5, slower=1, whole=whole), settings)
    printed = capsys.readouterr().out
    for figure in ("longest task ms", "frames/s", "key to glyph, p95 ms", "heap, growth KB/min", "rows shown/s"):
        assert figure in printed
