"""Model servers: one kind per file."""

from collections.abc import Callable

from smart_router.settings import Settings
from smart_router.upstream.base import Upstream
from smart_router.upstream.vllm import VllmUpstream

KINDS: dict[str, Callable[[Settings], Upstream]] = {
    "vllm": VllmUpstream,
}
