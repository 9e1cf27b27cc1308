"""A real Cassandra that wants TLS, a certificate and a password: with all of them it is a store as any other, each that
is missing is named in a sentence, and each is renewed while the store is open."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from history.config import StoreSettings
from history.core.ids import first_id_at
from history.core.model import Comment
from history.opening import open_reader, open_store
from history.store import History, StoreRefuses, StoreUnavailable
from proto.cassandra_settings import CassandraSettings
from scripts.cassandra_node import Node, Ports
from tests.cassandra_fixture import CassandraUnderTest, skip_without_tools
from tests.certificates import files, make_certificates, new_authority
from tests.comment_service.conftest import StartService, nowhere, start_service
from tests.history.comments import START_MS, a_comment
from tests.rms.conftest import StartNode, start_node
from tests.waiting import eventually

__all__ = ["nowhere", "start_node", "start_service"]

pytestmark = pytest.mark.timeout(300)  # the first test starts the node, and others share the cores


@dataclass
class Sealed:
    cassandra: CassandraUnderTest
    folder: Path
    url: str

    def everything(self, **changed: str) -> dict[str, str]:
        certificate, key, authority = files(self.folder, "rms")
        return {
            "cassandra_user": "cassandra",
            "cassandra_password": "cassandra",
            "cassandra_tls_ca": authority,
            "cassandra_tls_cert": certificate,
            "cassandra_tls_key": key,
            **changed,
        }

    def settings(self, **changed: str) -> StoreSettings:
        given = {name: value for name, value in self.everything(**changed).items() if value}
        return StoreSettings(cassandra_access=CassandraSettings.model_validate(given))

    def renew(self) -> None:
        """The node takes the folder's certificates."""
        Node(1, self.cassandra.folder, Ports(0, 0, 0)).seal(self.folder)
        self.cassandra.nodetool("reloadssl")

    @asynccontextmanager
    async def opened(self, **changed: str) -> AsyncIterator[History]:
        store = await open_store(self.url, self.settings(**changed))
        try:
            yield store
        finally:
            await store.close()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    skip_without_tools()
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    cassandra = CassandraUnderTest(folder)
    try:
        cassandra.start()
        yield Sealed(cassandra, folder, cassandra.new_url())
    finally:
        cassandra.stop()


@pytest.fixture(scope="module", autouse=True)
def schema(sealed: Sealed) -> None:
    """Made once: it takes some seconds. Also waits for Cassandra's first user, who comes after its first answer."""

    async def is_made() -> bool:
        try:
            async with sealed.opened() as store:
                await store.check()
        except StoreUnavailable:
            return False
        return True

    asyncio.run(eventually(is_made))


def cut(store: History) -> None:
    """Breaks all of its connections; they can come back at once."""
    for holder in store._tables.session._cluster.get_connection_holders():  # type: ignore[attr-defined]
        for connection in holder.get_connections():
            with suppress(OSError):  # closed already
                socket.socket.shutdown(connection._socket, socket.SHUT_RDWR)  # below TLS, as a cable would


def numbered(number: int) -> Comment:
    return a_comment(first_id_at(START_MS) + number, "v", f"{number} " + "x" * 1000)


async def test_with_user_and_certificates_it_is_a_store(sealed: Sealed) -> None:
    said = [numbered(number) for number in range(300)]  # more than one record of TLS
    async with sealed.opened() as store:
        await store.append(said)
        reader = await open_reader(sealed.url, sealed.settings())
        try:
            assert (await reader.older("v", None, 300)).comments == said[::-1]
        finally:
            await reader.close()


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (("cassandra_user", "cassandra_password"), "it wants a user and a password: set --cassandra-user"),
        (
            ("cassandra_tls_ca", "cassandra_tls_cert", "cassandra_tls_key"),
            "it speaks only TLS: set --cassandra-tls-ca",
        ),
        (("cassandra_tls_cert", "cassandra_tls_key"), "it wants a certificate from us: set --cassandra-tls-cert"),
    ],
)
async def test_what_is_missing_is_said(sealed: Sealed, missing: tuple[str, ...], sentence: str) -> None:
    for opening in (open_store, open_reader):
        with pytest.raises(StoreRefuses, match=sentence):
            await opening(sealed.url, sealed.settings(**dict.fromkeys(missing, "")))


async def test_what_is_wrong_is_said(sealed: Sealed, tmp_path: Path) -> None:
    strangers, expired = tmp_path / "strangers", tmp_path / "expired"
    await asyncio.to_thread(make_certificates, strangers)
    await asyncio.to_thread(shutil.copytree, sealed.folder, expired)
    await asyncio.to_thread(make_certificates, expired, days=-1)
    certificate, key, authority = files(strangers, "rms")
    old, old_key, _ = files(expired, "rms")
    for wrong, sentence in (
        ({"cassandra_password": "wrong"}, "it doesn't know this user with this password"),
        ({"cassandra_tls_ca": authority}, "its certificate is of no authority in --cassandra-tls-ca"),
        ({"cassandra_tls_cert": certificate, "cassandra_tls_key": key}, "it refuses our certificate"),
        ({"cassandra_tls_cert": old, "cassandra_tls_key": old_key}, "it refuses our certificate"),
        ({"cassandra_password": "", "cassandra_password_file": str(tmp_path / "none")}, "the password can't be read"),
        ({"cassandra_tls_ca": str(tmp_path / "none")}, "No such file"),
    ):
        with pytest.raises(StoreRefuses, match=sentence):
            await open_store(sealed.url, sealed.settings(**wrong))


