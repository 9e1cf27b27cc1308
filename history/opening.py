"""From a store's URL to the store. The drivers are imported only when they are used: cassandra-driver takes a while."""

from history.store import Reader, Store

STORE_HELP = "sqlite:PATH or cassandra://HOST[,HOST...][:PORT]/KEYSPACE"


class InvalidStoreUrl(ValueError):
    def __init__(self, url: str) -> None:
        super().__init__(f"{url!r} names no store: {STORE_HELP}")


async def open_store(url: str) -> Store:
    """For writing and reading; makes the schema where it is missing. Raises InvalidStoreUrl, StoreUnavailable."""
    raise InvalidStoreUrl(url)


async def open_reader(url: str) -> Reader:
    """For reading only. Works before a writer has made the schema: an empty history. Raises as `open_store` does."""
    raise InvalidStoreUrl(url)
