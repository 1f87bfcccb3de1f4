"""`smart-router doctor`: is a deployment well, and what to do where it is not; a client over HTTP."""

import asyncio
import errno
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from smart_router.cli import shown
from smart_router.cli.calling import DEFAULT_URL
from smart_router.cli.failing import CONFIGURATION, FAILED, INTERRUPTED, NO_ROUTER, fail

if TYPE_CHECKING:
    from smart_router.doctor.finding import Finding


def doctor(
    url: Annotated[str, typer.Option(help="The router's address.", envvar="SMART_ROUTER_URL")] = DEFAULT_URL,
    key: Annotated[str | None, typer.Option(help="Its key.", envvar="API_KEY")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Ask no model: done within five seconds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that a model may take to answer.", min=0.1, max=600)] = 30.0,
) -> None:
    """
    Check a deployment, and say what to do next.

    From outside, over HTTP: health, keys, every use case, follow-ups, streaming, errors, metrics, Redis, clocks and
    versions. Costs a few tokens of each use case, and leaves no session behind.

    Exit code 0: all well, warnings aside; 1: a check failed; 2: wrong usage; 3: no router at the address.

    Example: smart-router doctor --url http://localhost:8001 --quick
    """
    url, key = checked_address(url, key)
    began = datetime.now(UTC)
    try:
        with _teller(as_json) as tell:
            found = asyncio.run(_examined(url, key, quick, timeout, tell))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    from smart_router.doctor import report

    if as_json:
        shown.as_json(report.document(url, found, quick=quick, began=began))
    else:
        typer.echo(f"\n{report.summary(found)}")
    raise typer.Exit(_exit_code(found))


async def _examined(
    url: str, key: str | None, quick: bool, timeout: float, tell: "Callable[[Finding], None]"
) -> "list[Finding]":
    from smart_router.cli.media import SAMPLES
    from smart_router.doctor import CHECKS
    from smart_router.doctor.checks.leaving import clean_up
    from smart_router.doctor.deployment import Deployment
    from smart_router.doctor.examination import examine
    from smart_router.doctor.film import film

    there = Deployment(url, key, timeout, {**SAMPLES, "video": film})
    left: list[Finding] = []
    try:
        found = await examine(CHECKS, there, tell, quick=quick)
    except BaseExceptionGroup as group:
        if gone := group.subgroup(BrokenPipeError):  # whoever read has left: `doctor | head`
            raise BrokenPipeError(errno.EPIPE, "nobody reads on") from gone
        raise
    finally:  # also when it is interrupted
        left = await clean_up(there)
        await there.close()
    for finding in left:
        tell(finding)
    return [*found, *left]


def checked_address(url: str, key: str | None) -> tuple[str, str | None]:
    """As the client takes them: what it would not send, nobody else sends or shows."""
    from smart_router.client import BadInput
    from smart_router.client.address import Address

    try:
        address = Address.of(url, key, environment={})
    except BadInput as exc:
        fail(f"--{exc}", CONFIGURATION)
    return address.url, address.key


def _teller(as_json: bool) -> "AbstractContextManager[Callable[[Finding], None]]":
    """Who says each finding as it is made."""
    if as_json:
        return nullcontext(lambda finding: None)
    return _OnTerminal() if sys.stdout.isatty() else _Plain()


class _Plain:
    def __enter__(self) -> "Callable[[Finding], None]":
        from smart_router.doctor import report

        self._gathered = report.Gathered(lambda finding: typer.echo(report.line(finding)))
        return self._gathered

    def __exit__(self, *_: object) -> None:
        self._gathered.flush()


class _OnTerminal:
    """In colour, with a sign of life while the next one is waited for."""

    def __init__(self) -> None:
        self._console = shown.console()
        self._status = self._console.status("looking", spinner="dots")

    def __enter__(self) -> "Callable[[Finding], None]":
        from smart_router.doctor import report

        self._gathered = report.Gathered(lambda finding: self._console.print(shown.Tamed(report.drawn(finding))))
        self._status.start()
        return self._gathered

    def __exit__(self, *_: object) -> None:
        self._status.stop()
        self._gathered.flush()


def _exit_code(found: "list[Finding]") -> int:
    from smart_router.doctor import FIRST
    from smart_router.doctor.finding import worst

    if any(finding.name in FIRST and finding.status == "fail" for finding in found):
        return NO_ROUTER
    return FAILED if worst(found) == "fail" else 0
