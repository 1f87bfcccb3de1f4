"""The lease on an arena ends with the arena."""

import asyncio

from smart_router.lifecycle.hold import Hold
from tests.lifecycle.fakes import Board, FakeAgreement


class SlowAgreement(FakeAgreement):
    """Letting go takes a while."""

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self.goes_on = asyncio.Event()

    async def let_go(self, arena: str) -> None:
        await super().let_go(arena)
        await self.goes_on.wait()


async def test_an_order_that_comes_as_the_arena_closes_takes_no_lease_that_nobody_lets_go() -> None:
    board = Board()
    agreement = SlowAgreement(board)
    hold = Hold(agreement, "gpu")
    assert await hold.take()
    closing = asyncio.create_task(hold.close())
    await asyncio.sleep(0)
    order = asyncio.create_task(hold.take())
    await asyncio.sleep(0)
    agreement.goes_on.set()
    await closing
    assert not await order
    assert board.leases == {}
