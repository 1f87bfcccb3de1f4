"""Several routers share model servers: one of them acts, all know."""

import asyncio

import pytest

from smart_router.errors import LifecycleFailed, ModelNotReady
from tests.lifecycle.conftest import Start
from tests.lifecycle.fakes import Board, Router, Servers, a_sleeper, at, registry_of, until

A, B = a_sleeper("a"), a_sleeper("b")


@pytest.fixture
async def two(start: Start) -> tuple[Router, Router]:
    """Two routers, one set of servers, of which a is awake."""
    servers, board, registry = Servers("a"), Board(), registry_of(A, B)
    return await start(registry, servers, board), await start(registry, servers, board)


async def test_what_one_router_wakes_another_asks(two: tuple[Router, Router]) -> None:
    one, other = two
    await one.served("b")
    await until(lambda: other.admits("b"))
    assert not other.admits("a")
    assert one.servers.most_awake == 1


async def test_requests_at_two_routers_wake_their_model_once(two: tuple[Router, Router]) -> None:
    one, other = two
    await asyncio.gather(*(router.served("b", f"s{i}") for i in range(5) for router in two))
    assert one.servers.times("wake", "b") == 1
    assert one.report("b").wakes + other.report("b").wakes == 1


async def test_what_another_router_asks_is_not_put_to_sleep(two: tuple[Router, Router]) -> None:
    one, other = two
    lease = await other.ask("a")
    await until(lambda: one.board.told[other.agreement]["a"].in_flight)
    request = one.begin("b")
    await until(lambda: not other.admits("a"))
    assert other.state("a") == "draining"
    assert one.servers.times("sleep", "a") == 0
    lease.release()
    await request
    await until(lambda: other.state("a") == "sleeping")


async def test_while_one_router_changes_a_group_others_wait_for_it(two: tuple[Router, Router]) -> None:
    one, other = two
    wake = one.servers.hold("wake", "b")
    first = one.begin("b")
    await until(lambda: one.servers.times("wake", "b") and not other.admits("a"))
    second = other.begin("a")
    await until(lambda: other.manager.waiting("a"))
    await asyncio.sleep(0.3)
    assert one.servers.times("sleep", "b") == other.servers.times("wake", "a") == 0
    wake()
    await asyncio.gather(first, second)
    assert one.servers.most_awake == 1


async def test_whoever_begins_to_act_looks_what_others_did(start: Start) -> None:
    servers, board, registry = Servers("a"), Board(), registry_of(A, B, a_sleeper("c"))
    one = await start(registry, servers, board)
    other = await start(registry, servers, board, lifecycle_interval=3600)
    await one.served("b")
    await until(lambda: not board.leases)
    await other.served("c")
    assert servers.most_awake == 1


async def test_who_uses_a_model_elsewhere_is_given_time_to_hear_that_it_goes(two: tuple[Router, Router]) -> None:
    one, other = two
    here = one.manager._inventory.residences["a"]
    assert not here.used_elsewhere
    await other.served("a")
    await until(lambda: here.used_elsewhere)


async def test_a_router_that_ends_lets_others_act(start: Start) -> None:
    servers, board, registry = Servers("a"), Board(), registry_of(A, B)
    other = await start(registry, servers, board)
    one = await start(registry, servers, board)
    servers.hold("wake", "b")
    request = one.begin("b")
    await until(lambda: servers.times("wake", "b"))
    await one.manager.close()
    with pytest.raises(ModelNotReady, match="b is not to be had here any more"):
        await request
    assert board.leases == {}
    assert board.draining == {}
    servers.hold("wake", "b")()
    await other.served("b")


async def test_what_a_router_could_not_tell_it_tells_later(two: tuple[Router, Router]) -> None:
    one, other = two
    board, wake = one.board, one.servers.hold("wake", "b")
    request = one.begin("b")
    await until(lambda: board.draining.keys() == {"b"})
    board.lost = True
    wake()
    await request
    assert board.draining
    board.lost = False
    await until(lambda: not board.draining)
    await until(lambda: other.admits("b"))


