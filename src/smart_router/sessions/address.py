"""Where a Redis is, as a URL says it: redis-py reads the URL and its TLS options, this connects and greets."""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import RedisError

from smart_router.errors import ConfigurationError
from smart_router.sessions.link import Link, Part

POOL_OPTIONS = ("max_connections", "timeout")  # redis-py takes them in a URL; here is one connection without a pool
PROTOCOL = 2  # of RESP, whatever the URL says


class Destination(Protocol):
    """Where a connection leads; asked anew for each attempt to connect."""

    async def open(self, link: Link, commands: Sequence[tuple[Part, ...]] = ()) -> list[Any]:
        """
        Connect *link* and say who we are; the replies to *commands*.

        Raises:
            OSError: nobody answers, or TLS does not agree.
            ValueError: the host is no name.
            StoreUnavailable: we, or a command, are refused.
        """


class Address(msgspec.Struct, frozen=True):
    """A Redis and who we are there. Deadlines and retries that the URL names are left aside."""

    greeting: tuple[tuple[str | int, ...], ...]  # the commands that a new connection begins with
    host: str = ""
    port: int = 0
    path: str = ""  # of a unix socket, instead of host and port
    tls: ssl.SSLContext | None = None
    keepalive: Mapping[int, int] | None = None  # TCP options, None: no keepalive

    @classmethod
    def of(cls, url: str) -> "Address":
        """
        Raises:
            ConfigurationError: an option is unknown, or names a file that cannot be read.
        """
        options: dict[str, Any] = dict(parse_url(url))
        kind = options.pop("connection_class", None)
        for name in POOL_OPTIONS:
            options.pop(name, None)
        return cls._of(kind, options | {"protocol": PROTOCOL})

    @classmethod
    def _of(cls, kind: Any, options: dict[str, Any]) -> "Address":
        try:
            read = (kind or Connection)(**options)  # opens nothing
            tls = read.ssl_context.get() if isinstance(read, SSLConnection) else None
        except TypeError:
            raise ConfigurationError("REDIS_URL: has an option that redis-py does not know; leave it out") from None
        except (OSError, ValueError, RedisError) as exc:  # of a certificate, say
            raise ConfigurationError(f"REDIS_URL: a TLS option cannot be used: {exc}") from exc
        if isinstance(read, UnixDomainSocketConnection):
            return cls(_greeting(read), path=read.path)
        keepalive: Any = read.socket_keepalive_options if read.socket_keepalive else None
        return cls(_greeting(read), read.host, read.port, tls=tls, keepalive=keepalive)

    async def open(self, link: Link, commands: Sequence[tuple[Part, ...]] = ()) -> list[Any]:
        await self._connect(link)
        replies = await link.greet([*self.greeting, *commands])
        return replies[len(self.greeting) :]

    async def _connect(self, link: Link) -> None:
        loop = asyncio.get_running_loop()
        if self.path:
            await loop.create_unix_connection(lambda: link, self.path)
            return
        transport, _ = await loop.create_connection(lambda: link, self.host, self.port, ssl=self.tls)
        if self.keepalive is not None:
            _keep_alive(transport.get_extra_info("socket"), self.keepalive)


def _greeting(read: Any) -> tuple[tuple[str | int, ...], ...]:
    commands: list[tuple[str | int, ...]] = []
    if read.username:
        commands.append(("AUTH", read.username, read.password or ""))
    elif read.password:
        commands.append(("AUTH", read.password))
    if read.client_name:
        commands.append(("CLIENT", "SETNAME", read.client_name))
    if read.db:
        commands.append(("SELECT", int(read.db)))
    return tuple(commands)


def _keep_alive(connected: socket.socket, options: Mapping[int, int]) -> None:
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in options.items():
        connected.setsockopt(socket.IPPROTO_TCP, option, value)
