"""Any other server with the OpenAI-style paths: llama.cpp, LM Studio, TGI, gateways, OpenAI, OpenRouter."""

from smart_router.errors import BackendBusy
from smart_router.registry import Model
from smart_router.upstream.openai_style import OpenAIStyle, listed


class OpenAIUpstream(OpenAIStyle):
    """
    Its list of models is all that is known of its health. Some answer to names that they do not list, such as aliases
    and variants, and llama.cpp to any: who does not list a model is not refused for that.
    """

    kind = "openai"

    async def check(self, model: Model, endpoint: str) -> str:
        try:
            served = await self.models(model, endpoint)
        except BackendBusy as exc:  # it is there; its requests will be told for how long it rests
            return exc.message
        if not served or model.served_name in served:
            return ""
        return f"it lists {listed(served)}, but not {model.served_name}: if it answers 404, correct served_as"
