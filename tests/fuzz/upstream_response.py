"""
Whatever a model server says, in whatever pieces: each way in which its answer is read ends, with the answer or with an
`UpstreamError`, tells the same however the bytes were cut, and holds little of it meanwhile.
"""

import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, cast
from unittest.mock import patch

from smart_router.errors import UpstreamError
from smart_router.registry import Model
from smart_router.settings import Settings
from smart_router.types import Ask, Usage
from smart_router.upstream import http1
from smart_router.upstream.base import Call, Forward, Forwarded
from smart_router.upstream.openai_style import LONGEST_RETRY_AFTER_S
from smart_router.upstream.passing import MOST_TOKENS
from smart_router.upstream.payload import MOST_OF_A_MESSAGE
from smart_router.upstream.response import Header
from smart_router.upstream.vllm import VllmUpstream
from tests.fuzz.wire import Server, cut, every, is_text, run

WORDS = (
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 ", b" 100 ", b" 103 ", b" 204 ", b" 304 ", b" 307 ", b" 400 ", b" 422 ",
    b" 429 ", b" 500 ", b" 502 ", b" 503 ", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n", b"Keep-Alive: timeout=5\r\n",
    b"Retry-After: ", b"Mon, 01 Jan 2024 00:00:00 +0000", b"Content-Type: application/json\r\n",
    b"Content-Type: text/event-stream\r\n", b"0\r\n\r\n", b"\r\n\r\n", b"99999999999999999999", b"data: ",
    b"event: error\n", b"data: [DONE]\n\n", b'{"error":{"message":"no","code":500}}', b'"usage":{"prompt_tokens":',
    b'"choices":[{"delta":{"content":', b'"object":"response","id":"resp_1"',
    b'"type":"response.created","response":{"id":"resp_1"}', b"\nvllm:num_requests_running{} ",
    b"vllm:kv_cache_usage_perc 0.5\n", b"1e400", b"nan",
)  # fmt: skip
WITHIN_S = 60.0
PIECE = 16  # bytes; and bounds that small inputs reach
HIGH_WATER = 64
MOST_HEAD_BYTES = 256
SETTINGS = Settings(_env_file=None)
MODEL = Model(id="m", endpoints=("http://a",))
ASK = Ask("r1", "ann", "Hi", "s1", max_tokens=9, temperature=0.5)


@dataclass(frozen=True)
class Told:
    """All that a reader learnt: *said* in the order in which it came, and how it broke off."""

    said: tuple[object, ...] = ()
    body: bytes = b""
    error: str = ""
    ended: bool = False


Way = Callable[[Server], Coroutine[Any, Any, Told]]


def check(data: bytes) -> None:
    _is_bounded(data)
    plain = _same_however_cut(_plain, data)
    if not plain.said:  # there is no head: that is all that anybody can know
        return
    for way in (_whole, _load):
        _same_however_cut(way, data)
    _is_passed_back(data, plain.body)
    _is_streamed(data, plain.body)


def _same_however_cut(way: Way, data: bytes) -> Told:
    whole, found = _told_twice(way, data)
    assert found == whole, f"{way.__name__} of {cut(data)}"
    return whole


def _is_passed_back(data: bytes, body: bytes) -> None:
    """Events that come together with a line which is not UTF-8 are not looked at: then it may be the same or not."""
    both = _told_twice(_passed, data)
    assert both[0] == both[1] or not is_text(body), f"{both} of {cut(data)}"
    for passed in both:
        assert passed.body == body or (passed.error and body.startswith(passed.body))


def _is_streamed(data: bytes, body: bytes) -> None:
    """Deltas that come together with what cannot be read are not handed out."""
    whole, found = _told_twice(_streamed, data)
    if is_text(body):
        assert found.ended == whole.ended, f"{whole} and {found} of {cut(data)}"
        shorter = None if whole.ended else min(len(whole.said), len(found.said))
        assert found.said[:shorter] == whole.said[:shorter]


