"""Pools of connections against servers that misbehave, on real sockets, in asyncio's loop and in uvloop."""

import asyncio
import gc
import random
import socket
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import pytest

from smart_router.errors import BackendBroke, BackendLost, BackendTimeout, BackendUnreachable, UpstreamError
from smart_router.upstream.http1 import HIGH_WATER, Connection
from smart_router.upstream.pool import TICK_S, Pool, Pools
from smart_router.upstream.response import Response

from .scripted import HANG_UP, RESET, STALL, STREAM_END, STREAM_HEAD, ScriptedServer, Step, answer, chunk, reset
from .servers import Handler, on_both_loops, raw_server, some_pools

OK = b"HTTP/1.1 200 OK\r\n"
HI = answer(200, b"hi")
WITHIN_S = 40.0
SHORT_S = 0.4
SOON_S = 20.0  # late for any machine, and still before a deadline that is not meant
GONE = pytest.mark.parametrize("gone", [HANG_UP, RESET], ids=["EOF", "RST"])


@asynccontextmanager
async def a_server(*scripts: Sequence[Step]) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    for script in scripts:
        server.enqueue(*script)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def ask(pools: Pools, url: str, within_s: float = WITHIN_S) -> Response:
    return await pools.to(url).request(b"POST", b"/v1", body=b"{}", within_s=within_s)


async def asked(pools: Pools, url: str, within_s: float = WITHIN_S) -> tuple[int, bytes]:
    response = await ask(pools, url, within_s)
    try:
        return response.status, await response.read(10_000_000, within_s)
    finally:
        response.close()


def holds(pools: Pools, url: str, *, busy: int = 0, idle: int = 0) -> None:
    pool = pools.to(url)
    assert (len(pool._busy), len(pool._idle)) == (busy, idle)
    assert not any(connection.closed for connection in [*pool._busy, *pool._idle])


@contextmanager
def takes(at_least_s: float = 0.0) -> Iterator[None]:
    """And not as long as what is not meant would."""
    begun = time.monotonic()
    yield
    assert at_least_s <= time.monotonic() - begun <= SOON_S


async def soon(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), SOON_S)


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        await asyncio.sleep(0.005)


# connecting


@on_both_loops
async def test_a_port_where_nobody_listens_is_unreachable_at_once() -> None:
    async with a_server() as server:
        url = server.url
    async with some_pools() as pools:
        with takes(), pytest.raises(BackendUnreachable) as caught:
            await ask(pools, url)
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        holds(pools, url)


