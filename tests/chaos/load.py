"""People who converse without end, through both doors, and what became of each of their turns."""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

import httpx2
from benchmarks.scaling.conversations import FOLLOW_UPS, NO_TLS, OPENINGS

from tests.chaos.balancer import Balancer
from tests.e2e.asking import CHAT, saying

ROUTE = "/route"
USE_CASES = ("agent", "multimodal", "tts")  # one for each model
TURNS = (6, 14)
TOKENS = (4, 20)
THINK_S = (0.1, 0.6)
PATIENCE_S = 30.0
EXPLICIT_OPENINGS, EXPLICIT_TURNS = 0.5, 0.08  # shares that name their use case
STREAMED = 0.6
ENDINGS = {ROUTE: b"event: done\n", CHAT: b"data: [DONE]\n"}
TROUBLES = {ROUTE: b"event: error\n", CHAT: b'data: {"error":'}

End = Literal["answered", "cut", "failed"]


@dataclass(frozen=True)
class Asked:
    """One turn of a conversation. *explicit*: the use case that the caller named."""

    session: str
    number: int
    door: str
    query: str
    explicit: str | None
    streamed: bool
    max_tokens: int

    @property
    def body(self) -> dict[str, Any]:
        fields = {"max_tokens": self.max_tokens, "stream": self.streamed}
        if self.door == ROUTE:
            named = {"use_case": self.explicit} if self.explicit else {}
            return {"query": self.query, "session_id": self.session} | named | fields
        chat: dict[str, Any] = saying(self.query, model=self.explicit or "auto", **fields)
        return chat


@dataclass(frozen=True)
class Turn:
    """
    What became of one. Times of the monotonic clock; *waited_s*: until the answer began, of a stream its first word.

        answered  whole
        cut       a stream that began, and ended with an error event
        failed    anything else; *trouble* says what
    """

    asked: Asked
    began: float
    ended: float
    waited_s: float
    end: End
    trouble: str = ""
    use_case: str = ""
    model: str = ""
    reason: str = ""
    router: int | None = None  # its port

    @property
    def explained(self) -> bool:
        """The caller named the use case, or the router says that this turn brought a new one."""
        return self.asked.explicit is not None or self.reason in ("switched", "modality")


class Load:
    """*people* who begin one conversation after the other while the block runs; the same *seed*, the same words."""

    def __init__(self, balancer: Balancer, people: int, seed: str) -> None:
        self.turns: list[Turn] = []
        self._balancer = balancer
        self._people = people
        self._seed = seed
        self._over = asyncio.Event()
        self._conversing: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Load":
        self._conversing = [asyncio.create_task(self._converse(number)) for number in range(self._people)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every turn that has begun is waited for."""
        self._over.set()
        await asyncio.gather(*self._conversing)

    async def _converse(self, person: int) -> None:
        """Every second person keeps connections; the others' turns may each come to another router."""
        chance = random.Random(f"{self._seed}/{person}")
        await self._think(chance)
        kept = httpx2.Limits(max_keepalive_connections=1 if person % 2 else 0)
        number = 0
        while not self._over.is_set():
            async with httpx2.AsyncClient(
                base_url=self._balancer.url, timeout=PATIENCE_S, trust_env=False, verify=NO_TLS, limits=kept
            ) as client:
                await self._hold(client, chance, f"{self._seed}-{person}-{number}")
            number += 1

    async def _hold(self, client: httpx2.AsyncClient, chance: random.Random, session: str) -> None:
        door = chance.choice((ROUTE, CHAT))
        for number in range(chance.randint(*TURNS)):
            if self._over.is_set():
                return
            self.turns.append(await self._turn(client, _asked(chance, session, number, door)))
            await self._think(chance)

    async def _think(self, chance: random.Random) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), chance.uniform(*THINK_S))

    async def _turn(self, client: httpx2.AsyncClient, asked: Asked) -> Turn:
        began = time.monotonic()
        first, router, head, said = None, None, None, b""
        try:
            headers = {"X-Session-ID": asked.session}
            async with client.stream("POST", asked.door, json=asked.body, headers=headers) as head:
                router = self._balancer.serving(_own_port(head))
                async for part in head.aiter_raw():
                    first = first or time.monotonic()
                    said += part
            trouble = ""
        except httpx2.HTTPError as exc:
            trouble = f"{type(exc).__name__} {exc}"[:120]
        ended = time.monotonic()
        end, trouble = _end(asked, head, said, trouble)
        told = _told(head.headers) if head is not None else {}
        return Turn(asked, began, ended, (first or ended) - began, end, trouble, router=router, **told)


def _asked(chance: random.Random, session: str, number: int, door: str) -> Asked:
    query = chance.choice(FOLLOW_UPS if number else OPENINGS)
    share = EXPLICIT_TURNS if number else EXPLICIT_OPENINGS
    explicit = chance.choice(USE_CASES) if chance.random() < share else None
    return Asked(session, number, door, query, explicit, chance.random() < STREAMED, chance.randint(*TOKENS))


def _own_port(response: httpx2.Response) -> int:
    return int(response.extensions["network_stream"].get_extra_info("client_addr")[1])


def _end(asked: Asked, head: httpx2.Response | None, said: bytes, trouble: str) -> tuple[End, str]:
    if head is None or trouble:
        return "failed", trouble or "no answer"
    if head.status_code != 200:
        return "failed", f"{head.status_code} {said[:100].decode(errors='replace')}"
    if not asked.streamed or ENDINGS[asked.door] in said:
        return "answered", ""
    if TROUBLES[asked.door] in said:
        return "cut", said[-120:].decode(errors="replace")
    return "failed", "the stream broke off without a word"


def _told(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): headers.get(f"x-route-{name}", "") for name in ("use-case", "model", "reason")}
