"""scripts/benches/nchan.py"""

from pathlib import Path

import pytest

from scripts.benches.nchan import MODULE, Nchan
from tests.scripts.benches.measured import assert_delivers_everything


@pytest.mark.skipif(not MODULE.exists(), reason="nchan is not installed, and a test installs nothing")
async def test_it_delivers_everything() -> None:
    await assert_delivers_everything(Nchan)


def test_who_may_not_install_is_told_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.benches.nchan.MODULE", Path("/nowhere"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "apt-get install nginx-light libnginx-mod-nchan" in Nchan.prepare()
