"""Which links to media are let through: the rules of `decide.links`, and what names resolve to here."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import monotonic

from smart_router.decide.links import AS_DATA, NOT_PUBLIC, Lookup, Refused, judged, leads_inside
from smart_router.errors import BadRequest

WITHIN_S = 1.0  # for all names of a request
KEPT_S = 30.0
MOST_KEPT = 1024  # names
MOST_AT_ONCE = 4  # look-ups; a slow one holds a thread
MOST_NAMES = 32  # per request

Link = tuple[str, str]  # where it stands in the request, and the URL
# A name in, its addresses out. Raises OSError (socket.gaierror) when it cannot be resolved now.
Resolve = Callable[[str], Awaitable[Sequence[str]]]


async def resolve(name: str) -> Sequence[str]:
    """IPv4 and IPv6, as the system resolves: hosts file, name server, search domains."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Links:
    """Knows for half a minute what a name resolved to."""

    def __init__(
        self, hosts: Sequence[str], resolve: Resolve = resolve, clock: Callable[[], float] = monotonic
    ) -> None:
        self._hosts = hosts
        self._resolve = resolve
        self._clock = clock
        self._places = asyncio.Semaphore(MOST_AT_ONCE)
        self._found: dict[str, tuple[float, asyncio.Task[bool]]] = {}  # the oldest first

    async def admit(self, links: Iterable[Link]) -> None:
        """
        A name that cannot be resolved here in time is left to the model server.

        Raises:
            BadRequest: a link is not one that a model server may be made to follow; names the place.
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

    def _inside(self, name: str) -> Awaitable[bool]:
        """Shared by all who ask for the name; one that leaves takes the answer from nobody."""
        now = self._clock()
        until, task = self._found.get(name, (now, None))
        if task is None or until <= now:
            self._found.pop(name, None)
            if len(self._found) >= MOST_KEPT:
                del self._found[next(iter(self._found))]
            task = asyncio.create_task(self._look_up(name))
            self._found[name] = now + KEPT_S, task
        return asyncio.shield(task)

    async def _look_up(self, name: str) -> bool:
        try:
            async with asyncio.timeout(WITHIN_S):
                await self._places.acquire()
                looking = asyncio.ensure_future(self._resolve(name))
                looking.add_done_callback(self._looked)
                return leads_inside(await asyncio.shield(looking))
        except (OSError, UnicodeError):  # a timeout is an OSError
            return False

    def _looked(self, looking: "asyncio.Future[Sequence[str]]") -> None:
        self._places.release()
        if not looking.cancelled():
            looking.exception()  # told already, or nobody waits any more
