"""uvicorn with gathered writes: what leaves together, what at once, and that nothing is lost or late."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from smart_router.api import server
from smart_router.api.server import MOST_JOINED_BYTES, TOO_LATE, GatheredWrites, HttpProtocol
from tests.upstream.servers import on_both_loops

WITHIN_S = 20
App = Callable[[Any, Any, Any], Awaitable[None]]

# the transport alone


@dataclass
class Recorded:
    """A transport that notes what is done to it."""

    done: list[object] = field(default_factory=list)
    unsent: int = 0

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.done.extend(parts)

    def close(self) -> None:
        self.done.append("close")

    def write_eof(self) -> None:
        self.done.append("eof")

    def set_protocol(self, protocol: object) -> None:
        self.done.append("protocol")

    def is_closing(self) -> bool:
        return "close" in self.done

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.done.append("abort")

    def get_extra_info(self, name: str) -> str:
        return f"its {name}"


def gathering() -> tuple[GatheredWrites, list[object]]:
    transport = Recorded()
    return GatheredWrites(cast(asyncio.Transport, transport), asyncio.get_running_loop()), transport.done


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


async def test_a_head_leaves_with_what_follows_it() -> None:
    writes, done = gathering()
    writes.write(HEAD)
    assert done == []
    writes.write(b"a")
    assert done == [HEAD + b"a"]


async def test_a_head_alone_leaves_in_the_next_turn() -> None:
    writes, done = gathering()
    writes.write(HEAD)
    await asyncio.sleep(0)
    assert done == [HEAD]


async def test_all_else_leaves_at_once_and_without_a_copy() -> None:
    writes, done = gathering()
    data = b"x" * 1000
    writes.write(data)
    assert done[0] is data


async def test_two_heads_are_kept_in_order() -> None:
    writes, done = gathering()
    for part in (HEAD, HEAD, b"a", HEAD):
        writes.write(part)
    await asyncio.sleep(0)
    assert b"".join(cast(list[bytes], done)) == HEAD + HEAD + b"a" + HEAD


async def test_a_long_part_is_not_copied_to_its_head() -> None:
    writes, done = gathering()
    data = b"x" * MOST_JOINED_BYTES
    writes.write(HEAD)
    writes.write(data)
    assert done[0] == HEAD
    assert done[1] is data


@pytest.mark.parametrize(
    ("what", "end"),
    [
        ("close", lambda writes: writes.close()),
        ("eof", lambda writes: writes.write_eof()),
        ("protocol", lambda writes: writes.set_protocol(asyncio.Protocol())),
    ],
)
async def test_what_is_held_goes_out_before_anything_else_is_done(what: str, end: Any) -> None:
    writes, done = gathering()
    writes.write(HEAD)
    end(writes)
    await asyncio.sleep(0)
    assert done == [HEAD, what]


async def test_all_else_is_the_transports() -> None:
    writes, _ = gathering()
    assert writes.get_extra_info("peername") == "its peername"
    assert not writes.is_closing()
    writes.close()
    assert writes.is_closing()


# uvicorn over sockets


@dataclass
class Counted:
    """A socket's transport; `writes` are those of all connections."""

    transport: asyncio.Transport
    writes: list[bytes]

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


@asynccontextmanager
async def serving(
    app: App, **options: float
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, list[bytes]]]:
    """A client's connection to uvicorn, and all writes to its socket."""
    writes: list[bytes] = []

    class Protocol(HttpProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(cast(asyncio.Transport, Counted(transport, writes)))

    config = uvicorn.Config(cast(Any, app), http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(config, state, {}, **options), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2], limit=2**24)
    try:
        async with asyncio.timeout(WITHIN_S):
            yield reader, writer, writes
    finally:
        writer.close()
        await asyncio.wait_for(asyncio.gather(writer.wait_closed(), return_exceptions=True), WITHIN_S)
        for _ in range(100):
            if state.connections:
                await asyncio.sleep(0.01)
        for task in state.tasks:
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        server.close()
        await server.wait_closed()


