"""proto/channel.py, scripts/certs and the dispatcher together: a peer without a certificate is refused."""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from pydantic import ValidationError

from dispatcher.config import Config
from proto.channel import Unreachable, aio_channel, wait_connected, why_unreachable
from proto.dispatch_pb2 import PlaceRequest, TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from proto.tls import Tls
from tests.certificates import files, make_certificates
from tests.dispatcher.cli.test_topology import topology
from tests.dispatcher.peers import RunningReplica


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


def replica(folder: Path) -> RunningReplica:
    cert, key, authority = files(folder, "dispatcher")
    return RunningReplica(tls_cert=cert, tls_key=key, tls_ca=authority, tls_required="true")


async def ask(address: str, tls_files: Sequence[str] | None) -> str:
    tls = Tls(*tls_files) if tls_files else None
    async with aio_channel(address, tls) as channel:
        return (await DispatcherStub(channel).Topology(TopologyRequest(), timeout=5)).replica_id


async def test_only_a_peer_with_a_certificate_of_the_authority_is_served(certificates: Path, tmp_path: Path) -> None:
    strangers = tmp_path / "strangers"
    await asyncio.to_thread(make_certificates, strangers)
    mixed = [*files(strangers, "rms")[:2], str(certificates / "ca.pem")]
    async with replica(certificates) as server:
        assert await ask(server.listen, files(certificates, "rms")) == server.listen
        for wrong in (None, mixed, files(strangers, "rms")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(server.listen, wrong)
            assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_operators_need_a_certificate_too(certificates: Path) -> None:
    async with replica(certificates) as server:
        tls = ",".join(files(certificates, "operator"))
        code, out, _ = await topology("--tls", tls, "--json", "replicas", dispatchers=server.listen)
        assert (code, server.listen in out) == (0, True)


async def test_a_proxy_in_the_environment_is_not_asked(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("http_proxy", "https_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for running, shown in ((RunningReplica(), None), (replica(certificates), files(certificates, "operator"))):
            async with running as server:
                assert await ask(server.listen, shown) == server.listen
                code, out, err = await topology(
                    *(("--tls", ",".join(shown)) if shown else ()), "replicas", dispatchers=server.listen
                )
                assert (code, server.listen in out) == (0, True), err
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_half_a_configuration_is_refused() -> None:
    with pytest.raises(ValidationError, match="give all three, or none"):
        Config.model_validate({"tls_cert": "x"})
    with pytest.raises(ValidationError, match="TLS is required, and no certificate is given"):
        Config.model_validate({"tls_required": True})


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Tls("nowhere", "x", "y")


async def test_a_certificate_for_a_name_is_checked_against_that_name(tmp_path: Path) -> None:
    """Replicas of a DNS name are reached by their addresses, but their certificates are for the name."""
    await asyncio.to_thread(make_certificates, tmp_path, "dispatchers.example")
    tls = Tls(*files(tmp_path, "rms"))
    async with replica(tmp_path) as server:
        async with aio_channel(server.listen, tls, tls_name="dispatchers.example") as channel:
            await wait_connected(channel, 5000)
        async with aio_channel(server.listen, tls) as channel:
            with pytest.raises(Unreachable, match="TLS: the peer's certificate is for another name"):
                await wait_connected(channel, 5000)


async def test_the_reason_for_a_missing_connection_names_no_address(certificates: Path, tmp_path: Path) -> None:
    strangers = tmp_path / "strangers"
    await asyncio.to_thread(make_certificates, strangers)
    shown = Tls(*files(certificates, "rms"))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with replica(certificates) as sealed, RunningReplica() as clear:
            for address, tls, words in (
                (sealed.listen, None, "the peer closed the connection at once, as one does that wants TLS"),
                (sealed.listen, Tls(*files(strangers, "rms")), "the peer's certificate is not of our authority"),
                (clear.listen, shown, "the peer speaks no TLS"),
                ("127.0.0.1:1", shown, "nothing listens there"),
                ("nowhere.invalid:7001", shown, "its name can't be looked up"),
                (f"127.0.0.1:{mute.getsockname()[1]}", None, "no connection within 300 ms"),
            ):
                async with aio_channel(address, tls) as channel:
                    with pytest.raises(Unreachable, match=words) as unreachable:
                        await wait_connected(channel, 300 if "300" in words else 5000)
                assert "127.0.0.1" not in str(unreachable.value)


async def test_an_error_of_the_peer_is_no_missing_connection() -> None:
    async with RunningReplica() as server, aio_channel(server.listen, None) as channel:
        await wait_connected(channel, 5000)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await DispatcherStub(channel).Place(PlaceRequest(video_id="v"))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert why_unreachable(refused.value) == ""
