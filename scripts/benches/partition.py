"""scripts/bench partition: cuts, wrong clocks and deaths between hosts of their own, single and in random pairs.

A system lives for some rounds, each with videos of its own. After a round that broke a promise the next one gets a new
system, so that each result stands for itself.
"""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from scripts.audience import percentile
from scripts.benches.building import BUILT
from scripts.benches.cassandra import BenchCassandra
from scripts.benches.config import PARTITION, PartitionSettings
from scripts.benches.faults import KINDS, STORE, Struck, draw, hosts, known_faults
from scripts.benches.hosts import Hosts
from scripts.benches.partition_report import say, show
from scripts.benches.partition_system import Result, a_partition_system
from scripts.benches.running import run_bench
from scripts.benches.wrong_clock import MISSING, libfaketime

Round = tuple[int, Sequence[Struck]]
"""Its number, and what strikes"""


async def partition(
    rounds: Sequence[Round],
    told: Callable[[Result, str], object],
    settings: PartitionSettings = PARTITION,
) -> None:
    """told: each result, and where the log is of one that was slow or broke a promise.

    Raises BenchFailed, NotReady, TimeoutError; all that was started is ended, all that was made is gone.
    """
    left = list(rounds)
    with tempfile.TemporaryDirectory(prefix="bench-partition-") as folder, Hosts(hosts(settings)) as lan:
        within = lan.command(STORE, ())
        async with BenchCassandra(1, alone_at=lan.address(STORE), within=within) as cassandra:
            while left:
                life = left[0][0]
                own = Path(folder) / str(life)
                own.mkdir()
                async with a_partition_system(lan, cassandra, own, settings) as system:
                    for number, struck in left[: settings.systems_pairs]:
                        left.pop(0)
                        result = await system.pair(number, f"pair-{life}-{number}", struck)
                        is_slow = percentile(result.delays_ms, 99) > settings.delay_ms_max
                        path = BUILT / f"partition-{int(time.time())}-{number}.log"
                        if is_slow or not result.kept:
                            system.write_log(path, result)
                        told(result, str(path) if path.exists() else "")
                        if not result.kept:
                            break


def command(
    pairs: int,
    seed: int | None,
    first: int,
    names: Sequence[str],
    *,
    single: bool,
    show_list: bool,
    settings: PartitionSettings = PARTITION,
) -> int:
    """What the command line asks for; returns the exit code. Raises typer.BadParameter."""
    clocks = libfaketime() is not None
    faults = {str(fault): fault for fault in known_faults(settings, clocks=clocks)}
    if not clocks:
        print(MISSING)
    if show_list:
        print(*(f"{kind:<8} {words}" for kind, words in KINDS.items()), "", *faults, sep="\n")
        return 0
    if unknown := next((name for name in names if name not in faults), ""):
        raise typer.BadParameter(f"{unknown}: --list shows all", param_hint="--fault")
    if single or names:
        lasting = [Struck(faults[name], settings.first_at_s, settings.single_for_s) for name in names or faults]
        rounds: list[Round] = [(number, [struck]) for number, struck in enumerate(lasting, 1)]
    else:
        seed = random.randrange(1_000_000) if seed is None else seed
        print(f"seed {seed}", flush=True)
        rounds = [(n, draw(seed, n, [*faults.values()], settings)) for n in range(first, first + pairs)]

    def again(result: Result) -> str:
        if single or names:
            return f"scripts/bench partition --fault {result.struck[0].fault}"
        return f"scripts/bench partition --seed {seed} --first {result.number} --pairs 1"

    async def run() -> bool:
        results: list[Result] = []

        def told(result: Result, log: str) -> None:
            results.append(result)
            say(result, log, again(result))

        try:
            await partition(rounds, told, settings)
        finally:
            kept = show(results)
        return kept

    return run_bench(run())
