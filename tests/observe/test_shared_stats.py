"""Statistics of several processes: each adds what it counted, nothing counts twice, and nothing is lost for long."""

import asyncio
from collections.abc import Mapping

import pytest

from smart_router.errors import StoreUnavailable
from smart_router.observe import shared_stats
from smart_router.observe.shared_stats import SharedStats
from smart_router.observe.stats import Stats
from smart_router.sessions.base import Sums

from .test_observers import a_finished


class FakeCounts:
    """As Redis does it. `fails`: before it counts; `loses`: the reply alone."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.taken = 0
        self.added = asyncio.Event()
        self.fails = self.loses = False

    async def add(self, number: int, counts: Mapping[str, float]) -> None:
        if self.fails:
            raise StoreUnavailable("gone")
        if number > self.taken:
            self.taken = number
            for name, amount in counts.items():
                self.sums[name] = self.sums.get(name, 0) + amount
            self.added.set()
        if self.loses:
            raise StoreUnavailable("no reply")

    async def read(self) -> Sums:
        if self.fails or self.loses:
            raise StoreUnavailable("gone")
        return Sums(dict(self.sums), 1_700_000_000.0)

    async def clear(self) -> None:
        if self.fails:
            raise StoreUnavailable("gone")
        self.sums.clear()


def counted(requests: int) -> Stats:
    stats = Stats()
    for _ in range(requests):
        stats(a_finished())
    return stats


async def test_the_report_holds_what_this_process_has_just_counted() -> None:
    report = await SharedStats(counted(3), FakeCounts()).report()
    assert (report["scope"], report["total_requests"]) == ("cluster", 3)
    assert report["models"]["m"]["requests"] == 3
    assert report["since"] == "2023-11-14T22:13:20+00:00"


async def test_the_report_holds_what_others_have_counted() -> None:
    shared = FakeCounts()
    await SharedStats(counted(3), shared).report()
    shared.taken = 0  # of another process
    assert (await SharedStats(counted(4), shared).report())["total_requests"] == 7


async def test_turns_that_others_have_checked_count_too() -> None:
    shared, stats = FakeCounts(), Stats()
    shared.sums |= {"shadow_checked": 10, "shadow_disagreed": 2}
    stats.checked(disagreed=True)
    report = await SharedStats(stats, shared).report()
    assert (report["shadow_checks"], report["shadow_disagreements"]) == (11, 3)


async def test_what_was_added_is_not_added_again() -> None:
    shared = FakeCounts()
    stats = counted(2)
    mine = SharedStats(stats, shared)
    await mine.report()
    stats(a_finished())
    assert (await mine.report())["total_requests"] == 3


async def test_an_addition_whose_reply_was_lost_counts_once() -> None:
    shared = FakeCounts()
    stats = counted(2)
    mine = SharedStats(stats, shared)
    shared.loses = True
    assert (await mine.report())["scope"] == "replica"
    stats(a_finished())
    await mine.report()
    shared.loses = False
    assert (await mine.report())["total_requests"] == 3


async def test_without_redis_a_process_speaks_for_itself_and_adds_later() -> None:
    shared = FakeCounts()
    stats = counted(2)
    mine = SharedStats(stats, shared)
    shared.sums["total"] = 10
    shared.fails = True
    report = await mine.report()
    assert (report["scope"], report["total_requests"]) == ("replica", 2)
    shared.fails = False
    assert (await mine.report())["total_requests"] == 12


async def test_with_sessions_in_the_process_the_numbers_are_its_own() -> None:
    report = await SharedStats(counted(2), None).report()
    assert (report["scope"], report["total_requests"]) == ("replica", 2)


@pytest.mark.parametrize("shared", [None, FakeCounts()])
async def test_a_reset_begins_anew(shared: FakeCounts | None) -> None:
    stats = counted(2)
    mine = SharedStats(stats, shared)
    await mine.report()
    await mine.reset()
    stats(a_finished())
    assert (await mine.report())["total_requests"] == 1


async def test_a_reset_that_redis_does_not_hear_of_forgets_nothing() -> None:
    shared = FakeCounts()
    mine = SharedStats(counted(2), shared)
    shared.fails = True
    with pytest.raises(StoreUnavailable):
        await mine.reset()
    assert (await mine.report())["total_requests"] == 2


async def test_it_adds_by_itself_and_once_more_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_stats, "ADD_EVERY_S", 0.01)
    shared = FakeCounts()
    stats = counted(2)
    mine = SharedStats(stats, shared)
    mine.start()
    async with asyncio.timeout(20):
        await shared.added.wait()
    assert shared.sums["total"] == 2
    stats(a_finished())
    await mine.close()
    assert shared.sums["total"] == 3


async def test_it_goes_on_adding_after_redis_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_stats, "ADD_EVERY_S", 0.01)
    shared = FakeCounts()
    shared.fails = True
    mine = SharedStats(counted(2), shared)
    mine.start()
    await asyncio.sleep(0.05)
    shared.fails = False
    async with asyncio.timeout(20):
        await shared.added.wait()
    assert shared.sums["total"] == 2
    await mine.close()
