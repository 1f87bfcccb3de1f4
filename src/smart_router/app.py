"""The only place that constructs things: settings and a registry in, an ASGI application out."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from smart_router import __version__
from smart_router.access.keyring import KeyRing
from smart_router.api.asgi import Handler
from smart_router.api.auth import Door
from smart_router.api.errors import install_error_handlers
from smart_router.api.models import Catalogue, model_routes
from smart_router.api.openai import APIS, CHAT_PATH, OpenAIApi
from smart_router.api.ops import Ops, ops_routes
from smart_router.api.route import RouteApi
from smart_router.api.schema import install_schema
from smart_router.api.server import DRAIN
from smart_router.api.sessions import session_routes
from smart_router.api.visit import Desk
from smart_router.chooser import Chooser
from smart_router.classify.classifier import Classifier
from smart_router.classify.open import open_classifier
from smart_router.front import Front
from smart_router.observe.logs import RequestLog
from smart_router.observe.metrics import Metrics
from smart_router.observe.shared_stats import SharedStats
from smart_router.observe.stats import Stats
from smart_router.observe.tracing import Tracing, open_tracing
from smart_router.opening import Opener
from smart_router.pipeline import Pipeline
from smart_router.process import Drain, Signals
from smart_router.registry import Registry, default_registry_path, load_registry
from smart_router.second_opinion import open_second_opinion
from smart_router.sessions import open_store
from smart_router.sessions.base import SessionStore
from smart_router.settings import Settings, environment, load_settings
from smart_router.shadow import Shadow
from smart_router.upstream.fleet import Fleet

log = structlog.get_logger("app")

GC_THRESHOLDS = (10_000, 20, 20)  # allocations before a collection, younger collections before an older one
DESCRIPTION = "Session-aware smart routing for LLM serving."
DATA_PLANE = ("/route", "/classify", CHAT_PATH, *APIS)


def create_app(settings: Settings | None = None, signals: Signals | None = None) -> Handler:
    """
    The whole router as an ASGI application; with *signals*, it heeds those of its process.

    Raises:
        ConfigurationError: settings, registry or examples are wrong; the message names the place.
    """
    settings = settings or load_settings()
    registry = load_registry(settings.model_registry or default_registry_path(), environment())
    classifier, store, fleet = open_classifier(registry, settings), open_store(settings), Fleet(registry, settings)
    _warn_of_sleepers(registry)
    keys = KeyRing(settings, registry.use_cases, registry.models)
    stats, metrics, door = Stats(), Metrics(), Door(keys)
    request_log, tracing = RequestLog(), open_tracing(environment(), DATA_PLANE)
    observers = (stats, metrics, request_log)
    chooser = Chooser(registry, classifier, settings, open_second_opinion(fleet, registry, settings))
    shadow = _shadow(registry, classifier, settings, metrics, stats)
    opener = Opener(fleet, settings, metrics)
    pipeline = Pipeline(settings, chooser, store, fleet, opener, metrics, observers, shadow)
    desk = Desk(door, settings, observers, tracing)
    route, openai = RouteApi(pipeline, desk, registry.defaults), OpenAIApi(pipeline, desk, registry)

    shared_stats = SharedStats(stats, store.counts)
    drain = Drain()
    parts = Parts(registry, classifier, store, fleet, keys, shared_stats, shadow, request_log, tracing, drain, signals)
    control_plane = _control_plane(parts)
    control_plane.include_router(session_routes(store, door, settings.routing_mode))
    ops = Ops(registry, fleet, store, classifier, shared_stats, metrics, drain)
    control_plane.include_router(ops_routes(ops, door))
    control_plane.include_router(model_routes(Catalogue(registry, fleet), door))
    data_plane: dict[str, Handler] = dict.fromkeys(DATA_PLANE, openai)
    data_plane |= {"/route": route.route, "/classify": route.classify}
    models: dict[str, Handler] = {"/v1/models": control_plane}
    return _with_cors(
        Front(data_plane | models, control_plane, {"/v1/models/": control_plane, "/v1/": openai}), settings
    )


def _settle_the_heap() -> None:
    """What exists now stays: the collector need not walk over it again and again while requests wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _shadow(
    registry: Registry, classifier: Classifier, settings: Settings, metrics: Metrics, stats: Stats
) -> Shadow | None:
    if not settings.shadow_share:
        return None
    every_turn = settings.model_copy(update={"routing_mode": "standard"})
    return Shadow(Chooser(registry, classifier, every_turn), metrics, stats, settings.shadow_share)


def _warn_of_sleepers(registry: Registry) -> None:
    for model in registry.models.values():
        if model.lifecycle != "always":
            log.warning(
                "lifecycle is not acted on yet: keep this model awake", model=model.id, lifecycle=model.lifecycle
            )


@dataclass(frozen=True)
class Parts:
    """What begins and ends with the process."""

    registry: Registry
    classifier: Classifier
    store: SessionStore
    fleet: Fleet
    keys: KeyRing
    stats: SharedStats
    shadow: Shadow | None
    request_log: RequestLog
    tracing: Tracing | None
    drain: Drain
    signals: Signals | None

    async def start(self) -> None:
        self.classifier.start()
        await self.store.start()
        await self.fleet.start()
        self.stats.start()
        self.keys.start()
        if self.signals is not None:
            self.signals.install(self.drain, lambda: None)
        log.info(
            "ready", use_cases=len(self.registry.use_cases), classifier=self.classifier.kind, sessions=self.store.kind
        )

    async def close(self) -> None:
        await self.keys.close()
        if self.shadow is not None:
            await self.shadow.close()
        await self.fleet.close()
        await self.stats.close()
        await self.store.close()
        self.classifier.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        self.request_log.close()


def _control_plane(parts: Parts) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        await parts.start()
        _settle_the_heap()
        try:
            yield {DRAIN: parts.drain}
        finally:
            await parts.close()

    app = FastAPI(title="smart-router", version=__version__, description=DESCRIPTION, lifespan=lifespan)
    install_error_handlers(app)
    install_schema(app)
    return app


def _with_cors(front: Front, settings: Settings) -> Handler:
    if not settings.cors_origins:
        return front
    exposed = [
        "X-Session-ID", "X-Request-ID", "X-Route-Use-Case", "X-Route-Model", "X-Route-Reason", "X-Route-Bypass",
        "X-Route-Confidence", "X-Route-Because", "Server-Timing", "Retry-After",
        "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
    ]  # fmt: skip
    return CORSMiddleware(
        front, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"], expose_headers=exposed
    )
