"""history/cassandra/access.py and sealed.py beside servers that speak TLS and not CQL: what is wrong with a certificate
has its sentence, each connection uses the files as they are then, and every byte arrives in order. test_sealed.py has a
Cassandra."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cassandra import AuthenticationFailed
from cassandra.connection import ConnectionShutdown, DefaultEndPoint

from history.cassandra.access import Access, Refused
from history.cassandra.connection import LoopConnection
from history.cassandra.sealed import connection_class
from proto.cassandra_settings import CassandraSettings
from tests.certificates import files, make_certificates, new_authority
from tests.serving import leave, serving
from tests.waiting import eventually

OPTIONS_BYTES = 9
"""The driver's first message: a frame without a body"""


def access_to(folder: Path, **changed: object) -> Access:
    certificate, key, authority = files(folder, "rms")
    given = {"cassandra_tls_ca": authority, "cassandra_tls_cert": certificate, "cassandra_tls_key": key, **changed}
    return Access(CassandraSettings.model_validate(given))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_certificates(tmp_path)
    return tmp_path


class Peer:
    """A server with the folder's certificate. It wants one of the folder's authority."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.serials: list[str] = []
        self.joined: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    def context(self) -> ssl.SSLContext:
        certificate, key, authority = files(self._folder, "cassandra")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serials.append(writer.get_extra_info("peercert")["serialNumber"])
        await self.joined.put((reader, writer))
        await writer.wait_closed()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[DefaultEndPoint]:
        async with serving(self.accept, tls=self.context()) as port:
            yield DefaultEndPoint("127.0.0.1", port)


async def connected(connections: type[LoopConnection], endpoint: DefaultEndPoint) -> LoopConnection:
    """With the handshake, and not a word of CQL yet"""
    return await asyncio.to_thread(lambda: connections(endpoint, protocol_version=5, connect_timeout=20))


async def refusal(access: Access, endpoint: DefaultEndPoint) -> str:
    connections = connection_class(access)
    with pytest.raises(Refused) as refused:
        await asyncio.to_thread(connections.factory, endpoint, 20, protocol_version=5)
    assert connections.refusals == {endpoint: str(refused.value)}
    return str(refused.value)


async def test_an_expired_certificate(folder: Path) -> None:
    access = access_to(folder)
    await asyncio.to_thread(make_certificates, folder, days=-1)
    async with Peer(folder).serving() as endpoint:
        assert "its certificate has expired" in await refusal(access, endpoint)


async def test_a_certificate_for_another_name_unless_that_is_not_looked_at(folder: Path) -> None:
    await asyncio.to_thread(make_certificates, folder, "cassandra.example")
    peer = Peer(folder)
    async with peer.serving() as endpoint:
        assert "is for another name than the address" in await refusal(access_to(folder), endpoint)
        unchecked = connection_class(access_to(folder, cassandra_tls_check_host=False))
        (await connected(unchecked, endpoint)).close()


async def test_another_authority_even_if_the_name_is_not_looked_at(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    strangers = tmp_path_factory.mktemp("strangers")
    await asyncio.to_thread(make_certificates, strangers)
    async with Peer(strangers).serving() as endpoint:
        access = access_to(folder, cassandra_tls_check_host=False)
        assert "is of no authority in --cassandra-tls-ca" in await refusal(access, endpoint)


async def test_a_server_that_speaks_no_tls(folder: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As Cassandra does: an error of its own protocol"""
        await reader.read(100)
        writer.write(b"\x85\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x0a")

    async with serving(answer) as port:
        told = await refusal(access_to(folder), DefaultEndPoint("127.0.0.1", port))
    assert "it speaks no TLS, which --cassandra-tls-ca asks for" in told


async def test_one_that_only_leaves_is_away(folder: Path) -> None:
    """In clear it could be one that wants TLS; but then it would speak it."""

    async with serving(leave) as port:
        endpoint = DefaultEndPoint("127.0.0.1", port)
        for access in (Access(None), access_to(folder)):
            connections = connection_class(access)
            connections.refusals[endpoint] = "of an earlier try"
            with pytest.raises(Exception) as error:  # the driver's errors have no common base
                await asyncio.to_thread(connections.factory, endpoint, 20, protocol_version=5)
            assert not isinstance(error.value, Refused)
            assert connections.refusals == {}


