"""
Connections to model servers, kept alive between requests: a pool per address, one timer for all deadlines.

Keep-alive hygiene: a connection that was idle for longer than the server keeps it (vLLM: 5 s) is not used again, and
one that the server closed just when it was used again costs one silent retry on a fresh connection.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from urllib.parse import urlsplit

from smart_router.errors import BackendLost, BackendUnreachable
from smart_router.upstream.http1 import Connection
from smart_router.upstream.response import Header, Response

IDLE_S = 3.5  # vLLM's server closes idle connections after 5 s; ours must go first
TICK_S = 0.05  # how exact deadlines are

Body = bytes | AsyncIterator[bytes]


class Pools:
    """All connections of a process. Use `start()` in the loop that will use them, and `close()`."""

    def __init__(
        self,
        *,
        connect_s: float,
        idle_s: float = IDLE_S,
        tls: ssl.SSLContext | None = None,
        may_retry: Callable[[], bool] = lambda: True,
    ) -> None:
        """*may_retry* is asked before a request is sent again, as the connection that it was sent on had gone stale."""
        self._may_retry = may_retry
        self._connect_s = connect_s
        self._idle_s = idle_s
        self._tls = tls
        self._pools: dict[str, Pool] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tick()

    def close(self) -> None:
        """Drop every connection, requests under way included."""
        if self._timer is not None:
            self._timer.cancel()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def to(self, endpoint: str) -> "Pool":
        """
        The pool of *endpoint*, such as http://10.0.0.7:8000 or https://models.example/prefix. Ask anew for every
        request: a pool that is not used is forgotten.

        Raises:
            BackendUnreachable: there can be no such address.
        """
        pool = self._pools.get(endpoint)
        if pool is None:
            assert self._loop is not None, "start() comes first"
            try:
                pool = Pool(endpoint, self._loop, self._connect_s, self._idle_s, self._tls, self._may_retry)
            except ValueError as exc:
                raise BackendUnreachable("the model server's address cannot be one") from exc
            self._pools[endpoint] = pool
        return pool

    def _tick(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        for endpoint, pool in list(self._pools.items()):
            pool.watch(now)
            if pool.unused:
                del self._pools[endpoint]
        self._timer = self._loop.call_later(TICK_S, self._tick)


class Pool:
    """The connections to one address."""

    def __init__(
        self,
        endpoint: str,
        loop: asyncio.AbstractEventLoop,
        connect_s: float,
        idle_s: float,
        tls: ssl.SSLContext | None,
        may_retry: Callable[[], bool],
    ) -> None:
        self._may_retry = may_retry
        parts = urlsplit(endpoint)
        secure = parts.scheme == "https"
        self._loop = loop
        self._connect_s = connect_s
        self._idle_s = idle_s
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if secure else 80)
        self._tls = (tls or ssl.create_default_context()) if secure else None
        self._prefix = parts.path.rstrip("/").encode()
        name = parts.netloc.rpartition("@")[2]
        self._host_line = b" HTTP/1.1\r\nhost: " + name.encode("ascii" if name.isascii() else "idna")
        self._idle: list[Connection] = []  # the last used last
        self._busy: set[Connection] = set()
        self._used_at = loop.time()
        self._closed = False

    async def request(
        self,
        method: bytes,
        path: bytes,
        headers: Sequence[Header] = (),
        body: Body = b"",
        *,
        within_s: float,
        length: int | None = None,
    ) -> Response:
        """
        Send a request and wait for the head of its answer. Whoever gets the response closes it.

        *headers*: names in lower case; host, content-length, transfer-encoding and connection are ours. *within_s*:
        until the head has arrived. *length*: of a body that is iterated; unknown, it goes in chunks. Such a body cannot
        be sent again, so it gets a fresh connection.

        Raises:
            BackendUnreachable: no connection, or none in time. Nothing was sent.
            BackendTimeout, BackendLost, BackendBroke
        """
        head = self._head(method, path, headers, body, length)
        self._used_at = self._loop.time()
        until = self._used_at + within_s
        reused = self._take_idle() if isinstance(body, bytes) else None
        if reused is not None:
            try:
                return await self._exchange(reused, head, body, length, until)
            except _WentStale as stale:
                if not self._may_retry():
                    raise stale.lost from stale.lost.__cause__
        # The other idle ones may be as old as one that went stale: take a fresh one.
        connection = await self._connect(until)
        try:
            return await self._exchange(connection, head, body, length, until)
        except _WentStale as stale:
            raise stale.lost from stale.lost.__cause__

    async def _exchange(
        self, connection: Connection, head: bytes, body: Body, length: int | None, until: float
    ) -> Response:
        if not connection.closed:
            self._busy.add(connection)
        response = connection.send(head, body if isinstance(body, bytes) else b"", more=not isinstance(body, bytes))
        try:
            if not isinstance(body, bytes):
                await _send_parts(connection, body, length, lambda: until - self._loop.time())
            await response.head(until - self._loop.time())
        except BackendLost as exc:
            response.close()
            if not response.received and isinstance(body, bytes):
                raise _WentStale(exc) from exc
            raise
        except BaseException:
            response.close()
            raise
        return response

    def _head(self, method: bytes, path: bytes, headers: Sequence[Header], body: Body, length: int | None) -> bytes:
        lines = [method + b" " + self._prefix + path + self._host_line]
        lines += [name + b": " + value for name, value in headers]
        if not isinstance(body, bytes) and length is None:
            lines.append(b"transfer-encoding: chunked")
        elif method != b"GET" or body:
            lines.append(b"content-length: %d" % (len(body) if isinstance(body, bytes) else length or 0))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _take_idle(self) -> Connection | None:
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and now - connection.idle_since < min(self._idle_s, connection.idle_s):
                return connection
            connection.abort()
        return None

    async def _connect(self, until: float) -> Connection:
        if not self._closed:
            connection = await self._open(min(self._connect_s, until - self._loop.time()))
            if not self._closed:
                return connection
            connection.abort()
        raise BackendUnreachable("the router is stopping")

    async def _open(self, within_s: float) -> Connection:
        try:
            async with asyncio.timeout(within_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self._loop, self._release, self._lost),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except TimeoutError as exc:
            raise BackendUnreachable("the model server did not accept a connection in time") from exc
        except (OSError, ValueError) as exc:  # ValueError: of an address that cannot be one
            raise BackendUnreachable("the model server cannot be reached") from exc
        return connection

    def _release(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.idle_since = self._used_at = self._loop.time()
        self._idle.append(connection)

    def _lost(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    # by the timer

    def watch(self, now: float) -> None:
        """End what is overdue, and what has been idle for too long."""
        for connection in [c for c in self._busy if c.deadline <= now]:
            connection.overdue()
        while self._idle and now - self._idle[0].idle_since > self._idle_s:
            self._idle.pop(0).abort()
        if self._busy:
            self._used_at = now

    @property
    def unused(self) -> bool:
        """Nothing is open, and has not been for a while: addresses come and go."""
        return (
            not self._busy
            and not self._idle
            and self._loop.time() - self._used_at > 10 * self._idle_s + self._connect_s
        )

    def close(self) -> None:
        self._closed = True
        for connection in [*self._idle, *self._busy]:
            connection.abort()


class _WentStale(Exception):
    """The connection died before a byte of an answer."""

    def __init__(self, lost: BackendLost) -> None:
        super().__init__()
        self.lost = lost


async def _send_parts(
    connection: Connection, body: AsyncIterator[bytes], length: int | None, left_s: Callable[[], float]
) -> None:
    """Send *body*; stop where the server answers or leaves before it has all, or where there is more than *length*."""
    sent = 0
    async for part in body:
        if not part:
            continue
        sent += len(part)
        if length is not None and sent > length:
            return  # the server would take the rest for another request
        framed = part if length is not None else b"%x\r\n%b\r\n" % (len(part), part)
        if not await connection.write(framed, left_s()):
            return
    if length is None and not await connection.write(b"0\r\n\r\n", left_s()):
        return  # it has answered without the end of the body: what came next would be taken for that
    if length is None or sent == length:
        connection.sent()
