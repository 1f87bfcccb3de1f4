"""The vLLM kind: its OpenAI-style API over aiohttp, with a deadline for every wait."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from smart_router.decide import sse
from smart_router.errors import (
    BackendBroke,
    BackendBusy,
    BackendLost,
    BackendTimeout,
    BackendUnreachable,
    UpstreamError,
)
from smart_router.settings import Settings
from smart_router.upstream import payload
from smart_router.upstream.base import Answer, Call, Piece

KEEP_ALIVE_S = 3.5  # vLLM's server closes idle connections after 5 s; ours must go first
MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_STREAM_BYTES = 512 * 1024 * 1024  # some hundred bytes a token
MAX_ERROR_BYTES = 64 * 1024
ERROR_WITHIN_S = 1.0
LONGEST_RETRY_AFTER_S = 60.0
CALLERS_FAULT = (400, 413, 422)  # the model server refuses what the caller asked for


class VllmUpstream:
    """One pool of connections for all replicas. Deadlines come from the settings."""

    kind = "vllm"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
        # Of `connect`, as the pool is unlimited, only name resolution and connecting are left.
        timeout = aiohttp.ClientTimeout(total=None, connect=self._settings.connect_timeout)
        self._http = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=True, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        if self._http:
            await self._http.close()

    async def open(self, call: Call, endpoint: str) -> Answer:
        request = payload.request_for(call)
        if request.whole or not call.stream:
            return await self._whole(call, endpoint, request)
        try:
            async with asyncio.timeout(self._settings.first_byte_timeout):
                return await self._streamed(endpoint, request)
        except TimeoutError as exc:
            raise BackendTimeout("the model server sent no content in time") from exc

    async def _streamed(self, endpoint: str, request: payload.Request) -> Answer:
        response = await self._send("POST", endpoint + request.path, **_body(request))
        try:
            await _refuse_errors(response)
            stream = StreamedAnswer(response, self._settings.between_chunks_timeout)
            await stream.await_first()
        except BaseException:
            response.close()
            raise
        return stream

    async def _whole(self, call: Call, endpoint: str, request: payload.Request) -> Answer:
        """Such an answer comes when it is complete: how long that takes, the caller bounds."""
        response = await self._send("POST", endpoint + request.path, **_body(request))
        try:
            await _refuse_errors(response)
            body = await _read(response, self._settings.between_chunks_timeout)
            response.release()
        except TimeoutError as exc:
            response.close()
            raise BackendTimeout("the model server stopped in the middle of its answer") from exc
        except (aiohttp.ClientError, OSError) as exc:
            response.close()
            raise BackendLost("the model server's answer broke off") from exc
        except BaseException:
            response.close()
            raise
        return WholeAnswer(payload.piece_from(call.model.api, body, response.content_type))

    async def check(self, endpoint: str) -> None:
        try:
            async with asyncio.timeout(self._settings.health_timeout):
                response = await self._send("GET", endpoint + "/health")
        except TimeoutError as exc:
            raise BackendTimeout("the health check was not answered in time") from exc
        response.release()
        if response.status != 200:
            raise BackendBroke(f"the health check was answered with {response.status}")

    async def _send(self, method: str, url: str, **arguments: Any) -> aiohttp.ClientResponse:
        assert self._http is not None, "start() comes first"
        try:
            return await self._http.request(method, url, allow_redirects=False, **arguments)
        except (aiohttp.ClientConnectorError, ValueError) as exc:  # ValueError: of an address that cannot be one
            raise BackendUnreachable("the model server cannot be reached") from exc
        except aiohttp.ServerTimeoutError as exc:  # of connecting: aiohttp keeps no other deadline here
            raise BackendUnreachable("the model server did not accept a connection in time") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise BackendLost(f"the connection to the model server broke ({type(exc).__name__})") from exc


class WholeAnswer:
    """An answer that arrived in one piece; its connection is back in the pool already."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece

    async def pieces(self) -> AsyncIterator[Piece]:
        yield self._piece

    async def close(self) -> None:
        """Nothing is held."""


