"""What kinds ask model servers: short JSON calls over our own HTTP client, each with a deadline."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from smart_router.errors import BackendAway, BackendBroke, BackendBusy
from smart_router.settings import Settings
from smart_router.upstream.payload import rejection
from smart_router.upstream.pool import Pools
from smart_router.upstream.response import Response

MOST_BYTES = 4 * 1024 * 1024
JSON = ((b"content-type", b"application/json"),)
NO_ROUTE = {404, 405}

_T = TypeVar("_T")


class Told(Struct, frozen=True):
    """A server's answer."""

    status: int
    body: bytes

    @property
    def reason(self) -> str:
        """Why it refuses, in its own words, in at most 500 characters."""
        return " ".join(rejection(self.body, self.status).message.split())

    @property
    def unknown_path(self) -> bool:
        """It has no such path; where it has, and knows no such thing, it says so in an error object."""
        return self.status in NO_ROUTE and "error" not in (self.read(dict[str, Any]) or {})

    def read(self, kind: type[_T]) -> _T | None:
        """The body, None if it is nothing of the *kind*."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (ValueError, RecursionError):
            return None


class Calls:
    """
    Looking takes `HEALTH_TIMEOUT` at most, changing something `MODEL_LOAD_TIMEOUT`; who waits less cancels.

    Raises, from both:
        UpstreamError: there is no answer, or only one that says that nobody is there to give it.
    """

    def __init__(self, settings: Settings) -> None:
        self._look_s, self._change_s = settings.health_timeout, settings.model_load_timeout
        self._pools = Pools(connect_s=settings.connect_timeout)

    async def start(self) -> None:
        self._pools.start()

    async def close(self) -> None:
        self._pools.close()

    async def get(self, endpoint: str, path: bytes, within_s: float | None = None) -> Told:
        """A server that fails at this is no better than one that does not answer."""
        within_s = self._look_s if within_s is None else within_s
        told = await _told(await self._pools.to(endpoint).request(b"GET", path, within_s=within_s), within_s)
        if told.status >= 500:
            raise BackendBroke(f"{path.decode()} was answered with {told.status}")
        return told

    async def post(self, endpoint: str, path: bytes, body: dict[str, Any] | None = None) -> Told:
        headers, data = ((), b"") if body is None else (JSON, msgspec.json.encode(body))
        request = self._pools.to(endpoint).request(b"POST", path, headers, data, within_s=self._change_s)
        return await _told(await request, self._change_s)


async def _told(response: Response, within_s: float) -> Told:
    try:
        if response.status == 503:
            raise BackendBusy("the model server is busy")
        if response.status in (502, 504):  # a proxy in front of it has lost it
            raise BackendAway(f"the model server answered {response.status}")
        return Told(response.status, await response.read(MOST_BYTES, within_s))
    finally:
        response.close()
