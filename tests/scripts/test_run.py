"""scripts/run.py: its output and its errors. tests/end_to_end/test_run.py runs the whole system with it."""

import os
import signal
import socket
from collections.abc import Container, Sequence
from pathlib import Path

import pytest
from rich.text import Text
from typer.testing import CliRunner

from scripts.config import RUN, SUPERVISOR
from scripts.plan import LOCAL, free_ports, make_plan
from scripts.processes import Process, ProcessSupervisor
from scripts.run import app, banner


def test_the_banner_can_be_copied() -> None:
    plan = make_plan(
        dispatchers=2, rms=0, store="sqlite:x", data=Path("/data"), ports=[7001, 7002, 8000, 9000], log_format="console"
    )
    processes = [
        Process(part.name, part.command, is_ready=part.is_ready, on_output=lambda *said: None)
        for parts in plan.parts
        for part in parts
    ]
    supervisor = ProcessSupervisor([processes], restart=True, say=lambda *said: None, settings=SUPERVISOR)
    lines = banner(plan, supervisor, Path("/data"), "sqlite:x").plain.splitlines()
    assert lines[1] == "livecomments is ready"
    assert [line[:19].strip() for line in lines[3:14]] == [
        *(
            "page",
            "watch",
            "post",
            "dispatcher",
            "rms",
            "comment-service",
            "operators",
            "limits",
            "store",
            "state",
            "topology",
        )
    ]
    assert lines[3].endswith(" http://localhost:8000/?video=demo")
    assert lines[6].endswith(" 127.0.0.1:7001 pid None  127.0.0.1:7002 pid None")
    assert lines[7].endswith(" none")
    assert lines[13].endswith(" scripts/topology --dispatchers 127.0.0.1:7001,127.0.0.1:7002 nodes")


def test_every_port_is_checked_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ["--port", str(port - 1), "--comment-services", "2", "--data", str(tmp_path / "data")]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "is taken; choose another: scripts/run --port " in result.stderr
    assert not (tmp_path / "data").exists()


def test_a_host_that_others_cannot_call_is_refused(tmp_path: Path) -> None:
    for host, why in (("0.0.0.0", "nobody can call it"), ("::", "nobody can call it"), ("192.0.2.77", "no address of")):
        result = CliRunner().invoke(app, ["--host", host, "--data", str(tmp_path / "data")])
        assert (result.exit_code, why in result.stderr) == (1, True), result.output
    assert not (tmp_path / "data").exists()


class Thief:
    """Listens on the dispatcher's port as soon as it is chosen, the first `times` times."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._stolen: list[socket.socket] = []

    def choose(self, wanted: Sequence[int], promised: Container[int] = (), host: str = LOCAL) -> list[int]:
        chosen = free_ports(len(wanted))
        if len(self._stolen) < self._times:
            self._stolen.append(socket.create_server((LOCAL, chosen[0])))
        return chosen

    def close(self) -> None:
        for each in self._stolen:
            each.close()


@pytest.mark.parametrize(("times", "code"), [(1, 0), (99, 1)])
def test_a_port_that_is_taken_after_its_choice(
    times: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = Thief(times)

    def ended_at_once(*_: object) -> Text:
        os.kill(os.getpid(), signal.SIGTERM)
        return Text("ready")

    monkeypatch.setattr("scripts.run.free_or_other", thief.choose)
    monkeypatch.setattr("scripts.run.banner", ended_at_once)
    arguments = ["--dispatchers", "1", "--rms", "0", "--port", str(free_ports(1)[0]), "--data", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    thief.close()
    assert result.exit_code == code, result.output
    assert result.stderr.count("taken by another process meanwhile") == min(times, RUN.starts_max)
    assert result.stderr.count("starting again on other ports") == min(times, RUN.starts_max - 1)


def test_wrong_numbers_are_refused() -> None:
    assert CliRunner().invoke(app, ["--comment-services", "0"]).exit_code == 2
    assert CliRunner().invoke(app, ["--port", "70000"]).exit_code == 2
