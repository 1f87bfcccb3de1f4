"""
The playground's files as ASGI handlers, one for each path that there is.

They are read once, at the start, and found in a dict by their whole path: no request reaches the file system, so none
can climb out of the folder.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]
About = Callable[[], Mapping[str, Any]]

INDEX, FOLDER, ABOUT = "/", "/ui/", "/ui/about.json"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_JSON = "application/json"
# Nothing from elsewhere, nothing inline; no text ever becomes markup or script.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
SECURITY = (  # beside what the server says with every answer
    ("content-security-policy", POLICY),
    ("permissions-policy", "microphone=(self), camera=(), geolocation=(), display-capture=()"),
    ("cross-origin-resource-policy", "same-origin"),
)


def page_files(about: About) -> dict[str, Handler]:
    """Path -> handler. *about*: what the page may know of its router before it has a key; asked for each time."""
    found: dict[str, Handler] = {FOLDER + name: file for name, file in _shown().items()}
    found[INDEX] = found.pop(FOLDER + "index.html")
    found[ABOUT] = Told(about)
    return found


class Shown:
    """One file. A browser keeps it and asks each time whether it is still the same."""

    def __init__(self, content_type: str, body: bytes) -> None:
        self._content_type = content_type
        self._body = body
        self._tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = (("etag", self._tag), ("cache-control", "no-cache"), *SECURITY)
        if scope["method"] not in ("GET", "HEAD"):
            await _refuse(scope, send)
        elif self._is_known(scope):
            await _answer(scope, send, 304, b"", kept)
        else:
            await _answer(scope, send, 200, self._body, (("content-type", self._content_type), *kept))

    def _is_known(self, scope: Scope) -> bool:
        given = b",".join(value for name, value in scope["headers"] if name == b"if-none-match").decode("latin-1")
        return self._tag in (tag.strip().removeprefix("W/") for tag in given.split(","))


class Told:
    """What *about* says, as JSON, never kept."""

    def __init__(self, about: About) -> None:
        self._about = about

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _refuse(scope, send)
            return
        headers = (("content-type", _JSON), ("cache-control", "no-store"), *SECURITY)
        await _answer(scope, send, 200, json.dumps(self._about()).encode(), headers)


async def _refuse(scope: Scope, send: Send) -> None:
    error = {
        "success": False,
        "error_message": f"{scope['path']} takes GET",
        "error_code": "method_not_allowed",
    }
    headers = (("content-type", _JSON), ("allow", "GET, HEAD"), *SECURITY)
    await _answer(scope, send, 405, json.dumps(error).encode(), headers)


async def _answer(scope: Scope, send: Send, status: int, body: bytes, headers: tuple[tuple[str, str], ...]) -> None:
    told = [(name.encode(), value.encode()) for name, value in headers]
    if status != 304:
        told.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


@cache
def _shown() -> Mapping[str, "Shown"]:
    """By name within the folder, every file of a type that the page uses: the same whatever the registry says."""
    contents = _within(files("smart_router.web") / "static", "")
    return {name: Shown(TYPES[_ending(name)], body) for name, body in contents}


def _within(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _within(entry, f"{prefix}{entry.name}/")
        elif _ending(entry.name) in TYPES:
            yield prefix + entry.name, entry.read_bytes()


def _ending(name: str) -> str:
    return name[name.rfind(".") :]
