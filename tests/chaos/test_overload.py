"""More than a router can bear, and less than it needs: floods, thousands of streams, clocks that jump, nothing up."""

import asyncio
import http.client
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit
from statistics import median, quantiles
from typing import Any

import pytest
from benchmarks.process import Command, Program
from benchmarks.process import running as program
from redis import Redis

from smart_router.access.keyfile import change_keys, new_entry
from smart_router.cli.processes import free_port, running, smart_router
from tests.e2e.asking import CHAT, FOLLOW_UP, PYTHON, a_session, saying
from tests.e2e.models import AGENT, KINDS, Models, three_models
from tests.e2e.redis_process import RedisProcess
from tests.e2e.routers import Router, a_client, a_registry, environment, in_flight, running_router, until
from tests.needs import redis_program
from tests.redis_servers import Server as RedisServer
from tests.redis_servers import all_started

pytestmark = pytest.mark.timeout(300)  # processes start slowly on a busy machine

LONG = os.environ.get("SMART_ROUTER_CHAOS") == "long"


@contextmanager
def a_model_process(*options: str) -> Iterator[str]:
    """A simulated agent, in a process of its own."""
    port = free_port()
    command = smart_router("simulate", "--model", AGENT, "--kind", "text", "--port", str(port), *options)
    with running(command, port, environment(), path="/health") as url:
        yield url


@contextmanager
def a_router_process(registry: Path, path: str = "/ready", **variables: str) -> Iterator[Router]:
    """Once it answers at *path*."""
    port = free_port()
    told = environment(MODEL_REGISTRY=str(registry), **variables)
    with running(smart_router("serve", "--port", str(port)), port, told, path=path) as url, a_client(url) as http:
        yield Router(url, http)


def registry_of(folder: Path, agent: str | None, **changed: Any) -> Path:
    """Other models than the agent are not there."""
    nobody = f"http://127.0.0.1:{free_port()}"
    endpoints = {model: [agent if agent and model == AGENT else nobody] for model in KINDS}
    return a_registry(folder, endpoints, {AGENT: changed})


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    with three_models() as found:
        yield found


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    process = RedisProcess()
    process.start()
    yield process
    process.stop()


# a key beyond its rate

PER_MINUTE = 60
ROUNDS, ROUND_S = (20, 3.0) if LONG else (6, 1.5)


def test_a_key_at_a_hundred_times_its_rate_is_hardly_felt_by_others(tmp_path: Path) -> None:
    """Rounds with and without it, in turn, so that what else happens on the machine falls on both."""
    keys = {"loud": {"requests_per_minute": PER_MINUTE, "burst": 1}, "quiet": {}}
    with ExitStack() as stack:
        registry = registry_of(
            tmp_path, stack.enter_context(a_model_process("--ttft-ms", "20", "--tokens-per-second", "0"))
        )
        made = {name: new_entry(name, ["route"], **limits) for name, limits in keys.items()}
        change_keys(tmp_path / "keys.json", lambda _: [entry for _, entry in made.values()])
        router = stack.enter_context(a_router_process(registry, API_KEYS_FILE=str(tmp_path / "keys.json")))
        began = time.monotonic()
        loud, quiet = Asking(router.port, made["loud"][0]), Asking(router.port, made["quiet"][0])
        quiet.for_a_while(ROUND_S)  # what is done once is done
        alone: list[float] = []
        beside: list[float] = []
        statuses: list[int] = []
        for _ in range(ROUNDS):
            alone += quiet.for_a_while(ROUND_S)
            with ThreadPoolExecutor(1) as other:
                flood = other.submit(loud.at_a_rate, 100 * PER_MINUTE / 60, ROUND_S)
                beside += quiet.for_a_while(ROUND_S)
                statuses += flood.result()
    print(f"alone {described(alone)}; beside a flood of {len(statuses)} requests {described(beside)}")
    seconds = time.monotonic() - began
    assert set(statuses) == {200, 429}
    assert statuses.count(200) <= 2 + seconds * PER_MINUTE / 60
    assert statuses.count(429) > statuses.count(200), "it was no flood"
    if LONG:  # on a machine of its own
        assert median(beside) < 1.2 * median(alone) + 0.005
        assert percentile(beside, 90) < 1.5 * percentile(alone, 90) + 0.010


