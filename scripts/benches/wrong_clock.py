"""Makes the wall clock of a host's processes wrong while they run, by libfaketime; their monotonic clock stays true."""

from collections.abc import Sequence
from pathlib import Path

from scripts.benches.building import build

PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
MISSING = "libfaketime is not installed, so no clock is wrong (Debian, Ubuntu: apt-get install libfaketime)"


def libfaketime() -> Path | None:
    return next((path for place in PLACES for path in sorted(Path("/").glob(place.removeprefix("/")))), None)


class WrongClocks:
    """One clock for each name. `command` starts a process by it; `set` may follow at any time. Raises BenchFailed."""

    def __init__(self, library: Path, folder: Path) -> None:
        """folder: exists, and stays as long as the processes"""
        self._libraries = f"{build('true_sleep', shared=True)}:{library}"
        self._folder = folder

    def command(self, name: str, command: Sequence[str]) -> tuple[str, ...]:
        self.set(name, 0)
        return (
            "env",
            f"LD_PRELOAD={self._libraries}",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            f"FAKETIME_TIMESTAMP_FILE={self._file(name)}",
            "FAKETIME_CACHE_DURATION=1",  # seconds; reading the file at each look at the clock costs 4 µs
            *command,
        )

    def set(self, name: str, off_s: int) -> None:
        """The name's processes follow within a second."""
        unfinished = self._file(name).with_suffix(".new")
        unfinished.write_text(f"{off_s:+d}")
        unfinished.replace(self._file(name))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.clock"
