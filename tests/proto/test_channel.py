"""proto/channel.py, scripts/certs and the dispatcher together: who shows no certificate gets nowhere."""

import asyncio
import subprocess
from pathlib import Path

import grpc
import pytest
from pydantic import ValidationError

from dispatcher.config import Config
from proto.channel import aio_channel, load_tls
from proto.dispatch_pb2 import TopologyRequest
from proto.dispatch_pb2_grpc import DispatcherStub
from tests.dispatcher.peers import RunningReplica
from tests.dispatcher.test_topology import topology
from tests.test_house import ROOT


def make_certificates(folder: Path) -> None:
    subprocess.run([ROOT / "scripts" / "certs", folder], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


def files(folder: Path, name: str) -> list[str]:
    return [str(folder / f"{name}.pem"), str(folder / f"{name}.key"), str(folder / "ca.pem")]


def replica(folder: Path) -> RunningReplica:
    cert, key, authority = files(folder, "dispatcher")
    return RunningReplica(tls_cert=cert, tls_key=key, tls_ca=authority, tls_required="true")


async def ask(address: str, tls_files: list[str] | None) -> str:
    tls = load_tls(*tls_files) if tls_files else None
    async with aio_channel(address, tls) as channel:
        return (await DispatcherStub(channel).Topology(TopologyRequest(), timeout=5)).replica_id


async def test_who_shows_a_certificate_is_heard_and_nobody_else(certificates: Path, tmp_path: Path) -> None:
    strangers = tmp_path / "strangers"
    await asyncio.to_thread(make_certificates, strangers)
    mixed = [*files(strangers, "rms")[:2], str(certificates / "ca.pem")]
    async with replica(certificates) as server:
        assert await ask(server.listen, files(certificates, "rms")) == server.listen
        for wrong in (None, mixed, files(strangers, "rms")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(server.listen, wrong)
            assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_operators_show_one_too(certificates: Path) -> None:
    async with replica(certificates) as server:
        tls = ",".join(files(certificates, "operator"))
        code, out, _ = await topology("--tls", tls, "--json", "replicas", dispatchers=server.listen)
        assert (code, server.listen in out) == (0, True)


def test_half_a_configuration_is_refused() -> None:
    with pytest.raises(ValidationError, match="give all three, or none"):
        Config.model_validate({"tls_cert": "x"})
    with pytest.raises(ValidationError, match="TLS is required, and no certificate is given"):
        Config.model_validate({"tls_required": True})


def test_a_file_that_is_not_there_is_a_clear_word() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_tls("nowhere", "x", "y")
