"""What is done to the world. Each returns when its cause is gone, but not yet its consequences."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.chaos.balancer import Balancer
from tests.chaos.world import Node, World
from tests.redis_servers import until

ENDED = (0, -signal.SIGTERM)  # as whoever sent it expects
Strike = Callable[[World, Balancer, float], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """
    *redis_away*: a router may not know a session that it did not serve. *cuts_streams*: those that a killed replica was
    answering end with an error event.
    """

    name: str
    strike: Strike
    redis_away: bool = False
    cuts_streams: bool = False


async def _nothing(world: World, balancer: Balancer, lasts_s: float) -> None:
    await asyncio.sleep(lasts_s)


async def _pause_redis(world: World, balancer: Balancer, lasts_s: float) -> None:
    """Connections stay, and nothing is said on them."""
    await asyncio.to_thread(world.redis.ask, "CLIENT", "PAUSE", int(lasts_s * 1000), "ALL")
    await asyncio.sleep(lasts_s)


async def _kill_redis(world: World, balancer: Balancer, lasts_s: float) -> None:
    await asyncio.to_thread(world.redis.kill)
    await asyncio.sleep(lasts_s)
    world.redis.start()
    await asyncio.to_thread(until, lambda: world.redis.answers("PING", holding="PONG"), "redis answers")


async def _kill_replicas(world: World, balancer: Balancer, lasts_s: float) -> None:
    """One of each model, all at once."""
    struck = [several[0] for several in world.replicas.values()]
    for replica in struck:
        replica.kill()
    await asyncio.sleep(lasts_s)
    await asyncio.to_thread(_started, struck)


async def _restart_routers(world: World, balancer: Balancer, lasts_s: float) -> None:
    """One after the other, each when the one before gets connections again; *lasts_s* in all, or longer."""
    for router in world.routers:
        status = await asyncio.to_thread(router.terminate)
        assert status in ENDED, f"{router.name} ended with status {status}: {router.last_words}"
        await asyncio.to_thread(_started, [router])
        await asyncio.to_thread(until, partial(balancer.sends_to, router.port), f"{router.name} gets connections")
        await asyncio.sleep(lasts_s / len(world.routers))


def _started(nodes: Sequence[Node]) -> None:
    for node in nodes:
        node.start()
    for node in nodes:
        node.await_ready()


NOTHING = Fault("nothing", _nothing)
REDIS_PAUSED = Fault("Redis paused", _pause_redis, redis_away=True)
REDIS_KILLED = Fault("Redis killed, then started", _kill_redis, redis_away=True)
REPLICAS_KILLED = Fault("a replica of each model killed, then started", _kill_replicas, cuts_streams=True)
ROUTERS_RESTARTED = Fault("routers restarted in turn", _restart_routers)
