"""Counts the outcomes of a replay while it runs, and summarizes them for people or programs at its end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from scripts.audience import Verdict, percentile


@dataclass(slots=True)
class Tally:
    """The outcomes of the lines so far."""

    posted: int = 0  # sent, whatever the outcome
    refused: Counter[str] = field(default_factory=Counter)  # reason -> lines
    failed: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    due_at_s: dict[str, float] = field(default_factory=dict)  # acknowledged id -> monotonic seconds
    answer_ms: list[float] = field(default_factory=list)  # from the moment when a post was due to its 200

    @property
    def done(self) -> int:
        return len(self.due_at_s) + self.refused.total() + self.failed.total()


@dataclass(frozen=True, slots=True)
class Report:
    """verdict: None without --verify."""

    tally: Tally
    verdict: Verdict | None
    viewers: int
    reconnects: int
    took_s: float

    @property
    def failed(self) -> bool:
        """True if a comment was lost or doubled, or couldn't be posted"""
        lost = self.verdict is not None and bool(self.verdict.lost or self.verdict.doubled)
        return lost or bool(self.tally.failed)

    def for_programs(self) -> dict[str, Any]:
        tally, answer_ms = self.tally, self.tally.answer_ms
        return {
            "posted": tally.posted,
            "acknowledged": len(tally.due_at_s),
            "refused": tally.refused,
            "failed": tally.failed,
            "retries": tally.retries,
            "took_s": round(self.took_s, 3),
            "answer_ms": {
                "p50": percentile(answer_ms, 50),
                "p99": percentile(answer_ms, 99),
                "max": max(answer_ms, default=float("nan")),
            },
            "viewers": self.viewers,
            "reconnects": self.reconnects,
            "verify": self.verdict,
        }

    def for_people(self) -> list[str]:
        """Lines; the verdict is the last one."""
        tally, answer_ms = self.tally, self.tally.answer_ms
        lines = [
            f"posted        {tally.posted} in {self.took_s:.1f} s, {tally.retries} tried again",
            f"acknowledged  {len(tally.due_at_s)}",
            _reasons("refused", tally.refused),
            _reasons("failed", tally.failed),
        ]
        if answer_ms:
            p50, p99 = percentile(answer_ms, 50), percentile(answer_ms, 99)
            lines.append(f"answered      p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(answer_ms):.1f} ms after due")
        if self.viewers:
            lines.append(f"viewers       {self.viewers}, {self.reconnects} reconnects")
        if self.verdict is not None:
            lines.append(str(self.verdict))
        return lines


def _reasons(word: str, reasons: Counter[str]) -> str:
    """'refused       3  (2 message_empty, 1 message_too_long)'"""
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{word:<13} {reasons.total()}" + (f"  ({listed})" if listed else "")
