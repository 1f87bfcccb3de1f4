"""Redis servers that belong together: a cluster, and a master with its replicas and sentinels. All real."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from smart_router.cli.processes import free_port
from tests.redis_servers import Server, all_started, until

BUS_OFFSET = 10_000  # a node of a cluster also listens on its port and this
SLOTS = 16_384
GOSSIP_S = 0.5  # in which nodes have told one another what they know
MASTER = "sessions"  # what the sentinels call it
IN_MEMORY = ("--save", "", "--appendonly", "no", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")


# a cluster


@dataclass
class Cluster:
    """*nodes*: first the masters, in the order of their slots, then the replicas of each."""

    nodes: list[Server]
    ids: dict[int, str]  # of nodes, by port

    @property
    def url(self) -> str:
        return f"cluster://{','.join(node.place for node in self.nodes)}"

    def kill(self, node: Server) -> None:
        node.kill()

    def slot_of(self, key: str) -> int:
        return int(self._alive().ask("CLUSTER", "KEYSLOT", key))

    def serving(self, slot: int) -> Server:
        for first, last, master, *_ in self._alive().ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        raise AssertionError(f"nobody serves slot {slot}")

    def begin_move(self, slot: int, source: Server, target: Server) -> None:
        """From now on, what *source* has not is asked for at *target*."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source.port])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target.port])

    def move_keys(self, slot: int, source: Server, target: Server) -> None:
        if keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)

    def end_move(self, slot: int, target: Server) -> None:
        """
        Tells the masters until all hold to it: what the node that had the slot has just told around may undo it.
        The replicas hear of it from them.
        """
        target.ask("CLUSTER", "BUMPEPOCH")  # so that its word counts more than that
        masters = [node for node in self.nodes if node is target or node.answers("ROLE", holding="master")]
        for _ in range(2):
            until(lambda: self._told(slot, target, masters), "all masters know who serves the slot")
            time.sleep(GOSSIP_S)

    def _told(self, slot: int, target: Server, masters: list[Server]) -> bool:
        """Whether all knew it; whoever did not is told."""
        wrong = [node for node in masters if _owner(node, slot) != target.port]
        for node in wrong:
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", self.ids[target.port])
        return not wrong

    def _alive(self) -> Server:
        for state in ("cluster_state:ok", "cluster_state:"):  # none is well while one is gone
            for node in self.nodes:
                if node.answers("CLUSTER", "INFO", holding=state):
                    return node
        raise AssertionError("no node of the cluster answers")


def _owner(node: Server, slot: int) -> int | None:
    """The port of who serves it, as *node* has it."""
    found = (master[1] for first, last, master, *_ in node.ask("CLUSTER", "SLOTS") if first <= slot <= last)
    return next(found, None)


