"""Conversations held through routers, turn by turn, and what became of them."""

import asyncio
import random
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx2

OPENINGS = (
    "Write a Python function to sort a list of dictionaries",
    "Plan a week of vegetarian dinners for four people",
    "Explain how a suspension bridge carries its load",
    "दुकान के लिए दिवाली ऑफ़र का छोटा सा मैसेज लिख दो",
    "Draft a polite reply to a landlord about the broken heater",
)
# Without words that tempt another use case, so that a turn which is no bypass means a session that was not found.
FOLLOW_UPS = ("make it shorter", "why?", "and another one", "put that more simply", "add an example", "go on")
PATIENCE_S = 20.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused; a client without one loads all authorities of the system
TRIES = 2  # clients repeat a request whose connection broke, as SDKs do


@dataclass(frozen=True)
class Plan:
    """*think_s*: the least and the most that somebody waits before going on."""

    sessions: int
    turns: int
    think_s: tuple[float, float]


@dataclass(frozen=True)
class Turn:
    """*replica*: where the session's record says that it is; None where there was none to be read."""

    number: int
    took_s: float
    tries: int
    trouble: str | None = None
    model: str | None = None
    replica: str | None = None
    bypass: bool = False
    new_session: bool = False


@dataclass
class Held:
    """One conversation."""

    turns: list[Turn] = field(default_factory=list)

    @property
    def answered(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.trouble is None]


@dataclass(frozen=True)
class Outcome:
    """Of many conversations. Rates are of the turns after the first of each."""

    turns: int
    failed: int
    repeated: int
    later_turns: int
    bypassed: int
    forgotten: int
    model_changes: int
    replica_changes: int
    lost_for_good: int
    p50_ms: float
    p99_ms: float
    troubles: tuple[str, ...]


async def hold_all(url: str, plan: Plan) -> list[Held]:
    chance = random.Random(7)  # noqa: S311  # no secret
    return await asyncio.gather(*(_hold(url, plan, number, chance.random()) for number in range(plan.sessions)))


async def _hold(url: str, plan: Plan, number: int, seed: float) -> Held:
    chance, held, session = random.Random(seed), Held(), f"conversation-{number:04d}"  # noqa: S311
    await asyncio.sleep(chance.uniform(0, plan.think_s[1]))
    for turn in range(plan.turns):
        query = OPENINGS[number % len(OPENINGS)] if turn == 0 else chance.choice(FOLLOW_UPS)
        held.turns.append(await _turn(url, session, turn, query))
        await asyncio.sleep(chance.uniform(*plan.think_s))
    return held


async def _turn(url: str, session: str, number: int, query: str) -> Turn:
    """On a connection of its own, so that the balancer may choose another router for each."""
    started, body = time.perf_counter(), {"query": query, "session_id": session, "max_tokens": 8}
    trouble = "not tried"
    for attempt in range(1, TRIES + 1):
        try:
            async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False, verify=NO_TLS) as client:
                response = await client.post("/route", json=body)
                took_s = time.perf_counter() - started
                if response.status_code == 200:
                    told: dict[str, Any] = response.json()
                    replica = await _replica(client, session)
                    return Turn(
                        number,
                        took_s,
                        attempt,
                        model=told["selected_model"],
                        replica=replica,
                        bypass=told["bypass_used"],
                        new_session=told["new_session"],
                    )
                trouble = f"{response.status_code} {response.text[:80]}"
        except httpx2.HTTPError as exc:
            trouble = type(exc).__name__
    return Turn(number, time.perf_counter() - started, TRIES, trouble)


async def _replica(client: httpx2.AsyncClient, session: str) -> str | None:
    try:
        response = await client.get(f"/sessions/{session}")
    except httpx2.HTTPError:
        return None
    return str(response.json()["endpoint"]) if response.status_code == 200 else None


def outcome(conversations: Sequence[Held]) -> Outcome:
    turns = [turn for held in conversations for turn in held.turns]
    later = [turn for turn in turns if turn.number > 0 and turn.trouble is None]
    times = sorted(turn.took_s * 1000 for turn in turns if turn.trouble is None)
    return Outcome(
        turns=len(turns),
        failed=sum(turn.trouble is not None for turn in turns),
        repeated=sum(turn.tries > 1 and turn.trouble is None for turn in turns),
        later_turns=len(later),
        bypassed=sum(turn.bypass for turn in later),
        forgotten=sum(turn.new_session for turn in later),
        model_changes=sum(_changes([turn.model for turn in held.answered]) for held in conversations),
        replica_changes=sum(_changes([turn.replica for turn in held.answered]) for held in conversations),
        lost_for_good=sum(_lost_for_good(held) for held in conversations),
        p50_ms=times[len(times) // 2] if times else 0.0,
        p99_ms=times[len(times) * 99 // 100] if times else 0.0,
        troubles=tuple(sorted({turn.trouble for turn in turns if turn.trouble is not None})),
    )


def _changes(seen: Sequence[str | None]) -> int:
    return sum(before != after for before, after in pairwise(one for one in seen if one is not None))


def _lost_for_good(held: Held) -> bool:
    """The conversation ended on another model than it began on."""
    models = [turn.model for turn in held.answered]
    return bool(models) and models[0] != models[-1]
