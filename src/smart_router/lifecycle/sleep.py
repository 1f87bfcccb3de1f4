"""
vLLM's sleep mode (as of 0.32): level 1 keeps the weights in the server's CPU memory, level 2 drops them.

The server must run with VLLM_SERVER_DEV_MODE=1, which is what it has these paths with, and --enable-sleep-mode, without
which it says that it sleeps and frees nothing.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Literal

from msgspec import Struct

from smart_router.errors import LifecycleFailed, UpstreamError
from smart_router.lifecycle.base import Seen, named
from smart_router.lifecycle.calls import Calls
from smart_router.registry import Model
from smart_router.settings import Settings

SETTLES_S = 5.0  # vLLM answers when it is done; several engines, or a proxy, may be a moment behind
PAUSE_S = 0.1
EXPLAINS_ITSELF_S = 30.0  # the first time it looks at its whole machine, later it knows
ADVICE = "start its server with VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode, or write lifecycle: always"

Depth = Literal["awake", "weights_offloaded", "discard_all"]
DEPTHS: dict[int, Depth] = {1: "weights_offloaded", 2: "discard_all"}

_STATE = re.compile(rb'^vllm:engine_sleep_state\{.*?sleep_state="(\w+)".*\} (\S+)', re.MULTILINE)


class Sleep:
    """
    A server that sleeps says so at `/is_sleeping`, and how deeply in its metrics.

    Cancelled, putting to sleep goes on in the server once what runs there has ended; waking stops where it is. `look`
    tells, and the next try goes on from there.
    """

    cold: Literal["waking", "loading"] = "waking"

    def __init__(self, settings: Settings, *, settles_s: float = SETTLES_S) -> None:
        self._calls = Calls(settings)
        self._settles_s = settles_s
        self._asked: dict[str, asyncio.Task[bool]] = {}  # of servers, whether they only pretend

    async def start(self) -> None:
        await self._calls.start()

    async def close(self) -> None:
        for asking in self._asked.values():
            asking.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        await self._calls.close()

    async def look(self, model: Model, endpoint: str) -> Seen:
        sleeps = await self._calls.sleeps(model, endpoint)
        if sleeps is None:
            raise LifecycleFailed(f"{named(model, endpoint)}: no /is_sleeping: {ADVICE}")
        if not sleeps and endpoint not in self._asked:  # so that nobody waits for it when it is to make room
            self._asked[endpoint] = asyncio.create_task(self._pretends(model, endpoint))
        return "sleeping" if sleeps else "awake"

    async def wake(self, model: Model, endpoint: str) -> None:
        if await self.look(model, endpoint) == "awake":
            return
        if await self._weights_are_gone(model, endpoint):
            await self._wake_without_weights(model, endpoint)
        else:
            await self._post(model, endpoint, b"/wake_up")
        if not await self._until(lambda: self._is_awake(model, endpoint)):
            raise LifecycleFailed(
                f"{named(model, endpoint)}: /wake_up was answered, but it sleeps on; look at the server's log"
            )

    async def sleep(self, model: Model, endpoint: str) -> None:
        if await self.look(model, endpoint) == "sleeping" and await self._depth(model, endpoint) != "awake":
            return
        asking = self._asked.get(endpoint)
        if await (self._pretends(model, endpoint) if asking is None or asking.done() else asyncio.shield(asking)):
            raise LifecycleFailed(f"{named(model, endpoint)}: asleep it would free nothing: {ADVICE}")
        await self._post(model, endpoint, b"/sleep?level=%d&mode=wait" % model.sleep_level)
        if not await self._until(lambda: self._is_asleep(model, endpoint)):
            raise LifecycleFailed(
                f"{named(model, endpoint)}: /sleep?level={model.sleep_level} was answered with 200, but it did not "
                "fall asleep: its memory is not free; look at the server's log"
            )

    async def _wake_without_weights(self, model: Model, endpoint: str) -> None:
        """
        vLLM's sequence after level 2; the cache of prefixes was emptied as it fell asleep. The cache comes last: until
        the weights are there again, the server sleeps on and answers nobody from garbage.
        """
        await self._post(model, endpoint, b"/wake_up?tags=weights")
        told = await self._calls.post(model, endpoint, b"/collective_rpc", {"method": "reload_weights"})
        if told.status != 200:
            raise LifecycleFailed(
                f"{named(model, endpoint)}: its weights cannot be read again after sleep level 2: "
                f"{told.status}: {told.reason}; mend that, or restart its server and write sleep_level: 1"
            )
        await self._post(model, endpoint, b"/wake_up?tags=kv_cache")

    async def _weights_are_gone(self, model: Model, endpoint: str) -> bool:
        """As the server says, which people may have put to sleep otherwise than we would, else as we would have."""
        depth = await self._depth(model, endpoint)
        return depth == "discard_all" if depth else model.sleep_level == 2

    async def _depth(self, model: Model, endpoint: str) -> Depth | None:
        """Of its shallowest engine; None: it does not say."""
        try:
            told = await self._calls.get(model, endpoint, b"/metrics")
        except UpstreamError:
            return None
        return read_depth(told.body) if told.status == 200 else None

    async def _is_awake(self, model: Model, endpoint: str) -> bool:
        return await self.look(model, endpoint) == "awake"

    async def _is_asleep(self, model: Model, endpoint: str) -> bool:
        return await self.look(model, endpoint) == "sleeping" and (
            await self._depth(model, endpoint) in (DEPTHS[model.sleep_level], None)
        )

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> bool:
        """Whether it holds soon."""
        until = asyncio.get_running_loop().time() + self._settles_s
        while not await holds():
            if asyncio.get_running_loop().time() >= until:
                return False
            await asyncio.sleep(PAUSE_S)
        return True

    async def _pretends(self, model: Model, endpoint: str) -> bool:
        """Whether the server says of itself that it would free nothing. A CPU has no memory to free: there it may."""
        try:
            told = await self._calls.get(model, endpoint, b"/server_info?config_format=json", EXPLAINS_ITSELF_S)
        except UpstreamError:
            return False
        info = told.read(_Info)
        return info is not None and info.vllm_config.model_config.enable_sleep_mode is False and info.vllm_config.on_gpu

    async def _post(self, model: Model, endpoint: str, path: bytes) -> None:
        told = await self._calls.post(model, endpoint, path)
        if told.status == 200:
            return
        name = path.partition(b"?")[0].decode()
        if told.status < 500:
            raise LifecycleFailed(
                f"{named(model, endpoint)}: {name} is refused ({told.status}: {told.reason}): {ADVICE}"
            )
        raise LifecycleFailed(f"{named(model, endpoint)}: {name} failed: {told.status}: {told.reason}")


def read_depth(page: bytes) -> Depth | None:
    """What the metrics say; an engine that only pauses has freed nothing."""
    engines = [(state, value) for state, value in _STATE.findall(page)]
    if not engines:
        return None
    found = {state for state, value in engines if value not in (b"0", b"0.0")}
    if b"awake" in found or not found:
        return "awake"
    return "discard_all" if b"discard_all" in found else "weights_offloaded"


class _ModelConfig(Struct, frozen=True):
    enable_sleep_mode: bool | None = None


class _DeviceConfig(Struct, frozen=True):
    device: str = ""


class _Config(Struct, frozen=True):
    model_config: _ModelConfig = _ModelConfig()
    device_config: _DeviceConfig = _DeviceConfig()

    @property
    def on_gpu(self) -> bool:
        return self.device_config.device.partition(":")[0] in ("cuda", "xpu")


class _Info(Struct, frozen=True):
    """What a vLLM server in development mode says of itself."""

    vllm_config: _Config = _Config()
