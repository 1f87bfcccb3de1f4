"""What a check found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "warn", "fail", "skipped"]
BECAUSE = "because "
STATUSES: tuple[Status, ...] = ("pass", "warn", "fail", "skipped")


@dataclass(frozen=True)
class Finding:
    """*seen* says what was found, *advice* what to do next: a setting, a command or a section of the documents."""

    name: str
    status: Status
    seen: str
    advice: str = ""  # empty where nothing is to be done
    seconds: float = 0.0


def passed(name: str, seen: str) -> Finding:
    return Finding(name, "pass", seen)


def warned(name: str, seen: str, advice: str) -> Finding:
    return Finding(name, "warn", seen, advice)


def failed(name: str, seen: str, advice: str) -> Finding:
    return Finding(name, "fail", seen, advice)


def skipped(name: str, because: str, advice: str = "") -> Finding:
    return Finding(name, "skipped", BECAUSE + because, advice)


def worst(findings: Iterable[Finding]) -> Literal["pass", "warn", "fail"]:
    statuses = {finding.status for finding in findings}
    return "fail" if "fail" in statuses else "warn" if "warn" in statuses else "pass"


def counts(findings: Iterable[Finding]) -> dict[Status, int]:
    statuses = [finding.status for finding in findings]
    return {status: statuses.count(status) for status in STATUSES}
