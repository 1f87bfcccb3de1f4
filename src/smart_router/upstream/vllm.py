"""The vLLM kind: says whether it sleeps, and how busy it is."""

import msgspec

from smart_router.decide.load import Load, read_load
from smart_router.errors import BackendAsleep, BackendBroke, BackendLocked, BackendModelMissing, UpstreamError
from smart_router.registry import Model
from smart_router.upstream import payload
from smart_router.upstream.base import SLEEPS
from smart_router.upstream.openai_style import MOST_ERROR_BYTES, OpenAIStyle, listed

MOST_METRICS_BYTES = 4 * 1024 * 1024


class VllmUpstream(OpenAIStyle):
    """Only what is under `/v1` may want a key: `vllm serve --api-key`."""

    kind = "vllm"

    async def check(self, model: Model, endpoint: str) -> str:
        await self._get(endpoint, b"/health", MOST_ERROR_BYTES)
        if await self.asleep(endpoint):
            raise BackendAsleep(SLEEPS)
        if model.lora is None and model.lifecycle != "lora":  # an adapter is listed once it is loaded
            return await self._check_served(model, endpoint)
        return ""

    async def asleep(self, endpoint: str) -> bool:
        """Only a server in development mode says so, and only such a one can be put to sleep."""
        try:
            said = await self._get(endpoint, b"/is_sleeping", MOST_ERROR_BYTES)
        except (BackendBroke, BackendLocked):
            return False
        return payload.says_that_it_sleeps(said)

    async def load(self, endpoint: str) -> Load:
        return read_load(await self._get(endpoint, b"/metrics", MOST_METRICS_BYTES))

    async def _check_served(self, model: Model, endpoint: str) -> str:
        """What it does not list it mostly answers with 404; but resolvers of adapters load them when they are asked."""
        try:
            served = await self.models(model, endpoint)
        except BackendLocked:
            raise
        except UpstreamError:  # it does not say
            return ""
        if not served or model.served_name in served:
            return ""
        if await self._answers_to_its_name(model, endpoint):
            return f"it lists {listed(served)}, but not {model.served_name}, which it answers to all the same"
        raise BackendModelMissing(
            f"it serves {listed(served)}, but not {model.served_name}: correct served_as in the registry, or start "
            f"it with --served-model-name {model.served_name}"
        )

    async def _answers_to_its_name(self, model: Model, endpoint: str) -> bool:
        """Asked for what costs it no GPU."""
        body = msgspec.json.encode({"model": model.served_name, "prompt": "Hi"})
        try:
            await self._asked(endpoint, b"POST", b"/tokenize", body, MOST_ERROR_BYTES, model)
        except UpstreamError:
            return False
        return True
