"""A comment_service whose clock is off, beside real replicas: it isn't ready, says why, and still accepts comments"""

import pytest

from comment_service import clocks
from history.core.ids import parse_id, time_of
from proto import clock_watch
from tests.comment_service.conftest import RunningService, StartService
from tests.comment_service.fake_dispatcher import FakeDispatcher
from tests.dispatcher.peers import RunningReplica
from tests.waiting import eventually


class Shifted:
    """The service's wall clock"""

    ahead_ms = 0

    def wall_ms(self) -> int:
        return clocks.wall_ms() + self.ahead_ms


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Shifted:
    monkeypatch.setattr(clock_watch, "LOOK_MS", 50)
    shifted = Shifted()
    monkeypatch.setattr("comment_service.service.wall_ms", shifted.wall_ms)
    monkeypatch.setattr("comment_service.write.intake.wall_ms", shifted.wall_ms)
    return shifted


async def ready(running: RunningService) -> tuple[int, str]:
    async with running.operators.get("/health/ready") as answer:
        return answer.status, (await answer.json())["clock"]


async def test_a_service_whose_clock_is_off_is_not_ready_and_accepts(
    start_service: StartService, clock: Shifted
) -> None:
    async with RunningReplica() as replica:
        running = await start_service(dispatchers=replica.listen)
        await eventually(lambda: replica.listen in running.service.clock.statistics().offsets_ms)
        assert await ready(running) == (200, "ok")
        clock.ahead_ms = -60_000

        async def is_unready() -> bool:
            return (await ready(running))[0] == 503

        await eventually(is_unready)
        words = (await ready(running))[1]
        assert words.endswith(" ms behind the dispatchers' clocks")
        assert abs(int(words.split()[0]) - 60_000) < 5_000
        async with running.operators.get("/health") as answer:
            assert (answer.status, (await answer.json())["clock"][-6:]) == (503, "clocks")
        async with running.operators.get("/metrics") as answer:
            text = await answer.text()
        assert "comment_service_clock_off 1.0" in text
        (line,) = [line for line in text.splitlines() if line.startswith("comment_service_dispatcher_clock_offset_s")]
        assert 'dispatcher="1"' in line
        assert 55 < float(line.split()[-1]) < 65
        async with running.http.post("/comment/create", json={"videoId": "demo", "message": "hi"}) as answer:
            assert answer.status == 200
        clock.ahead_ms = 0
        await eventually(lambda: not running.service.clock.statistics().is_off)
        assert await ready(running) == (200, "ok")


async def test_one_replica_of_two_that_is_off_makes_no_service_unready(
    start_service: StartService, dispatcher: FakeDispatcher, clock: Shifted
) -> None:
    dispatcher.ahead_ms = 60_000
    async with RunningReplica() as replica:
        running = await start_service(dispatchers=f"{replica.listen},{dispatcher.address}")
        await eventually(lambda: len(running.service.clock.statistics().offsets_ms) == 2)
        assert set(running.service.clock.statistics().verdict.replicas_ms) == {dispatcher.address}
        assert await ready(running) == (200, "ok")


async def test_ids_have_the_time_of_the_clock_after_the_machine_has_slept(
    start_service: StartService, clock: Shifted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no dispatcher there that could say so"""
    monkeypatch.setattr("comment_service.service.boot_ms", lambda: clocks.boot_ms() + clock.ahead_ms)
    running = await start_service()
    clock.ahead_ms = 3_600_000
    async with running.http.post("/comment/create", json={"videoId": "demo", "message": "hi"}) as answer:
        comment_id = parse_id((await answer.json())["id"])
    assert abs(time_of(comment_id) - clock.wall_ms()) < 60_000
