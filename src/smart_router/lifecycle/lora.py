"""
LoRA adapters that a running vLLM server loads and forgets.

The server must run with --enable-lora, and with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, which is what it has these paths
with. What an adapter takes there is reserved as the server starts (--max-loras, --max-lora-rank).
"""

from typing import Literal

import msgspec
from msgspec import Struct

from smart_router.errors import BackendAsleep, LifecycleFailed
from smart_router.lifecycle.base import Seen, named
from smart_router.lifecycle.calls import WRONG_KEY, Calls, Told
from smart_router.registry import Model
from smart_router.settings import Settings
from smart_router.upstream.base import SLEEPS

ADVICE = "start its server with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --enable-lora"


class Lora:
    """An adapter is awake while its server lists it among its models. What runs goes on when it is forgotten."""

    cold: Literal["waking", "loading"] = "loading"

    def __init__(self, settings: Settings) -> None:
        self._calls = Calls(settings)

    async def start(self) -> None:
        await self._calls.start()

    async def close(self) -> None:
        await self._calls.close()

    async def look(self, model: Model, endpoint: str) -> Seen:
        """An adapter sleeps when its server does."""
        if not await self._listed(model, endpoint) or await self._calls.sleeps(model, endpoint):
            return "sleeping"
        return "awake"

    async def wake(self, model: Model, endpoint: str) -> None:
        if await self._calls.sleeps(model, endpoint):
            raise BackendAsleep(SLEEPS)
        if await self._listed(model, endpoint):
            return
        assert model.lora is not None
        ask = {"lora_name": model.served_name, "lora_path": model.lora.path}
        told = await self._calls.post(model, endpoint, b"/v1/load_lora_adapter", ask)
        if not await self._listed(model, endpoint):  # somebody else may have been quicker
            raise _failed(model, endpoint, f'cannot be loaded from "{model.lora.path}"', told)

    async def sleep(self, model: Model, endpoint: str) -> None:
        if not await self._listed(model, endpoint):
            return
        told = await self._calls.post(model, endpoint, b"/v1/unload_lora_adapter", {"lora_name": model.served_name})
        if await self._listed(model, endpoint):
            raise _failed(model, endpoint, "cannot be unloaded", told)

    async def _listed(self, model: Model, endpoint: str) -> bool:
        told = await self._calls.get(model, endpoint, b"/v1/models")
        found = told.read(_Models)
        if told.status == 401:
            raise LifecycleFailed(f"{named(model, endpoint)}: {WRONG_KEY}")
        if told.status != 200 or found is None:
            raise LifecycleFailed(
                f"{named(model, endpoint)}: no list of models at /v1/models ({told.status}: {told.reason}): "
                "is a vLLM server there?"
            )
        return any(card.id == model.served_name for card in found.data)


def _failed(model: Model, endpoint: str, what: str, told: Told) -> LifecycleFailed:
    who = named(model, endpoint)
    if told.status == 200:
        return LifecycleFailed(
            f"{who}: {what}: the server says that it did, and its /v1/models that it did not; look at its log"
        )
    if told.unknown_path or "--enable-lora" in told.reason:
        return LifecycleFailed(f"{who}: {what}: {ADVICE}")
    return LifecycleFailed(f"{who}: {what}: {told.status}: {told.reason}")


class _Card(Struct):
    id: str


class _Models(Struct):
    data: list[_Card] = msgspec.field(default_factory=list)
