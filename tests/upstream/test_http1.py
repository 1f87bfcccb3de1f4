"""
The parts of the HTTP/1.1 client that need no network: whatever bytes come, in whatever pieces, what is told of them is
the same. `test_pool.py` has sockets, `test_http1_servers.py` other people's servers.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smart_router.errors import BackendBroke, BackendLost, BackendTimeout, UpstreamError
from smart_router.upstream.http1 import HIGH_WATER, MOST_HEAD_BYTES, Connection
from smart_router.upstream.response import Header, Response
from tests.fakes import FakeTransport

T = TypeVar("T")
OK = b"HTTP/1.1 200 OK\r\n"
HI = OK + b"Content-Length: 2\r\n\r\nhi"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Wire:
    """A connection with a fake at either end."""

    released: int = 0
    lost: int = 0
    transport: FakeTransport = field(default_factory=FakeTransport)

    def __post_init__(self) -> None:
        self.connection = Connection(cast(asyncio.AbstractEventLoop, None), self._on_release, self._on_lost)
        self.connection.connection_made(cast(asyncio.Transport, self.transport))

    def ask(self) -> Response:
        return self.connection.send(b"GET / HTTP/1.1\r\n\r\n", b"")

    def say(self, data: bytes) -> None:
        if not self.transport.aborted:
            self.connection.data_received(data)

    def end(self) -> None:
        if not self.transport.aborted:
            self.connection.eof_received()
        self.connection.connection_lost(None)

    def _on_release(self, _: Connection) -> None:
        self.released += 1

    def _on_lost(self, _: Connection) -> None:
        self.lost += 1


@dataclass(frozen=True)
class Told:
    """All that an exchange told whoever began it."""

    status: int
    headers: tuple[Header, ...]
    body: bytes
    error: type[UpstreamError] | None
    reusable: bool


def told(pieces: Sequence[bytes], *, ends: bool = False, wire: Wire | None = None) -> Told:
    """What a reader learns who looks after every piece. *ends*: then the server closes."""
    wire = wire or Wire()
    before = (wire.released, wire.lost)
    response, body = wire.ask(), b""
    for piece in pieces:
        wire.say(piece)
        body += so_far(response)
    if ends:
        wire.end()
        body += so_far(response)
    headers = tuple(response.headers)
    if not response.ended and response.error is None:
        wire.connection.overdue()
        assert response.error is not None
    response.close()
    response.close()
    released, lost = wire.released - before[0], wire.lost - before[1]
    assert (released, lost) in ((1, 0), (0, 1)), "given back or dropped, once"
    error = type(response.error) if response.error is not None and not response.ended else None
    return Told(response.status, headers, body, error, released == 1)


def so_far(response: Response) -> bytes:
    """What has arrived of the body; the end and errors are looked up in the response."""
    if not response.status:
        return b""
    at_once(response.head(1))
    body = b""
    while response.waiting:
        body += at_once(response.chunk(1))
    if response.ended:
        assert at_once(response.chunk(1)) == b""
    elif response.error is not None:
        with pytest.raises(UpstreamError):
            at_once(response.chunk(1))
    return body


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of what has no reason to wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    coroutine.close()
    raise AssertionError("it waits")


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


# well-formed answers


@dataclass(frozen=True)
class Sample:
    wire: bytes
    status: int
    body: bytes
    ends: bool = False  # its body ends with the connection
    reusable: bool = True


EVENTS = 'data: {"text": "नमस्ते 🙂"}\r\n\r\n: a comment\n\ndata: [DONE]\n\n'.encode()


def chunked(body: bytes, sizes: Sequence[int], trailers: bytes = b"") -> bytes:
    found, start = b"", 0
    for size in [*sizes, len(body)]:
        if part := body[start : start + size]:
            found += b"%x;a=b\r\n%b\r\n" % (len(part), part) if size % 2 else b"%04X\r\n%b\r\n" % (len(part), part)
        start += size
    return found + b"0\r\n" + trailers + b"\r\n"


SAMPLES = {
    "a length": Sample(HI, 200, b"hi"),
    "no body": Sample(OK + b"Content-Length: 0\r\n\r\n", 200, b""),
    "204": Sample(b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "304 with a length": Sample(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b""),
    "no reason": Sample(b"HTTP/1.1 503\r\nRetry-After: 1\r\ncontent-length: 1\r\n\r\nx", 503, b"x"),
    "odd case and space": Sample(OK + b"cOnTeNt-LeNgTh: \t2 \r\nX-Empty:\r\nX-8bit: \xe9\r\n\r\nhi", 200, b"hi"),
    "chunks": Sample(CHUNKED + chunked(b"abcdefghijkl", [1, 2, 3]), 200, b"abcdefghijkl"),
    "no chunks": Sample(CHUNKED + b"0\r\n\r\n", 200, b""),
    "events": Sample(CHUNKED + chunked(EVENTS, [7, 20, 2, 1]), 200, EVENTS),
    "trailers": Sample(CHUNKED + chunked(b"abc", [], b"X-Sum: 1\r\nKeep-Alive: timeout=1\r\n"), 200, b"abc"),
    "100 first": Sample(b"HTTP/1.1 100 Continue\r\n\r\n" + HI, 200, b"hi"),
    "103 first": Sample(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\n" + HI, 200, b"hi"),
    "three interims": Sample(b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + HI, 200, b"hi"),
    "until close": Sample(OK + b"Content-Type: text/event-stream\r\n\r\n" + EVENTS, 200, EVENTS, True, False),
    "until close, empty": Sample(OK + b"\r\n", 200, b"", True, False),
    "until close after an interim with a length": Sample(
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n" + OK + b"\r\nabc", 200, b"abc", True, False
    ),
    "1.0": Sample(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", reusable=False),
    "1.0 kept": Sample(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi"),
    "close": Sample(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", reusable=False),
    "chunks, close": Sample(CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: Close\r\n\r\n") + chunked(b"abc", [1]), 200,
                            b"abc", reusable=False),
    "another protocol on offer": Sample(
        b"HTTP/1.1 426 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx", 426, b"x"
    ),
}  # fmt: skip
samples = pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
KEPT = [sample for sample in SAMPLES.values() if sample.reusable]


def holds(sample: Sample, found: Told) -> None:
    assert (found.status, found.body, found.error) == (sample.status, sample.body, None)
    assert found.reusable == sample.reusable
    whole = told([sample.wire], ends=sample.ends)
    assert found == whole


@samples
def test_an_answer_is_the_same_wherever_it_is_cut_in_two(sample: Sample) -> None:
    for cut in range(len(sample.wire)):
        holds(sample, told(split(sample.wire, [cut]), ends=sample.ends))


@samples
def test_an_answer_is_the_same_byte_by_byte(sample: Sample) -> None:
    holds(sample, told(split(sample.wire, range(len(sample.wire))), ends=sample.ends))


@given(st.sampled_from(list(SAMPLES.values())), st.sets(st.integers(1, 300)))
def test_an_answer_is_the_same_however_it_is_cut(sample: Sample, cuts: set[int]) -> None:
    holds(sample, told(split(sample.wire, cuts), ends=sample.ends))


@given(st.binary(max_size=400), st.lists(st.integers(1, 60)), st.sets(st.integers(1, 1500)))
def test_any_body_comes_through_chunks_of_any_size(body: bytes, sizes: list[int], cuts: set[int]) -> None:
    found = told(split(CHUNKED + chunked(body, sizes), cuts))
    assert (found.status, found.body, found.error, found.reusable) == (200, body, None, True)


@given(st.lists(st.tuples(st.sampled_from(KEPT), st.sets(st.integers(1, 300))), min_size=2, max_size=4))
def test_answers_follow_each_other_on_one_connection(exchanges: list[tuple[Sample, set[int]]]) -> None:
    wire = Wire()
    for sample, cuts in exchanges:
        holds(sample, told(split(sample.wire, cuts), wire=wire))
    assert (wire.released, wire.lost) == (len(exchanges), 0)


def test_headers_are_told_in_order_with_names_in_lower_case() -> None:
    head = OK + b"Set-Cookie: a\r\nX-Empty:\r\nset-cookie: B\r\nX-8Bit: \xe9 \r\nContent-Length: 0\r\n\r\n"
    response = answered(head)
    assert response.headers == [
        (b"set-cookie", b"a"), (b"x-empty", b""), (b"set-cookie", b"B"), (b"x-8bit", b"\xe9"),
        (b"content-length", b"0"),
    ]  # fmt: skip
    assert response.header(b"set-cookie") == b"a"
    assert response.header(b"absent") is None


def test_trailers_are_no_headers_and_say_nothing_of_the_connection() -> None:
    wire = Wire()
    response = wire.ask()
    wire.say(CHUNKED + chunked(b"abc", [], b"X-After: 1\r\nConnection: x\r\nKeep-Alive: timeout=1\r\n"))
    assert [name for name, _ in response.headers] == [b"transfer-encoding"]
    assert wire.connection.idle_s == float("inf")


def answered(data: bytes) -> Response:
    wire = Wire()
    response = wire.ask()
    wire.say(data)
    return response


# more, or less, than was asked for


@pytest.mark.parametrize("more", [HI, b"H", b"garbage", b"HTTP/1.1 100 Continue\r\n\r\n", b"\0", b"0\r\n\r\n"])
@samples
def test_what_is_glued_to_an_answer_changes_nothing_but_the_end_of_its_connection(sample: Sample, more: bytes) -> None:
    if sample.ends:
        return
    whole, glued = told([sample.wire]), sample.wire + more
    for cut in (0, len(sample.wire), len(glued) - 1):
        found = told(split(glued, [cut]))
        assert (found.status, found.headers, found.body, found.error) == (
            whole.status, whole.headers, whole.body, whole.error,
        )  # fmt: skip
        assert not found.reusable


def test_bytes_on_an_idle_connection_end_it() -> None:
    wire = Wire()
    assert told([HI], wire=wire).reusable
    wire.say(HI)
    assert wire.transport.aborted
    assert wire.lost == 1


def test_a_connection_that_the_server_ends_after_its_answer_is_not_given_back() -> None:
    wire = Wire()
    response = wire.ask()
    wire.say(HI)
    wire.connection.eof_received()  # the transport tells that it is closed a moment later
    response.close()
    assert (wire.released, wire.lost) == (0, 1)


def test_bytes_before_the_first_request_end_the_connection() -> None:
    wire = Wire()
    wire.say(HI)
    assert wire.transport.aborted


def test_a_connection_that_broke_before_it_was_used_says_so_to_whoever_asks() -> None:
    wire = Wire()
    wire.end()
    response = wire.ask()
    with pytest.raises(BackendLost):
        at_once(response.head(1))
    response.close()
    assert wire.released == 0


@samples
def test_an_answer_that_breaks_off_anywhere_is_lost(sample: Sample) -> None:
    if sample.ends:
        return
    for cut in range(len(sample.wire)):
        found = told([sample.wire[:cut]] if cut else [], ends=True)
        assert found.error is BackendLost
        assert not found.reusable
        assert sample.body.startswith(found.body)


BROKEN = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    "a status of two digits": b"HTTP/1.1 20 X\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 X\r\n\r\n",
    "a status below 100": b"HTTP/1.1 099 X\r\nContent-Length: 2\r\n\r\nhi",
    "status 000": b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "folded": OK + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nhi",
    "space before colon": OK + b"Content-Length : 2\r\n\r\nhi",
    "NUL": OK + b"X: a\0b\r\n\r\n",
    "length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunks and length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "length +2": OK + b"Content-Length: +2\r\n\r\nhi",
    "length -2": OK + b"Content-Length: -2\r\n\r\nhi",
    "length 0x2": OK + b"Content-Length: 0x2\r\n\r\nhi",
    "no length": OK + b"Content-Length:\r\n\r\nhi",
    "length beyond 64 bits": OK + b"Content-Length: 99999999999999999999\r\n\r\nhi",
    "chunk size": CHUNKED + b"zz\r\nhi\r\n0\r\n\r\n",
    "chunk size 0x2": CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": CHUNKED + b"fffffffffffffffff\r\nhi",
    "chunk without end": CHUNKED + b"2\r\nhiXX0\r\n\r\n",
    "a body of an interim answer": b"HTTP/1.1 150 X\r\nContent-Length: 2\r\n\r\nhi" + HI,
    "another protocol": b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nabc",
    "another protocol, unnamed": b"HTTP/1.1 101 X\r\n\r\n",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_answer_is_a_broken_answer(data: bytes) -> None:
    found = {told([data]), told(split(data, range(len(data))))}
    assert {(each.error, each.reusable) for each in found} == {(BackendBroke, False)}
    assert {each.body for each in found} <= {b"", b"h", b"hi"}


@pytest.mark.parametrize("coding", [b"gzip", b"identity", b"xchunked", b"chunked, gzip"])
def test_a_coding_that_nobody_asked_for_is_never_taken_for_the_body(coding: bytes) -> None:
    """Its end cannot be told from a break, and what it codes cannot be read."""
    found = told([OK + b"Transfer-Encoding: " + coding + b"\r\n\r\nhi"], ends=True)
    assert found.error is BackendLost


# bounds


@pytest.mark.parametrize(
    "start, more",
    [
        (OK + b"X: ", b"a" * 4096),
        (OK, b"X: a\r\n" * 500),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (b"", b"\r\n" * 2000),
        (CHUNKED + b"0\r\nX: ", b"a" * 4096),
        (CHUNKED + b"2\r\nhi\r\n0\r\n", b"X: a\r\n" * 500),
        (CHUNKED + b"2;a=", b"a" * 4096),
    ],
    ids=["header", "headers", "interims", "empty lines", "trailer", "trailers", "chunk extension"],
)
def test_what_is_neither_body_nor_end_is_bounded(start: bytes, more: bytes) -> None:
    wire = Wire()
    response = wire.ask()
    wire.say(start)
    fed = 0
    while response.error is None and fed < 4 * MOST_HEAD_BYTES:
        wire.say(more)
        fed += len(more)
    assert type(response.error) is BackendBroke
    assert MOST_HEAD_BYTES // 2 < fed <= MOST_HEAD_BYTES + len(more)
    assert wire.transport.aborted


def test_a_long_stream_whose_framing_comes_apart_from_its_content_is_no_endless_head() -> None:
    wire = Wire()
    response = wire.ask()
    wire.say(CHUNKED)
    for _ in range(MOST_HEAD_BYTES // 4):
        for piece in (b"1\r", b"\n", b"x", b"\r\n"):
            wire.say(piece)
        so_far(response)
    assert response.error is None


def test_a_server_is_made_to_wait_for_a_reader() -> None:
    wire = Wire()
    response = wire.ask()
    wire.say(OK + b"\r\n")
    fed = 0
    while not wire.transport.paused:
        wire.say(b"x" * 65_536)
        fed += 65_536
        assert fed < 4 * HIGH_WATER
    at_once(response.head(1))
    assert at_once(response.chunk(1)) == b"x" * fed
    assert not wire.transport.paused


def test_a_body_that_breaks_while_much_of_it_waits_is_handed_out_before_the_error() -> None:
    wire = Wire()
    response = wire.ask()
    size = 2 * HIGH_WATER
    wire.say(CHUNKED + b"%x\r\n%b" % (size, b"x" * size) + b"broken")
    at_once(response.head(1))
    assert at_once(response.chunk(1)) == b"x" * size
    with pytest.raises(BackendBroke):
        at_once(response.chunk(1))


def test_all_of_a_body_is_read_up_to_a_bound() -> None:
    assert at_once(answered(HI).read(2, 1)) == b"hi"
    with pytest.raises(BackendBroke, match="exceeds 1 bytes"):
        at_once(answered(HI).read(1, 1))


def test_a_body_that_ends_with_its_connection_is_not_whole_when_we_end_that() -> None:
    wire = Wire()
    response = wire.ask()
    wire.say(OK + b"\r\nabc")
    wire.connection.abort()
    wire.end()
    assert not response.ended
    assert isinstance(response.error, BackendLost)


@pytest.mark.parametrize(
    "value, idle_s",
    [(b"timeout=5", 4), (b"timeout = 5, max=100", 4), (b"max=9, Timeout=2", 1), (b"max=9", float("inf")),
     (b"timeout=-1", float("inf")), (b"timeout=0", -1), (b"", float("inf"))],
)  # fmt: skip
def test_the_servers_patience_is_taken_from_its_header(value: bytes, idle_s: float) -> None:
    wire = Wire()
    wire.ask()
    wire.say(HI.replace(b"\r\n\r\n", b"\r\nKeep-Alive: " + value + b"\r\n\r\n"))
    assert wire.connection.idle_s == idle_s


# garbage

FRAGMENTS = st.sampled_from([
    OK, HI, CHUNKED, EVENTS, b"HTTP/1.", b"1 ", b"100 ", b"204 X", b"101 X",
    b"\r\n", b"\r", b"\n", b"\r\n\r\n", b": ", b"\0", b"x" * 50, b"0\r\n", b"2\r\nhi\r\n", b"0\r\n\r\n",
    b"Content-Length: 2\r\n", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n", b"Keep-Alive: timeout=1\r\n",
])  # fmt: skip
garbage = st.lists(FRAGMENTS | st.binary(max_size=20), max_size=12).map(b"".join)


@st.composite
def mutilated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(list(SAMPLES.values()))).wire)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=3))
    return bytes(data)


@given(garbage | mutilated(), st.sets(st.integers(1, 300)), st.booleans())
@example(HI + HI, {len(HI) + 3}, False)
@example(CHUNKED + b"0\r\nA: b\r\n\r\nHTTP/1.1 204 X\r\n\r\n", set(), True)
def test_garbage_is_told_as_an_error_of_ours_or_an_answer_however_it_is_cut(
    data: bytes, cuts: set[int], ends: bool
) -> None:
    whole = told([data] if data else [], ends=ends)
    assert whole.error in (None, BackendBroke, BackendLost, BackendTimeout)
    assert told(split(data, cuts) if data else [], ends=ends) == whole
