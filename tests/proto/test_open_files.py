"""proto/open_files.py: a process gets the files that it may have, and says when they are few"""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[1])))
from proto.http_settings import HttpSettings
from proto.process import run_process
class Service:
    async def run(self): print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    def stop(self): ...
async def build(settings): return Service()
run_process("demo", HttpSettings(connections_max=300), build)
"""


@pytest.mark.parametrize(("most", "warns"), [(256, True), (400, False)])
def test_the_limit_is_raised_as_far_as_it_may(most: int, warns: bool) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(most)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{most}\n"
    assert ("few files may be open" in done.stderr) == warns