def test_a_password_that_can_not_be_looked_up_now_is_an_outage() -> None:
    endpoint = DefaultEndPoint("127.0.0.1", 1)
    away = AuthenticationFailed(
        "code=0100 Unable to perform authentication: Cannot achieve consistency level LOCAL_ONE"
    )
    wrong = AuthenticationFailed("code=0100 Provided username u and/or password are incorrect")
    assert Access(None).refusal(away, endpoint) == ""
    assert "it doesn't know this user with this password" in Access(None).refusal(wrong, endpoint)
    assert Access(None).refusal(ConnectionShutdown("gone"), endpoint) == "", "nothing listens there"


async def test_each_connection_uses_the_files_as_they_are_then(folder: Path) -> None:
    peer = Peer(folder)
    connections = connection_class(access_to(folder))
    async with peer.serving() as endpoint:
        first = await connected(connections, endpoint)
        again = await connected(connections, endpoint)
        await asyncio.to_thread(make_certificates, folder)
        renewed = await connected(connections, endpoint)
        await eventually(lambda: len(peer.serials) == 3)
        one, two, three = peer.serials
        assert one == two != three
        for connection in (first, again, renewed):
            assert not connection.is_closed
            connection.close()
    new_authority(folder)
    await asyncio.to_thread(make_certificates, folder)
    async with peer.serving() as endpoint:
        (await connected(connections, endpoint)).close()


@asynccontextmanager
async def joined(folder: Path) -> AsyncIterator[tuple[LoopConnection, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection and its peer, which has read the driver's first message"""
    peer = Peer(folder)
    async with peer.serving() as endpoint:
        connection = await connected(connection_class(access_to(folder)), endpoint)
        reader, writer = await peer.joined.get()
        await reader.readexactly(OPTIONS_BYTES)
        try:
            yield connection, reader, writer
        finally:
            connection.close()
            writer.close()


@pytest.mark.parametrize("from_thread", [False, True])
async def test_more_than_the_kernel_takes_arrives_in_order(folder: Path, from_thread: bool) -> None:
    parts = [bytes([number % 251]) * 100_000 for number in range(100)]
    whole = b"".join(parts)
    async with joined(folder) as (connection, reader, _):
        for part in parts:
            if from_thread:
                await asyncio.to_thread(connection.push, part)
            else:
                connection.push(part)
        assert await asyncio.wait_for(reader.readexactly(len(whole)), 30) == whole
        connection.push(b"the last")  # at once again: nothing waits any more
        assert await asyncio.wait_for(reader.readexactly(8), 30) == b"the last"
        assert not connection._unsent


async def test_all_that_came_is_read_also_what_came_before_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with joined(folder) as (connection, _, writer):
        came = bytearray()

        def take() -> None:
            came.extend(connection._iobuf.getvalue())
            connection._iobuf.seek(0)
            connection._iobuf.truncate()

        monkeypatch.setattr(connection, "process_io_buffer", take)
        whole = bytes(range(256)) * 20_000
        writer.write(whole)
        await eventually(lambda: bytes(came) == whole)
        writer.write(b"the last")
        writer.close()
        await eventually(lambda: connection.is_closed)
        assert bytes(came) == whole + b"the last"


async def test_whoever_waits_gets_an_error_when_the_peer_goes(folder: Path) -> None:
    async with joined(folder) as (connection, _, writer):
        reported: asyncio.Queue[object] = asyncio.Queue()
        connection._requests[7] = (reported.put_nowait, None, None)
        writer.transport.abort()
        connection.push(b"x" * 10_000_000)
        assert isinstance(await asyncio.wait_for(reported.get(), 30), ConnectionShutdown | OSError)
        assert connection.is_closed


async def test_closing_from_another_thread_closes_the_socket(folder: Path) -> None:
    async with joined(folder) as (connection, reader, _):
        await asyncio.to_thread(connection.close)
        assert await asyncio.wait_for(reader.read(), 30) == b""
        connection.close()  # again: nothing
