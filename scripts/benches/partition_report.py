"""Shows what scripts/bench partition has found: a line for each pair as it ends, then a table by kind of fault."""

from collections import Counter
from collections.abc import Sequence

from scripts.audience import percentile
from scripts.benches import procfs
from scripts.benches.faults import KINDS
from scripts.benches.partition_system import Result
from scripts.benches.table import console, table

COLUMNS = (
    "\n\nkind",
    "\n\nrounds",
    "\n\n200s",
    "\n\nlost",
    "\n\ndoubled",
    "\nin a\ngap",
    "\ngaps\ntold",
    "\nin\nvain",
    "healthy:\nsilence\nms",
    "\np99\nms",
    "\nworst\nms",
)
TROUBLE_SHOWN = 8


def line_of(result: Result) -> str:
    even = result.balance
    errors = " ".join(f"{what}:{count}" for what, count in sorted(result.errors.items()))
    return (
        f"{result.number:>4}  {' + '.join(map(str, result.struck))}: acknowledged={result.acknowledged} "
        f"lost={even.lost} doubled={even.doubled} gaps={result.gaps} in_vain={result.gaps_in_vain} "
        f"silence={result.silence_ms:.0f}ms p99={percentile(result.delays_ms, 99):.0f}ms "
        f"reconnects={result.reconnects}{' authors: ' if errors else ''}{errors} {result.took_s:.0f}s"
    )


def say(result: Result, log: str, again: str) -> None:
    """log: the path of what the services wrote, if it was kept; again: the command that repeats the round"""
    lines = [line_of(result)]
    if not result.kept:
        lines += [f"      {words}" for words in result.trouble[:TROUBLE_SHOWN]]
        if len(result.trouble) > TROUBLE_SHOWN:
            lines.append(f"      and {len(result.trouble) - TROUBLE_SHOWN} more")
        lines.append(f"      again, on a new system: {again}")
    if log:
        lines.append(f"      log: {log}")
    console().print("\n".join(lines), markup=False)


def show(results: Sequence[Result]) -> bool:
    """Prints the table; True: everything was kept."""
    rows = [
        _row(kind, of_kind)
        for kind in KINDS
        if (of_kind := [result for result in results if kind in {each.fault.kind for each in result.struck}])
    ]
    broken = [result.number for result in results if not result.kept]
    errors = sum((result.errors for result in results), Counter[str]())
    console().print(
        table(procfs.machine(), COLUMNS, [*rows, (), _row("all", results)]),
        f"to authors: {' '.join(f'{what}:{count}' for what, count in sorted(errors.items())) or 'no error'}; "
        f"reconnects={sum(result.reconnects for result in results)}; "
        f"errors in the services' logs: {sum(result.complaints for result in results)}",
        f"broken: {', '.join(map(str, broken)) or 'none'} of {len(results)} rounds",
        sep="\n",
        markup=False,
    )
    return not broken


def _row(words: str, results: Sequence[Result]) -> tuple[str, ...]:
    delays_ms = [delay_ms for result in results for delay_ms in result.delays_ms]
    return (
        words,
        str(len(results)),
        str(sum(result.acknowledged for result in results)),
        str(sum(result.balance.lost for result in results)),
        str(sum(result.balance.doubled for result in results)),
        str(sum(result.balance.in_gaps for result in results)),
        str(sum(result.gaps for result in results)),
        str(sum(result.gaps_in_vain for result in results)),
        f"{max((result.silence_ms for result in results), default=0):.0f}",
        f"{percentile(delays_ms, 99):.0f}",
        f"{max(delays_ms, default=0):.0f}",
    )
