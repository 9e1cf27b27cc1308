"""scripts/benches/joins.py"""

from scripts.benches.joins import measure_joins


async def test_every_joiner_gets_its_backfill() -> None:
    joins = await measure_joins(60)
    assert (joins.joins, joins.at_once, joins.backfill) == (60, 60, 50)
    assert (joins.lost, joins.doubled) == (0, 0)
    assert joins.cpu_s >= 0
    assert joins.store_reads == 1
    assert joins.line().startswith("60 joins, 60 at once, 50 comments of backfill each: ")
