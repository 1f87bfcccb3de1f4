"""Conversations, so many at once, until all are measured or somebody interrupts."""

import asyncio
import uuid
from collections.abc import Callable, Iterator

from smart_router.bench.asking import Asker
from smart_router.bench.plan import FOLLOW_UP, Plan
from smart_router.bench.turn import Turn

Tell = Callable[[Turn], None]


async def converse(asker: Asker, plan: Plan, runs: int, tell: Tell) -> None:
    """*runs* conversations; *tell* hears of each turn as it ends."""
    left = iter(range(runs))
    async with asyncio.TaskGroup() as group:
        for _ in range(min(runs, plan.concurrency)):
            group.create_task(_one_after_another(asker, plan, left, tell))


async def repeat(asker: Asker, plan: Plan, tell: Callable[[str], None]) -> None:
    """
    One query `plan.same` times, one after another, each in a session of its own; *tell* hears of each answer.

    Raises:
        Refused: it cannot be done.
    """
    for _ in range(plan.same):
        session = _session()
        try:
            tell(await asker.said(plan.query(0), session))
        finally:
            await asker.end(session)


async def _one_after_another(asker: Asker, plan: Plan, left: Iterator[int], tell: Tell) -> None:
    for run in left:
        session = _session()
        try:
            first = await asker.turn(plan.query(run), session, first=True)
            tell(first)
            if not first.error:
                tell(await asker.turn(FOLLOW_UP, session, first=False))
        finally:
            await asker.end(session)


def _session() -> str:
    return f"bench-{uuid.uuid4().hex}"