def _told_twice(way: Way, data: bytes) -> tuple[Told, Told]:
    """From one piece, and from several."""
    pieces = cut(data)
    return _told(way, Server([data] if data else [])), _told(way, Server(pieces.copy(), hurries=len(pieces) % 2 == 0))


def _told(way: Way, server: Server) -> Told:
    try:
        found = run(way(server), server)
    except UpstreamError as exc:
        found = Told(error=_of(exc))
    assert server.released + server.lost == 1, "given back or dropped, once"
    assert not server.released or (server.response is not None and server.response.ended)
    return found


def _of(error: UpstreamError) -> str:
    assert 400 <= error.status <= 599
    assert error.retry_after_s is None or 0 <= error.retry_after_s <= LONGEST_RETRY_AFTER_S
    assert len(error.message) <= MOST_OF_A_MESSAGE
    return f"{type(error).__name__}: {error.message}"


def _upstream(server: Server) -> VllmUpstream:
    upstream = VllmUpstream(SETTINGS)
    upstream._pools = cast(Any, server)
    return upstream


# the ways


async def _plain(server: Server) -> Told:
    """As the HTTP client hands it out."""
    response, body, error = await server.request(b"GET", b"/"), b"", ""
    _are_clean(response.headers)
    try:
        while data := await response.chunk(WITHIN_S):
            body += data
    except UpstreamError as exc:
        error = _of(exc)
    response.close()
    assert response.ended or error
    return Told((response.status, *response.headers), body, error, response.ended)


async def _passed(server: Server) -> Told:
    """As the client gets it, byte for byte."""
    answer = await _upstream(server).forward(Forward(b"/v1/chat/completions", stream=True), "http://a")
    _are_clean(answer.headers)
    body, error = await _rest(answer)
    answer.close()
    if not error:
        _are_counts(answer.usage)
    usage = Usage() if error else answer.usage
    return Told((answer.status, *answer.headers, answer.events, usage, answer.response_id), body, error, not error)


async def _rest(answer: Forwarded) -> tuple[bytes, str]:
    body = b""
    try:
        while not answer.complete:
            body += await answer.chunk()
    except UpstreamError as exc:
        return body, _of(exc)
    return body, ""


async def _streamed(server: Server) -> Told:
    return await _in_our_words(server, stream=True)


async def _whole(server: Server) -> Told:
    return await _in_our_words(server, stream=False)


async def _in_our_words(server: Server, *, stream: bool) -> Told:
    answer = await _upstream(server).open(Call(ASK, MODEL, stream=stream), "http://a")
    said: list[object] = []
    error = ""
    try:
        async for piece in answer.pieces():
            if piece.usage is not None:
                _are_counts(piece.usage)
            said.append(piece)
    except UpstreamError as exc:
        error = _of(exc)
    answer.close()
    return Told(tuple(said), b"", error, not error)


async def _load(server: Server) -> Told:
    found = await _upstream(server).load("http://a")
    assert min(found.running, found.waiting) >= 0
    assert found.kv_usage is None or 0 <= found.kv_usage <= 1
    return Told((found,), ended=True)


def _are_clean(headers: Sequence[Header]) -> None:
    """None can be taken for two, or for the end of the head, by whoever reads them next."""
    for name, value in headers:
        assert re.fullmatch(rb"[!#$%&'*+.^_`|~0-9a-z-]+", name), name
        assert not re.search(rb"[\r\n\0]", value), value


def _are_counts(usage: Usage) -> None:
    assert 0 <= usage.prompt_tokens <= MOST_TOKENS
    assert 0 <= usage.completion_tokens <= MOST_TOKENS


# what is held


def _is_bounded(data: bytes) -> None:
    """With bounds that are nearer than the shipped ones: an answer of any length is read in little room."""
    server = Server(every(data, PIECE), hurries=True)
    with patch.multiple(http1, HIGH_WATER=HIGH_WATER, MOST_HEAD_BYTES=MOST_HEAD_BYTES):
        _told(_plain, server)
    assert server.most_waiting <= HIGH_WATER + PIECE
    headers = server.response.headers if server.response else []
    assert sum(len(name) + len(value) for name, value in headers) <= MOST_HEAD_BYTES + PIECE
