"""The little of ASGI that the data plane needs: a bounded read, a JSON answer, headers."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from smart_router.errors import BodyTooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client closed the connection before it had its answer."""


async def read_body(declared: bytes | None, receive: Receive, most: int) -> bytes:
    """
    The request's body, whose Content-Length is *declared*.

    Raises:
        BodyTooLarge: it is declared or found to exceed *most* bytes; the rest is not read.
        ClientGone: the client left.
    """
    check_length(declared, most)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False) and len(body) <= most:
        return body
    parts = [body]
    size = len(body)
    while message["type"] == "http.request":
        if size > most:
            raise BodyTooLarge(too_large(most))
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    raise ClientGone


def check_length(declared: bytes | None, most: int) -> None:
    """
    Raises:
        BodyTooLarge: more is declared.
    """
    if declared and declared.isdigit() and int(declared[:20]) > most:
        raise BodyTooLarge(too_large(most))


def too_large(most: int) -> str:
    return f"the body exceeds {most} bytes; send less, or attach files by url"


async def send_json(send: Send, status: int, body: bytes, headers: Headers = ()) -> None:
    told = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