class Asking:
    """One caller, who asks one request after the other on one connection."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        self._session = a_session()

    def for_a_while(self, seconds: float) -> list[float]:
        """How long each answer took, in seconds."""
        took: list[float] = []
        connection, until_s = self._connection(), time.monotonic() + seconds
        while (started := time.monotonic()) < until_s:
            assert self._ask(connection, len(took)) == 200
            took.append(time.monotonic() - started)
        connection.close()
        return took

    def at_a_rate(self, per_s: float, seconds: float) -> list[int]:
        """The statuses."""
        statuses: list[int] = []
        connection, started = self._connection(), time.monotonic()
        while (now := time.monotonic() - started) < seconds:
            time.sleep(max(0.0, len(statuses) / per_s - now))
            statuses.append(self._ask(connection, len(statuses)))
        connection.close()
        return statuses

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)

    def _ask(self, connection: http.client.HTTPConnection, number: int) -> int:
        path = ("/route", CHAT)[number % 2]
        body = {"query": FOLLOW_UP, "use_case": "agent"} if path == "/route" else saying(FOLLOW_UP, model=AGENT)
        connection.request("POST", path, json.dumps(body | {"session_id": self._session}), self._headers)
        response = connection.getresponse()
        response.read()
        return response.status


def percentile(took: Sequence[float], which: int) -> float:
    return quantiles(took, n=100, method="inclusive")[which - 1]


def described(took: Sequence[float]) -> str:
    ms = [f"{name} {percentile(took, which) * 1000:.1f} ms" for name, which in (("p50", 50), ("p90", 90), ("p99", 99))]
    return f"({len(took)}) {', '.join(ms)}"


# keys that nobody gave out

FLOOD = 600


def test_a_flood_of_wrong_keys_is_no_work_for_redis(tmp_path: Path, models: Models, redis: RedisProcess) -> None:
    """Redis hears once a second what was counted, and nothing of single requests."""
    key, entry = new_entry("right", ["route"], requests_per_minute=6_000_000)
    change_keys(tmp_path / "keys.json", lambda _: [entry])
    options = {"redis_url": redis.url, "api_keys_file": tmp_path / "keys.json"}
    with running_router(a_registry(tmp_path, models.endpoints), **options) as router, Redis(port=redis.port) as look:

        def flood(authorization: Callable[[int], str], count: int) -> tuple[set[int], int, float]:
            """Statuses, commands that Redis ran meanwhile, and seconds."""
            before, started = commands(look), time.monotonic()
            asks: tuple[tuple[str, dict[str, Any]], ...] = (
                ("/route", {"query": PYTHON, "session_id": "s1"}),
                (CHAT, saying(PYTHON)),
                ("/classify", {}),
            )
            statuses = {
                router.http.post(
                    path, json=body | {"query": PYTHON}, headers={"Authorization": authorization(number)}
                ).status_code
                for number in range(count // len(asks))
                for path, body in asks
            }
            statuses |= {
                router.http.request(method, "/sessions/s1", headers={"Authorization": authorization(0)}).status_code
                for method in ("GET", "DELETE")
            }
            return statuses, commands(look) - before, time.monotonic() - started

        statuses, ran, took = flood(lambda number: f"Bearer sr-{a_session()}{number}", FLOOD)
        assert statuses == {401}
        assert ran <= 10 * (took + 1), f"{ran} commands in {took:.1f} s"
        statuses, ran, _ = flood(lambda _: f"Bearer {key}", 60)
        assert 200 in statuses
        assert ran >= 60, "requests that are let in do reach this Redis"


def commands(redis: "Redis") -> int:
    """How many Redis has run, scripts and all that they call included; without the looks at it."""
    found: dict[str, dict[str, int]] = redis.info("commandstats")
    return sum(its["calls"] for name, its in found.items() if name != "cmdstat_info")


# streams that say nothing

STREAMS = min(10_000 if LONG else 1_000, getrlimit(RLIMIT_NOFILE)[0] // 2 - 200)  # the router has two sockets for each
MOST_BYTES_A_STREAM = 64 * 1024


@pytest.mark.timeout(900)
def test_idle_streams_cost_little_memory_and_give_it_back(tmp_path: Path) -> None:
    """A few thousand bytes each, no more while they wait, and a second time the same memory serves."""
    waits = ("BETWEEN_CHUNKS", "OPEN", "FIRST_BYTE", "HEADER", "CONNECT", "HEALTH")
    patience = {f"{name}_TIMEOUT": "3600" for name in waits}  # a busy machine opens so many slowly
    with silent_model() as model:
        registry, port = registry_of(tmp_path, model, max_in_flight=100_000), free_port()
        told = environment(MODEL_REGISTRY=str(registry), LOG_LEVEL="error", **patience)
        url = f"http://127.0.0.1:{port}"
        serve = Command(smart_router("serve", "--port", str(port)), f"{url}/ready", told)
        with program(serve, tmp_path) as process, a_client(url) as http:
            seen = asyncio.run(crowded(Router(url, http), process))
    print(f"{STREAMS} streams: {', '.join(f'{name} {size / 1e6:.1f} MB' for name, size in seen.items())}")
    each = (seen["all"] - seen["a third"]) / (STREAMS - STREAMS // 3)
    print(f"{each / 1024:.1f} KiB for each stream")
    assert each < MOST_BYTES_A_STREAM
    assert seen["later"] < seen["all"] + max(2_000_000, 0.02 * seen["all"])
    assert seen["all again"] < seen["later"] + STREAMS * MOST_BYTES_A_STREAM / 8 + 2_000_000


@contextmanager
def silent_model() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("silent_model.py")), str(port)]
    with running(command, port, path="/health") as url:
        yield url


async def crowded(router: Router, process: Program) -> dict[str, int]:
    """Resident bytes of the router at each stage."""
    seen = {}
    async with asyncio.timeout(800):
        await let_go(router, await streams(router.port, 30))
        some = await streams(router.port, STREAMS // 3)
        seen["a third"] = process.rss_bytes()
        more = await streams(router.port, STREAMS - STREAMS // 3)
        assert in_flight(router) == STREAMS
        seen["all"] = process.rss_bytes()
        await asyncio.sleep(30 if LONG else 3)
        seen["later"] = process.rss_bytes()
        await let_go(router, some + more)
        again = await streams(router.port, STREAMS)
        seen["all again"] = process.rss_bytes()
        await let_go(router, again)
    return seen


async def streams(port: int, count: int) -> list[asyncio.StreamWriter]:
    """So many clients, each of which has heard a word."""
    places = asyncio.Semaphore(50)

    async def one() -> asyncio.StreamWriter:
        async with places:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            body = json.dumps(saying(PYTHON, model=AGENT, stream=True)).encode()
            head = (
                f"POST {CHAT} HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nX-Session-ID: {a_session()}\r\n"
            )
            writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            seen = b""
            while b'"content"' not in seen:
                more = await reader.read(65_536)
                assert more, f"the answer ended: {seen!r}"
                seen += more
            return writer

    return await asyncio.gather(*(one() for _ in range(count)))


async def let_go(router: Router, clients: Sequence[asyncio.StreamWriter]) -> None:
    """All leave; returns when no place is taken."""
    for client in clients:
        client.close()
    await asyncio.gather(*(client.wait_closed() for client in clients), return_exceptions=True)
    async with asyncio.timeout(60):
        while await asyncio.to_thread(in_flight, router):
            pass


# a clock that jumps

HOUR = 3600.0
LIFETIME_S = 10
CLOCK = """
import os, time
from pathlib import Path