async def test_what_was_told_of_a_model_that_goes_is_taken_back_later(two: tuple[Router, Router]) -> None:
    one, other = two
    board, wake = one.board, one.servers.hold("wake", "b")
    request = one.begin("b")
    await until(lambda: board.draining.keys() == {"b"})
    board.lost = True
    await one.fleet.change(registry_of(A))
    await one.manager.change(registry_of(A))
    with pytest.raises(ModelNotReady):
        await request
    wake()
    board.lost = False
    board.leases.clear()  # as Redis lets a lease end
    await until(lambda: not board.draining)
    await other.served("b")


async def test_what_was_forgotten_of_a_move_is_told_again(two: tuple[Router, Router]) -> None:
    """A Redis that starts anew knows nothing."""
    one, other = two
    board, lease = one.board, await one.ask("a")
    request = one.begin("b")
    await until(lambda: other.state("a") == "draining")
    board.draining.clear()
    await until(lambda: board.draining.get("a") is one.agreement)
    await until(lambda: not other.admits("a"))
    assert other.servers.times("sleep", "a") == 0
    lease.release()
    await request


async def test_an_adapter_gets_no_requests_while_another_router_changes_its_base(start: Start) -> None:
    adapter = a_sleeper("adapter", lora={"path": "/adapter", "base": "a"}, group="")
    servers, board, registry = Servers("a", "adapter"), Board(), registry_of(A, B, adapter)
    one, other = await start(registry, servers, board), await start(registry, servers, board)
    assert other.admits("adapter")
    lease = await one.ask("a")
    request = one.begin("b")
    await until(lambda: other.state("a") == "draining")
    looks = servers.times("look", "adapter")
    await until(lambda: servers.times("look", "adapter") > looks + 10)
    assert not other.admits("adapter")
    lease.release()
    await request


async def test_without_the_others_word_a_router_goes_by_what_servers_say(two: tuple[Router, Router]) -> None:
    one, other = two
    one.board.lost = True
    await one.served("b")
    await until(lambda: other.admits("b") and not other.admits("a"))


async def test_a_lost_lease_ends_nothing_and_begins_nothing(two: tuple[Router, Router]) -> None:
    one, _ = two
    sleep = one.servers.hold("sleep", "a")
    request = one.begin("b")
    await until(lambda: one.servers.times("sleep", "a"))
    one.lose_lease("gpu")
    sleep()
    await until(lambda: one.state("a") == "sleeping")
    await asyncio.sleep(0.3)
    assert one.servers.times("wake", "b") == 0
    del one.board.leases["gpu"]
    await request


async def test_a_pin_holds_for_all_routers(two: tuple[Router, Router]) -> None:
    one, other = two
    await one.manager.pin("a", True)
    await until(lambda: other.report("a").pinned)
    with pytest.raises(ModelNotReady, match="b has no room"):
        await other.served("b")
    await other.manager.pin("a", False)
    await until(lambda: not one.report("a").pinned)
    await one.served("b")


async def test_a_pin_that_could_not_be_told_holds_and_is_told_later(two: tuple[Router, Router]) -> None:
    one, other = two
    one.board.lost = True
    await one.manager.pin("a", True)
    one.board.lost = False
    await until(lambda: other.report("a").pinned)
    assert one.report("a").pinned
    await other.manager.pin("a", False)
    await until(lambda: not one.report("a").pinned)


async def test_a_pin_that_was_lost_is_told_again(two: tuple[Router, Router]) -> None:
    """A Redis that starts anew knows nothing."""
    one, other = two
    await one.manager.pin("a", True)
    await until(lambda: other.report("a").pinned)
    one.board.pinned.clear()
    await until(lambda: one.board.pinned)
    assert one.report("a").pinned
    assert other.report("a").pinned


async def test_a_failed_wake_here_is_not_tried_for_others_again_and_again(two: tuple[Router, Router]) -> None:
    one, other = two
    one.servers.fail("wake", "b", *[LifecycleFailed("out of memory")] * 2)
    for _ in range(2):
        with pytest.raises(ModelNotReady):
            await one.served("b")
    request = other.begin("b")
    await request
    assert one.servers.times("wake", "b") == 3
    assert at("b") in one.servers.awake
