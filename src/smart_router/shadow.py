"""
Classifies a share of the bypassed turns afterwards, in the background, to see how often bypassing was wrong.

A disagreement is a turn that, had it been classified, would have left its session.
"""

import asyncio
import random
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from smart_router.chooser import Chooser
from smart_router.decide.switch import Standing
from smart_router.observe.metrics import Metrics
from smart_router.observe.stats import Stats
from smart_router.types import Ask

log = structlog.get_logger("shadow")

MOST_AT_ONCE = 4  # a burst must not fill the encoder's queue: what is beyond is not checked

Chance = Callable[[], float]  # evenly from 0 to 1


class Shadow:
    """*chooser* classifies every turn; *share* of the turns, 0..1, is checked."""

    def __init__(
        self, chooser: Chooser, metrics: Metrics, stats: Stats, share: float, chance: Chance = random.random
    ) -> None:
        self._chooser = chooser
        self._metrics = metrics
        self._stats = stats
        self._share = share
        self._chance = chance
        self._running: set[asyncio.Task[None]] = set()

    def bypassed(self, ask: Ask, standing: Standing | None, previous: str) -> None:
        """Check this turn later, if chance will have it."""
        if standing is None or self._chance() >= self._share or len(self._running) >= MOST_AT_ONCE:
            return
        task = asyncio.create_task(self._check(ask, standing, previous))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _check(self, ask: Ask, standing: Standing, previous: str) -> None:
        try:
            found = await self._chooser.choose(ask, replace(standing, bypass=None), previous)
        except Exception as exc:
            log.error("a bypassed turn could not be checked", request_id=ask.request_id, exc_info=exc)
            return
        disagreed = found.use_case != standing.use_case
        self._metrics.shadow_checks.add(())
        if disagreed:
            self._metrics.shadow_disagreement.add(())
            log.info("bypassing disagrees", request_id=ask.request_id, stayed=standing.use_case, would=found.use_case)
        self._stats.checked(disagreed)
