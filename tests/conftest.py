"""Settings and fixtures for every test."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

from scripts import plan
from tests.shares import Shares, rank

# No test checks how fast something is, and the machine may be busy.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

LOOPBACK = "127.0.0.0/8,::1"


def pytest_configure() -> None:
    # Optimizing costs a JVM most of its start, and is no use in tests, whose Cassandra does nothing often.
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    # Most tests come from one address, and more often than a person. Those of its limits say so. And many run at once.
    for service in ("RMS", "DOOR", "COMMENT_SERVICE"):
        os.environ[f"LIVECOMMENTS_{service}_OPERATORS_LISTEN"] = "127.0.0.1:0"
        os.environ[f"LIVECOMMENTS_{service}_UNLIMITED_NETWORKS"] = LOOPBACK
    # Each process chooses from its own ports, so that none takes a port that another one has found free.
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        plan.PORTS = plan.PORTS[int(worker.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    return Shares(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.fixture(autouse=True)
def default_logs() -> Iterator[None]:
    """Undoes the configuration of logs by a tool that a test calls in its own process."""
    yield
    structlog.reset_defaults()
