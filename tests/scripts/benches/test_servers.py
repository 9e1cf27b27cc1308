"""Every server that can be measured delivers everything, and goes."""

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from scripts.benches.run import Load, run
from scripts.benches.schedule import Schedule, frame_bytes
from scripts.benches.servers import CONTENDERS, NCHAN_MODULE, bare, comment_service, lacks, python_app
from scripts.benches.starlette_app import ANSWER, PAGE, app, queues
from scripts.benches.stores import a_store
from scripts.benches.viewers import an_audience
from tests.scripts.benches.serving import serve
from tests.waiting import eventually

LOAD = Load(viewers=50, rate=20, seconds=0.5)


@pytest.mark.parametrize("name", CONTENDERS)
async def test_it_delivers_everything(name: str) -> None:
    if lacks(name):
        pytest.skip(lacks(name))
    figures = await run(name, LOAD)
    assert (figures.server, figures.load) == (name, LOAD)
    assert (figures.lost, figures.doubled, figures.ended) == (0, 0, 0)
    assert figures.deliveries_per_s > 0
    assert 0 <= figures.p50_ms <= figures.p99_ms <= figures.p999_ms
    assert figures.rss_end_bytes > 1 << 20
    assert 150 < figures.frame_bytes < 320  # with a tenth of the response's head, as each viewer gets ten of them
    assert (figures.longest_hold_ms > 0) is (name == "rms")
    if name == "c":
        assert figures.frame_bytes == pytest.approx(frame_bytes(), abs=12)  # and a share of the response's head


def test_ours_comes_first() -> None:
    assert next(iter(CONTENDERS)) == "rms"


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.benches.servers.NCHAN_MODULE", Path("/nowhere"))
    assert "apt-get install nginx-light libnginx-mod-nchan" in lacks("nchan")
    assert lacks("c") == ""
    assert NCHAN_MODULE.suffix == ".so"


async def test_who_has_gone_stops_nobody() -> None:
    async with bare(5) as server, an_audience(server.path, 3, 4) as staying:
        async with an_audience(server.path, 2, 4) as leaving:
            await leaving.connect(2, server.port)
            await staying.connect(3, server.port)
        await server.publish(Schedule(time.monotonic_ns(), rate=100, count=4))
        assert await staying.wait_for(4, 20)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_service_over_a_new_sqlite_file() -> None:
    async with a_store("sqlite") as store, comment_service(store.url, store.folder, {}) as service:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{service.port}/health/ready") as answer:
            assert answer.status == 200
        assert list(service.pids) == ["service", "dispatcher"]
        store.chill()
        folder = store.folder
    assert not folder.exists()
    assert not any(map(is_alive, service.pids.values()))


async def test_the_least_that_answers() -> None:
    async with python_app("starlette_app") as least, aiohttp.ClientSession(f"http://127.0.0.1:{least.port}") as http:
        async with http.post("/comment/create", json={"message": "hi"}) as answer:
            assert await answer.read() == ANSWER
        async with http.get("/comments/demo") as answer:
            assert await answer.read() == PAGE
        assert list(least.pids) == ["service"]


@pytest.mark.parametrize(("serving", "known"), [(serve(app), queues)])
async def test_what_is_published_comes_to_a_viewer(serving: Any, known: set[object]) -> None:
    async with serving as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/events") as stream:
            await eventually(lambda: len(known) == 1)
            for message in (b"hello", b"again"):
                async with session.post("/publish", data=message) as answer:
                    assert answer.status == 200
                lines = [await stream.content.readline() for _ in range(3)]
                assert lines == [b"id: 0\n", b"data: %b\n" % message, b"\n"]
        await eventually(lambda: not known)
