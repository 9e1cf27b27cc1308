"""Service: starts with what is there, ends in order, and owes what the last process left"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from comment_service.clocks import wall_ms
from comment_service.publish.watermark import StateDirInUse, Watermark
from comment_service.service import build
from history.core.ids import first_id_at, time_of
from history.opening import InvalidStoreUrl
from tests.comment_service.conftest import StartService, config
from tests.comment_service.fake_dispatcher import FakeDispatcher, fake_dispatcher
from tests.waiting import eventually


def watermark_in(tmp_path: Path) -> Watermark:
    return Watermark(tmp_path / "state", 0)


async def test_a_first_start_looks_back(start_service: StartService, dispatcher: FakeDispatcher) -> None:
    running = await start_service(dispatchers=dispatcher.address, lookback_s=60)
    await eventually(lambda: bool(dispatcher.catch_ups))
    low_id = running.service.publisher._outbox.low_id()
    assert time_of(dispatcher.catch_ups[0]) == pytest.approx(time_of(low_id) - 60_000, abs=30_000)


async def test_a_start_after_a_clean_end_asks_for_nothing(
    start_service: StartService, dispatcher: FakeDispatcher, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    watermark_in(tmp_path).write(first_id_at(1_000), clean=True)
    running = await start_service(dispatchers=dispatcher.address)
    saved = watermark_in(tmp_path).read()
    assert saved is not None
    assert not saved.clean  # a kill from now on has to be covered
    await eventually(lambda: running.service.publisher.statistics().connected is not None)
    async with running.http.post("/comment/create", json={"videoId": "demo", "message": "hi"}) as answer:
        assert answer.status == 200
    await eventually(lambda: len(dispatcher.published) == 1)
    assert dispatcher.catch_ups == []


async def test_a_start_after_a_kill_owes_from_the_watermark(
    start_service: StartService, dispatcher: FakeDispatcher, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    watermark_in(tmp_path).write(first_id_at(1_000))
    dispatcher.responds = False
    await start_service(dispatchers=dispatcher.address)
    await eventually(lambda: dispatcher.catch_ups == [first_id_at(1_000)])
    saved = watermark_in(tmp_path).read()
    assert saved is not None
    assert saved.low_id == first_id_at(1_000)  # not answered yet: a second kill owes the same


async def test_a_full_disk_stops_a_start_only_if_a_kill_would_be_forgotten(
    start_service: StartService, dispatcher: FakeDispatcher, tmp_path: Path
) -> None:
    (tmp_path / "state" / "published-node0.new").mkdir(parents=True)  # nothing can be written there
    watermark = tmp_path / "state" / "published-node0"
    watermark.write_text(f"{first_id_at(1_000):016x} clean\n")
    with pytest.raises(OSError, match="published-node0"):
        await build(config(tmp_path, dispatcher.address))
    watermark.write_text(f"{first_id_at(1_000):016x}\n")
    await start_service(dispatchers=dispatcher.address)
    await eventually(lambda: dispatcher.catch_ups == [first_id_at(1_000)])


async def test_ids_go_on_above_the_last_process_when_the_clock_steps_back(
    start_service: StartService, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    future = first_id_at(2**42)  # the year 2109
    watermark_in(tmp_path).write(future, clean=True)
    running = await start_service()
    async with running.http.post("/comment/create", json={"videoId": "demo", "message": "hi"}) as answer:
        assert int((await answer.json())["id"], 16) > future


@pytest.mark.parametrize("replicas", [1, 2])
async def test_a_start_with_a_clock_that_is_ahead_gives_no_ids_ahead(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    """Nobody could name such ids in a position, and they can't be taken back."""
    hour_ms = 3_600_000
    for module in ("comment_service.service", "comment_service.node.first_clock", "comment_service.write.intake"):
        monkeypatch.setattr(f"{module}.wall_ms", lambda: wall_ms() + hour_ms)
    async with AsyncExitStack() as stack:
        fakes = [await stack.enter_async_context(fake_dispatcher()) for _ in range(replicas)]
        running = await start_service(dispatchers=",".join(fake.address for fake in fakes), wait=False)
        await eventually(lambda: running.service.lazy_store._store is not None)
        async with running.http.post("/comment/create", json={"videoId": "demo", "message": "hi"}) as answer:
            given_ms = time_of(int((await answer.json())["id"], 16))
        assert given_ms < wall_ms() + running.service.config.clock_off_ms_max + hour_ms // 2
        assert running.service.publisher._outbox.low_id() < first_id_at(wall_ms() + hour_ms // 2)


@pytest.mark.parametrize("fault", ["slow", "wrong", "refuses"])
async def test_a_start_waits_for_no_dispatcher_s_clock_and_believes_no_single_one_of_two(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch, nowhere: str, fault: str
) -> None:
    monkeypatch.setattr("comment_service.node.first_clock.FIRST_MS", 300_000 if fault != "slow" else 50)
    async with fake_dispatcher() as right, fake_dispatcher() as other:
        if fault == "slow":
            right.clock_answers.clear()
            other.clock_answers.clear()
        elif fault == "wrong":
            other.ahead_ms = -3_600_000
        addresses = [right.address, nowhere if fault == "refuses" else other.address]
        running = await start_service(dispatchers=",".join(addresses), wait=False)
        await eventually(lambda: running.service.lazy_store._store is not None)
        async with running.http.post("/comment/create", json={"videoId": "demo", "message": "hi"}) as answer:
            given_ms = time_of(int((await answer.json())["id"], 16))
        assert given_ms > wall_ms() - 1_800_000
        right.clock_answers.set()
        other.clock_answers.set()


async def test_a_node_number_that_is_given_needs_no_store(tmp_path: Path) -> None:
    service = await build(config(tmp_path, "127.0.0.1:1", node=5))
    assert service.node == 5
    assert not (tmp_path / "comments.db").exists()
    service.stop()
    await service.run()


async def test_auto_is_another_number_for_each(tmp_path: Path, start_service: StartService) -> None:
    nodes = {(await start_service(node="auto", state_dir=tmp_path / f"state-{n}")).service.node for n in range(3)}
    assert len(nodes) == 3


async def test_a_clean_end_publishes_what_waits(dispatcher: FakeDispatcher, tmp_path: Path) -> None:
    service = await build(config(tmp_path, dispatcher.address, stop_backlog_ms=20_000))
    running = asyncio.create_task(service.run())
    await eventually(lambda: service.lazy_store._store is not None)
    service.stop()
    await running
    saved = watermark_in(tmp_path).read()
    assert saved is not None
    assert saved.clean


async def test_what_can_not_start(start_service: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comment_service.service.ADOPTING_MS", 50)
    running = await start_service()
    with pytest.raises(InvalidStoreUrl):
        await build(config(tmp_path, "127.0.0.1:1", store="paper:notebook", node=1))
    with pytest.raises(StateDirInUse):
        await build(config(tmp_path, "127.0.0.1:1"))
    taken = config(tmp_path, "127.0.0.1:1", listen=running.service.address, node=1)
    for _ in range(2):  # a failed start leaves no lock behind
        with pytest.raises(OSError, match="in use"):
            await build(taken)


async def test_a_store_that_can_never_open_ends_the_service(tmp_path: Path) -> None:
    service = await build(config(tmp_path, "127.0.0.1:1"))

    async def broken() -> None:
        raise ZeroDivisionError("broken by the test")

    service.lazy_store._open_store = broken  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        await service.run()
