"""The history bench's servers come and go"""

from pathlib import Path

import aiohttp

from scripts.benches.history_servers import a_store, comment_service, drop_file, parse_only


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_service_over_a_new_sqlite_file() -> None:
    async with a_store("sqlite") as store, comment_service(store) as service, aiohttp.ClientSession() as http:
        async with http.get(f"http://127.0.0.1:{service.port}/health/ready") as answer:
            assert answer.status == 200
        assert set(service.pids) == {"service", "dispatcher"}
        store.chill()
        folder = store.folder
    assert not folder.exists()
    assert not any(map(is_alive, service.pids.values()))


async def test_the_least_that_answers() -> None:
    async with parse_only() as least, aiohttp.ClientSession() as http:
        async with http.post(f"http://127.0.0.1:{least.port}/comment/create", json={}) as answer:
            assert answer.status == 200
        assert set(least.pids) == {"service"}


def test_a_file_is_dropped_from_memory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 10_000)
    drop_file(file)
    assert file.read_bytes() == b"x" * 10_000
