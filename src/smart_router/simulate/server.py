"""The application: which paths a model of a kind has, and the process that serves them."""

from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smart_router.simulate.adapters import load_lora_adapter, unload_lora_adapter
from smart_router.simulate.audio import transcriptions, translations
from smart_router.simulate.chat import chat_completions
from smart_router.simulate.completions import completions
from smart_router.simulate.control import faults, lifecycle, received
from smart_router.simulate.embeddings import embeddings
from smart_router.simulate.errors import HANDLERS
from smart_router.simulate.messages import count_tokens, messages
from smart_router.simulate.model import SimulatedModel
from smart_router.simulate.ollama import create_ollama
from smart_router.simulate.operations import health, load, metrics_page, models, version
from smart_router.simulate.responses import responses, stored_response
from smart_router.simulate.simulation import Simulation
from smart_router.simulate.sleeping import collective_rpc, is_sleeping, sleep, wake_up
from smart_router.simulate.speech import speech
from smart_router.simulate.tokenizer import detokenize, tokenize

Endpoint = Callable[[Request], Awaitable[Response]]

KEEP_ALIVE_S = 5  # as vLLM's server


def create_app(model: SimulatedModel) -> ASGIApp:
    """An ASGI application that answers as a server of *model* would, and says that it is simulated."""
    if model.server == "ollama":
        return Labelled(create_ollama(model))
    cors = Middleware(CORSMiddleware, allow_methods=["*"], allow_headers=["*"])  # for no origin at all
    app = Starlette(routes=list(_routes(model)), middleware=[cors], exception_handlers=HANDLERS)
    app.state.simulation = Simulation(model)
    return Labelled(app)


def serve(
    model: SimulatedModel, *, host: str = "127.0.0.1", port: int = 8000, log_level: str | int | None = "warning"
) -> None:
    """Serve *model* in this process until it is interrupted or told to terminate."""
    uvicorn.run(create_app(model), host=host, port=port, log_level=log_level, timeout_keep_alive=KEEP_ALIVE_S)


class Labelled:
    """Puts `X-Simulated: true` on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-simulated"] = "true"
            await send(message)

        await self._app(scope, receive, labelled if scope["type"] == "http" else send)


class Only(Route):
    """A route for the methods it names; Starlette's would take HEAD where it takes GET, vLLM's does not."""

    def __init__(self, path: str, endpoint: Endpoint, *methods: str) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.methods = set(methods)


def _routes(model: SimulatedModel) -> Iterator[Route]:
    kind = model.kind
    yield from _operations()
    if model.dev_mode:
        yield from _development()
    if model.runtime_lora:
        yield Only("/v1/load_lora_adapter", load_lora_adapter, "POST")
        yield Only("/v1/unload_lora_adapter", unload_lora_adapter, "POST")
    if kind != "audio":
        yield from _chat()
    if kind in ("audio", "any"):
        yield Only("/v1/audio/transcriptions", transcriptions, "POST")
        yield Only("/v1/audio/translations", translations, "POST")
    if kind == "any":
        yield Only("/v1/embeddings", embeddings, "POST")
        yield Only("/v1/audio/speech", speech, "POST")


def _operations() -> Iterator[Route]:
    yield Only("/health", health, "GET")
    yield Only("/ping", health, "GET", "POST")
    yield Only("/version", version, "GET")
    yield Only("/load", load, "GET")
    yield Only("/metrics", metrics_page, "GET")
    yield Only("/v1/models", models, "GET")
    yield Only("/tokenize", tokenize, "POST")
    yield Only("/detokenize", detokenize, "POST")
    yield Only("/simulate/faults", faults, "GET", "POST", "DELETE")
    yield Only("/simulate/requests", received, "GET", "DELETE")
    yield Only("/simulate/lifecycle", lifecycle, "GET")


def _development() -> Iterator[Route]:
    yield Only("/is_sleeping", is_sleeping, "GET")
    yield Only("/sleep", sleep, "POST")
    yield Only("/wake_up", wake_up, "POST")
    yield Only("/collective_rpc", collective_rpc, "POST")


def _chat() -> Iterator[Route]:
    yield Only("/v1/chat/completions", chat_completions, "POST")
    yield Only("/v1/completions", completions, "POST")
    yield Only("/v1/responses", responses, "POST")
    yield Only("/v1/responses/{response_id}", stored_response, "GET")
    yield Only("/v1/responses/{response_id}/cancel", stored_response, "POST")
    yield Only("/v1/messages", messages, "POST")
    yield Only("/v1/messages/count_tokens", count_tokens, "POST")
