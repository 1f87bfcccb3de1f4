"""`docs/chaos.md`: what was done to the routers, and what their callers noticed."""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import processor, system

from tests.chaos.verdict import MIB, Verdict

PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
RESULTS, SOAK = "## Results", "## Soak"  # the page's sections that are made anew


@dataclass(frozen=True)
class Soak:
    minutes: float
    verdict: Verdict
    slopes: Sequence[float]  # MiB/h of each router
    bound: float
    rss: tuple[Sequence[int], Sequence[int]]  # of each router in bytes, at the middle and the end


def renew(command: str, redis_version: str, rows: Sequence[tuple[str, Verdict]], soak: Soak | None) -> None:
    """Write the results into the page, whose last sections they are; a soak stays until there is another one."""
    text, _, last_soak = PAGE.read_text().partition(SOAK)
    introduction = text.partition(RESULTS)[0]
    results = f"{RESULTS}\n\n{_machine(redis_version)}\n\nCommand: `{command}`\n\n{table(rows)}"
    soaked = "\n".join(_soak(soak)) if soak else last_soak.strip()
    PAGE.write_text(f"{introduction}{results}\n{SOAK}\n\n{soaked}\n")


def table(rows: Sequence[tuple[str, Verdict]]) -> str:
    return "\n".join(_table(rows)) + "\n"


def _machine(redis_version: str) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {system()}, {platform.release()}, "
        f"Python {platform.python_version()}, Redis {redis_version}. It was shared with other work meanwhile, and "
        "callers, balancer and servers share its cores: times are upper bounds, and compare only with one another."
    )


def _table(rows: Sequence[tuple[str, Verdict]]) -> Iterator[str]:
    yield (
        "| fault | requests | failed | cut streams | sessions | changed without cause | forked | p50 / p99 ms before "
        "| p50 / p99 ms during | slow for s | well after s | gauges left | memory MiB | CPU | log KiB |"
    )
    yield "| --- " + "| --: " * 14 + "|"
    for name, one in rows:
        yield (
            f"| {name} | {one.requests} | {one.failed} | {one.cut} | {one.sessions} | {one.changed} | {one.forked} "
            f"| {one.before.p50:.0f} / {one.before.p99:.0f} | {one.during.p50:.0f} / {one.during.p99:.0f} "
            f"| {one.slow_s:.0f} | {_seconds(one.well_after_s)} | {one.left:g} "
            f"| {one.rss_mib[0]:.0f} -> {one.rss_mib[1]:.0f} | {_cpu(one.cpu)} | {one.log_kib:.1f} |"
        )


def _seconds(found: float | None) -> str:
    return "never" if found is None else f"{found:.1f}"


def _cpu(shares: tuple[float, float] | None) -> str:
    return "others" if shares is None else f"{shares[0]:.2f} -> {shares[1]:.2f}"


def _soak(soak: Soak) -> Iterator[str]:
    found = soak.verdict
    yield (
        f"{soak.minutes:g} minutes of the same load without a fault: {found.requests} requests, {found.failed} failed; "
        f"{found.sessions} sessions, {found.changed} changed without cause; gauges left {found.left:g}. The slope may "
        f"be {soak.bound:g} MiB/h at most.\n"
    )
    yield "| router | MiB at half-time | MiB at the end | MiB/h |"
    yield "| --- | --: | --: | --: |"
    for number, (slope, half, end) in enumerate(zip(soak.slopes, *soak.rss, strict=True)):
        yield f"| {number} | {half / MIB:.1f} | {end / MIB:.1f} | {slope:+.1f} |"
