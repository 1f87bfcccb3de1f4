"""
The Ollama kind: `/v1` for requests, its own API for the rest.

What its `/v1` does otherwise than vLLM's, by its source (github.com/ollama/ollama, middleware/openai.go and
server/routes.go): a model that it does not have is a 404 ("model 'x' not found"), a full queue a 503 without
Retry-After, a picture by link a 400; a model that is not in memory is loaded, while its request waits; unknown fields
are passed over; and a prompt that is longer than the context is cut without a word, which no field of `/v1` can change.
"""

from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic

import structlog
from msgspec import Struct
from msgspec.structs import replace

from smart_router.decide.context import KEPT, looks_cut
from smart_router.errors import BackendModelMissing, BadRequest, UpstreamError
from smart_router.registry import Model
from smart_router.settings import Settings
from smart_router.types import Usage
from smart_router.upstream import ollama_api
from smart_router.upstream.base import Answer, Call, Forward, Forwarded
from smart_router.upstream.ollama_api import PS, SHOW, TAGS, VERSION, Nature, same
from smart_router.upstream.openai_style import MOST_ERROR_BYTES, MOST_LIST_BYTES, OpenAIStyle

log = structlog.get_logger("ollama")

LEAST_CONTEXT = 4096  # tokens: Ollama's default with less than 24 GB of GPU memory; more of that, more of them
REMEDY = "set OLLAMA_CONTEXT_LENGTH for the Ollama server, or `PARAMETER num_ctx` in a Modelfile; /v1 cannot"
TELL_AGAIN_S = 60.0  # that prompts of a model were cut
CHAT = b"/v1/chat/completions"
MOST_CONTEXTS = 1024  # that are remembered: the addresses of replicas come and go
CLOUD = ("-cloud", ":cloud")  # models that run at ollama.com, which need not be pulled


class Context(Struct):
    """Of one model at one server, in tokens. *known*: it was told by the server, not guessed."""

    tokens: int = LEAST_CONTEXT
    known: bool = False
    nature: Nature | None = None
    told: int = 0  # what the log was told
    complained_at: float = -inf  # of a prompt that was cut


class OllamaUpstream(OpenAIStyle):
    """Remembers the contexts of models, to say when a prompt was too long for one."""

    kind = "ollama"

    def __init__(
        self,
        settings: Settings,
        may_retry: Callable[[], bool] = lambda: True,
        now: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(settings, may_retry)
        self._now = now
        self._contexts: dict[tuple[str, str], Context] = {}  # by endpoint and name

    async def open(self, call: Call, endpoint: str, within_s: float = inf) -> Answer:
        return await super().open(_without_links(call) if call.model.api == "chat" else call, endpoint, within_s)

    async def forward(self, forward: Forward, endpoint: str, within_s: float = inf) -> Forwarded:
        if forward.path == CHAT and isinstance(forward.body, bytes):
            forward = replace(forward, body=ollama_api.limited(forward.body))
        return await super().forward(forward, endpoint, within_s)

    async def check(self, model: Model, endpoint: str) -> str:
        await self._get(endpoint, VERSION, MOST_ERROR_BYTES, model)
        name = model.served_name
        if not name.endswith(CLOUD) and same(name) not in map(same, await self.models(model, endpoint)):
            raise BackendModelMissing(self._missing(model))
        with suppress(UpstreamError):  # it is well all the same
            await self._learn_context(model, endpoint)
        return ""

    async def models(self, model: Model, endpoint: str) -> frozenset[str]:
        return ollama_api.names(await self._get(endpoint, TAGS, MOST_LIST_BYTES, model))

    def _missing(self, model: Model | None) -> str:
        return super()._missing(model) if model is None else ollama_api.pull(model.served_name)

    def _counted(self, model: Model | None, endpoint: str, usage: Usage) -> None:
        """Says of a prompt that it was cut, at most once a minute."""
        context = self._contexts.get((endpoint, model.served_name)) if model is not None else None
        if context is None or model is None or not context.known or not usage.prompt_tokens:
            return
        kept = context.nature.num_keep if context.nature is not None else None
        if not looks_cut(usage.prompt_tokens, context.tokens, KEPT if kept is None else kept):
            return
        if self._now() - context.complained_at >= TELL_AGAIN_S:
            context.complained_at = self._now()
            log.warning(
                "a prompt was probably cut to fit the context",
                model=model.id,
                replica=endpoint,
                prompt_tokens=usage.prompt_tokens,
                context_tokens=context.tokens,
                remedy=REMEDY,
            )

    def _context(self, model: Model, endpoint: str) -> Context:
        if len(self._contexts) >= MOST_CONTEXTS and (endpoint, model.served_name) not in self._contexts:
            del self._contexts[next(iter(self._contexts))]
        return self._contexts.setdefault((endpoint, model.served_name), Context())

    async def _learn_context(self, model: Model, endpoint: str) -> None:
        """
        Of a model in memory it is known; else by its num_ctx; else it is what the server would give it: what the log is
        told is the least.
        """
        context = self._context(model, endpoint)
        if context.nature is None:
            body = ollama_api.asking(model.served_name)
            shown = await self._asked(endpoint, b"POST", SHOW, body, MOST_LIST_BYTES, model)
            context.nature = ollama_api.nature(shown)
            if context.nature.num_ctx:
                context.tokens, context.known = context.nature.num_ctx, True
        in_memory = ollama_api.loaded(await self._get(endpoint, PS, MOST_LIST_BYTES, model))
        if tokens := in_memory.get(same(model.served_name)):
            context.tokens, context.known = tokens, True
        if context.told != context.tokens:
            context.told = context.tokens
            _tell(model, endpoint, context)


def _tell(model: Model, endpoint: str, context: Context) -> None:
    trained = context.nature.trained if context.nature is not None else None
    tell = log.info if trained is not None and context.tokens >= trained else log.warning
    tell(
        "Ollama cuts prompts that are longer than its context",
        model=model.id,
        replica=endpoint,
        context_tokens=context.tokens,
        or_more=not context.known,
        trained_for_tokens=trained,
        remedy=REMEDY,
    )


def _without_links(call: Call) -> Call:
    """
    Ollama fetches nothing. What earlier turns linked to is left out, as nobody can send it again.

    Raises:
        BadRequest: this turn comes with a link.
    """
    if any(attachment.url is not None for attachment in call.ask.attachments):
        raise BadRequest("attachments: the model that answers now takes files only as base64 `data`, not by `url`")
    if not any(message.attachments for message in call.history):
        return call
    kept = [replace(m, attachments=tuple(a for a in m.attachments if a.url is None)) for m in call.history]
    return replace(call, history=tuple(kept))
