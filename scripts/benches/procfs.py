"""Reads from /proc what processes and the machine use: CPU seconds, resident bytes, TCP's own memory."""

import os
import platform
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """User and system time of a process since its start, in steps of 10 ms"""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def rss_bytes(pid: int) -> int:
    """Resident memory. The kernel's memory for sockets is in no process's figure: see tcp_bytes."""
    return _in_bytes(Path(f"/proc/{pid}/status"), "VmRSS")


def open_files(pid: int) -> int:
    """How many of them the process has: sockets, too"""
    return len(os.listdir(f"/proc/{pid}/fd"))


def children(pid: int) -> list[int]:
    """Pids of the children of all threads of the process"""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def tcp_bytes() -> int:
    """What all TCP sockets of the machine hold in their buffers"""
    lines = Path("/proc/net/sockstat").read_text().splitlines()
    return next((int(line.split()[-1]) * _PAGE for line in lines if line.startswith("TCP:")), 0)


def available_bytes() -> int:
    """Memory that programs can still have, kernel memory included"""
    return _in_bytes(Path("/proc/meminfo"), "MemAvailable")


def machine() -> str:
    """What figures must be read with"""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    memory_gib = _in_bytes(Path("/proc/meminfo"), "MemTotal") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} cores ({next(models, platform.machine())}), {memory_gib:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}; everything on the same cores"
    )


def _in_bytes(path: Path, name: str) -> int:
    """Of a line such as 'VmRSS:   1234 kB'; 0 without one"""
    lines = path.read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
