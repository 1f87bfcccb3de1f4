"""The little of ASGI that the data plane needs: a bounded read, a JSON answer, headers, and clients that leave."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from smart_router.errors import BadRequest, BodyTooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client closed the connection before it had its answer."""


def header(scope: Scope, name: bytes) -> str | None:
    """The one header called *name* (lower case); of several, the first."""
    found = next((value for key, value in scope["headers"] if key == name), None)
    return None if found is None else found.decode("latin-1")


async def read_body(scope: Scope, receive: Receive, most: int, within_s: float) -> bytes:
    """
    The request's body.

    Raises:
        BodyTooLarge: it is declared or found to exceed *most* bytes; the rest is not read.
        BadRequest: it did not arrive within *within_s* seconds.
        ClientGone: the client left.
    """
    declared = header(scope, b"content-length")
    if declared and declared.isdigit() and int(declared) > most:
        raise BodyTooLarge(_too_large(most))
    try:
        async with asyncio.timeout(within_s):
            return await _read(receive, most)
    except TimeoutError:
        raise BadRequest(f"the body did not arrive within {within_s:g} s; send it faster") from None


async def _read(receive: Receive, most: int) -> bytes:
    chunks, total = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        total += len(chunks[-1])
        if total > most:
            raise BodyTooLarge(_too_large(most))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(most: int) -> str:
    return f"the body exceeds {most} bytes; send less, or attach files by url"


async def send_start(send: Send, status: int, content_type: bytes, headers: Headers) -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type), *headers]}
    )


async def send_json(send: Send, status: int, body: bytes, headers: Headers = ()) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send_start(send, status, b"application/json", [length, *headers])
    await send({"type": "http.response.body", "body": body})


async def unless_client_leaves(work: Awaitable[None], receive: Receive) -> None:
    """
    Do *work*; when the client closes the connection, cancel it and wait until it has cleaned up.

    Raises:
        ClientGone: the client left first.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_client_left(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        working.result()
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
