"""Mutual TLS between all services: comments arrive, and a service without a certificate is refused and logs why."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import aiohttp
import pytest

from scripts.plan import free_ports, tls_files
from scripts.processes import ROOT, Process
from tests.certificates import make_certificates, new_authority
from tests.end_to_end.test_run import running
from tests.system import System
from tests.waiting import eventually

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)
    return folder


async def assert_a_comment_arrives(base_url: str) -> None:
    async with aiohttp.ClientSession(base_url) as session, session.get("/comments/v", headers=STREAM) as live:
        assert live.status == 200
        async with session.post("/comment/create", json={"liveVideoId": "v", "message": "sealed"}) as created:
            assert created.status == 200
        async with asyncio.timeout(20):
            text = ""
            while "sealed" not in text:
                text += (await live.content.readany()).decode()


@pytest.mark.parametrize("door", [False, True])
async def test_a_comment_passes_through_all_services(certificates: Path, door: bool) -> None:
    async with System(dispatchers=2, rms=1, door=door, tls=certificates) as system:
        await assert_a_comment_arrives(system.base_url)


async def test_a_viewer_stays_while_certificates_and_authority_are_renewed(tmp_path: Path) -> None:
    """Under all services at once, and then a dispatcher dies: the others come back to it with what is in the files."""
    await asyncio.to_thread(make_certificates, tmp_path)
    async with (
        System(dispatchers=1, rms=1, tls=tmp_path) as system,
        aiohttp.ClientSession(system.base_url) as session,
        session.get("/comments/v", headers=STREAM) as live,
    ):
        text = ""

        async def assert_it_arrives(message: str) -> None:
            nonlocal text
            async with session.post("/comment/create", json={"liveVideoId": "v", "message": message}) as created:
                assert created.status == 200
            async with asyncio.timeout(60):
                while message not in text:
                    text += (await live.content.readany()).decode()

        await assert_it_arrives("before")
        former = new_authority(tmp_path)
        await asyncio.to_thread(make_certificates, tmp_path)
        alone = (tmp_path / "ca.pem").read_bytes()
        (tmp_path / "ca.pem").write_bytes(former + alone)
        await assert_it_arrives("both")
        (tmp_path / "ca.pem").write_bytes(alone)
        await assert_it_arrives("the new one")
        await system.kill("dispatcher")
        await system.back_again("dispatcher")
        await assert_it_arrives("after a restart")
        assert [text.count(f'"message":"{said}"') for said in ("before", "both", "the new one", "after a restart")] == [
            1
        ] * 4


async def test_scripts_run_makes_certificates_and_prints_a_topology_command(tmp_path: Path) -> None:
    async with running(tmp_path / "data", "--tls", "--dispatchers", "1", "--rms", "1") as run:
        await run.ready()
        await assert_a_comment_arrives(run.base_url)
        command = re.search(r"scripts/topology (--dispatchers \S+ --tls \S+) nodes", run.text)
        assert command
        topology = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "dispatcher.cli.topology", *command[1].split(), "--json", "nodes"),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        out, _ = await topology.communicate()
        assert b"rms-1" in out


@pytest.mark.parametrize(
    ("shown", "words"),
    [(None, "wants TLS, or another certificate"), ("strangers", "the peer's certificate is not of our authority")],
)
async def test_a_node_without_a_valid_certificate_logs_why_it_is_refused(
    certificates: Path, tmp_path: Path, shown: str | None, words: str
) -> None:
    flags: list[str] = []
    if shown:
        await asyncio.to_thread(make_certificates, tmp_path / shown)
        names = ("--tls-cert", "--tls-key", "--tls-ca")
        flags = [word for pair in zip(names, tls_files(tmp_path / shown, "rms"), strict=True) for word in pair]
    async with System(dispatchers=1, rms=0, tls=certificates) as system:
        lines: list[str] = []
        address, operators = (f"127.0.0.1:{port}" for port in free_ports(2))
        command = [sys.executable, "-P", "-m", "rms", "--listen", address, "--log-format", "json", *flags]
        command += ["--dispatchers", system.plan["dispatcher"][0].address, "--store", f"sqlite:{tmp_path / 'c.db'}"]
        command += ["--reconnect-ms-max", "100", "--operators-listen", operators]
        stranger = Process(
            "rms", command, is_ready=lambda: asyncio.sleep(0, True), on_output=lambda _, s: lines.append(s)
        )
        await stranger.start()
        try:
            await eventually(lambda: any(words in line for line in lines))
            health = await ready(operators)
            assert health["status"] == "unavailable"
            assert words in str(health["dispatcher_trouble"])
            tries = await reconnects(operators)
            await eventually(lambda: more_than(operators, tries + 5))
        finally:
            await stranger.stop()
        logged = [line for line in lines if "dispatcher can't be reached" in line]
        assert len(logged) == 1, logged
        assert all(json.loads(line) for line in lines), "gRPC's core wrote a line of its own"
        assert not [line for line in system.logs["dispatcher-1"] if not line.startswith("{")]
        async with aiohttp.request("GET", f"{system.base_url}/comments/v", headers=STREAM) as stream:
            assert stream.status == 503, "it was never registered"


async def ready(address: str) -> dict[str, object]:
    async with aiohttp.request("GET", f"http://{address}/health/ready") as response:
        return dict(await response.json())


async def reconnects(address: str) -> float:
    """How often the node has tried to connect"""
    async with aiohttp.request("GET", f"http://{address}/metrics") as response:
        found = re.search(r"^rms_dispatcher_tries_total\{[^}]*\} (\S+)", await response.text(), re.MULTILINE)
    assert found
    return float(found[1])


async def more_than(address: str, tries: float) -> bool:
    return await reconnects(address) > tries
