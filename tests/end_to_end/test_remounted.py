"""The disk under SQLite fails, is unmounted, checked and mounted anew, below services that go on running."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from history.core.ids import parse_id
from scripts.audience import Audience, judge
from tests.end_to_end.test_outage import VIDEO, Author, metric
from tests.system import System
from tests.waiting import eventually

MOUNTED_S_MAX = 600
STORED = "SELECT id FROM comments"


class Disk:
    """An ext4 in a mount namespace of its own, in which `enter` begins a command."""

    def __init__(self, folder: Path, holder: int) -> None:
        self.folder = folder / "disk"
        self.enter = ["nsenter", "-m", "-t", str(holder), "--"]
        self._image = folder / "image"
        self.folder.mkdir()
        self.run(f"truncate -s 64M {self._image} && mkfs.ext4 -q {self._image}")
        self.mount()

    def run(self, command: str) -> str:
        done = subprocess.run([*self.enter, "sh", "-ec", command], stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    def mount(self) -> None:
        self.run(f"mount -o loop,errors=remount-ro {self._image} {self.folder}")

    def fail(self) -> None:
        """As on an error of the device: the kernel makes it read-only, also for files that are open."""
        self.run(
            f'device=$(findmnt -no SOURCE {self.folder}); echo 1 > "/sys/fs/ext4/${{device##*/}}/trigger_fs_error"'
        )
        self.run(f"! touch {self.folder}/anything")

    def unmount(self) -> None:
        self.run(f"umount -l {self.folder}")

    @property
    def is_let_go(self) -> bool:
        """The kernel has no use for it any more: nobody has a file open."""
        return not self.run(f"losetup -j {self._image}")

    def check(self) -> None:
        self.run(f"e2fsck -fp {self._image} || [ $? -le 2 ]")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    command = ["unshare", "-m", "sh", "-c", f"echo inside; exec sleep {MOUNTED_S_MAX}"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            is_inside = bool(holder.stdout.readline())  # nobody enters before
            made: Disk | None = None
            with contextlib.suppress(subprocess.CalledProcessError, FileNotFoundError):
                made = Disk(tmp_path, holder.pid) if is_inside else None
            if made is None:
                pytest.skip("this machine gives no mounts to the tests")
            yield made
        finally:
            holder.kill()


@pytest.mark.timeout(240)  # it waits until idle connections are closed, on a machine that may be busy
async def test_a_disk_that_fails_and_is_mounted_anew_loses_nothing(disk: Disk) -> None:
    async with (
        System(
            store=f"sqlite:{disk.folder}/comments.db", command_of=lambda part: [*disk.enter, *part.command]
        ) as system,
        aiohttp.ClientSession(system.base_url) as session,
        aiohttp.ClientSession(system.operators_url) as operators,
    ):
        author = Author(session)
        audience = Audience(f"{system.base_url}/comments/{VIDEO}", 5)

        async def store_is() -> str:
            async with operators.get("/health/ready") as response:
                assert response.status == 200, await response.text()
                return str((await response.json())["store"])

        async def is_drained() -> bool:
            return await metric(operators, "spool_comments") == await metric(operators, "catching_up") == 0

        async with audience.watching(60):
            await author.say(10)
            disk.fail()
            await author.say(10)
            assert await store_is() != "ok"
            disk.unmount()
            await author.say(10)
            assert await store_is() != "ok"
            await eventually(lambda: disk.is_let_go)
            assert not list(map(str, disk.folder.iterdir()))  # nothing was written below it
            disk.check()
            disk.mount()
            await eventually(is_drained)
            await author.say(10)
            assert await audience.wait_for(set(author.acknowledged), 60)
        verdict = judge(audience.records, dict.fromkeys(author.acknowledged, 0.0))
        assert (verdict.lost, verdict.doubled) == (0, 0)
        assert await store_is() == "ok"
        command = (
            f"for row in __import__('sqlite3').connect('{disk.folder}/comments.db').execute('{STORED}'): print(*row)"
        )
        stored = {int(word) for word in disk.run(f'python3 -c "{command}"').split()}
        assert stored == {parse_id(name) for name in author.acknowledged}
