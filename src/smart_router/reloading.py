"""Another registry while serving: all of it, or none of it and the reason."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass

import structlog

from smart_router.access.keyring import KeyRing
from smart_router.api.asgi import Handler, Receive, Scope, Send
from smart_router.classify.classifier import Classifier
from smart_router.classify.open import made_from, open_classifier
from smart_router.errors import ConfigurationError
from smart_router.registry import Registry, default_registry_path, load_registry
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


@dataclass(frozen=True)
class Changes:
    """Ids, in the registry's order. *restarting*: worker processes are replaced one after the other."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    use_cases: tuple[str, ...]
    restarting: bool = False


class Reloader:
    """An ASGI application that serves by one plan until there is another; what is under way ends by its own."""

    def __init__(
        self,
        first: Plan,
        planner: Planner,
        settings: Settings,
        fleet: Fleet,
        keys: KeyRing,
        restart: Callable[[], None] | None = None,
    ) -> None:
        """*restart*: where this is one of several worker processes, has all of them replaced."""
        self.plan = first
        self._planner = planner
        self._settings = settings
        self._fleet = fleet
        self._keys = keys
        self._restart = restart
        self._turn = asyncio.Lock()
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
                self._fleet.check(registry)
                self._keys.check(registry.use_cases, registry.models)
                if self._restart is None:
                    await self._serve(registry)
            except ConfigurationError as exc:
                log.error("the registry stays as it was", error=str(exc))
                raise
            if self._restart is not None:
                self._restart()
            changes = _changes(before.registry, registry, restarting=self._restart is not None)
            log.info("registry read", added=changes.added, removed=changes.removed, changed=changes.changed)
            return changes

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

    async def _serve(self, registry: Registry) -> None:
        """Nothing that can be wrong comes after the plan is made."""
        before = self.plan
        identity = await asyncio.to_thread(made_from, registry)
        known = identity == before.made_from
        classifier = before.classifier if known else await asyncio.to_thread(_started, registry, self._settings)
        try:
            plan = self._planner(registry, classifier, identity)
        except BaseException:
            if not known:
                classifier.close()
            raise
        await self._fleet.change(registry)
        self._keys.know(registry.use_cases, registry.models)
        self.plan = plan
        await self._fleet.forget_others(registry)
        self._go(self._retire(before, plan))

    async def _retire(self, old: Plan, new: Plan) -> None:
        """Requests that the old classifier has are answered within its deadline."""
        try:
            await asyncio.sleep(self._settings.classifier_timeout)
        finally:
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


def _changes(old: Registry, new: Registry, *, restarting: bool) -> Changes:
    before: Mapping[str, object] = old.models
    return Changes(
        added=tuple(id for id in new.models if id not in before),
        removed=tuple(id for id in before if id not in new.models),
        changed=tuple(id for id, model in new.models.items() if id in before and before[id] != model),
        use_cases=tuple(new.use_cases),
        restarting=restarting,
    )
