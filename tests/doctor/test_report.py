"""How findings are shown."""

import asyncio
from io import StringIO
from typing import Any

import httpx2
import pytest
from rich.console import Console

from smart_router.doctor import report
from smart_router.doctor.deployment import Deployment
from smart_router.doctor.examination import Check, examine
from smart_router.doctor.finding import Finding, failed, passed, skipped, warned

WELL = passed("reachable", "answers")
WRONG = failed("redis", "degraded", "bring Redis back")


def test_on_a_terminal_a_finding_has_a_sign_in_colour_and_its_advice_below() -> None:
    console = Console(file=StringIO(), width=60, force_terminal=True, color_system="standard")
    for finding in (WELL, WRONG):
        console.print(report.drawn(finding))
    assert isinstance(console.file, StringIO)
    said = console.file.getvalue()
    assert "\x1b[32m✓" in said
    assert "\x1b[1;31m✗" in said
    assert "→ bring Redis back" in said
    assert max(map(len, Console(file=StringIO(), width=60).render_str(said).plain.splitlines())) <= 200


def test_elsewhere_it_is_a_line_and_one_for_the_advice() -> None:
    assert report.line(WELL) == "pass    reachable                  answers"
    assert report.line(WRONG).splitlines() == [
        "fail    redis                      degraded",
        "        -> bring Redis back",
    ]


def test_what_is_skipped_for_one_reason_is_one_line() -> None:
    told: list[Finding] = []
    gathered = report.Gathered(told.append)
    for finding in (WELL, skipped("a", "`x` failed"), skipped("b", "`x` failed"), skipped("c", "`y` failed"), WRONG):
        gathered(finding)
    gathered(skipped("d", "`x` failed"))
    gathered.flush()
    assert [(finding.name, finding.seen) for finding in told] == [
        ("reachable", "answers"),
        ("", "a, b: because `x` failed"),
        ("c", "because `y` failed"),
        ("redis", "degraded"),
        ("d", "because `x` failed"),
    ]


def test_the_summary_counts_the_worst_first() -> None:
    doubtful = warned("clock", "off", "set it")
    assert report.summary([WELL, WRONG, doubtful, skipped("a", "b")]) == "1 failed, 1 warned, 1 skipped, 1 passed"
    assert report.summary([WELL, WELL]) == "all well: 2 passed"
    assert report.summary([WELL, doubtful]) == "1 warned, 1 passed"


# checks that go wrong


def run(*checks: Check, **options: Any) -> list[Finding]:
    there = Deployment("http://127.0.0.1:1", None, 0.2, {})

    async def examined() -> list[Finding]:
        try:
            return await examine(checks, there, lambda finding: None, **options)
        finally:
            await there.close()

    return asyncio.run(examined())


async def well(there: Deployment) -> list[Finding]:
    return [WELL]


async def hangs(there: Deployment) -> list[Finding]:
    await asyncio.Event().wait()
    return []


def raising(error: Exception) -> Any:
    async def breaks(there: Deployment) -> list[Finding]:
        raise error

    return breaks


@pytest.mark.parametrize("error", [KeyError("use_case"), RecursionError(), httpx2.ReadError("gone"), ValueError()])
def test_a_check_that_breaks_is_a_failure_with_its_advice_and_stops_no_other(error: Exception) -> None:
    broken, other, after = run(
        Check("a", raising(error), "look there"), Check("b", well, ""), Check("c", well, "", needs=("a",))
    )
    assert (broken.status, broken.advice) == ("fail", "look there")
    assert other.status == "pass"
    assert (after.status, after.seen) == ("skipped", "because `a` failed")


def test_a_check_that_hangs_is_ended_by_its_deadline() -> None:
    found, other = run(Check("a", hangs, "look there", answers=1), Check("b", well, ""))
    assert (found.status, found.seen, other.status) == ("fail", "no answer within 0.2 s", "pass")


def test_nobody_asks_on_where_nobody_listens_any_more() -> None:
    def gone(finding: Finding) -> None:
        raise BrokenPipeError

    there = Deployment("http://127.0.0.1:1", None, 600, {})

    async def examined() -> None:
        try:
            await examine((Check("a", well, ""), Check("b", hangs, "", answers=1)), there, gone)
        finally:
            await there.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    with pytest.raises(BrokenPipeError):
        asyncio.run(examined())


def test_quick_leaves_out_what_asks_models() -> None:
    (found,) = run(Check("a", well, ""), Check("b", hangs, "", answers=1), quick=True)
    assert found.name == "reachable"
