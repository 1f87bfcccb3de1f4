"""One fault under constant load: calm, the fault, what follows, rest."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.balancer import Balancer
from tests.chaos.faults import NOTHING, Fault
from tests.chaos.load import Load, Turn
from tests.chaos.world import World

WELL_WITHIN_S = 60.0
RESTS_WITHIN_S = 40.0
LOOKS_EVERY_S = 0.2
SAMPLES_EVERY_S = 5.0


@dataclass(frozen=True)
class Pace:
    people: int
    calm_s: float
    lasts_s: float  # the fault
    after_s: float


@dataclass(frozen=True)
class Usage:
    """Of all routers so far."""

    at: float  # of the monotonic clock
    processes: tuple[int, ...]
    rss_bytes: int
    cpu_s: float
    log_bytes: int


@dataclass(frozen=True)
class Trial:
    """
    Times of the monotonic clock: *struck*, *over* (its cause was gone), *well* (every router said that all is well;
    None: not within a minute). *left*: what gauges still showed at rest.
    """

    fault: Fault
    turns: tuple[Turn, ...]
    struck: float
    over: float
    well: float | None
    left: float
    calm: tuple[Usage, Usage]
    fault_usage: tuple[Usage, Usage]
    rest: Usage


@dataclass(frozen=True)
class Sample:
    """Memory of each router, in bytes."""

    at: float  # of the monotonic clock
    rss_bytes: tuple[int, ...]


async def tried(world: World, fault: Fault, pace: Pace, seed: str) -> Trial:
    async with Balancer([router.port for router in world.routers]) as balancer:
        async with Load(balancer, pace.people, seed) as load:
            began = _usage(world)
            await asyncio.sleep(pace.calm_s)
            struck = _usage(world)
            await fault.strike(world, balancer, pace.lasts_s)
            over = _usage(world)
            well = await _first(world.well, WELL_WITHIN_S)
            await asyncio.sleep(pace.after_s)
        await _first(lambda: world.places_taken() == 0, RESTS_WITHIN_S)
        left = await asyncio.to_thread(world.places_taken)
    return Trial(
        fault=fault,
        turns=tuple(load.turns),
        struck=struck.at,
        over=over.at,
        well=well,
        left=left,
        calm=(began, struck),
        fault_usage=(struck, over),
        rest=_usage(world),
    )


async def soaked(world: World, pace: Pace, seed: str) -> tuple[Trial, list[Sample]]:
    """Constant load without a fault, and the routers' memory every five seconds of it."""
    samples: list[Sample] = []
    sampling = asyncio.create_task(_sample(world, samples))
    trial = await tried(world, NOTHING, pace, seed)
    sampling.cancel()
    return trial, samples


async def _sample(world: World, samples: list[Sample]) -> None:
    while True:
        samples.append(Sample(time.monotonic(), tuple(router.program.rss_bytes() for router in world.routers)))
        await asyncio.sleep(SAMPLES_EVERY_S)


async def _first(holds: Callable[[], bool], within_s: float) -> float | None:
    """When it first held; None if it did not."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if await asyncio.to_thread(holds):
            return time.monotonic()
        await asyncio.sleep(LOOKS_EVERY_S)
    return None


def _usage(world: World) -> Usage:
    processes = tuple(router.program.pid for router in world.routers)
    return Usage(time.monotonic(), processes, world.rss_bytes, world.cpu_s, world.log_bytes)