@contextmanager
def full_backlog() -> Iterator[str]:
    """An address where connections are begun and never accepted."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for each in waiting:
            each.close()


@on_both_loops
async def test_a_connection_that_is_never_accepted_ends_with_the_deadline_for_it() -> None:
    async with some_pools(connect_s=SHORT_S) as pools:
        with full_backlog() as url:
            with takes(SHORT_S * 0.9), pytest.raises(BackendUnreachable):
                await ask(pools, url)
            holds(pools, url)


@on_both_loops
async def test_connecting_takes_no_longer_than_the_whole_may() -> None:
    async with some_pools(connect_s=WITHIN_S) as pools:
        with full_backlog() as url:
            with takes(SHORT_S * 0.9), pytest.raises(BackendUnreachable):
                await ask(pools, url, SHORT_S)
            holds(pools, url)


@pytest.mark.parametrize(
    "address",
    ["http://no-such-host.invalid:80", "http://127.0.0.1:99999", "http://" + "a" * 70 + ".example", "http://[::1",
     "http://\udcff:80", "http://a..b:80", "http://"],
)  # fmt: skip
async def test_an_address_that_cannot_be_one_is_unreachable(address: str) -> None:
    async with some_pools() as pools:
        with pytest.raises(BackendUnreachable):
            await ask(pools, address)


# before the first byte of an answer


@GONE
@on_both_loops
async def test_a_reused_connection_that_is_gone_costs_one_silent_retry(gone: Step) -> None:
    async with a_server([HI], [gone], [HI], [HI]) as server, some_pools() as pools:
        assert await asked(pools, server.url) == (200, b"hi")
        assert await asked(pools, server.url) == (200, b"hi")
        assert (server.connections, len(server.requests)) == (2, 3)
        holds(pools, server.url, idle=1)


@GONE
@on_both_loops
async def test_a_fresh_connection_that_is_gone_costs_no_retry(gone: Step) -> None:
    async with a_server([gone], [HI]) as server, some_pools() as pools:
        with pytest.raises(BackendLost):
            await ask(pools, server.url)
        assert len(server.requests) == 1
        holds(pools, server.url)


@GONE
@on_both_loops
async def test_after_the_silent_retry_there_is_no_other(gone: Step) -> None:
    """Though other idle connections are there: they may be as old."""
    async with a_server([HI], [HI], [gone], [gone], [HI]) as server, some_pools() as pools:
        await asyncio.gather(asked(pools, server.url), asked(pools, server.url))
        with pytest.raises(BackendLost) as caught:
            await ask(pools, server.url)
        assert isinstance(caught.value.__cause__, ConnectionResetError) == (gone is RESET)
        assert len(server.requests) == 4
        holds(pools, server.url, idle=1)


@GONE
@pytest.mark.parametrize("said", [b"H", b"HTTP/1.1 200 OK\r\nContent-"])
@on_both_loops
async def test_a_reused_connection_that_said_a_byte_is_not_retried(said: bytes, gone: Step) -> None:
    async with a_server([HI], [said, gone], [HI]) as server, some_pools() as pools:
        await asked(pools, server.url)
        with pytest.raises(BackendLost):
            await ask(pools, server.url)
        assert len(server.requests) == 2
        holds(pools, server.url)


@on_both_loops
async def test_a_body_that_comes_in_parts_is_sent_once_on_a_fresh_connection() -> None:
    async with a_server([HI], [HANG_UP]) as server, some_pools() as pools:
        await asked(pools, server.url)
        with pytest.raises(BackendLost):
            await pools.to(server.url).request(b"POST", b"/", body=parts(b"a", b"b"), within_s=WITHIN_S)
        assert server.connections == 2
        holds(pools, server.url, idle=1)


async def parts(*bodies: bytes) -> AsyncIterator[bytes]:
    for body in bodies:
        yield body
        await asyncio.sleep(0)


@pytest.mark.parametrize("said", [[], [b"HTTP/1.1 200 OK\r\nContent-Le"], [b"HTTP/1.1 100 Continue\r\n\r\n"]])
@on_both_loops
async def test_a_head_that_does_not_come_ends_with_its_deadline_and_the_connection(said: list[Step]) -> None:
    async with a_server([*said, STALL]) as server, some_pools() as pools:
        with takes(SHORT_S * 0.9), pytest.raises(BackendTimeout):
            await ask(pools, server.url, SHORT_S)
        await soon(server.left)
        assert len(server.requests) == 1
        holds(pools, server.url)


@on_both_loops
async def test_a_reused_connection_that_is_silent_is_not_retried() -> None:
    async with a_server([HI], [STALL]) as server, some_pools() as pools:
        await asked(pools, server.url)
        with takes(), pytest.raises(BackendTimeout):
            await ask(pools, server.url, SHORT_S)
        await until(lambda: len(server.requests) == 2)
        holds(pools, server.url)


# in the middle of an answer


@pytest.mark.parametrize("head", [OK + b"Content-Length: 9\r\n\r\nhi", STREAM_HEAD + chunk(b"hi")])
@GONE
@on_both_loops
async def test_a_body_that_breaks_off_is_lost_after_what_came(head: bytes, gone: Step) -> None:
    async with a_server([head, STALL, gone]) as server, some_pools() as pools:
        response = await ask(pools, server.url)
        assert await response.chunk(WITHIN_S) == b"hi"
        server.resume.set()
        with pytest.raises(BackendLost):
            await response.chunk(WITHIN_S)
        response.close()
        assert len(server.requests) == 1
        holds(pools, server.url)


@on_both_loops
async def test_a_reset_is_no_end_of_a_body_that_ends_with_its_connection() -> None:
    async with a_server([OK + b"\r\nhi", STALL, RESET]) as server, some_pools() as pools:
        response = await ask(pools, server.url)
        assert await response.chunk(WITHIN_S) == b"hi"
        server.resume.set()
        with pytest.raises(BackendLost):
            await response.chunk(WITHIN_S)
        response.close()


@on_both_loops
async def test_a_body_may_end_with_its_connection() -> None:
    async with a_server([b"HTTP/1.0 200 OK\r\n\r\n", b"h", b"i", HANG_UP]) as server, some_pools() as pools:
        assert await asked(pools, server.url) == (200, b"hi")
        holds(pools, server.url)


@on_both_loops
async def test_a_stall_in_the_middle_ends_with_its_deadline_though_frames_trickle() -> None:
    async with a_server([STREAM_HEAD + chunk(b"hi"), b"0" * 9, STALL]) as server, some_pools() as pools:
        response = await ask(pools, server.url)
        assert await response.chunk(WITHIN_S) == b"hi"
        with takes(SHORT_S * 0.9), pytest.raises(BackendTimeout):
            await response.chunk(SHORT_S)
        with takes(), pytest.raises(BackendTimeout):
            await response.chunk(WITHIN_S)  # it is over
        await soon(server.left)
        response.close()
        holds(pools, server.url)


@pytest.mark.parametrize(
    "said, error",
    [
        (b"HTTP/1.1 OK\r\n\r\n", BackendBroke),
        (b"220 mail.example ESMTP\r\n", BackendBroke),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi", BackendBroke),
        (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", BackendBroke),
        (STREAM_HEAD + b"zz\r\n", BackendBroke),
        (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", BackendBroke),
    ],
    ids=["status line", "mail", "CL and TE", "two CL", "chunk size", "101"],
)
@on_both_loops
async def test_what_is_no_answer_breaks_and_the_server_sees_the_end(said: bytes, error: type[UpstreamError]) -> None:
    async with a_server([said, STALL]) as server, some_pools() as pools:
        with takes(), pytest.raises(error):
            await asked(pools, server.url)
        await soon(server.left)
        holds(pools, server.url)


@on_both_loops
async def test_garbage_ends_with_an_error_of_ours_or_an_answer_in_time() -> None:
    """On a socket; `test_http1.py` tries far more of it."""
    chance = random.Random(7)
    lasts: list[Step] = [STALL, HANG_UP, RESET]
    async with a_server() as server, some_pools() as pools:
        for _ in range(30):
            said = bytearray(chance.choice([HI, STREAM_HEAD + chunk(b"hi") + STREAM_END, OK + b"\r\nhi"]))
            for _ in range(chance.randrange(3)):
                said[chance.randrange(len(said))] = chance.randrange(256)
            cut = chance.randrange(len(said))
            server.enqueue(bytes(said[:cut]), bytes(said[cut:]), chance.choice(lasts))
        with takes():
            answers = (asked(pools, server.url, 1.0) for _ in range(30))
            told = await asyncio.gather(*answers, return_exceptions=True)
        assert all(isinstance(each, UpstreamError | tuple) for each in told), told
        assert {type(each) for each in told} >= {tuple, BackendBroke}
        assert not pools.to(server.url)._busy


@on_both_loops
async def test_an_endless_head_is_cut() -> None:
    async with raw_server(Endless(OK, b"X-Pad: " + b"a" * 1000 + b"\r\n")) as url, some_pools() as pools:
        with takes(), pytest.raises(BackendBroke, match="too long"):
            await ask(pools, url)
        holds(pools, url)


@dataclass
class Endless:
    """Sends *head*, then *more* again and again."""

    head: bytes
    more: bytes
    sent: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.head)
        while True:
            writer.write(self.more)
            await writer.drain()
            self.sent += len(self.more)


@on_both_loops
async def test_a_server_waits_for_a_reader_who_does_not_read() -> None:
    """What is on its way is bounded by the kernel's buffers (6 MB at most on Linux) and ours."""
    server = Endless(OK + b"\r\n", b"x" * 65_536)
    async with raw_server(server) as url, some_pools() as pools:
        response = await ask(pools, url)
        before = -1
        while before != server.sent:
            before = server.sent
            await asyncio.sleep(0.05)
        assert response.waiting <= HIGH_WATER + 256 * 1024
        assert server.sent < 32 * 1024 * 1024
        stalled_at = server.sent
        while server.sent < stalled_at + 1_000_000:
            await response.chunk(WITHIN_S)
        response.close()
        holds(pools, url)


