"""SqliteRecords keeps the contract."""

from tests.history.contract import video
from tests.history.records_contract import RecordsContract
from tests.history.sqlite.test_store import new_url, store, url

__all__ = ["new_url", "store", "url", "video"]


class TestSqliteRecords(RecordsContract):
    pass