async def test_one_that_is_away_is_an_outage(sealed: Sealed) -> None:
    """And nothing else, whatever is set."""
    with pytest.raises(StoreUnavailable) as away:
        await open_store("cassandra://127.0.0.1:1/x", sealed.settings())
    assert not isinstance(away.value, StoreRefuses)


async def test_a_node_needs_to_read_only(sealed: Sealed) -> None:
    reader_url, writer = sealed.url, numbered(900)
    async with sealed.opened() as operator:
        await operator.append([writer])
        session = operator._tables.session  # type: ignore[attr-defined]
        keyspace = sealed.url.rpartition("/")[2]
        for statement in (
            "CREATE ROLE reader WITH PASSWORD = 'read' AND LOGIN = true",
            f"GRANT SELECT ON KEYSPACE {keyspace} TO reader",
        ):
            await session.execute(statement)
    settings = sealed.settings(cassandra_user="reader", cassandra_password="read")
    reader = await open_reader(reader_url, settings)
    try:
        assert writer in (await reader.older("v", writer.id + 1, 1)).comments
    finally:
        await reader.close()
    store = await open_store(sealed.url, settings)
    try:
        with pytest.raises(StoreRefuses, match="has no MODIFY permission"):
            await store.append([numbered(901)])
    finally:
        await store.close()


async def test_certificates_and_password_are_renewed_while_it_is_open(sealed: Sealed, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("first\n")
    numbers = iter(range(1_001, 100_000))
    access = {"cassandra_user": "author", "cassandra_password": "", "cassandra_password_file": str(password)}

    async with sealed.opened() as operator, AsyncExitStack() as stack:
        as_operator = operator._tables.session.execute  # type: ignore[attr-defined]
        await as_operator("CREATE ROLE author WITH PASSWORD = 'first' AND LOGIN = true AND SUPERUSER = true")
        store = await stack.enter_async_context(sealed.opened(**access))

        async def cut_and_refused_with(words: str) -> bool:
            cut(store)
            try:
                await store.append([numbered(next(numbers))])
            except StoreRefuses as refusal:
                return words in str(refusal)
            except StoreUnavailable:
                pass
            return False

        async def takes_comments() -> bool:
            try:
                await store.append([numbered(next(numbers))])
            except StoreUnavailable:
                return False
            return True

        # Another authority for both sides: what stands goes on, what is new uses it.
        new_authority(sealed.folder)
        await asyncio.to_thread(make_certificates, sealed.folder)
        await asyncio.to_thread(sealed.renew)
        await store.append([numbered(next(numbers))])
        cut(store)
        await eventually(takes_comments)

        # Another password, which the service doesn't know yet. That is no outage. For some 2 s Cassandra may take the
        # former one, which it has cached.
        async def is_changed() -> bool:
            try:
                await as_operator("ALTER ROLE author WITH PASSWORD = 'changed'")
            except StoreUnavailable:  # Cassandra changes it once in 5 s at most
                return False
            return True

        await eventually(is_changed)
        await eventually(lambda: cut_and_refused_with("it doesn't know this user with this password"))
        password.write_text("changed\n")
        await eventually(takes_comments)


async def test_both_services_say_what_is_wrong_and_go_on_by_themselves(
    sealed: Sealed, start_service: StartService, start_node: StartNode, tmp_path: Path
) -> None:
    """An operator has given the wrong password, reads why nothing is ready, and mends the file. Nothing is restarted,
    and no author was told that a comment is durable which nobody may ever store."""
    password = tmp_path / "password"
    password.write_text("wrong\n")
    access = sealed.everything(cassandra_password="", cassandra_password_file=str(password))
    service = await start_service(wait=False, store=sealed.url, store_retry_max_ms=200, node_wait_ms=500, **access)
    node = await start_node(store=sealed.url, catch_up_retry_ms_max=200, **access)
    words = "it doesn't know this user with this password"

    async with aiohttp.ClientSession() as http:

        async def ready(port: int) -> tuple[int, dict[str, object]]:
            async with http.get(f"http://127.0.0.1:{port}/health/ready") as answer:
                return answer.status, await answer.json()

        async def post() -> int:
            said = {"videoId": "demo", "message": "hello"}
            async with http.post(f"{service.url}/comment/create", json=said) as answer:
                return answer.status

        async def is_refused() -> bool:
            status, facts = await ready(service.operators_port)
            return status == 503 and words in str(facts["store"])

        async def node_says_why() -> bool:
            return words in str((await ready(node.operators_port))[1].get("history_trouble"))

        async def all_is_well() -> bool:
            facts = (await ready(node.operators_port))[1]
            return (await ready(service.operators_port))[0] == 200 and "history_trouble" not in facts

        await eventually(is_refused)
        await eventually(node_says_why)
        assert await post() == 503
        assert service.service.spooled.statistics().spool.comments == 0
        password.write_text("cassandra\n")
        await eventually(all_is_well)
        assert await post() == 200
