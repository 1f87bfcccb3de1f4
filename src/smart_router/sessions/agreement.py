"""
What routers of one Redis agree on, of models that come and go: one Lua script, and so one round trip, per call.

    sr:{models}:lease:<arena>   string   the router that decides there, while the key lives
    sr:{models}:told:<arena>    hash     router -> when it told, until when it lives, how its models stand (JSON)
    sr:{models}:note:<model>    hash     used, woke, wake_s, pinned, draining: the router that drains it
    sr:{models}:succession      hash     what sessions go on to: see `habits.py`

`{models}` is a hash tag: all keys share a slot of a cluster. Times are Redis's own. Every key has a TTL. What cannot be
read counts as absent, and so does all after Redis lost it; what a router tells next is there again. A master that fails
may take a lease with it that it had just given: two routers may then think they have it, at most until the first ends.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from smart_router.errors import StoreUnavailable
from smart_router.lifecycle.agreement import Known, Note, Told
from smart_router.sessions.batching import Script
from smart_router.sessions.connection import connection_to
from smart_router.sessions.habits import ADD, RedisHabits
from smart_router.sessions.link import Part

ALIVE_S = 10.0  # that a router counts as alive after it told, at least
NOTES_TTL_S = 90 * 24 * 3600  # since somebody last told of the model
MOST = 10**9  # of anything that is counted; about 30 years of seconds

_HERE = Path(__file__).parent
_MOMENTS = (_HERE / "moments.lua").read_text()
_EXCHANGE, _NOTE = (
    Script.of(_MOMENTS + (_HERE / f"{name}.lua").read_text()) for name in ("exchange_models", "note_model")
)
_HOLD, _LET_GO = (Script.of((_HERE / f"{name}.lua").read_text()) for name in ("hold_lease", "end_lease"))
_encode = msgspec.json.Encoder().encode
_told = msgspec.json.Decoder(dict[str, Told]).decode


class _Elsewhere(msgspec.Struct, frozen=True):
    """What the other routers told; *alive*: this one, too."""

    alive: frozenset[bytes]
    told: tuple[tuple[float, Mapping[str, Told]], ...]  # and how many seconds ago


class RedisAgreement:
    """
    See `Agreement`. It has a connection of its own, made with the first call: what it does keeps no request waiting.
    *timeout_ms* is what a reply may take, *alive_s* how long this router counts as alive without telling anything.
    """

    def __init__(self, url: str, *, timeout_ms: int = 50, alive_s: float = ALIVE_S) -> None:
        """
        Raises:
            ConfigurationError: the URL is wrong.
        """
        self._redis = connection_to(url, (_EXCHANGE, _NOTE, _HOLD, _LET_GO, ADD), timeout_s=timeout_ms / 1000)
        self.habits = RedisHabits(self._redis)
        self._alive_ms = _ms(alive_s)
        self._router = uuid4().hex
        self._arenas: set[str] = set()  # that this router took part in
        self._opening = asyncio.Lock()
        self._opened = False

    async def hold(self, arena: str, for_s: float) -> bool:
        self._arenas.add(arena)
        for_ms = max(1, _ms(for_s))
        return bool(await self._run(_HOLD, (_lease_name(arena),), self._router, for_ms))

    async def let_go(self, arena: str) -> None:
        await self._run(_LET_GO, (_lease_name(arena),), self._router)

    async def exchange(self, arena: str, told: Mapping[str, Told]) -> Mapping[str, Known]:
        self._arenas.add(arena)
        here = {model: _bounded(one) for model, one in told.items()}
        names = _told_name(arena), *map(_note_name, here)
        idle = ("" if one.idle_s is None else _ms(one.idle_s) for one in here.values())
        reply = await self._run(_EXCHANGE, names, self._router, self._alive_ms, NOTES_TTL_S, _encode(here), *idle)
        others, notes = reply
        elsewhere = self._elsewhere(others)
        return {model: _known(model, elsewhere, fields) for model, fields in zip(here, notes, strict=True)}

    async def note(self, arena: str, model: str, note: Note) -> None:
        self._arenas.add(arena)
        wake_s = "" if note.wake_s is None else _seconds(note.wake_s)
        wanted = _flag(note.woke), wake_s, _flag(note.pinned), _flag(note.draining)
        names = _told_name(arena), _note_name(model)
        await self._run(_NOTE, names, self._router, self._alive_ms, NOTES_TTL_S, *wanted)

    async def close(self) -> None:
        """Within some deadlines. What Redis does not hear of ends by itself."""
        await asyncio.gather(*map(self._leave, self._arenas))
        self._opened = True  # not again
        await self._redis.close()

    async def _leave(self, arena: str) -> None:
        with suppress(StoreUnavailable):
            await self.let_go(arena)
            await self._redis.call("HDEL", _told_name(arena), self._router)

    async def _run(self, script: Script, names: Sequence[str], *arguments: Part) -> Any:
        await self._open()
        return await self._redis.call("EVALSHA", script.sha, len(names), *names, *arguments)

    async def _open(self) -> None:
        """The first time, wait for a connection: nobody is alone because it was not there at once."""
        async with self._opening:
            if not self._opened:
                with suppress(StoreUnavailable):  # the call itself will say so
                    await self._redis.open()
                self._opened = True

    def _elsewhere(self, others: Sequence[tuple[bytes, int, bytes]]) -> _Elsewhere:
        alive, told = {self._router.encode()}, []
        for router, age_ms, said in others:
            alive.add(router)
            with suppress(ValueError, RecursionError):  # MsgspecError is a ValueError
                told.append((age_ms / 1000, _told(said)))
        return _Elsewhere(frozenset(alive), tuple(told))


def _known(model: str, elsewhere: _Elsewhere, fields: Sequence[Any]) -> Known:
    idle_ms, awake_ms, wake_s, pinned, draining = fields
    told = [_bounded(said[model], age_s) for age_s, said in elsewhere.told if model in said]
    return Known(
        told=_together(told, None if idle_ms is None else idle_ms / 1000),
        awake_for_s=None if awake_ms is None else awake_ms / 1000,
        wake_s=_read(wake_s),
        pinned={b"1": True, b"0": False}.get(pinned),
        draining=draining in elsewhere.alive,
    )


def _together(told: Sequence[Told], idle_s: float | None) -> Told:
    idle = [one.idle_s for one in told if one.idle_s is not None]
    return Told(
        min(idle if idle_s is None else [*idle, idle_s], default=None),
        sum(one.sessions for one in told),
        sum(one.in_flight for one in told),
        sum(one.waiting for one in told),
        max((one.waiting_for_s for one in told), default=0.0),
    )


def _bounded(told: Told, age_s: float = 0.0) -> Told:
    """*told* as it stands *age_s* later."""
    idle_s = None if told.idle_s is None else _seconds(told.idle_s + age_s)
    waiting_for_s = _seconds(told.waiting_for_s + age_s) if told.waiting > 0 else 0.0
    return Told(idle_s, _count(told.sessions), _count(told.in_flight), _count(told.waiting), waiting_for_s)


def _count(value: int) -> int:
    return min(max(0, value), MOST)


def _seconds(value: float) -> float:
    return min(max(0.0, value), float(MOST))  # 0 if it is not a number


def _ms(value_s: float) -> int:
    return round(_seconds(value_s) * 1000)


def _read(seconds: bytes | None) -> float | None:
    """None for what is absent or no duration."""
    try:
        found = float(seconds or b"")
    except ValueError:
        return None
    return found if 0 <= found <= MOST else None


def _flag(value: bool | None) -> str:
    return "" if value is None else str(int(value))


def _lease_name(arena: str) -> str:
    return f"sr:{{models}}:lease:{arena}"


def _told_name(arena: str) -> str:
    return f"sr:{{models}}:told:{arena}"


def _note_name(model: str) -> str:
    return f"sr:{{models}}:note:{model}"
