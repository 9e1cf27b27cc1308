"""How a spool is used"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    slow_ms: int
    """how long an author waits for the store before the spool takes his comment"""
    retry_min_ms: int
    """before the store is tried again, doubling with each failure"""
    retry_max_ms: int
    drain_batch: int
    """comments in one write of the drain"""
    quick_writes: int
    """of the drain, in a row, each within half of slow_ms, until authors wait for the store again"""
    keys_keep_ms: int
    """how long a key is kept that the drain claims"""
    check_ms: int
    """how long the result of one check serves others"""