class StreamedAnswer:
    """
    Chat or transcription deltas, read as they arrive. The stream must end with `[DONE]`, else it broke; empty deltas
    and comments do not reset the deadline between chunks.
    """

    def __init__(self, response: aiohttp.ClientResponse, between_s: float) -> None:
        self._response = response
        self._between_s = between_s
        self._parser = sse.Parser()
        self._ready: list[Piece] = []
        self._received = 0
        self._complete = False

    async def await_first(self) -> None:
        """Hold back until the first content, or the end: until then another replica can still take over."""
        while not self._complete and not any(piece.text for piece in self._ready):
            await self._more()

    async def pieces(self) -> AsyncIterator[Piece]:
        while True:
            ready, self._ready = self._ready, []
            for piece in ready:
                yield piece
            if self._complete:
                return
            await self._next()

    async def close(self) -> None:
        if self._complete:
            self._response.release()
        else:
            self._response.close()  # the server sees it and aborts

    async def _next(self) -> None:
        try:
            async with asyncio.timeout(self._between_s):
                while not self._ready and not self._complete:
                    await self._more()
        except TimeoutError as exc:
            raise BackendTimeout("the model server stopped in the middle of its answer") from exc

    async def _more(self) -> None:
        try:
            chunk = await self._response.content.readany()
            self._received += len(chunk)
            if self._received > MAX_STREAM_BYTES:
                raise BackendBroke(f"the model server's stream exceeds {MAX_STREAM_BYTES} bytes")
            events = self._parser.feed(chunk)
        except (aiohttp.ClientError, OSError) as exc:
            raise BackendLost("the model server's answer broke off") from exc
        except ValueError as exc:
            raise BackendBroke("the model server's stream cannot be read") from exc
        for event in events:
            self._take(event)
        if not chunk and not self._complete:
            raise BackendBroke("the model server's answer ended without its end")

    def _take(self, event: sse.Event) -> None:
        if event.data == "[DONE]":
            self._complete = True
        elif not self._complete:
            piece = payload.piece_of_stream(event.data)
            if piece != Piece():
                self._ready.append(piece)


def _body(request: payload.Request) -> dict[str, Any]:
    if request.form is None:
        return {"data": json.dumps(request.json).encode(), "headers": {"Content-Type": "application/json"}}
    form = aiohttp.FormData()
    for name, value in request.form.items():
        form.add_field(name, value)
    assert request.file is not None
    form.add_field("file", request.file.data, filename=request.file.name, content_type=request.file.media_type)
    return {"data": form}


async def _refuse_errors(response: aiohttp.ClientResponse) -> None:
    if response.status == 200:
        return
    body = bytearray()
    with contextlib.suppress(aiohttp.ClientError, OSError):  # the status says enough; TimeoutError is an OSError
        async with asyncio.timeout(ERROR_WITHIN_S):
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_ERROR_BYTES:
                    break
    raise _error(response, bytes(body))


def _error(response: aiohttp.ClientResponse, body: bytes) -> UpstreamError:
    status = response.status
    if status in CALLERS_FAULT:
        return payload.rejection(body, status)
    if status in (429, 503):
        return BackendBusy("the model server is busy", retry_after_s=_retry_after(response))
    if status in (502, 504):  # a proxy in front of it has lost it
        return BackendLost(f"the model server answered {status}")
    return BackendBroke(f"the model server answered {status}")


def _retry_after(response: aiohttp.ClientResponse) -> float:
    try:
        return min(LONGEST_RETRY_AFTER_S, max(0.0, float(response.headers.get("Retry-After", "1"))))
    except ValueError:
        return 1.0


async def _read(response: aiohttp.ClientResponse, between_s: float) -> bytes:
    body = bytearray()
    while not response.content.at_eof():
        async with asyncio.timeout(between_s):
            body += await response.content.readany()
        if len(body) > MAX_ANSWER_BYTES:
            raise BackendBroke(f"the model server's answer exceeds {MAX_ANSWER_BYTES} bytes")
    return bytes(body)
