"""scripts/config.py: each number has a unit and a reason, and waits grow."""

import re
from dataclasses import fields

import pytest

from scripts import config
from scripts.config import POST, SSE, SUPERVISOR
from scripts.processes import ROOT

SETTINGS = (config.SSE, config.POST, config.REPLAY, config.WATCH, config.SUPERVISOR)
UNITS = ("_s", "_ms", "_bytes", "_max")


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: type(settings).__name__)
def test_every_number_has_a_unit_and_a_reason(settings: object) -> None:
    source = (ROOT / "scripts" / "config.py").read_text()
    for field in fields(settings):  # type: ignore[arg-type]
        assert field.name.endswith(UNITS), f"{field.name} has no unit"
        assert re.search(rf"^    {field.name}: .*  # .{{15,}}$", source, re.MULTILINE), f"{field.name} has no reason"


def test_waits_grow() -> None:
    assert SSE.retry_first_ms < SSE.retry_max_ms
    assert POST.wait_first_s < POST.wait_max_s < POST.give_up_s
    assert SUPERVISOR.restart_first_s < SUPERVISOR.restart_max_s
