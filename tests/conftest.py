"""What holds for every test."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

from scripts import plan
from tests.shares import Shares, rank

# No test says how fast something must be, and the machine may be busy with others.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_configure() -> None:
    # A JVM that starts spends most on making fast what it does often, and a test's Cassandra does nothing often.
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    # Ports that one process has found free mustn't be taken by another one before somebody listens there.
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        plan.PORTS = plan.PORTS[int(worker.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    return Shares(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.fixture(autouse=True)
def logs_as_they_are() -> Iterator[None]:
    """A tool that is called within the tests' process says how its logs look; the next test has them as usual."""
    yield
    structlog.reset_defaults()
