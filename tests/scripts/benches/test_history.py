"""scripts/bench history: its parts on SQLite, its loads on a real service, and both ways of writing to Cassandra"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from history.opening import open_reader
from scripts.benches.asking import Asked
from scripts.benches.config import HistorySettings
from scripts.benches.history import PARTS, history, loads, post_comments, shares
from scripts.benches.history_writes import grouped, singles
from scripts.benches.running import BenchFailed, run_bench
from scripts.benches.schedule import VIDEO
from scripts.benches.servers import comment_service
from scripts.benches.stores import DEEP, a_store, depth, drop_file, fill, load_deep
from tests.cassandra_fixture import cassandra, cassandra_url

__all__ = ["cassandra", "cassandra_url"]

TINY = HistorySettings(
    connections=2,
    seconds=0.1,
    warm_s=0.05,
    jit_s=0.05,
    singles=20,
    authors=5,
    depth=50,
    depth_batch=20,
    depth_pages=2,
    scroll_pages=3,
    erased=30,
    past=40,
)


def test_every_part_gives_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_bench(history(list(PARTS), ["sqlite"], 1, TINY)) in (0, 1)
    captured = capsys.readouterr()
    assert captured.err == ""
    for words in (
        "POST /comment/create",
        "beside another process",
        "POST with a key",
        "first page, hot",
        "at depth 50",
        "3 pages of 10",
        "30 erased",
        "GiB",
    ):
        assert words in captured.out


def test_what_fails_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setattr("scripts.benches.building.build.__defaults__", (Path("/nonexistent"),))
    assert run_bench(history(["scroll"], ["sqlite"], 1, TINY)) == 1
    assert "no C compiler" in capsys.readouterr().err


async def test_posts_need_one_read_and_what_is_refused_is_no_figure() -> None:
    async with a_store("sqlite") as store:
        await fill(store.url, TINY)
        async with comment_service(store.url, store.folder, store.pids) as service:
            for keyed in (False, True):
                asked = await post_comments(service, TINY, keyed=keyed)
                assert asked.requests > 0
                assert set(asked.cpu_us) == {"service", "dispatcher", "asker"}
            with pytest.raises(BenchFailed, match="requests failed"):
                await post_comments(service, replace(TINY, message="x" * 501))


def an_asked(per_s: float, cpu_us: float) -> Asked:
    return Asked(100, per_s, 2.0, {"service": cpu_us, "asker": 10.0})


def test_shares_are_of_the_same_run() -> None:
    pairs = [
        (an_asked(100, 50), an_asked(60, 100)),
        (an_asked(200, 50), an_asked(140, 80)),
        (an_asked(100, 50), an_asked(90, 40)),
    ]
    by_rate, by_cpu = shares("posts", pairs, 60)
    assert (by_rate.values, by_rate.at_least) == ([60, 70, 90], 60)
    assert (by_cpu.values, by_cpu.at_least) == ([50, 62.5, 125], None)
    assert loads(ours for _, ours in pairs) == "90/s, p99 2 ms, CPU for each: service 80, asker 10 µs"


async def test_a_deep_video_is_loaded_and_both_its_ends_are_read(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/comments.db"
    assert await load_deep(url, TINY) > 0
    reader = await open_reader(url)
    assert len((await reader.newer(DEEP, 0, 1_000)).comments) == TINY.depth + TINY.page
    await reader.close()
    chilled: list[bool] = []
    first_ms, deep_ms = await depth(url, TINY, lambda: chilled.append(True))
    assert len(chilled) == 2 * TINY.depth_pages
    assert len(first_ms) == len(deep_ms) == TINY.depth_pages
    assert min(*first_ms, *deep_ms) > 0


def test_a_file_is_dropped_from_memory(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 10_000)
    drop_file(file)
    assert file.read_bytes() == b"x" * 10_000


async def test_both_ways_of_writing_to_cassandra_count_what_is_stored(cassandra_url: str) -> None:
    group = await grouped(cassandra_url, TINY)  # first: it also writes down that the bucket exists
    reader = await open_reader(cassandra_url)
    said = len((await reader.newer(VIDEO, 0, 1_000_000)).comments)
    assert said >= TINY.authors
    single = await asyncio.to_thread(singles, cassandra_url, TINY)
    assert len((await reader.newer(VIDEO, 0, 1_000_000)).comments) == said + TINY.singles
    await reader.close()
    assert min(single.per_s, single.cpu_us, group.per_s, group.cpu_us) > 0