# whether a connection is used again


@pytest.mark.parametrize(
    "said, body",
    [
        (HI + HI, b"hi"),
        (HI + answer(500, b"another"), b"hi"),
        (HI + b"longer than promised", b"hi"),
        (STREAM_HEAD + chunk(b"hi") + STREAM_END + HI, b"hi"),
        (answer(200, b"hi", Connection="close") + b"more", b"hi"),
        (answer(200, b"hi", Connection="close"), b"hi"),
        (answer(200, b"hi", Keep_Alive="timeout=1"), b"hi"),
        (b"HTTP/1.1 204 X\r\nContent-Length: 2\r\n\r\nhi", b""),
    ],
    ids=["a second answer", "another", "too long", "after chunks", "after the end", "close", "no patience", "204"],
)
@on_both_loops
async def test_an_answer_after_which_the_connection_is_not_used_again(said: bytes, body: bytes) -> None:
    async with a_server([said, STALL], [HI]) as server, some_pools() as pools:
        assert (await asked(pools, server.url))[1] == body
        assert await asked(pools, server.url) == (200, b"hi")
        assert server.connections == 2
        holds(pools, server.url, idle=1)


@on_both_loops
async def test_an_answer_to_no_question_ends_an_idle_connection() -> None:
    async with a_server([HI, STALL, answer(200, b"stray")], [HI]) as server, some_pools() as pools:
        await asked(pools, server.url)
        holds(pools, server.url, idle=1)
        server.resume.set()
        await until(lambda: not pools.to(server.url)._idle)
        assert await asked(pools, server.url) == (200, b"hi")
        holds(pools, server.url, idle=1)


