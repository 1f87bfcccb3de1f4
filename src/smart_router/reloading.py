"""Another registry while serving: all of it, or none of it and the reason."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import structlog

from smart_router.access.keyring import KeyRing
from smart_router.api.asgi import Handler, Receive, Scope, Send
from smart_router.classify.classifier import Classifier
from smart_router.classify.lessons import load_lessons
from smart_router.classify.open import made_from, open_classifier
from smart_router.errors import ConfigurationError
from smart_router.lifecycle.manager import Manager
from smart_router.registry import Changes, Registry, changes, default_registry_path, load_registry
from smart_router.settings import Settings, environment
from smart_router.shadow import Shadow
from smart_router.upstream.fleet import Fleet

log = structlog.get_logger("registry")


def read_registry(settings: Settings) -> Registry:
    """
    As file and environment are now.

    Raises:
        ConfigurationError
    """
    return load_registry(settings.model_registry or default_registry_path(), environment())


@dataclass(frozen=True)
class Plan:
    """What follows from a registry; *made_from*: the identity of what its classifier learnt from."""

    registry: Registry
    classifier: Classifier
    made_from: str
    shadow: Shadow | None
    handler: Handler


# Raises ConfigurationError.
Planner = Callable[[Registry, Classifier, str], Plan]


class Reloader:
    """An ASGI application that serves by one plan until there is another; what is under way ends by its own."""

    def __init__(
        self,
        first: Plan,
        planner: Planner,
        settings: Settings,
        fleet: Fleet,
        manager: Manager,
        keys: KeyRing,
        restart: Callable[[], None] | None = None,
    ) -> None:
        """*restart*: where this is one of several worker processes, has all of them replaced."""
        self.plan = first
        self._planner = planner
        self._settings = settings
        self._fleet = fleet
        self._manager = manager
        self._keys = keys
        self._restart = restart
        self._turn = asyncio.Lock()
        self._retiring: list[Plan] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.plan.handler(scope, receive, send)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await _end(self.plan, None)

    async def reload(self) -> Changes:
        """
        Read the registry again, and the examples that it names.

        Raises:
            ConfigurationError: it cannot be used; all stays as it was.
        """
        async with self._turn:
            before = self.plan
            try:
                registry = await asyncio.to_thread(read_registry, self._settings)
                self._manager.check(registry)
                self._keys.check(registry.use_cases, registry.models)
                if self._restart is None:
                    await self._serve(registry)
                else:
                    await self._have_workers_serve(registry, self._restart)
            except ConfigurationError as exc:
                log.error("the registry stays as it was", error=str(exc))
                raise
            found = changes(before.registry, registry)
            log.info("registry read", added=found.added, removed=found.removed, changed=found.changed)
            return found

    def reload_soon(self) -> None:
        """For a signal; what comes of it is logged."""
        self._go(self._reload_quietly())

    async def _reload_quietly(self) -> None:
        try:
            await self.reload()
        except ConfigurationError:
            return
        except Exception as exc:
            log.error("the registry could not be read again", exc_info=exc)

    async def _have_workers_serve(self, registry: Registry, restart: Callable[[], None]) -> None:
        """Each new one does all of `_serve`; whatever would stop it is found here, as far as that is quick."""
        await asyncio.to_thread(load_lessons, registry)
        self._planner(registry, self.plan.classifier, self.plan.made_from)
        restart()

    async def _serve(self, registry: Registry) -> None:
        """Whatever is wrong with *registry* is found before anything changes."""
        before = self.plan
        identity = await asyncio.to_thread(made_from, registry)
        known = identity == before.made_from
        classifier = before.classifier if known else await asyncio.to_thread(_started, registry, self._settings)
        try:
            plan = self._planner(registry, classifier, identity)
            await self._fleet.change(registry)
            await self._manager.change(registry)
        except BaseException:
            if not known:
                classifier.close()
            raise
        self._keys.know(registry.use_cases, registry.models)
        self.plan = plan
        self._go(self._retire(before, plan))

    async def _retire(self, old: Plan, new: Plan) -> None:
        """Once its requests have been decided, and have a place: until then they find the models that it names."""
        settings = self._settings
        self._retiring.append(old)
        try:
            await asyncio.sleep(settings.body_timeout + settings.classifier_timeout + settings.queue_timeout)
        finally:
            self._retiring.remove(old)
            plans = (self.plan, *self._retiring)
            await self._fleet.keep({model for plan in plans for model in plan.registry.models})
            await _end(old, new)

    def _go(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _started(registry: Registry, settings: Settings) -> Classifier:
    classifier = open_classifier(registry, settings)
    classifier.start()
    return classifier


async def _end(plan: Plan, follows: Plan | None) -> None:
    if plan.shadow is not None:
        await plan.shadow.close()
    if follows is None or follows.classifier is not plan.classifier:
        await asyncio.to_thread(plan.classifier.close)
