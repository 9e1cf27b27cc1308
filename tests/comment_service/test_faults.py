"""A fault in any of the service's tasks is logged, and the task goes on, or the process ends"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from comment_service import service as service_module
from comment_service.service import Service, build
from tests.comment_service.conftest import config
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.comment_service.test_main import started
from tests.waiting import eventually


class FailsOnce:
    """Raises at its first call; later ones reach what it stands in for."""

    def __init__(self, behind: Callable[..., Any]) -> None:
        self.calls = 0
        self._behind = behind

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        if self.calls == 1:
            raise ZeroDivisionError("broken by the test")
        return self._behind(*arguments, **named)


# the task's name -> where its fault is, and in which call
FAULTS: dict[str, tuple[Callable[[Service], object], str]] = {
    "claim node number": (lambda service: service._node_claim, "keep"),
    "drain spool": (lambda service: service.spooled, "drain"),
    "compare clocks": (lambda service: service.clock, "_tell"),
    "follow dispatchers": (lambda service: service.replicas, "follow"),
    "keep copies true": (lambda service: service._upkeep._changed, "ask"),
    "follow videos": (lambda service: service._gate, "_read_news"),
    "carry on purges": (lambda service: service._purges, "run"),
    "sweep": (lambda _: service_module, "sweep_for_ever"),
    "publish": (lambda service: service.replicas, "stub"),
    "save watermark": (lambda service: service._watermark, "write"),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_logged_and_the_work_goes_on(
    name: str, tmp_path: Path, dispatcher: FakeDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await build(config(tmp_path, dispatcher.address, forget_ms=1, video_news_ms=1, stop_backlog_ms=20_000))
    where, call = FAULTS[name]
    broken = FailsOnce(getattr(where(service), call))
    monkeypatch.setattr(where(service), call, broken)
    with capture_logs() as lines:
        running = asyncio.create_task(service.run())
        try:
            await eventually(lambda: broken.calls >= 2)
            async with aiohttp.ClientSession(f"http://{service.address}") as http:
                body = {"videoId": "demo", "message": "hi"}
                async with http.post("/comment/create", json=body) as response:
                    assert response.status == 200
                    comment_id = int((await response.json())["id"], 16)
            await eventually(lambda: comment_id in dispatcher.published)
        finally:
            service.stop()
            await running
    failed = [line for line in lines if line["log_level"] == "error"]
    assert [(line["event"], line["task"]) for line in failed] == [("task failed, and is begun again", name)]
    assert "ZeroDivisionError('broken by the test')" in failed[0]["reason"]
    assert lines[-1]["event"] == "comment_service stopped"


async def test_every_kept_task_has_its_fault_here(tmp_path: Path) -> None:
    service = await build(config(tmp_path, "127.0.0.1:1"))
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    kept = {task.get_name() for task in service._tasks._tasks}
    service.stop()
    await running
    assert kept == {*FAULTS, "open store"}  # test_service.py has that one: it ends the service


async def test_a_node_number_that_belongs_to_another_ends_the_process(tmp_path: Path, nowhere: str) -> None:
    async with started(tmp_path, nowhere) as first:
        await first.wait_ready()
        await eventually((tmp_path / "state" / "lease-node0").exists)
        async with started(tmp_path, nowhere, "--state-dir", str(tmp_path / "another")) as second:
            line = await second.wait_for_line("ended")
            assert "node 0 belongs to" in str(line["reason"])
            assert await second.process.wait() == 1
