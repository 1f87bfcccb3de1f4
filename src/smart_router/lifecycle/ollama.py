"""
The ollama kind: a model is awake while Ollama holds it in memory.

Loaded by `/api/generate` without a prompt and with `keep_alive: -1`, which stays until it is let go of: requests over
`/v1` leave that as it is. Let go of by `keep_alive: 0`, upon which Ollama lets its requests end first.
"""

import asyncio
from time import monotonic
from typing import Literal

from smart_router.errors import BackendBroke, BackendBusy, LifecycleFailed
from smart_router.lifecycle.base import Seen
from smart_router.registry import Model
from smart_router.settings import Settings
from smart_router.upstream.base import key_header
from smart_router.upstream.ollama_api import FOR_EVER, GENERATE, PS, TAGS, asking, complaint, loaded, names, pull, same
from smart_router.upstream.pool import Pools

MOST_BYTES = 4 * 1024 * 1024  # of an answer
POLL_S = 0.1  # between two looks at whether a model is gone
JSON = (b"content-type", b"application/json")


class OllamaLifecycle:
    """Deadlines come from the settings."""

    cold: Literal["waking", "loading"] = "loading"

    def __init__(self, settings: Settings) -> None:
        self._look_s = settings.health_timeout
        self._load_s = settings.model_load_timeout
        self._pools = Pools(connect_s=settings.connect_timeout)

    async def start(self) -> None:
        self._pools.start()

    async def close(self) -> None:
        """Ollama keeps what it has in memory."""
        self._pools.close()

    async def look(self, model: Model, endpoint: str) -> Seen:
        name = same(model.served_name)
        if name in loaded(await self._ask(model, endpoint, PS)):
            return "awake"
        if name not in map(same, names(await self._ask(model, endpoint, TAGS))):
            raise LifecycleFailed(f"{model.id}: {pull(model.served_name)}")
        return "sleeping"

    async def wake(self, model: Model, endpoint: str) -> None:
        body = asking(model.served_name, keep_alive=FOR_EVER, stream=False)
        await self._ask(model, endpoint, GENERATE, body)
        if await self.look(model, endpoint) != "awake":
            raise LifecycleFailed(f"{model.id}: Ollama loaded it and let go of it again; is there memory for it?")

    async def sleep(self, model: Model, endpoint: str) -> None:
        until = monotonic() + self._load_s
        body = asking(model.served_name, keep_alive=0, stream=False)
        await self._ask(model, endpoint, GENERATE, body)
        while await self.look(model, endpoint) != "sleeping":
            if monotonic() >= until:
                raise LifecycleFailed(
                    f"{model.id}: Ollama still holds it {self._load_s:g} s after it was to let go of it"
                )
            await asyncio.sleep(POLL_S)

    async def _ask(self, model: Model, endpoint: str, path: bytes, body: bytes = b"") -> bytes:
        """
        Raises:
            UpstreamError: it does not answer, or has no room for the question.
            LifecycleFailed: it refuses; in its own words, as they say what to change.
        """
        method, within_s = (b"POST", self._load_s) if body else (b"GET", self._look_s)
        headers = (JSON, *key_header(model)) if body else key_header(model)
        response = await self._pools.to(endpoint).request(method, path, headers, body, within_s=within_s)
        try:
            answer = await response.read(MOST_BYTES, self._look_s)
        finally:
            response.close()
        if response.status == 503:
            raise BackendBusy("Ollama's queue is full")
        if response.status == 404 and body:
            raise LifecycleFailed(f"{model.id}: {pull(model.served_name)}")
        if response.status == 401:
            raise LifecycleFailed(f"{model.id}: the server does not take the router's key; correct its api_key")
        if response.status != 200 and (said := complaint(answer)):
            raise LifecycleFailed(f"{model.id}: Ollama says: {said}")
        if response.status != 200:
            raise BackendBroke(f"{path.decode()} was answered with {response.status}")
        return answer