@GONE
@on_both_loops
async def test_an_idle_connection_that_the_server_closes_is_forgotten(gone: Step) -> None:
    async with a_server([HI, STALL, gone], [HI]) as server, some_pools() as pools:
        await asked(pools, server.url)
        server.resume.set()
        await until(lambda: not pools.to(server.url)._idle)
        holds(pools, server.url)


@on_both_loops
async def test_a_connection_idle_for_too_long_is_closed() -> None:
    async with a_server([HI], [HI]) as server, some_pools(idle_s=0.1) as pools:
        await asked(pools, server.url)
        await soon(server.left)
        holds(pools, server.url)


async def test_a_connection_idle_for_too_long_is_not_used_though_nobody_closed_it_yet() -> None:
    async with a_server([HI], [HI]) as server, some_pools(idle_s=10.0) as pools:
        await asked(pools, server.url)
        (connection,) = pools.to(server.url)._idle
        connection.idle_since -= 10.0
        await asked(pools, server.url)
        assert server.connections == 2
        holds(pools, server.url, idle=1)


@on_both_loops
async def test_the_servers_own_patience_is_honoured() -> None:
    patient = answer(200, b"hi", Keep_Alive="timeout=2")
    async with a_server([patient], [patient], [patient]) as server, some_pools(idle_s=10.0) as pools:
        await asked(pools, server.url)
        await asked(pools, server.url)
        assert server.connections == 1
        (connection,) = pools.to(server.url)._idle
        connection.idle_since -= 1.0  # of two seconds, one is for the way
        await asked(pools, server.url)
        assert server.connections == 2
        holds(pools, server.url, idle=1)


@on_both_loops
async def test_exchanges_share_no_connection_at_the_same_time() -> None:
    scripts: list[list[Step]] = [[STALL, answer(200, b"%d" % number)] for number in range(5)]
    async with a_server(*scripts) as server, some_pools() as pools:
        under_way = [asyncio.create_task(asked(pools, server.url)) for _ in range(5)]
        await until(lambda: len(server.requests) == 5)
        assert server.connections == 5
        holds(pools, server.url, busy=5)
        server.resume.set()
        assert {body for _, body in await asyncio.gather(*under_way)} == {b"0", b"1", b"2", b"3", b"4"}
        holds(pools, server.url, idle=5)


@on_both_loops
async def test_an_answer_that_was_not_read_to_its_end_keeps_its_connection_from_the_next() -> None:
    async with a_server([STREAM_HEAD + chunk(b"hi"), STALL], [HI]) as server, some_pools() as pools:
        response = await ask(pools, server.url)
        assert await asked(pools, server.url) == (200, b"hi")
        assert server.connections == 2
        holds(pools, server.url, busy=1, idle=1)
        response.close()
        holds(pools, server.url, idle=1)
        await soon(server.left)