def start(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": 200, "headers": headers}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def length(data: bytes) -> tuple[bytes, bytes]:
    return (b"content-length", str(len(data)).encode())


async def path_told(scope: Any, receive: Any, send: Any) -> None:
    data = scope["path"].encode()
    await send(start(length(data)))
    await send(body(data))


def get(path: str = "/", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: r", *headers, "", ""]).encode()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The body of an answer with a length."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return await reader.readexactly(int(size.partition(b":")[2]))


@on_both_loops
async def test_an_answer_is_one_write_and_the_connection_stays() -> None:
    async with serving(path_told) as (reader, writer, writes):
        for path in ("/a", "/b", "/c"):
            writer.write(get(path))
            assert await answer(reader) == path.encode()
        assert len(writes) == 3


@on_both_loops
async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serving(path_told) as (reader, writer, _):
        writer.write(b"".join(get(f"/{i}") for i in range(20)))
        assert [await answer(reader) for _ in range(20)] == [f"/{i}".encode() for i in range(20)]


@on_both_loops
async def test_each_part_of_a_stream_arrives_before_the_next_is_made() -> None:
    taken = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        for i in range(10):
            await send(body(f"part {i}".encode(), more=True))
            await taken.wait()
            taken.clear()
        await send(body())

    async with serving(app) as (reader, writer, writes):
        writer.write(get())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" in head
        for i in range(10):
            assert await reader.readuntil(f"part {i}\r\n".encode())
            taken.set()
        assert await reader.readuntil(b"0\r\n\r\n")
        assert len(writes) == 11, "the head leaves with the first part"


@on_both_loops
async def test_what_was_written_before_a_close_arrives() -> None:
    async with serving(path_told) as (reader, writer, _):
        writer.write(get("/last", "Connection: close"))
        assert (await reader.read()).endswith(b"\r\n\r\n/last")


@on_both_loops
async def test_what_is_no_http_is_refused_and_closed() -> None:
    async with serving(path_told) as (reader, writer, _):
        writer.write(b"nonsense\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


@on_both_loops
async def test_a_client_that_waits_to_go_on_is_told_to() -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        data = (await receive())["body"]
        await send(start(length(data)))
        await send(body(data))

    async with serving(echo) as (reader, writer, _):
        writer.write(get("/", "Content-Length: 2", "Expect: 100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert await answer(reader) == b"hi"


@on_both_loops
async def test_a_large_answer_arrives_whole() -> None:
    data = bytes(range(256)) * (5 * 4096)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(length(data)))
        await send(body(data))

    async with serving(app) as (reader, writer, _):
        for _ in range(2):
            writer.write(get())
            assert await answer(reader) == data


@on_both_loops
async def test_whoever_writes_without_a_pause_waits_for_a_client_that_does_not_read() -> None:
    made, parts, part = 0, 800, b"x" * 32_768

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal made
        await send(start((b"content-length", str(parts * len(part)).encode())))
        for i in range(parts):
            await send(body(part, more=i < parts - 1))
            made += 1

    async with serving(app) as (reader, writer, _):
        cast(asyncio.Transport, writer.transport).pause_reading()
        writer.write(get())
        before = 0
        while made != before or not made:
            before = made
            await asyncio.sleep(0.05)
        assert 0 < made < parts, "it stands still"
        cast(asyncio.Transport, writer.transport).resume_reading()
        assert len(await answer(reader)) == parts * len(part)


@on_both_loops
async def test_a_client_that_leaves_is_noticed_in_the_middle_of_an_answer() -> None:
    left = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"part", more=True))
        while (await receive())["type"] != "http.disconnect":
            pass
        await send(body(b"for nobody"))
        left.set()

    async with serving(app) as (reader, writer, _):
        writer.write(get())
        await reader.readuntil(b"part")
        writer.close()
        await left.wait()


async def test_a_client_that_takes_nothing_more_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CLOSE_S", 0.01)
    stuck = Recorded(unsent=5)
    GatheredWrites(cast(asyncio.Transport, stuck), asyncio.get_running_loop()).close()
    await asyncio.sleep(0.05)
    assert stuck.done == ["close", "abort"]


@on_both_loops
async def test_a_client_that_leaves_with_a_second_request_waiting_is_noticed() -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    async with serving(app) as (_, writer, _):
        writer.write(get("/first") + get("/second"))
        await begun.wait()
        writer.close()
        await asyncio.wait_for(left.wait(), WITHIN_S)


# slow heads


LATE_S = 0.15


@on_both_loops
@pytest.mark.parametrize("sent", [b"", b"\r\n", b"G", b"GET / HTTP/1.1\r\nHost:", get()[:-2]])
async def test_a_head_that_does_not_come_is_answered_with_a_408_and_the_connection_closed(sent: bytes) -> None:
    async with serving(path_told, header_timeout_s=LATE_S) as (reader, writer, _):
        writer.write(sent)
        assert await reader.read() == TOO_LATE


@on_both_loops
@pytest.mark.parametrize("byte", [b"x", b"\r\n"])
async def test_one_byte_now_and_then_does_not_prolong_it(byte: bytes) -> None:
    async with serving(path_told, header_timeout_s=LATE_S) as (reader, writer, _):
        began = asyncio.get_running_loop().time()
        writer.write(b"" if byte == b"\r\n" else b"GET / HTTP/1.1\r\nHost: ")
        said = asyncio.ensure_future(reader.read())
        while not said.done():
            writer.write(byte)
            await asyncio.wait({said}, timeout=LATE_S / 5)
        assert (await said).startswith(b"HTTP/1.1 408")
        assert asyncio.get_running_loop().time() - began < 10 * LATE_S


@on_both_loops
async def test_after_an_answer_the_next_head_has_its_own_deadline() -> None:
    async with serving(path_told, header_timeout_s=LATE_S) as (reader, writer, _):
        writer.write(get("/first"))
        assert await answer(reader) == b"/first"
        await asyncio.sleep(2 * LATE_S)  # idle, but nothing was begun: that is what keep-alive is for
        writer.write(get("/second"))
        assert await answer(reader) == b"/second"
        writer.write(b"GET /third")
        assert await reader.read() == TOO_LATE


@on_both_loops
async def test_an_answer_and_a_body_may_take_longer() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        said = await receive()
        while said.get("more_body"):
            said = await receive()
        await asyncio.sleep(2 * LATE_S)
        await path_told(scope, receive, send)

    async with serving(slow, header_timeout_s=LATE_S) as (reader, writer, _):
        writer.write(b"POST /late HTTP/1.1\r\nHost: r\r\nContent-Length: 2\r\n\r\na")
        await asyncio.sleep(2 * LATE_S)
        writer.write(b"b")
        assert await answer(reader) == b"/late"
