"""Runs checks side by side, each after those that it needs, each with its deadline; none can stop another."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import httpx2

from smart_router.doctor.deployment import Deployment, Odd
from smart_router.doctor.finding import BECAUSE, Finding, failed, skipped

LOOK_S = 10.0  # for a check that asks no model
QUICK_S = 4.0  # for all checks together, where it must be quick
SOONEST_S = 0.1

Findings = Sequence[Finding]  # at least one
Tell = Callable[[Finding], None]


@dataclass(frozen=True)
class Check:
    """
    *run* looks at one thing. *needs* names checks of which at least one finding must be well. *answers*: how many
    answers of models it waits for, one after another; 0: it asks none.
    """

    name: str
    run: Callable[[Deployment], Awaitable[Findings]]
    advice: str  # where it gets no answer
    needs: tuple[str, ...] = ()
    answers: int = 0


async def examine(checks: Iterable[Check], there: Deployment, tell: Tell, *, quick: bool = False) -> list[Finding]:
    """All findings, in the order of *checks*; *tell* hears of each as early as that order allows."""
    examination = _Examination(there, perf_counter() + QUICK_S if quick else None)
    chosen = [check for check in checks if not (quick and check.answers)]
    for check in chosen:
        needed = [examination.tasks[name] for name in check.needs]
        examination.tasks[check.name] = asyncio.create_task(examination.made(check, needed))
    found = []
    try:
        for task in examination.tasks.values():
            for finding in await task:
                tell(finding)
                found.append(finding)
    finally:  # nobody asks on where nobody listens any more
        await examination.end()
    return found


class _Examination:
    def __init__(self, there: Deployment, until: float | None) -> None:
        self.tasks: dict[str, asyncio.Task[Findings]] = {}
        self._there = there
        self._until = until  # perf_counter
        self._models = asyncio.Lock()  # asked by one check at a time: the deployment has other things to do

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def made(self, check: Check, needed: Iterable[asyncio.Task[Findings]]) -> Findings:
        for task in needed:
            findings = await task
            if not any(finding.status in ("pass", "warn") for finding in findings):
                return [skipped(check.name, _why(findings))]
        if not check.answers:
            return await self._timed(check)
        async with self._models:
            return await self._timed(check)

    async def _timed(self, check: Check) -> Findings:
        began = perf_counter()
        findings = await self._run(check, self._within_s(check, began))
        took = perf_counter() - began
        return [finding if finding.seconds else replace(finding, seconds=took) for finding in findings]

    def _within_s(self, check: Check, now: float) -> float:
        within_s = check.answers * self._there.patience_s or LOOK_S
        return within_s if self._until is None else max(SOONEST_S, min(within_s, self._until - now))

    async def _run(self, check: Check, within_s: float) -> Findings:
        try:
            async with asyncio.timeout(within_s):
                return await check.run(self._there)
        except TimeoutError:
            return [failed(check.name, f"no answer within {within_s:.3g} s", check.advice)]
        except httpx2.HTTPError as exc:
            return [failed(check.name, f"the connection broke: {type(exc).__name__}: {exc}".rstrip(": "), check.advice)]
        except Odd as exc:
            return [failed(check.name, str(exc), check.advice)]
        except Exception as exc:  # whoever answers in another form than ours, in whatever way, is found out here
            return [failed(check.name, f"an answer of another form than expected ({exc!r})", check.advice)]


def _why(findings: Findings) -> str:
    """What failed in the first place."""
    needed = next((finding for finding in findings if finding.status == "fail"), findings[0])
    return needed.seen.removeprefix(BECAUSE) if needed.status == "skipped" else f"`{needed.name}` failed"
