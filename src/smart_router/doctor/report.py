"""All findings as one document, and as lines for people."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from smart_router import __version__
from smart_router.doctor.finding import Finding, Status, counts, worst

if TYPE_CHECKING:
    from rich.console import RenderableType

SIGNS: Mapping[Status, tuple[str, str]] = {  # on a terminal: sign and colour
    "pass": ("✓", "green"),
    "warn": ("!", "yellow"),
    "fail": ("✗", "bold red"),
    "skipped": ("-", "dim"),
}
WIDTH = 26


def document(url: str, findings: Sequence[Finding], *, quick: bool, began: datetime) -> dict[str, Any]:
    """`--json`. Durations in seconds."""
    return {
        "url": url,
        "status": worst(findings),
        "counts": counts(findings),
        "quick": quick,
        "version": __version__,
        "began": began.isoformat(timespec="milliseconds"),
        "seconds": round((datetime.now(UTC) - began).total_seconds(), 3),
        "checks": [asdict(finding) | {"seconds": round(finding.seconds, 4)} for finding in findings],
    }


def summary(findings: Sequence[Finding]) -> str:
    """all well: 24 passed  |  2 failed, 1 warned, 5 skipped, 16 passed"""
    found = counts(findings)
    words = {"fail": "failed", "warn": "warned", "skipped": "skipped", "pass": "passed"}
    told = ", ".join(f"{found[status]} {word}" for status, word in words.items() if found[status])  # type: ignore[index]
    return f"{'all well: ' if worst(findings) == 'pass' else ''}{told or 'nothing was looked at'}"


class Gathered:
    """Passes findings on to *tell*; those that are skipped for one reason, and leave nothing to do, as one."""

    def __init__(self, tell: Callable[[Finding], None]) -> None:
        self._tell = tell
        self._held: list[Finding] = []

    def __call__(self, finding: Finding) -> None:
        if not self._goes_with(finding):
            self.flush()
        if finding.status == "skipped" and not finding.advice:
            self._held.append(finding)
        else:
            self._tell(finding)

    def flush(self) -> None:
        """At the end."""
        if self._held:
            names = ", ".join(finding.name for finding in self._held)
            self._tell(Finding("", "skipped", f"{names}: {self._held[0].seen}") if self._held[1:] else self._held[0])
            self._held.clear()

    def _goes_with(self, finding: Finding) -> bool:
        return not self._held or (finding.status, finding.seen, finding.advice) == ("skipped", self._held[0].seen, "")


def line(finding: Finding) -> str:
    """Away from a terminal: one line, and one more for what to do."""
    said = f"{finding.status:<8}{finding.name:<{WIDTH}} {finding.seen}"
    return f"{said}\n{'':8}-> {finding.advice}" if finding.advice else said


def drawn(finding: Finding) -> "RenderableType":
    """For a terminal, whatever its width."""
    from rich.table import Table
    from rich.text import Text

    sign, colour = SIGNS[finding.status]
    told = Text(finding.seen, style="" if finding.status != "skipped" else "dim")
    if finding.advice:
        told.append(f"\n→ {finding.advice}", style="cyan")
    row = Table.grid(padding=(0, 1))
    row.add_column(width=1)
    row.add_column(width=WIDTH, overflow="fold")
    row.add_column(overflow="fold")
    row.add_row(Text(sign, style=colour), Text(finding.name, style=colour if finding.status != "pass" else ""), told)
    return row
