"""SqliteErasing keeps the contract."""

from tests.history.contract import video
from tests.history.erasing_contract import ErasingContract
from tests.history.sqlite.test_store import new_url, store, url

__all__ = ["new_url", "store", "url", "video"]


class TestSqliteErasing(ErasingContract):
    pass
