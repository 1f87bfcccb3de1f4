"""Model servers: one kind per file, and `module:Class` for kinds of others."""

from collections.abc import Callable

from smart_router.kinds import imported
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


def kind(name: str) -> Callable[[Settings, MayRetry], Upstream]:
    """
    Raises:
        ConfigurationError: there is none of that name.
    """
    found: Callable[[Settings, MayRetry], Upstream] = KINDS.get(name) or imported(name)
    return found
