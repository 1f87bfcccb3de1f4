"""Redis, model servers and routers are hit while conversations go on: `make chaos` in short."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.chaos.faults import REDIS_KILLED, REDIS_PAUSED, REPLICAS_KILLED, ROUTERS_RESTARTED, Fault
from tests.chaos.trial import Pace, tried
from tests.chaos.verdict import Verdict, verdict
from tests.chaos.world import World, a_world
from tests.needs import redis_program

PEOPLE = 12
FEWEST_REQUESTS = 60  # below that the load was none

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    redis_program()
    with a_world(tmp_path_factory.mktemp("chaos")) as found:
        yield found


def endured(world: World, fault: Fault, lasts_s: float, seed: str) -> Verdict:
    """All that holds whatever happens. Each fault has a seed of its own, and so sessions that no other one has."""
    seen = verdict(asyncio.run(tried(world, fault, Pace(PEOPLE, 3, lasts_s, 3), seed)))
    assert not seen.complaints, "\n".join([*seen.complaints, *seen.troubles])
    assert seen.requests >= FEWEST_REQUESTS, seen
    return seen


def test_redis_hangs_and_nobody_notices(world: World) -> None:
    endured(world, REDIS_PAUSED, 3, "paused")


def test_redis_dies_and_nobody_notices(world: World) -> None:
    endured(world, REDIS_KILLED, 3, "redis")


def test_a_replica_of_each_model_dies_and_only_streams_that_it_was_answering_are_cut(world: World) -> None:
    seen = endured(world, REPLICAS_KILLED, 4, "replicas")
    assert seen.cut <= PEOPLE
    assert seen.forked == 0


def test_routers_restart_in_turn_and_nobody_notices(world: World) -> None:
    seen = endured(world, ROUTERS_RESTARTED, 2, "routers")
    assert (seen.cut, seen.forked) == (0, 0)
