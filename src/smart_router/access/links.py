"""Which links to media are let through: the rules of `decide.links`, and what names resolve to here."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Thread
from time import monotonic

from smart_router.decide.links import AS_DATA, NOT_PUBLIC, Lookup, Refused, judged, leads_inside
from smart_router.errors import BadRequest, LinksWait

WITHIN_S = 1.0  # for a look-up to begin; and again, for its answer
KEPT_S = 30.0
MOST_KEPT = 1024  # names
MOST_AT_ONCE = 16  # look-ups; a slow one holds a thread of its own until the system gives up, for half a minute or so
MOST_NAMES = 32  # per request

Link = tuple[str, str]  # where it stands in the request, and the URL
# A name in, its addresses out. Raises OSError (socket.gaierror) when it cannot be resolved now.
Resolve = Callable[[str], Awaitable[Sequence[str]]]


async def resolve(name: str) -> Sequence[str]:
    """
    IPv4 and IPv6, as the system resolves: hosts file, name server, search domains.

    In a thread that the end of the process does not wait for, and that nothing else needs.
    """
    answer: Future[Sequence[str]] = Future()
    answer.set_running_or_notify_cancel()  # once it runs, nobody can take it back
    Thread(target=_resolve, args=(name, answer), name="resolve", daemon=True).start()
    return await asyncio.wrap_future(answer)


def _resolve(name: str, answer: "Future[Sequence[str]]") -> None:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except Exception as exc:
        answer.set_exception(exc)
    else:
        answer.set_result([str(address[0]) for *_, address in found])


class Links:
    """Knows for half a minute what a name resolved to."""

    def __init__(
        self, hosts: Sequence[str], resolve: Resolve = resolve, clock: Callable[[], float] = monotonic
    ) -> None:
        self._hosts = hosts
        self._resolve = resolve
        self._clock = clock
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._known: dict[str, tuple[float, bool]] = {}  # until when, and whether it leads inside; the oldest first
        self._under_way: dict[str, asyncio.Task[asyncio.Future[Sequence[str]]]] = {}

    async def admit(self, links: Iterable[Link]) -> None:
        """
        A name that cannot be resolved here in time is left to the model server.

        Raises:
            BadRequest: a link is not one that a model server may be made to follow; names the place.
            LinksWait: a name could not be looked up at all.
        """
        names: dict[str, str] = {}
        for place, url in links:
            match judged(url, self._hosts):
                case Refused(why):
                    raise BadRequest(f"{place}: {why}")
                case Lookup(host):
                    names.setdefault(host, place)
        if names:
            await self._resolve_all(names)

    async def _resolve_all(self, names: Mapping[str, str]) -> None:
        """*names*: each with the place where it stands first."""
        if len(names) > MOST_NAMES:
            raise BadRequest(f"links to at most {MOST_NAMES} hosts are taken; use fewer, {AS_DATA}")
        inside = await asyncio.gather(*(self._inside(name) for name in names))
        for found, place in zip(inside, names.values(), strict=True):
            if found:
                raise BadRequest(f"{place}: {NOT_PUBLIC}")

    async def _inside(self, name: str) -> bool:
        """One look-up is shared by all who ask for the name; one that leaves takes the answer from nobody."""
        until, inside = self._known.get(name, (0.0, False))
        if until > self._clock():
            return inside
        looking = await asyncio.shield(self._begun(name))
        try:
            async with asyncio.timeout(WITHIN_S):
                return leads_inside(await asyncio.shield(looking))
        except (OSError, UnicodeError):  # a timeout is an OSError
            return False

    def _begun(self, name: str) -> "asyncio.Task[asyncio.Future[Sequence[str]]]":
        if name not in self._under_way:
            beginning = asyncio.create_task(self._begin(name))
            beginning.add_done_callback(partial(self._has_begun, name))
            self._under_way[name] = beginning
        return self._under_way[name]

    async def _begin(self, name: str) -> "asyncio.Future[Sequence[str]]":
        """
        Raises:
            LinksWait: no look-up has ended in time.
        """
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._places.acquire()
        except TimeoutError:
            raise LinksWait(f"too many hosts of links are being looked up; try again shortly, {AS_DATA}") from None
        looking = asyncio.ensure_future(self._resolve(name))
        looking.add_done_callback(partial(self._looked, name))
        return looking

    def _has_begun(self, name: str, beginning: "asyncio.Task[asyncio.Future[Sequence[str]]]") -> None:
        if beginning.cancelled() or beginning.exception():
            del self._under_way[name]

    def _looked(self, name: str, looking: "asyncio.Future[Sequence[str]]") -> None:
        """Keeps an answer, however late; that there was none is not kept."""
        self._places.release()
        del self._under_way[name]
        if not looking.cancelled() and not looking.exception():
            self._keep(name, leads_inside(looking.result()))

    def _keep(self, name: str, inside: bool) -> None:
        self._known.pop(name, None)
        if len(self._known) >= MOST_KEPT:
            del self._known[next(iter(self._known))]
        self._known[name] = self._clock() + KEPT_S, inside
