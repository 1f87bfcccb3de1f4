"""Model servers: one kind per file."""

from collections.abc import Callable

from smart_router.settings import Settings
from smart_router.upstream.base import Upstream
from smart_router.upstream.ollama import OllamaUpstream
from smart_router.upstream.openai import OpenAIUpstream
from smart_router.upstream.vllm import VllmUpstream

MayRetry = Callable[[], bool]  # asked before a request is sent again

KINDS: dict[str, Callable[[Settings, MayRetry], Upstream]] = {
    "vllm": VllmUpstream,
    "ollama": OllamaUpstream,
    "openai": OpenAIUpstream,
}
