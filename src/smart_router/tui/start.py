"""What a chat begins with."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from textual.theme import Theme

from smart_router.client import AsyncClient
from smart_router.tui.asking import Clock
from smart_router.tui.names import Names
from smart_router.tui.themes import DEFAULT

MAX_TOKENS = 1024  # of an answer: the router's own default, 100, is short for a chat


@dataclass(frozen=True)
class Start:
    """What the command line decides, and what tests replace."""

    connect: Callable[[str | None], AsyncClient]  # with a key
    url: str
    key: str | None = None
    session: str | None = None
    theme: str = DEFAULT
    themes: Sequence[Theme] = ()  # beside ours
    troubles: Sequence[str] = ()  # to be told at the start
    names: Names = field(default_factory=lambda: Names(None))
    max_tokens: int = MAX_TOKENS
    clock: Clock = time.perf_counter
    new_id: Callable[[], str] = lambda: f"chat-{uuid.uuid4().hex[:12]}"
