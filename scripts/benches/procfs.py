"""What Linux says about processes and the machine: CPU seconds, resident bytes, TCP's own memory."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """User and system time of a process since its start, in steps of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def rss_bytes(pid: int) -> int:
    """Resident memory. The kernel's memory for sockets is in no process's figure: see tcp_bytes."""
    return _in_bytes(Path(f"/proc/{pid}/status"), "VmRSS")


def children(pid: int) -> list[int]:
    """Of all threads of the process"""
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def tcp_bytes() -> int:
    """What all TCP sockets of the machine hold in their buffers"""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            return int(line.split()[-1]) * _PAGE
    return 0


def available_bytes() -> int:
    """Memory that programs can still have, kernel memory included"""
    return _in_bytes(Path("/proc/meminfo"), "MemAvailable")


def backlog_max() -> int:
    """Connections that can wait for a listener to accept them"""
    return int(Path("/proc/sys/net/core/somaxconn").read_text())


def _in_bytes(path: Path, name: str) -> int:
    """A line such as 'VmRSS:   1234 kB'"""
    for line in path.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass(frozen=True, slots=True)
class Machine:
    """What figures must be read with."""

    processor: str
    cores: int
    memory_gib: float
    kernel: str
    python: str

    def __str__(self) -> str:
        return (
            f"{self.cores} cores ({self.processor}), {self.memory_gib:.0f} GiB, "
            f"Linux {self.kernel}, Python {self.python}; viewers on the same cores"
        )


def machine() -> Machine:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return Machine(
        processor=models[0].partition(":")[2].strip() if models else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=_in_bytes(Path("/proc/meminfo"), "MemTotal") / 2**30,
        kernel=platform.release(),
        python=platform.python_version(),
    )
