"""--node auto becomes a number, with a store and without one"""

from pathlib import Path

from comment_service.node.claim import lease_file, remember_node
from comment_service.node.number import with_node
from tests.comment_service.conftest import StartService, config


async def test_a_number_stays_as_it_is(tmp_path: Path) -> None:
    given = config(tmp_path, "127.0.0.1:1", node=5)
    assert await with_node(given) is given
    assert not (tmp_path / "comments.db").exists()


async def test_auto_is_another_one_for_each_and_a_process_lives_with_it(
    tmp_path: Path, start_service: StartService
) -> None:
    nodes = set()
    for n in range(3):
        folder = tmp_path / f"state-{n}"
        chosen = await with_node(config(tmp_path, "127.0.0.1:1", node="auto", state_dir=folder))
        nodes.add(chosen.node)
        await start_service(node=chosen.node, state_dir=folder)
    assert len(nodes) == 3


async def test_without_a_store_it_is_the_last_one_or_any(tmp_path: Path) -> None:
    (tmp_path / "comments.db").mkdir()  # no file can be opened there
    away = config(tmp_path, "127.0.0.1:1", node="auto")
    first = await with_node(away)
    assert isinstance(first.node, int)
    assert (await with_node(away)).node == first.node  # whose spool is there
    (tmp_path / "state" / "node").write_text("77\n")
    assert (await with_node(away)).node == 77


async def test_a_lease_that_lasts_is_taken_without_asking(tmp_path: Path) -> None:
    remember_node(tmp_path / "state", 9)
    lease_file(tmp_path / "state", 9).write_text(f"{2**60}\n")
    lease_file(tmp_path / "state", 8).write_text(f"{2**60}\n")  # of a process beside it
    assert (await with_node(config(tmp_path, "127.0.0.1:1", node="auto"))).node == 9
    assert not (tmp_path / "comments.db").exists()
