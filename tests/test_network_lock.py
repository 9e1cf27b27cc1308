"""tests/network_lock.py: between processes, whoever changes the network is alone"""

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from tests import network_lock
from tests.network_lock import network_changes, network_stays


def change(folder: Path, begun: Event, done: Event) -> None:
    network_lock.FOLDER = folder
    begun.set()
    with network_changes():
        done.set()


def test_who_changes_the_network_waits_for_those_who_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_lock, "FOLDER", tmp_path)
    context = multiprocessing.get_context("spawn")
    begun, done = context.Event(), context.Event()
    with network_stays(), network_stays():
        other = context.Process(target=change, args=(tmp_path, begun, done))
        other.start()
        assert begun.wait(60)
        assert not done.wait(0.2)
    assert done.wait(60)
    other.join()
    with network_changes():
        pass
