"""The history bench, as small as it can be"""

from scripts.benches.history_config import HistorySettings

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
    past=40,
)
