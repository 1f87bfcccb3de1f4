"""The store's way to Redis: what it asks of a connection, and which kind of one a URL means."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from smart_router.errors import ConfigurationError
from smart_router.sessions.address import Address
from smart_router.sessions.batching import BatchedConnection, Script
from smart_router.sessions.cluster import ClusterConnection
from smart_router.sessions.link import OnError, Part
from smart_router.sessions.places import read_cluster, read_sentinels
from smart_router.sessions.sentinel import SentinelMaster


class Connection(Protocol):
    """
    Connects when it is first called, and from then on looks for a way by itself. A call ends within some deadlines,
    whatever becomes of the servers; between two connections it fails at once.
    """

    async def open(self) -> None:
        """
        Connect now.

        Raises:
            StoreUnavailable: it did not work; it goes on trying.
        """

    async def close(self) -> None:
        """Give what is outstanding its time, then disconnect. Later calls fail until `open`."""

    def call(self, *parts: Part) -> Awaitable[Any]:
        """
        Is under way on return; the reply is awaited.

        Raises:
            StoreUnavailable: no reply in time, or one that is an error; WrongType for that one.
        """

    def post(self, *parts: Part, on_error: OnError) -> None:
        """Send a command whose reply nobody awaits. *on_error* must not raise."""


Connect = Callable[[str, Sequence[Script], float], Connection]


def _to_one_server(url: str, scripts: Sequence[Script], timeout_s: float) -> Connection:
    return BatchedConnection(Address.of(url), scripts, timeout_s=timeout_s)


def _to_the_master(url: str, scripts: Sequence[Script], timeout_s: float) -> Connection:
    return BatchedConnection(SentinelMaster(read_sentinels(url)), scripts, timeout_s=timeout_s)


def _to_a_cluster(url: str, scripts: Sequence[Script], timeout_s: float) -> Connection:
    return ClusterConnection(read_cluster(url), scripts, timeout_s=timeout_s)


SCHEMES: dict[str, Connect] = {
    "redis": _to_one_server,
    "rediss": _to_one_server,
    "unix": _to_one_server,
    "sentinel": _to_the_master,
    "sentinels": _to_the_master,
    "cluster": _to_a_cluster,
    "clusters": _to_a_cluster,
}


def connection_to(url: str, scripts: Sequence[Script], *, timeout_s: float) -> Connection:
    """
    The connection that *url* means; nothing is opened yet.

    Raises:
        ConfigurationError: the URL is wrong.
    """
    connect = SCHEMES.get(url.partition("://")[0])
    if connect is None:
        raise ConfigurationError(f"REDIS_URL: must start with one of {', '.join(f'{name}://' for name in SCHEMES)}")
    return connect(url, scripts, timeout_s)
