import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import pytest_asyncio
import uvloop
from redis.asyncio import Redis, RedisCluster

from smart_router.sessions import KINDS
from smart_router.sessions.base import Key, Limits, SessionStore
from smart_router.sessions.memory import EmbeddedStore
from smart_router.sessions.redis import RedisStore
from tests.fakes import Clock
from tests.needs import redis_program
from tests.redis_topologies import Cluster, Guarded, redis_cluster, redis_sentinel

from .worlds import LIMITS, World, an_owner

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
IN_EVERY_LOOP = ("test_batching.py", "test_address.py")  # their transports differ
AS_IN_PRODUCTION = ("test_cluster.py", "test_sentinel.py")  # their servers take long
OF_SEVERAL_SERVERS = ("sentinel", "cluster")  # of the kind "redis", by another URL

PATIENT_MS = 20_000  # where no deadline is tested, a slow machine must not make a difference


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name in IN_EVERY_LOOP:
        return LOOPS
    name = "uvloop" if item.path.name in AS_IN_PRODUCTION else "asyncio"
    return {name: LOOPS[name]}


@pytest.fixture
def key() -> Key:
    return Key(an_owner(), "s1")


@pytest_asyncio.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A look behind the store's back."""
    client: Redis = Redis.from_url(redis_url)
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def three_masters() -> Iterator[Cluster]:
    """A cluster that no test harms."""
    with redis_cluster(redis_program()) as found:
        yield found


@pytest.fixture(scope="session")
def one_master() -> Iterator[Guarded]:
    """A master named by a sentinel; no test harms them."""
    with redis_sentinel(redis_program(), replicas=0, sentinels=1, down_after_ms=30_000) as found:
        yield found


@pytest_asyncio.fixture(params=[*KINDS, *OF_SEVERAL_SERVERS])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    kind: str = request.param
    clock = Clock()
    made: list[SessionStore] = []

    def embedded(limits: Limits) -> SessionStore:
        made.append(EmbeddedStore(limits, monotonic=clock, wall_clock=clock))
        return made[-1]

    def in_redis(limits: Limits) -> SessionStore:
        made.append(RedisStore(url, limits, timeout_ms=PATIENT_MS))
        return made[-1]

    if kind == "embedded":
        found = World(kind, embedded(LIMITS), embedded, clock=clock)
    elif kind == "redis":
        url: str = request.getfixturevalue("redis_url")
        found = World(kind, in_redis(LIMITS), in_redis, redis=Redis.from_url(url))
    elif kind == "sentinel":
        guarded: Guarded = request.getfixturevalue("one_master")
        url = guarded.url
        found = World(kind, in_redis(LIMITS), in_redis, redis=Redis.from_url(guarded.servers[0].url))
    elif kind == "cluster":
        cluster: Cluster = request.getfixturevalue("three_masters")
        url = cluster.url
        behind = RedisCluster("127.0.0.1", cluster.nodes[0].port)
        found = World(kind, in_redis(LIMITS), in_redis, redis=behind)
    else:
        pytest.fail(f"{kind}: a new kind of store needs a world here")
    await found.store.start()
    yield found
    for store in made:
        await store.close()
    if found.redis is not None:
        await found.redis.aclose()


@pytest.fixture
def store(world: World) -> SessionStore:
    return world.store
