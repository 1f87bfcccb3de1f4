"""Keeps what is known of the replicas fresh, beside the requests: their addresses, their health, their load."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

import structlog

from smart_router.errors import BackendAsleep, UpstreamError
from smart_router.settings import Settings
from smart_router.upstream.addresses import Name, Resolve
from smart_router.upstream.base import SLEEPS
from smart_router.upstream.replicas import Replicas, Server

log = structlog.get_logger("fleet")

AT_ONCE = 32  # questions of a kind
LOAD_LASTS = 3  # intervals; an older one counts as unknown
START_PATIENCE_S = 2.0  # for names; then the start goes on without
SUSPICIOUS_S = 1.0  # without an answer that begins: does it sleep?

Asked = Iterable[tuple[Replicas, Server]]


class Watch:
    """Use `start()` and `close()`. The questions may also be asked by hand."""

    def __init__(
        self,
        models: Sequence[Replicas],
        settings: Settings,
        now: Callable[[], float],
        resolve: Resolve,
        on_asleep: Callable[[Replicas, Server], None] = lambda *_: None,
    ) -> None:
        """*on_asleep* hears of replicas that were found asleep."""
        self._models = models
        self._settings = settings
        self._now = now
        self._resolve = resolve
        self._on_asleep = on_asleep
        self._tasks: list[asyncio.Task[None]] = []
        self._followed: dict[tuple[Replicas, str], asyncio.Task[None]] = {}  # endpoints that are names
        self._unresolved: set[tuple[str, str]] = set()  # model and endpoint; told once

    async def start(self) -> None:
        """Returns when the names are resolved, or cannot be in time."""
        settings = self._settings
        await self._follow_names()
        self._go(_every(settings.health_interval, self.check_all), "health")
        self._go(_every(settings.load_interval, self.read_loads), "load")
        self._go(_every(SUSPICIOUS_S, self.look_for_sleepers), "sleepers")

    async def change(self, models: Sequence[Replicas], new: Asked) -> None:
        """Watch these *models*; returns when it is known whether those that are *new* answer."""
        self._models = models
        wanted = {(replicas, endpoint) for replicas in models for endpoint, _ in replicas.names()}
        for gone in self._followed.keys() - wanted:
            self._followed.pop(gone).cancel()
        await self._follow_names()
        await self._ask(self._check, new)

    async def close(self) -> None:
        tasks = [*self._tasks, *self._followed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def check_all(self) -> None:
        """Ask every replica for its health, but those that are known to sleep."""
        await self._ask(self._check, [(r, s) for r in self._models for s in r.servers if not _is_let_sleep(r, s)])

    async def look_for_sleepers(self) -> None:
        """Ask replicas that keep requests waiting whether they sleep: a request to one that does hangs for ever."""
        late = self._now() - SUSPICIOUS_S
        found = [(r, s) for r in self._models for s in r.servers if any(o.since <= late for o in s.opening)]
        await self._ask(self._ask_whether_asleep, found)

    async def read_loads(self) -> None:
        """Ask replicas between which there is a choice for their load; those that are down have none."""
        choices = (replicas for replicas in self._models if len(replicas.servers) > 1)
        await self._ask(self._read_load, [(r, server) for r in choices for server in r.servers if server.sound])

    async def resolve(self, replicas: Replicas, endpoint: str, name: Name) -> list[Server]:
        """Returns the replicas that are new. When it fails, those that are known stay."""
        try:
            addresses = await self._resolve(name.host, name.port)
            trouble = "" if addresses else "it has no addresses"
        except (OSError, UnicodeError) as exc:
            addresses, trouble = (), str(exc)
        self._tell(replicas, endpoint, trouble)
        return replicas.resolved(endpoint, name.endpoints(addresses), self._now()) if addresses else []

    async def _follow_names(self) -> None:
        """Those that nobody follows yet; returns when they are resolved, or cannot be in time."""
        known = []
        for replicas in self._models:
            for endpoint, name in replicas.names():
                if (key := (replicas, endpoint)) not in self._followed:
                    known.append(asyncio.Event())
                    following = self._follow(replicas, endpoint, name, known[-1])
                    self._followed[key] = asyncio.create_task(following, name=f"addresses of {name.host}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_PATIENCE_S):
                for event in known:
                    await event.wait()

    async def _follow(self, replicas: Replicas, endpoint: str, name: Name, known: asyncio.Event) -> None:
        """One resolution at a time, however long it takes: threads that resolve cannot be stopped."""
        while True:
            try:
                new = await self.resolve(replicas, endpoint, name)
            except Exception as exc:  # the watch must go on
                log.error("resolving failed", name=name.host, exc_info=exc)
                new = []
            known.set()
            await self._ask(self._check, [(replicas, server) for server in new])
            await asyncio.sleep(self._settings.dns_interval)

    def _tell(self, replicas: Replicas, endpoint: str, trouble: str) -> None:
        key = replicas.model.id, endpoint
        if trouble and key not in self._unresolved:
            self._unresolved.add(key)
            kept = len(replicas.servers)
            log.warning("name not resolved", model=key[0], endpoint=endpoint, trouble=trouble, replicas_kept=kept)
        elif not trouble and key in self._unresolved:
            self._unresolved.discard(key)
            log.info("name resolved again", model=key[0], endpoint=endpoint)

    async def _check(self, replicas: Replicas, server: Server) -> None:
        started = self._now()
        try:
            remark = await server.upstream.check(replicas.model, server.endpoint)
        except BackendAsleep as exc:
            self._slept(replicas, server, exc.message)
        except UpstreamError as exc:
            replicas.check_failed(server, exc.message, self._now())
        except Exception as exc:  # the watch must go on for the others
            replicas.check_failed(server, "the health check failed", self._now())
            log.error("health check failed", replica=server.endpoint, exc_info=exc)
        else:
            if not replicas.model.managed:
                replicas.admit(server)
            replicas.check_passed(server, self._now() - started, remark)

    async def _ask_whether_asleep(self, replicas: Replicas, server: Server) -> None:
        try:
            asleep = await server.upstream.asleep(server.endpoint)
        except UpstreamError:  # its health check will tell
            return
        if asleep:
            self._slept(replicas, server, SLEEPS)

    def _slept(self, replicas: Replicas, server: Server, trouble: str) -> None:
        """Whoever is not to be woken is as good as down."""
        replicas.slept(server)
        if not replicas.model.managed:
            replicas.check_failed(server, trouble, self._now())
        self._on_asleep(replicas, server)

    async def _read_load(self, replicas: Replicas, server: Server) -> None:
        """A reading that fails leaves the last one to age. A request of ours that came or went meanwhile is ours."""
        ours = server.in_flight
        try:
            load = await server.upstream.load(server.endpoint)
        except UpstreamError:
            return
        except Exception as exc:  # the watch must go on for the others
            log.error("reading the load failed", replica=server.endpoint, exc_info=exc)
            return
        until = self._now() + LOAD_LASTS * self._settings.load_interval
        replicas.load_read(server, load, max(ours, server.in_flight), until)

    async def _ask(self, question: Callable[[Replicas, Server], Awaitable[None]], of: Asked) -> None:
        """All at once, but for the bound."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(replicas: Replicas, server: Server) -> None:
            async with places:
                await question(replicas, server)

        await asyncio.gather(*(one(replicas, server) for replicas, server in of))

    def _go(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))


def _is_let_sleep(replicas: Replicas, server: Server) -> bool:
    """Who looks after its lifecycle will say when it is awake."""
    return server.shut and replicas.model.managed


async def _every(interval_s: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()
        await asyncio.sleep(interval_s)
