"""scripts/run.py: its output and its errors. tests/end_to_end/test_run.py runs the whole system with it."""

import socket
from pathlib import Path

from typer.testing import CliRunner

from scripts.config import SUPERVISOR
from scripts.plan import make_plan
from scripts.processes import Process, ProcessSupervisor
from scripts.run import app, banner


def test_the_banner_can_be_copied() -> None:
    plan = make_plan(
        dispatchers=2, rms=0, store="sqlite:x", data=Path("/data"), ports=[7001, 7002, 8000], log_format="console"
    )
    processes = [
        Process(part.name, part.command, is_ready=part.is_ready, on_output=lambda *said: None)
        for parts in plan.parts
        for part in parts
    ]
    supervisor = ProcessSupervisor([processes], restart=True, say=lambda *said: None, settings=SUPERVISOR)
    lines = banner(plan, supervisor, Path("/data"), "sqlite:x").plain.splitlines()
    assert lines[1] == "livecomments is ready"
    assert [line[:19].strip() for line in lines[3:12]] == [
        *("page", "watch", "post", "dispatcher", "rms", "comment-service", "store", "state", "topology")
    ]
    assert lines[3].endswith(" http://localhost:8000/?video=demo")
    assert lines[6].endswith(" 127.0.0.1:7001 pid None  127.0.0.1:7002 pid None")
    assert lines[7].endswith(" none")
    assert lines[11].endswith(" scripts/topology --dispatchers 127.0.0.1:7001,127.0.0.1:7002 nodes")


def test_every_port_is_checked_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = ["--port", str(port - 1), "--comment-services", "2", "--data", str(tmp_path / "data")]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "is taken; choose another: scripts/run --port " in result.stderr
    assert not (tmp_path / "data").exists()


def test_wrong_numbers_are_refused() -> None:
    assert CliRunner().invoke(app, ["--comment-services", "0"]).exit_code == 2
    assert CliRunner().invoke(app, ["--port", "70000"]).exit_code == 2
