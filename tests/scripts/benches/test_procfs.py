"""scripts/benches/procfs.py, about this very process"""

import os
import subprocess
import sys
import time

from scripts.benches import procfs


def test_cpu_grows_with_work() -> None:
    before = procfs.cpu_s(os.getpid())
    until_s = time.process_time() + 0.05
    while time.process_time() < until_s:
        pass
    assert before < procfs.cpu_s(os.getpid()) <= time.process_time() + 0.02


def test_memory_is_what_the_kernel_says() -> None:
    before = procfs.rss_bytes(os.getpid())
    ballast = b"x" * (32 << 20)
    assert procfs.rss_bytes(os.getpid()) - before > len(ballast) // 2
    assert procfs.available_bytes() > procfs.rss_bytes(os.getpid())
    assert procfs.tcp_bytes() >= 0


def test_open_files_are_counted() -> None:
    before = procfs.open_files(os.getpid())
    with open(os.devnull):
        assert procfs.open_files(os.getpid()) == before + 1


def test_children_are_found() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in procfs.children(os.getpid())


def test_the_machine_is_named() -> None:
    machine = procfs.machine()
    assert int(machine.split(" cores ")[0]) >= 1
    assert "GiB, Linux " in machine