@on_both_loops
async def test_closing_gives_back_what_is_whole_and_drops_what_is_not_and_twice_is_once() -> None:
    async with a_server([HI], [STREAM_HEAD + chunk(b"hi"), STALL]) as server, some_pools() as pools:
        response = await ask(pools, server.url)
        await until(lambda: response.ended)
        for _ in range(2):
            response.close()
            holds(pools, server.url, idle=1)
        second = await ask(pools, server.url)
        response.close()  # it is no longer its connection
        holds(pools, server.url, busy=1)
        for _ in range(2):
            second.close()
            holds(pools, server.url)
        await soon(server.left)


@on_both_loops
async def test_an_answer_comes_byte_by_byte() -> None:
    said = b"HTTP/1.1 103 X\r\n\r\n" + STREAM_HEAD + chunk(b"abc") + chunk(b"defg") + b"0\r\nX-After: 1\r\n\r\n"
    script = [said[at : at + 1] for at in range(len(said))]
    async with a_server(script, script) as server, some_pools() as pools:
        for _ in range(2):
            assert await asked(pools, server.url) == (200, b"abcdefg")
        assert server.connections == 1


# leaving


@pytest.mark.parametrize("said", [[], [STREAM_HEAD]], ids=["before the head", "in the body"])
@on_both_loops
async def test_cancelling_whoever_waits_closes_the_socket_at_once(said: list[Step]) -> None:
    async with a_server([*said, STALL]) as server, some_pools() as pools:
        task = asyncio.create_task(asked(pools, server.url))
        await soon(server.asked)
        await asyncio.sleep(0.02)
        holds(pools, server.url, busy=1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        holds(pools, server.url)
        await soon(server.left)


@on_both_loops
async def test_cancelling_at_any_moment_leaves_nothing_behind() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"{}"):
            writer.write(HI)

    async with raw_server(handler) as url, some_pools() as pools:
        for turns in range(30):
            task = asyncio.create_task(asked(pools, url))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not pools.to(url)._busy
            assert len(pools.to(url)._idle) <= 1
        assert await asked(pools, url) == (200, b"hi")


@on_both_loops
async def test_an_upload_whose_sender_breaks_off_drops_the_connection() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    heard = asyncio.Event()
    async with raw_server(hearing(heard)) as url, some_pools() as pools:
        with pytest.raises(ZeroDivisionError):
            await pools.to(url).request(b"POST", b"/", body=broken(), within_s=WITHIN_S)
        holds(pools, url)
        await soon(heard)


def hearing(end: asyncio.Event) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        end.set()

    return handler


# uploads


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65_536


@pytest.mark.parametrize("ends", [False, True], ids=["and listens", "and says no more"])
@on_both_loops
async def test_a_server_that_answers_without_reading_is_heard_at_once(ends: bool) -> None:
    """Its answer wakes the upload that waits for room."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 413 X\r\n\r\nno" if ends else answer(413, b"no"))
        if ends:
            writer.write_eof()
        await asyncio.sleep(WITHIN_S)

    async with raw_server(handler) as url, some_pools() as pools:
        with takes():
            response = await pools.to(url).request(b"POST", b"/", body=endless(), within_s=WITHIN_S)
            assert (response.status, await response.read(10, WITHIN_S)) == (413, b"no")
        response.close()
        holds(pools, url)


@on_both_loops
async def test_a_connection_with_half_an_upload_on_it_is_not_used_again() -> None:
    """Though its answer is whole: the server would take the next request for the rest of the body."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HI)
        while await reader.read(65_536):
            pass

    async def slow() -> AsyncIterator[bytes]:
        yield b"half"
        (connection,) = pools.to(url)._busy
        await until(lambda: connection._response is not None and connection._response.ended)
        yield b"the rest"

    async with raw_server(handler) as url, some_pools() as pools:
        response = await pools.to(url).request(b"POST", b"/", body=slow(), within_s=WITHIN_S)
        assert await response.read(10, WITHIN_S) == b"hi"
        response.close()
        holds(pools, url)


