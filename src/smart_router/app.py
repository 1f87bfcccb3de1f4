"""The only place that constructs things: settings and a registry in, an ASGI application out."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import structlog
from fastapi import APIRouter
from fastapi_offline import FastAPIOffline
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from smart_router import __version__
from smart_router.access.keyring import KeyRing
from smart_router.api.admin import admin_routes
from smart_router.api.asgi import Handler, Receive, Scope, Send
from smart_router.api.auth import Door
from smart_router.api.errors import install_error_handlers
from smart_router.api.lifecycle import lifecycle_routes
from smart_router.api.models import Catalogue, model_routes
from smart_router.api.openai import APIS, CHAT_PATH, OpenAIApi
from smart_router.api.ops import Ops, ops_routes
from smart_router.api.route import RouteApi
from smart_router.api.schema import install_schema
from smart_router.api.server import DRAIN
from smart_router.api.sessions import Sessions, session_routes
from smart_router.api.visit import Desk
from smart_router.chooser import Chooser
from smart_router.classify.classifier import Classifier
from smart_router.classify.open import made_from, open_classifier
from smart_router.front import Front
from smart_router.lifecycle.agreement import Agreement
from smart_router.lifecycle.manager import Manager
from smart_router.lifecycle.roster import refuse_processes
from smart_router.lifecycle.standing import Standing
from smart_router.observe.finished import Observer
from smart_router.observe.logs import RequestLog
from smart_router.observe.metrics import Metrics
from smart_router.observe.shared_stats import SharedStats
from smart_router.observe.stats import Stats
from smart_router.observe.tracing import Tracing, open_tracing
from smart_router.opening import Opener
from smart_router.pipeline import Pipeline
from smart_router.process import Drain, Signals
from smart_router.registry import Registry
from smart_router.reloading import Plan, Reloader, read_registry
from smart_router.second_opinion import open_second_opinion
from smart_router.sessions import open_agreement, open_store
from smart_router.sessions.base import SessionStore
from smart_router.settings import Settings, environment, load_settings
from smart_router.shadow import Shadow
from smart_router.upstream.fleet import Fleet
from smart_router.web.files import page_files

log = structlog.get_logger("app")

GC_THRESHOLDS = (10_000, 20, 20)  # allocations before a collection, younger collections before an older one
DOCS_FILES = "/docs-files"  # scripts and styles of /docs
DESCRIPTION = "Session-aware smart routing for LLM serving."
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[dict[str, object]]]
DATA_PLANE = ("/route", "/classify", CHAT_PATH, *APIS)


def create_app(settings: Settings | None = None, signals: Signals | None = None) -> Handler:
    """
    The whole router as an ASGI application; with *signals*, it heeds those of its process.

    Raises:
        ConfigurationError: settings, registry or examples are wrong; the message names the place.
    """
    settings = settings or load_settings()
    registry = read_registry(settings)
    classifier, identity = open_classifier(registry, settings), made_from(registry)
    house = House.built(settings, registry)

    def planned(registry: Registry, classifier: Classifier, identity: str) -> Plan:
        if restart is not None:
            refuse_processes(registry)
        admin = admin_routes(lambda: reloader.reload(), house.door, restarts=restart is not None)
        return _plan(house, registry, classifier, identity, admin)

    restart = signals.restart if signals is not None else None
    first = planned(registry, classifier, identity)
    reloader = Reloader(first, planned, settings, house.fleet, house.manager, house.keys, restart)
    life = Starlette(lifespan=_lifespan(house, reloader, signals))
    return _with_cors(WithLife(reloader, life), settings)


@dataclass(frozen=True)
class House:
    """What stays while the process lives, whatever the registry says."""

    settings: Settings
    store: SessionStore
    fleet: Fleet
    agreement: Agreement
    manager: Manager
    keys: KeyRing
    door: Door
    desk: Desk
    stats: Stats
    shared_stats: SharedStats
    metrics: Metrics
    observers: tuple[Observer, ...]
    request_log: RequestLog
    tracing: Tracing | None
    drain: Drain

    @classmethod
    def built(cls, settings: Settings, registry: Registry) -> "House":
        """
        Raises:
            ConfigurationError
        """
        store, fleet, metrics = open_store(settings), Fleet(registry, settings), Metrics()
        agreement = open_agreement(settings)
        manager = Manager(registry, fleet, settings, agreement, metrics)
        keys = KeyRing(settings, registry.use_cases, registry.models)
        stats, door, request_log = Stats(), Door(keys), RequestLog()
        tracing, observers = open_tracing(environment(), DATA_PLANE), (stats, metrics, request_log)
        desk, shared_stats = Desk(door, settings, observers, tracing), SharedStats(stats, store.counts)
        return cls(
            settings, store, fleet, agreement, manager, keys, door, desk, stats, shared_stats, metrics, observers,
            request_log, tracing, Drain(),
        )  # fmt: skip

    async def start(self) -> None:
        await self.store.start()
        await self.fleet.start()
        await self.manager.start()
        self.shared_stats.start()
        self.keys.start()

    async def close(self) -> None:
        await self.keys.close()
        await self.manager.close()
        await self.agreement.close()
        await self.fleet.close()
        await self.shared_stats.close()
        await self.store.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        self.request_log.close()


def _plan(house: House, registry: Registry, classifier: Classifier, identity: str, admin: APIRouter) -> Plan:
    """
    Raises:
        ConfigurationError
    """
    settings, fleet, store, door, metrics = house.settings, house.fleet, house.store, house.door, house.metrics
    chooser = Chooser(registry, classifier, settings, open_second_opinion(fleet, registry, settings))
    waker = house.manager if registry.comes_and_goes else None
    shadow, opener = _shadow(house, registry, classifier), Opener(fleet, settings, metrics, waker)
    pipeline = Pipeline(settings, chooser, store, fleet, opener, metrics, house.observers, shadow)
    route, openai = RouteApi(pipeline, house.desk, registry), OpenAIApi(pipeline, house.desk, registry)

    control_plane = FastAPIOffline(
        title="smart-router",
        version=__version__,
        description=DESCRIPTION,
        redoc_url=None,  # it loads a picture from elsewhere
        static_url=DOCS_FILES,
        swagger_ui_parameters={"validatorUrl": None},
    )
    install_error_handlers(control_plane)
    install_schema(control_plane)
    control_plane.include_router(session_routes(Sessions(store, chooser, registry, settings), door, settings))
    standing = Standing(registry, fleet, house.manager)
    ops = Ops(registry, fleet, store, classifier, house.shared_stats, metrics, house.drain, standing)
    control_plane.include_router(ops_routes(ops, door))
    control_plane.include_router(model_routes(Catalogue(registry, chooser, fleet, standing), door))
    control_plane.include_router(lifecycle_routes(standing, house.manager, door, settings))
    control_plane.include_router(admin)
    data_plane: dict[str, Handler] = dict.fromkeys(DATA_PLANE, openai)
    data_plane |= {"/route": route.route, "/classify": route.classify, "/v1/models": control_plane}
    if settings.playground:
        data_plane |= page_files(lambda: _about(house, registry))
    front = Front(data_plane, control_plane, {"/v1/models/": control_plane, "/v1/": openai})
    return Plan(registry, classifier, identity, shadow, front)


def _about(house: House, registry: Registry) -> dict[str, object]:
    """What the playground may know before it has a key: how to ask, and how much."""
    settings, defaults = house.settings, registry.defaults
    return {
        "name": "smart-router",
        "version": __version__,
        "key_needed": not house.keys.open,
        "max_body_bytes": settings.max_body_bytes,
        "max_query_chars": settings.max_query_chars,
        "max_attachments": settings.max_attachments,
        "session_timeout_s": settings.session_timeout,
        "max_tokens": defaults.max_tokens,
        "temperature": defaults.temperature,
    }


def _shadow(house: House, registry: Registry, classifier: Classifier) -> Shadow | None:
    settings = house.settings
    if not settings.shadow_share:
        return None
    every_turn = settings.model_copy(update={"routing_mode": "standard"})
    return Shadow(Chooser(registry, classifier, every_turn), house.metrics, house.stats, settings.shadow_share)


def _lifespan(house: House, reloader: Reloader, signals: Signals | None) -> Lifespan:
    """What begins and ends with the process."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        plan = reloader.plan
        plan.classifier.start()
        await house.start()
        if signals is not None:
            signals.install(house.drain, reloader.reload_soon)
        log.info(
            "ready", use_cases=len(plan.registry.use_cases), classifier=plan.classifier.kind, sessions=house.store.kind
        )
        _settle_the_heap()
        try:
            yield {DRAIN: house.drain}
        finally:
            await reloader.close()
            await house.close()

    return lifespan


def _settle_the_heap() -> None:
    """What exists now stays: the collector need not walk over it again and again while requests wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


class WithLife:
    """*app*, begun and ended by *life*."""

    def __init__(self, app: Handler, life: Handler) -> None:
        self._app = app
        self._life = life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._life if scope["type"] == "lifespan" else self._app)(scope, receive, send)


def _with_cors(app: Handler, settings: Settings) -> Handler:
    if not settings.cors_origins:
        return app
    exposed = [
        "X-Session-ID", "X-Request-ID", "X-Route-Use-Case", "X-Route-Model", "X-Route-Reason", "X-Route-Bypass",
        "X-Route-Confidence", "X-Route-Because", "X-Route-Fallback", "Server-Timing", "Retry-After",
        "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset",
    ]  # fmt: skip
    return CORSMiddleware(
        app, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"], expose_headers=exposed
    )
