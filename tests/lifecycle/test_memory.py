"""What is remembered of a model: who waits, who used it, what failed, whose turn it is to act."""

import asyncio

import pytest

from smart_router.errors import ModelNotReady
from smart_router.lifecycle import hold, visits
from smart_router.lifecycle.backoff import Backoff
from smart_router.lifecycle.hold import Hold
from smart_router.lifecycle.visits import Visits
from smart_router.lifecycle.waiters import Waiters
from tests.fakes import Clock
from tests.lifecycle.fakes import Board, FakeAgreement, until


def test_what_fails_is_left_alone_for_longer_and_longer() -> None:
    backoff, waits = Backoff(free=1), []
    for _ in range(8):
        backoff.failed(100.0)
        waits.append(backoff.left_s(100.0))
    assert waits == [0, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.left_s(129.0) == 1
    backoff.clear()
    assert (backoff.failures, backoff.left_s(100.0)) == (0, 0)


def test_a_thousand_failures_are_no_more_than_a_few() -> None:
    backoff = Backoff()
    for _ in range(5000):
        backoff.failed(0.0)
    assert backoff.left_s(0.0) == 30


def test_a_session_is_live_until_it_has_been_idle_for_too_long() -> None:
    clock = Clock()
    seen = Visits(clock, 60)
    seen.note("s1")
    clock.pass_(30)
    seen.note("s2")
    seen.note("s2")
    clock.pass_(30)
    assert seen.live() == 1
    assert seen.used_at == 1030
    seen.note("s2")
    clock.pass_(59)
    assert seen.live() == 1


def test_a_session_that_is_new_is_told_and_one_that_has_gone_counts_no_more() -> None:
    seen = Visits(Clock(), 60)
    assert [seen.note("s1"), seen.note("s1"), seen.note("s2")] == [True, False, True]
    seen.forget("s1")
    seen.forget("never seen")
    assert seen.live() == 1
    assert seen.note("s1")


def test_a_session_that_is_remembered_for_long_does_not_keep_its_model_for_so_long() -> None:
    clock = Clock()
    seen = Visits(clock, 1800)
    seen.note("s1")
    clock.pass_(299)
    assert seen.live() == 1
    clock.pass_(1)
    assert seen.live() == 0


def test_only_so_many_sessions_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "MOST", 3)
    seen = Visits(Clock(), 60)
    for i in range(10):
        seen.note(f"s{i}")
    assert seen.live() == 3


async def test_who_waits_longest_is_known_and_who_is_told_no_more_is_not_counted() -> None:
    clock = Clock()
    waiters = Waiters(clock)
    first = asyncio.create_task(waiters.wait("m", 5, 10, lambda: 1.0))
    await until(lambda: len(waiters) == 1)
    clock.pass_(3)
    second = asyncio.create_task(waiters.wait("m", 5, 10, lambda: 1.0))
    await until(lambda: len(waiters) == 2)
    assert waiters.longest_s == 3
    waiters.fail(lambda: ModelNotReady("no"))
    assert (len(waiters), waiters.longest_s) == (0, 0)
    for error in await asyncio.gather(first, second, return_exceptions=True):
        assert isinstance(error, ModelNotReady)


async def test_a_client_that_leaves_as_it_is_told_is_no_error() -> None:
    waiters = Waiters(Clock())
    waiting = asyncio.create_task(waiters.wait("m", 5, 10, lambda: 1.0))
    await until(lambda: len(waiters) == 1)
    waiters.fail(lambda: ModelNotReady("no"))
    waiting.cancel()
    with pytest.raises((asyncio.CancelledError, ModelNotReady)):
        await waiting


async def test_a_lease_is_prolonged_until_it_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "PROLONGED_AFTER_S", 0.01)
    agreement = Counting()
    lease = Hold(agreement, "gpu")
    assert await lease.take()
    await until(lambda: agreement.held > 3)
    await lease.let_go()
    assert not lease.held
    assert agreement.board.leases == {}


async def test_a_lease_that_another_router_took_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "PROLONGED_AFTER_S", 0.01)
    agreement = Counting()
    lease = Hold(agreement, "gpu")
    assert await lease.take()
    agreement.board.leases["gpu"] = "somebody else"
    await until(lambda: not lease.held)
    assert not await lease.take()
    await lease.let_go()
    assert agreement.board.leases == {"gpu": "somebody else"}


async def test_where_nobody_keeps_leases_one_goes_alone() -> None:
    agreement = Counting()
    agreement.board.lost = True
    lease = Hold(agreement, "gpu")
    assert await lease.take()
    await lease.let_go()


class Counting(FakeAgreement):
    def __init__(self) -> None:
        super().__init__(Board())
        self.held = 0

    async def hold(self, arena: str, for_s: float) -> bool:
        self.held += 1
        return await super().hold(arena, for_s)
