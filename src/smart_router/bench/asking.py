"""Asks the router, and takes the time."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import httpx2

from smart_router.bench.plan import Plan
from smart_router.bench.turn import Group, Turn
from smart_router.decide import sse

CONNECT_S = 10.0
END_WITHIN_S = 5.0
MOST_OF_AN_ERROR = 64 * 1024
MOST_OF_AN_ANSWER = 8 * 1024 * 1024
MOST_OF_A_MESSAGE = 200
TELLS = ("status", "bypass_router", "model_endpoints")  # of a router's /health


class NoRouter(Exception):
    """Nobody is at the address, or somebody else; the message says what to do."""


class Refused(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message[:MOST_OF_A_MESSAGE]


@dataclass
class _Heard:
    first_s: float | None = None
    last_s: float = 0.0  # of the end; what one part of the stream has brought came at one time
    words: int = 0
    end: dict[str, Any] = field(default_factory=dict)


class Asker:
    """One client for all; whoever makes it closes it."""

    def __init__(self, url: str, key: str | None, plan: Plan) -> None:
        self._plan = plan
        self._began = perf_counter()
        self._http = httpx2.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(None, connect=CONNECT_S),  # each turn has its deadline
            limits=httpx2.Limits(max_connections=plan.concurrency + 1, max_keepalive_connections=plan.concurrency + 1),
        )

    async def close(self) -> None:
        await self._http.aclose()

    def begin(self) -> None:
        """From now on, time counts."""
        self._began = perf_counter()

    async def check(self) -> None:
        """
        Raises:
            NoRouter
        """
        url = str(self._http.base_url).rstrip("/")
        try:
            async with asyncio.timeout(CONNECT_S):
                async with self._http.stream("GET", "/health") as response:
                    told = json.loads(await _beginning(response, MOST_OF_AN_ANSWER))
        except (httpx2.HTTPError, TimeoutError) as exc:
            why = str(exc) or type(exc).__name__
            raise NoRouter(f"no router at {url}: {why}; start one with `smart-router serve`, or give --url") from exc
        except (ValueError, RecursionError) as exc:
            raise NoRouter(f"{url} is no smart-router; give a router's address with --url") from exc
        if not isinstance(told, dict) or not all(name in told for name in TELLS):
            raise NoRouter(f"{url} is no smart-router; give a router's address with --url")

    async def turn(self, query: str, session: str, *, first: bool) -> Turn:
        """A turn through `/route`, streamed; also one that failed."""
        group: Group = "first" if first else "bypassed"
        body = {"query": query, "session_id": session, "stream": True, "max_tokens": self._plan.max_tokens}
        if first and self._plan.use_case:
            body["use_case"] = self._plan.use_case
        asked = perf_counter()
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                heard = await self._heard(body, asked)
        except TimeoutError:
            return self._failed(group, asked, "timeout", f"no end within {self._plan.timeout_s:g} s")
        except httpx2.HTTPError as exc:
            return self._failed(group, asked, "connection", str(exc) or type(exc).__name__)
        except Refused as exc:
            return self._failed(group, asked, exc.kind, exc.message)
        try:
            return self._answered(group, asked, heard)
        except (LookupError, TypeError, ValueError, OverflowError) as exc:
            said = f"the answer's end is of another form ({exc!r}): a router of another version?"
            return self._failed(group, asked, "not understood", said)

    async def said(self, query: str, session: str) -> str:
        """
        A whole answer of `/v1/chat/completions`, which passes the seed on.

        Raises:
            Refused: also where the connection broke, or nothing came in time.
        """
        plan = self._plan
        messages = [{"role": "user", "content": query}]
        body = {
            "model": plan.use_case or "auto",
            "messages": messages,
            "max_tokens": plan.max_tokens,
            "seed": plan.seed,
        }
        try:
            async with asyncio.timeout(plan.timeout_s):
                async with self._accepted("/v1/chat/completions", body, {"X-Session-ID": session}) as response:
                    answer = json.loads(await _beginning(response, MOST_OF_AN_ANSWER))
            return str(answer["choices"][0]["message"]["content"])
        except TimeoutError as exc:
            raise Refused("timeout", f"no answer within {plan.timeout_s:g} s") from exc
        except httpx2.HTTPError as exc:
            raise Refused("connection", str(exc) or type(exc).__name__) from exc
        except (ValueError, LookupError, TypeError, RecursionError) as exc:
            raise Refused("not understood", "the answer is not OpenAI's") from exc

    async def end(self, session: str) -> None:
        """As far as that is possible now; else the router forgets it by itself."""
        try:
            async with asyncio.timeout(END_WITHIN_S):
                async with self._http.stream("DELETE", f"/sessions/{session}") as response:
                    await _beginning(response)
        except (httpx2.HTTPError, TimeoutError):
            pass

    @asynccontextmanager
    async def _accepted(self, path: str, body: Any, headers: dict[str, str]) -> AsyncIterator[httpx2.Response]:
        """
        Raises:
            Refused: the router says no.
        """
        async with self._http.stream("POST", path, json=body, headers=headers) as response:
            if response.status_code != 200:
                raise _refusal(response.status_code, await _beginning(response))
            yield response

    async def _heard(self, body: Any, asked: float) -> _Heard:
        heard, parser = _Heard(), sse.Parser()
        async with self._accepted("/route", body, {}) as response:
            async for part in response.aiter_bytes():
                now_s = perf_counter() - asked
                for event in _events(parser, part):
                    _hear(heard, event, now_s)
        if not heard.end:
            raise Refused("broken off", f"the stream ended after {heard.words} parts, before its end")
        return heard

    def _answered(self, group: Group, asked: float, heard: _Heard) -> Turn:
        end, total_s = heard.end, heard.last_s
        if group != "first" and not end["bypass_used"]:
            group = "classified"
        return Turn(
            group,
            asked - self._began,
            total_s,
            total_s if heard.first_s is None else heard.first_s,
            int(end["usage"]["completion_tokens"]) or heard.words,
            float(end["routing_time"]),
            str(end["use_case"]),
            str(end["selected_model"]),
        )

    def _failed(self, group: Group, asked: float, kind: str, message: str) -> Turn:
        return Turn(group, asked - self._began, perf_counter() - asked, error=kind, message=message)


def _events(parser: sse.Parser, part: bytes) -> list[sse.Event]:
    try:
        return parser.feed(part)
    except ValueError as exc:
        raise Refused("not understood", "the answer is no stream of events") from exc


def _hear(heard: _Heard, event: sse.Event, now_s: float) -> None:
    """
    Raises:
        Refused: the stream says that it failed, or says what no router of this version does.
    """
    if event.event == "message":
        heard.words += 1
        heard.first_s = now_s if heard.first_s is None else heard.first_s
    elif event.event in ("done", "error"):
        told = _object(event.data)
        if event.event == "error":
            raise Refused(str(told.get("error_code", "error")), str(told.get("error_message", "the stream failed")))
        if lacking := [name for name in ("usage", "bypass_used", "routing_time", "use_case") if name not in told]:
            raise Refused("not understood", f"the answer lacks {', '.join(lacking)}: a router of another version?")
        heard.end, heard.last_s = told, now_s


def _refusal(status: int, body: bytes) -> Refused:
    """429 rate_limited"""
    told = _object(body)
    inner = told.get("error")
    error: dict[str, Any] = inner if isinstance(inner, dict) else {}
    code = told.get("error_code") or error.get("code") or ""
    message = told.get("error_message") or error.get("message") or body[:MOST_OF_A_MESSAGE].decode(errors="replace")
    return Refused(f"{status} {code}".strip(), str(message))


async def _beginning(response: httpx2.Response, most: int = MOST_OF_AN_ERROR) -> bytes:
    """Of what may be an endless page."""
    found = b""
    async for part in response.aiter_bytes():
        found += part
        if len(found) > most:
            break
    return found


def _no_number(text: str) -> None:
    """NaN and the like are no JSON, and nothing can be measured with them."""
    raise ValueError(text)


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        told = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