@on_both_loops
async def test_a_whole_body_that_is_not_read_delays_no_answer_that_ends_with_the_connection() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"HTTP/1.1 413 X\r\n\r\nno")
        writer.write_eof()
        await asyncio.sleep(WITHIN_S)

    async with raw_server(handler) as url, some_pools() as pools:
        with takes():
            response = await pools.to(url).request(b"POST", b"/", body=b"x" * 30_000_000, within_s=WITHIN_S)
            assert (response.status, await response.read(10, WITHIN_S)) == (413, b"no")
        response.close()
        holds(pools, url)


@on_both_loops
async def test_a_server_that_does_not_read_ends_the_upload_with_its_deadline() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(WITHIN_S)

    async with raw_server(handler) as url, some_pools() as pools:
        with takes(SHORT_S * 0.9), pytest.raises(BackendTimeout):
            await pools.to(url).request(b"POST", b"/", body=endless(), within_s=SHORT_S)
        holds(pools, url)


@on_both_loops
async def test_a_server_that_reads_slowly_gains_no_time() -> None:
    """The deadline is for all of the upload, not for each of its parts."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):  # noqa: ASYNC110 - it is slow, it waits for nothing
            await asyncio.sleep(0.005)

    async with raw_server(handler) as url, some_pools() as pools:
        with takes(0.2), pytest.raises(BackendTimeout):
            await pools.to(url).request(b"POST", b"/", body=endless(), within_s=0.3)
        holds(pools, url)


@GONE
@on_both_loops
async def test_a_server_that_leaves_during_the_upload_is_lost(gone: Step) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        if gone is RESET:
            reset(writer)

    async with raw_server(handler) as url, some_pools() as pools:
        with takes(), pytest.raises(BackendLost):
            await pools.to(url).request(b"POST", b"/", body=endless(), within_s=WITHIN_S)
        holds(pools, url)


async def test_what_exceeds_the_promised_length_is_not_sent() -> None:
    """The server would take it for another request."""
    async with a_server([STALL]) as server, some_pools() as pools:
        body = parts(b"ab", b"cGET /admin HTTP/1.1\r\n\r\n")
        with pytest.raises(BackendTimeout):
            await pools.to(server.url).request(b"POST", b"/", body=body, length=3, within_s=SHORT_S)
        assert not server.requests
        holds(pools, server.url)


# what is sent


@pytest.mark.parametrize(
    "method, body, expected",
    [(b"GET", b"", None), (b"POST", b"", "0"), (b"POST", b"abc", "3"), (b"GET", b"abc", "3"), (b"DELETE", b"", "0")],
)
async def test_the_head_says_how_long_the_body_is(method: bytes, body: bytes, expected: str | None) -> None:
    async with a_server([HI], [HI]) as server, some_pools() as pools:
        for _ in range(2):
            response = await pools.to(server.url).request(method, b"/", body=body, within_s=WITHIN_S)
            assert await response.read(10, WITHIN_S) == b"hi"
            response.close()
        assert [(each.headers.get("content-length"), each.body) for each in server.requests] == [(expected, body)] * 2
        assert server.connections == 1


async def test_the_address_gives_host_and_prefix_but_no_password() -> None:
    async with a_server([HI]) as server, some_pools() as pools:
        address = server.url.removeprefix("http://")
        await pools.to(f"http://user:secret@{address}/a/b/").request(b"GET", b"/v1?q=1", within_s=WITHIN_S)
        (request,) = server.requests
        assert (request.path, request.headers["host"]) == ("/a/b/v1?q=1", address)
        for pool in pools._pools.values():
            pool.close()


# pools


@on_both_loops
async def test_a_pool_that_nobody_uses_is_forgotten() -> None:
    async with a_server([HI]) as server, some_pools(connect_s=0.5, idle_s=0.02) as pools:
        await asked(pools, server.url)
        assert set(pools._pools) == {server.url}
        await until(lambda: not pools._pools)
        server.enqueue(HI)
        assert await asked(pools, server.url) == (200, b"hi")


async def test_a_pool_under_use_is_not_forgotten() -> None:
    async with a_server([STREAM_HEAD, STALL, STREAM_END]) as server, some_pools(connect_s=0.5, idle_s=0.01) as pools:
        response = await ask(pools, server.url)
        await asyncio.sleep(1.0)
        server.resume.set()
        assert await response.read(1, WITHIN_S) == b""
        assert set(pools._pools) == {server.url}
        response.close()


@on_both_loops
async def test_a_pool_that_connects_after_a_long_rest_is_not_forgotten() -> None:
    """Else nobody would watch the deadlines of what it opens."""
    async with a_server([HI], [STALL]) as server, some_pools(connect_s=WITHIN_S, idle_s=0.1) as pools:
        await asked(pools, server.url)
        pool = pools.to(server.url)
        await until(lambda: not pool._idle)
        pool._used_at -= 1000.0
        connect = pool._connect

        async def slowly(until: float) -> Connection:
            await asyncio.sleep(3 * TICK_S)
            return await connect(until)

        pool._connect = slowly  # type: ignore[method-assign]
        with pytest.raises(BackendTimeout):
            await asyncio.wait_for(pool.request(b"GET", b"/", within_s=0.5), SOON_S)
        assert pools.to(server.url) is pool


async def test_a_connection_that_broke_before_its_first_exchange_stays_in_no_pool() -> None:
    async with a_server([HI]) as server, some_pools() as pools:
        pool = pools.to(server.url)
        connect = pool._connect

        async def in_vain(until: float) -> Connection:
            connection = await connect(until)
            connection.abort()
            return connection

        pool._connect = in_vain  # type: ignore[method-assign]
        with pytest.raises(BackendLost):
            await ask(pools, server.url)
        holds(pools, server.url)


@on_both_loops
async def test_closing_ends_what_is_under_way_and_leaves_no_socket() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await _close_with_all_kinds_of_connections()
        gc.collect()
    assert not [str(each.message) for each in caught]


async def _close_with_all_kinds_of_connections() -> None:
    async with a_server([HI], [STREAM_HEAD, STALL], [STALL], [STALL]) as server, some_pools() as pools:
        whole, streaming = await ask(pools, server.url), await ask(pools, server.url)
        await until(lambda: whole.ended)
        whole.close()
        waiting = [asyncio.create_task(ask(pools, server.url)) for _ in range(2)]
        await until(lambda: len(server.requests) == 4)
        pools.close()
        for broken in [*waiting, streaming.chunk(WITHIN_S)]:
            with pytest.raises(UpstreamError):
                await asyncio.wait_for(broken, SOON_S)
        assert server.connections == 3, "it connected again"


@on_both_loops
async def test_closing_while_a_connection_is_made_leaves_no_socket() -> None:
    async with a_server([HI]) as server, some_pools() as pools:
        task = asyncio.create_task(ask(pools, server.url))
        await asyncio.sleep(0)
        pool = pools.to(server.url)
        pools.close()
        with pytest.raises(BackendUnreachable):
            await task
        assert not pool._busy
        assert not server.requests


@on_both_loops
async def test_news_that_came_in_time_is_told_though_the_loop_was_busy_until_after_the_deadline() -> None:
    async with a_server([STALL]) as server, some_pools() as pools:
        pool: Pool = pools.to(server.url)
        task = asyncio.create_task(ask(pools, server.url, 0.5))
        await until(lambda: bool(pool._busy))
        (connection,) = pool._busy
        await until(lambda: connection._waiter is not None)
        connection.data_received(STREAM_HEAD)
        pool.watch(asyncio.get_running_loop().time() + 1.0)
        response = await task
        assert response.status == 200
        assert not connection.closed
        response.close()


@on_both_loops
async def test_a_server_that_answered_before_the_end_of_an_upload_gets_no_other_request_on_that_connection() -> None:
    """The end of the body was never sent: the next request would be taken for a part of it."""
    answered = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        writer.write(answer(404, b"no"))
        await writer.drain()
        await asyncio.sleep(0.05)
        answered.set()
        await reader.read()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await answered.wait()
        yield b""  # the client's last message is empty

    async with raw_server(handle) as url, some_pools() as pools:
        response = await pools.to(url).request(b"POST", b"/v1", body=body(), within_s=WITHIN_S)
        assert (response.status, await response.read(10, WITHIN_S)) == (404, b"no")
        response.close()
        holds(pools, url)
