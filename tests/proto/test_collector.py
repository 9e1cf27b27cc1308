"""proto/collector.py"""

import asyncio
import sys


async def test_the_collector_is_calm() -> None:
    code = "import gc; from proto.collector import calm_collector; import asyncio; calm_collector(5000); "
    code += "print(gc.get_threshold()[0], gc.get_freeze_count() > 10_000)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.split() == [b"5000", b"True"]