@contextmanager
def redis_cluster(
    program: str, masters: int = 3, replicas: int = 0, *, node_timeout_ms: int = 5000
) -> Iterator[Cluster]:
    """
    A cluster with that many *replicas* of each master; ready when this begins. *node_timeout_ms*: until a node counts
    as gone, and its replica takes its place.
    """
    with TemporaryDirectory() as folder:
        count = masters * (1 + replicas)
        nodes = [_node(program, Path(folder), node_timeout_ms) for _ in range(count)]
        with all_started(nodes):
            found = Cluster(nodes, {node.port: str(node.ask("CLUSTER", "MYID")) for node in nodes})
            _introduce(found, masters)
            for place, node in enumerate(nodes[masters:]):
                node.ask("CLUSTER", "REPLICATE", found.ids[nodes[place // replicas].port])
            until(lambda: all(_is_ready(node, count) for node in nodes), "a cluster is formed")
            yield found


def _node(program: str, folder: Path, node_timeout_ms: int) -> Server:
    server = _server(program, folder, _port_of_a_node())
    server.command = [*server.command, "--cluster-enabled", "yes", "--cluster-node-timeout", str(node_timeout_ms)]
    return server


def _port_of_a_node() -> int:
    while True:
        port = free_port()
        if port + BUS_OFFSET > 65535:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + BUS_OFFSET))
            except OSError:
                continue
            return port


def _introduce(cluster: Cluster, masters: int) -> None:
    first = cluster.nodes[0]
    share = -(-SLOTS // masters)
    for place, node in enumerate(cluster.nodes):
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", place + 1)
        if place < masters:
            node.ask("CLUSTER", "ADDSLOTS", *range(place * share, min(SLOTS, (place + 1) * share)))
        if place:
            node.ask("CLUSTER", "MEET", "127.0.0.1", first.port)
    all_known = f"cluster_known_nodes:{len(cluster.nodes)}"
    until(
        lambda: all(node.answers("CLUSTER", "INFO", holding=all_known) for node in cluster.nodes),
        "the nodes of a cluster know each other",
    )


def _is_ready(node: Server, nodes: int) -> bool:
    """It finds the cluster well, knows the replicas, and its own link to its master is up if it has one."""
    if not node.answers("CLUSTER", "INFO", holding="cluster_state:ok"):
        return False
    known = sum(len(served) - 2 for served in node.ask("CLUSTER", "SLOTS"))
    return known == nodes and _follows_or_leads(node)


def _follows_or_leads(node: Server) -> bool:
    return node.answers("ROLE", holding="'master'") or node.answers("ROLE", holding="'connected'")


# a master, its replicas, and sentinels


@dataclass
class Guarded:
    """A master called `MASTER`, its replicas, and the sentinels that watch them."""

    servers: list[Server]  # first the first master
    sentinels: list[Server]

    @property
    def url(self) -> str:
        return f"sentinel://{','.join(one.place for one in self.sentinels)}/{MASTER}"

    def named(self, sentinel: Server) -> Server:
        """Whom *sentinel* takes for the master."""
        port = int(sentinel.ask("SENTINEL", "get-master-addr-by-name", MASTER)[1])
        return next(server for server in self.servers if server.port == port)

    def master(self) -> Server:
        """The master, as soon as all agree who that is, and that it could be replaced."""
        until(self._is_settled, "the sentinels and a replica agree who is the master")
        return self.named(self.sentinels[0])

    def _is_settled(self) -> bool:
        named = {self.named(one).port for one in self.sentinels}
        following = f"127.0.0.1', {min(named)}, 'connected'"
        return len(named) == 1 and any(server.answers("ROLE", holding=following) for server in self.servers)

    def kill(self, server: Server) -> None:
        server.kill()


@contextmanager
def redis_sentinel(
    program: str,
    replicas: int = 2,
    sentinels: int = 3,
    *,
    down_after_ms: int = 500,
    password: str = "",
    sentinel_password: str = "",
) -> Iterator[Guarded]:
    """
    A master with *replicas* and *sentinels*; ready when this begins. *password* is that of master and replicas,
    *down_after_ms* how long a sentinel waits for the master before it thinks it gone.
    """
    with TemporaryDirectory() as folder:
        servers = [_server(program, Path(folder), free_port(), password) for _ in range(1 + replicas)]
        master = servers[0]
        for server in servers[1:]:
            server.command = [*server.command, "--replicaof", "127.0.0.1", str(master.port)]
        lines = _lines(master, sentinels, down_after_ms, sentinel_password)
        watching = [_sentinel(program, Path(folder), lines, sentinel_password) for _ in range(sentinels)]
        with all_started(servers):
            until(lambda: all(map(_follows_or_leads, servers)), "the replicas follow")
            with all_started(watching):
                until(lambda: all(_knows_all(one, replicas, sentinels) for one in watching), "the sentinels are ready")
                yield Guarded(servers, watching)


def _lines(master: Server, sentinels: int, down_after_ms: int, own_password: str) -> list[str]:
    """Of a sentinel's configuration."""
    found = [
        f"sentinel monitor {MASTER} 127.0.0.1 {master.port} {sentinels // 2 + 1}",
        f"sentinel down-after-milliseconds {MASTER} {down_after_ms}",
        f"sentinel failover-timeout {MASTER} 3000",
    ]
    if master.password:
        found.append(f"sentinel auth-pass {MASTER} {master.password}")
    if own_password:
        found.append(f"requirepass {own_password}")
    return found


def _sentinel(program: str, folder: Path, lines: list[str], password: str) -> Server:
    port = free_port()
    file = folder / f"sentinel-{port}.conf"
    file.write_text("\n".join((f"port {port}", "bind 127.0.0.1", f"dir {folder}", *lines)) + "\n")
    return Server([program, str(file), "--sentinel"], port, password)


def _knows_all(sentinel: Server, replicas: int, sentinels: int) -> bool:
    fields = sentinel.ask("SENTINEL", "MASTER", MASTER)
    state = dict(zip(fields[::2], fields[1::2], strict=True))
    found = int(state["num-slaves"]), int(state["num-other-sentinels"])
    return found == (replicas, sentinels - 1)


# what both are made of


def _server(program: str, folder: Path, port: int, password: str = "") -> Server:
    own = folder / str(port)
    own.mkdir()
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(own)]
    secret = ["--requirepass", password, "--masterauth", password] if password else []
    return Server([program, *where, *IN_MEMORY, *secret], port, password)
