"""What kinds ask model servers: short JSON calls over our own HTTP client, each with a deadline."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from smart_router.errors import BackendAway, BackendBroke, BackendBusy, LifecycleFailed
from smart_router.lifecycle.base import named
from smart_router.registry import Model
from smart_router.settings import Settings
from smart_router.upstream.base import key_header
from smart_router.upstream.pool import Pools
from smart_router.upstream.response import Response

MOST_OF_A_REASON = 500  # characters
MOST_BYTES = 4 * 1024 * 1024
JSON = ((b"content-type", b"application/json"),)
NO_ROUTE = {404, 405}
WRONG_KEY = "its server does not take the router's key: correct its api_key in the registry"

_T = TypeVar("_T")


class Told(Struct, frozen=True):
    """A server's answer."""

    status: int
    body: bytes

    @property
    def reason(self) -> str:
        """Why it refuses, in its own words."""
        told = self.read(dict[str, Any]) or {}
        error = told.get("error", told.get("detail"))
        words = error.get("message") if isinstance(error, dict) else error
        return " ".join(str(words or "it does not say why").split())[:MOST_OF_A_REASON]

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
    Looking takes `HEALTH_TIMEOUT` at most, changing something `MODEL_LOAD_TIMEOUT`; who waits less cancels. The model's
    key goes along: vLLM's own guards what begins with /v1, a proxy's may guard all.

    Raises, from all:
        UpstreamError: there is no answer, or only one that says that nobody is there to give it.
    """

    def __init__(self, settings: Settings) -> None:
        self._look_s, self._change_s = settings.health_timeout, settings.model_load_timeout
        self._pools = Pools(connect_s=settings.connect_timeout)

    async def start(self) -> None:
        self._pools.start()

    async def close(self) -> None:
        self._pools.close()

    async def get(self, model: Model, endpoint: str, path: bytes, within_s: float | None = None) -> Told:
        """A server that fails at this is no better than one that does not answer."""
        within_s = self._look_s if within_s is None else within_s
        request = self._pools.to(endpoint).request(b"GET", path, key_header(model), within_s=within_s)
        told = await _told(await request, within_s)
        if told.status >= 500:
            raise BackendBroke(f"{path.decode()} was answered with {told.status}")
        return told

    async def sleeps(self, model: Model, endpoint: str) -> bool | None:
        """
        None: the server does not say; only in development mode vLLM does, and only so it can be put to sleep.

        Raises:
            LifecycleFailed: it does not take the model's key.
        """
        told = await self.get(model, endpoint, b"/is_sleeping")
        if told.status == 401:
            raise LifecycleFailed(f"{named(model, endpoint)}: {WRONG_KEY}")
        said = told.read(_Sleeping) if told.status == 200 else None
        return said.is_sleeping if said else None

    async def post(self, model: Model, endpoint: str, path: bytes, body: dict[str, Any] | None = None) -> Told:
        headers, data = ((), b"") if body is None else (JSON, msgspec.json.encode(body))
        headers = (*headers, *key_header(model))
        request = self._pools.to(endpoint).request(b"POST", path, headers, data, within_s=self._change_s)
        return await _told(await request, self._change_s)


class _Sleeping(Struct):
    is_sleeping: bool


async def _told(response: Response, within_s: float) -> Told:
    try:
        if response.status == 503:
            raise BackendBusy("the model server is busy")
        if response.status in (502, 504):  # a proxy in front of it has lost it
            raise BackendAway(f"the model server answered {response.status}")
        return Told(response.status, await response.read(MOST_BYTES, within_s))
    finally:
        response.close()
