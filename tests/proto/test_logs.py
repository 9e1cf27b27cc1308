"""proto/logs.py: one form for all libraries, and nothing that strangers can flood."""

import json
import subprocess
import sys

PROGRAM = """
import logging, structlog
from proto.logs import configure_logging
from proto.settings import Settings
configure_logging(Settings.parse(), "test")
log = structlog.stdlib.get_logger()
log.info("it happened", count=5)
log.debug("unseen")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
logging.getLogger("someone").warning("from %s", "elsewhere")
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
logging.getLogger("cassandra.cluster").error("Control connection failed to connect")
"""


def lines(*flags: str, program: str = PROGRAM) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program, *flags], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_is_one_object_a_line() -> None:
    happened, failed, elsewhere = map(json.loads, lines())
    assert (happened["event"], happened["count"], happened["level"]) == ("it happened", 5, "info")
    assert happened["service"] == elsewhere["service"] == "test"
    assert "ZeroDivisionError" in failed["exception"]
    assert (elsewhere["event"], elsewhere["level"]) == ("from elsewhere", "warning")


def test_the_console_form_is_readable() -> None:
    first, *_ = lines("--log-format", "console")
    assert "it happened" in first
    assert "count=5" in first
    assert "\x1b" not in first, "no colours without a terminal"


def test_the_level_is_respected() -> None:
    assert [json.loads(line)["event"] for line in lines("--log-level", "error")] == ["it failed"]
    assert "unseen" in [json.loads(line)["event"] for line in lines("--log-level", "debug")]


GRPC = """
import asyncio, socket
from proto.channel import listen
import grpc
from proto.logs import configure_logging
from proto.settings import Settings
configure_logging(Settings.parse(), "test")
async def main():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        try:
            listen(server, f"127.0.0.1:{taken.getsockname()[1]}", None)
        except RuntimeError:
            pass
        else:
            raise AssertionError
asyncio.run(main())
"""


def test_grpc_writes_no_lines_of_its_own() -> None:
    assert lines(program=GRPC) == []


FLOOD = """
import structlog
from proto.logs import configure_logging
from proto.settings import Settings
configure_logging(Settings.parse(), "test")
for number in range(2_000):
    try:
        1 / 0
    except ZeroDivisionError:
        structlog.stdlib.get_logger().exception("stranger came", number=number)
"""


def test_a_flood_is_bounded_and_told_in_the_same_form() -> None:
    written = [json.loads(line) for line in lines(program=FLOOD)]
    flood = [line for line in written if line["event"] == "stranger came"]
    told = [line for line in written if line["event"] == "log lines left out"]
    assert len(flood) + sum(line["lines"] for line in told) == 2_000
    assert len(flood) < 2_000
    assert {(line["of"], line["service"], line["level"]) for line in told} == {("stranger came", "test", "warning")}
    assert all("ZeroDivisionError" in line["exception"] for line in flood)
