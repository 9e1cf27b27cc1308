"""scripts/bench footprint: the same comments in each store, and bytes that are on the disk"""

from itertools import chain
from pathlib import Path

import pytest

from scripts.benches.footprint import BATCH, comments, in_sqlite, show


def test_its_comments_are_different_ones_in_order() -> None:
    made = list(chain.from_iterable(comments(1_234, 40)))
    assert [len(batch) for batch in comments(1_234, 40)] == [BATCH, BATCH, 234]
    ids = [comment.id for comment in made]
    assert ids == sorted(set(ids))
    lengths = [len(comment.message) for comment in made]
    assert 35 < sum(lengths) / len(lengths) < 45
    assert len({comment.message for comment in made}) > 1_200


async def test_sqlite_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured = await in_sqlite(2_000, 40, tmp_path)
    assert measured.bytes_on_disk == (tmp_path / "comments.db").stat().st_size
    assert 60 < measured.bytes_a_comment < 1_000
    show([measured])
    assert "2,000" in capsys.readouterr().out
