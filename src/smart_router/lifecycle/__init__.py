"""Models that come and go: what each kind does, and who decides when."""

from collections.abc import Callable

from smart_router.lifecycle.base import Lifecycle
from smart_router.lifecycle.lora import Lora
from smart_router.lifecycle.ollama import OllamaLifecycle
from smart_router.lifecycle.process import ByProcess
from smart_router.lifecycle.sleep import Sleep
from smart_router.settings import Settings

KINDS: dict[str, Callable[[Settings], Lifecycle]] = {
    "sleep": Sleep,
    "process": ByProcess,
    "lora": Lora,
    "ollama": OllamaLifecycle,
}
