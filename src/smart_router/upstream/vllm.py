"""The vLLM kind: says whether it sleeps, and how busy it is."""

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
            await self._check_served(model, endpoint)
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

    async def _check_served(self, model: Model, endpoint: str) -> None:
        """It answers 404 to every name that it does not list."""
        try:
            served = await self.models(model, endpoint)
        except BackendLocked:
            raise
        except UpstreamError:  # it does not say
            return
        if served and model.served_name not in served:
            raise BackendModelMissing(
                f"it serves {listed(served)}, but not {model.served_name}: correct served_as in the registry, or start "
                f"it with --served-model-name {model.served_name}"
            )
