"""One server of a model wakes: it is told to, then asked something."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

from smart_router.errors import BackendUnreachable, LifecycleFailed, RouterError
from smart_router.lifecycle.backoff import LONGEST_S
from smart_router.lifecycle.base import ENDS_WITH_US, named
from smart_router.lifecycle.gate import Gate
from smart_router.lifecycle.left import GUARDIAN_NEEDS_S
from smart_router.lifecycle.place import Place
from smart_router.lifecycle.probe import prove
from smart_router.lifecycle.residence import Residence
from smart_router.settings import Settings
from smart_router.upstream.fleet import Fleet

log = structlog.get_logger("lifecycle")

PROBE_TIMEOUTS = 30  # times HEALTH_TIMEOUT: the first answer after a wake may have to compile something
PUT_BACK_S = 30.0  # for a server that did not wake to be as it was


class Comer:
    def __init__(self, fleet: Fleet, gate: Gate, settings: Settings) -> None:
        self._fleet = fleet
        self._gate = gate
        self._settings = settings

    def begin(self, residence: Residence, place: Place) -> "asyncio.Task[Exception | None]":
        """It wakes, unless it does so already, and gets requests then. The task's result is why it did not."""
        if place.coming is None:
            place.coming = asyncio.create_task(self._come(residence, place), name=f"wake {residence.id}")
            place.coming.add_done_callback(lambda _: _arrived(residence, place))
        return place.coming

    def join(self, residence: Residence) -> None:
        """Servers of a model that is awake wake, too."""
        for place in joining(residence):
            self.begin(residence, place)

    async def put_back(self, residence: Residence, place: Place) -> None:
        """The next try begins anew."""
        try:
            async with asyncio.timeout(PUT_BACK_S):
                await residence.kind.sleep(residence.model, place.endpoint)
                place.became(await residence.kind.look(residence.model, place.endpoint))
        except Exception as exc:  # it did not wake, and what it does now, looks will tell
            place.silent(place.trouble, gone=isinstance(exc, BackendUnreachable))

    async def _come(self, residence: Residence, place: Place) -> Exception | None:
        model, endpoint, settings = residence.model, place.endpoint, self._settings
        load_s, probe_s = settings.model_load_timeout, settings.health_timeout * PROBE_TIMEOUTS
        own_words_s = _own_words_s(settings) if model.lifecycle == ENDS_WITH_US else 0.0
        who = named(model, endpoint)
        late = f"{who}: not awake within MODEL_LOAD_TIMEOUT ({load_s:g} s); see its server's log, or raise it"
        mute = (
            f"{who} is awake, but did not answer its first question within {probe_s:g} s "
            f"({PROBE_TIMEOUTS} x HEALTH_TIMEOUT)"
        )
        try:
            await in_time(residence.kind.wake(model, endpoint), load_s + own_words_s, late)
            await in_time(prove(self._fleet.upstream(model.id), model, endpoint), probe_s, mute)
        except Exception as exc:
            place.backoff.failed(residence.now())
            place.trouble = told(exc)
            log.warning("did not wake", model=model.id, replica=endpoint, trouble=place.trouble)
            return exc
        self._gate.open(residence, place)
        return None


def joining(residence: Residence) -> tuple[Place, ...]:
    """Those of its servers that should wake, as it is awake elsewhere."""
    if not residence.idle or not residence.awake:
        return ()
    now, places = residence.now(), residence.places.values()
    return tuple(p for p in places if p.seen and not p.open and p.coming is None and not p.backoff.left_s(now))


async def first(tasks: "Iterable[asyncio.Task[Exception | None]]") -> Exception | None:
    """Return when one has come, or none has: then why."""
    trouble: Exception | None = LifecycleFailed("none of its endpoints has an address; look at its name's DNS records")
    pending = set(tasks)
    while pending and trouble is not None:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            trouble = None if trouble is None else _result(task)
    return trouble


async def in_time(doing: Coroutine[Any, Any, None], limit_s: float, late: str) -> None:
    """
    Raises:
        LifecycleFailed: *late*: it was not done within *limit_s*.
    """
    try:
        async with asyncio.timeout(limit_s) as bound:
            await doing
    except TimeoutError:
        if bound.expired():
            raise LifecycleFailed(late) from None
        raise


def longest_wake_s(settings: Settings) -> float:
    """After so long it is known whether a model wakes, once that has begun."""
    return settings.model_load_timeout + _own_words_s(settings) + settings.health_timeout * PROBE_TIMEOUTS


def _own_words_s(settings: Settings) -> float:
    """For a kind that starts servers: a pause before that, stopping one that is late, and saying what its log says."""
    return LONGEST_S + settings.process_stop_timeout + GUARDIAN_NEEDS_S


def _result(task: "asyncio.Task[Exception | None]") -> Exception | None:
    return LifecycleFailed("its server is gone; look at its log") if task.cancelled() else task.result()


def _arrived(residence: Residence, place: Place) -> None:
    place.coming = None
    residence.moves += 1
    residence.changed()


def told(trouble: Exception) -> str:
    """For operators."""
    if isinstance(trouble, TimeoutError):
        return "it took too long"
    return trouble.message if isinstance(trouble, RouterError) else str(trouble) or type(trouble).__name__
