"""scripts/benches/stopping.py"""

import asyncio
import os
import signal

import pytest

from scripts.benches.stopping import run_stoppable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_work_in_order(number: signal.Signals) -> None:
    ended = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            ended.append("all that was started")

    with pytest.raises(KeyboardInterrupt):
        run_stoppable(work())
    assert ended


def test_the_result_is_passed_on() -> None:
    async def work() -> int:
        return 7

    assert run_stoppable(work()) == 7