_time, _offset = time.time, Path(os.environ["CLOCK_IS_WRONG_BY"])
time.time = lambda: _time() + float(_offset.read_text())
time.time_ns = lambda: int(time.time() * 1e9)
"""


@pytest.mark.parametrize("store", ["embedded", "redis"])
def test_a_clock_that_jumps_an_hour_neither_ends_a_session_nor_keeps_it(
    tmp_path: Path, models: Models, redis: RedisProcess, store: str
) -> None:
    offset = tmp_path / "offset"
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    offset.write_text("0")
    variables = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "CLOCK_IS_WRONG_BY": str(offset),
        "SESSION_TIMEOUT": str(LIFETIME_S),
    } | ({"REDIS_URL": redis.url, "REDIS_TIMEOUT_MS": "2000"} if store == "redis" else {})
    with a_router_process(a_registry(tmp_path, models.endpoints), **variables) as router:
        id = a_session()
        router.answer(PYTHON, session_id=id)
        for jump in (HOUR, 0, -HOUR):
            offset.write_text(str(jump))
            assert router.answer(FOLLOW_UP, session_id=id)["new_session"] is False
            if store == "embedded":
                told = datetime.fromisoformat(router.session(id)["last_accessed"])
                assert abs(told - datetime.now(UTC) - timedelta(seconds=jump)) < timedelta(minutes=1), "it did not jump"
        left = time.monotonic()
        while router.knows(id):
            assert time.monotonic() - left < 4 * LIFETIME_S, "it is kept for longer than its time"
            time.sleep(0.1)
        assert time.monotonic() - left > LIFETIME_S - 2


# nothing there


def test_a_router_that_nothing_is_left_of_says_that_it_lives(tmp_path: Path) -> None:
    """No model server listens, Redis is there and silent, and clients ask all the time."""
    program, port = redis_program(), free_port()
    silent = RedisServer([program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], port)
    url = f"redis://127.0.0.1:{port}/0"
    with all_started([silent]), a_router_process(registry_of(tmp_path, None), "/livez", REDIS_URL=url) as router:
        until(lambda: router.get("/health")["bypass_router"] == "connected")
        silent.pause()
        over, answered, took = threading.Event(), list[float](), list[float]()
        with ThreadPoolExecutor(4) as several:
            load = [several.submit(ask_in_vain, router.url, over, answered) for _ in range(4)]
            try:
                until(lambda: bool(answered))
                while len(took) < 100 or len(answered) < 20:
                    took.append(timed_look(router, "/livez"))
            finally:
                over.set()
            for each in load:
                each.result()
        health = router.get("/health")
        silent.go_on()
    print(f"/livez beside {len(answered)} requests: {described(took)}, at most {max(took) * 1000:.0f} ms")
    assert (health["status"], health["bypass_router"]) == ("unhealthy", "degraded")
    assert max(took) < 10


def ask_in_vain(url: str, over: threading.Event, answered: list[float]) -> None:
    """Adds to *answered* how long each answer took."""
    with a_client(url) as http:
        while not over.is_set():
            started = time.monotonic()
            assert Router(url, http).route(PYTHON, session_id=a_session()).status_code == 503
            answered.append(time.monotonic() - started)


def timed_look(router: Router, path: str) -> float:
    started = time.monotonic()
    assert router.http.get(path).status_code == 200
    return time.monotonic() - started
