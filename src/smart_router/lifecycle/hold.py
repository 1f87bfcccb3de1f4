"""The lease on an arena: only who has it changes anything there."""

import asyncio
import contextlib

import structlog

from smart_router.errors import StoreUnavailable
from smart_router.lifecycle.agreement import Agreement

log = structlog.get_logger("lifecycle")

LEASE_S = 15.0  # for so long an arena stands still when a router dies that was changing it
PROLONGED_AFTER_S = LEASE_S / 3


class Hold:
    """Once taken it is prolonged by itself, until it is let go or lost. Where nobody keeps leases, one goes alone."""

    def __init__(self, agreement: Agreement, arena: str) -> None:
        self.held = False
        self._agreement = agreement
        self._arena = arena
        self._prolonging: asyncio.Task[None] | None = None
        self._closed = False
        self._turn = asyncio.Lock()

    async def take(self) -> bool:
        async with self._turn:
            self.held = not self._closed and await self._extended()
            if self.held and self._prolonging is None:
                self._prolonging = asyncio.create_task(self._prolong(), name=f"lease of {self._arena}")
            return self.held

    async def let_go(self) -> None:
        async with self._turn:
            if self._prolonging is not None:
                self._prolonging.cancel()
                await asyncio.gather(self._prolonging, return_exceptions=True)
                self._prolonging = None
            if self.held:
                self.held = False
                with contextlib.suppress(StoreUnavailable):
                    await self._agreement.let_go(self._arena)

    async def close(self) -> None:
        """Let it go for good, whoever would take it still."""
        self._closed = True
        await self.let_go()

    async def _prolong(self) -> None:
        while self.held:
            await asyncio.sleep(PROLONGED_AFTER_S)
            self.held = await self._extended()
        self._prolonging = None
        log.warning("another router took over", arena=self._arena)

    async def _extended(self) -> bool:
        try:
            return await self._agreement.hold(self._arena, LEASE_S)
        except StoreUnavailable:
            return True
