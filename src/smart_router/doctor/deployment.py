"""The deployment under examination: how it is asked, and what is known of it so far."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal

import httpx2

Media = Literal["image", "audio", "video"]
Samples = Mapping[Media, Callable[[], tuple[bytes, str]]]  # a small file's bytes and its media type

MOST_BYTES = 8 * 1024 * 1024  # of an answer: who sends more is no router
CONNECT_S = 5.0
END_WITHIN_S = 5.0
SETTLE_S = 0.3
NO_KEY = ""
TELLING = 120  # characters of an answer that are shown


class Odd(Exception):
    """The answer is not what a router of this version gives; the message says how it differs."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: httpx2.Headers
    body: bytes
    seconds: float  # from asking to the last byte

    @property
    def json(self) -> dict[str, Any]:
        """
        Raises:
            Odd: it is no JSON object.
        """
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Odd(f"{self.status} without a JSON object: {self.told}")
        return found

    @property
    def told(self) -> str:
        """Its error message, else how it begins."""
        error = self._of_error("error_message", "message")
        if error is not None:
            return error[: 2 * TELLING]
        return " ".join(self.body[: 4 * TELLING].decode(errors="replace").split())[:TELLING] or "nothing"

    @property
    def code(self) -> str:
        """The error's code; empty where there is none."""
        return self._of_error("error_code", "code") or ""

    def _of_error(self, ours: str, openais: str) -> str | None:
        """A field of an error, which either kind of path may have told."""
        try:
            found = json.loads(self.body)
            return str(found.get(ours) or found["error"][openais])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


async def read_bounded(response: httpx2.Response, path: str) -> bytes:
    """
    Raises:
        Odd: it is longer than any answer of ours.
    """
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MOST_BYTES:
            raise Odd(f"{path} answers with more than {MOST_BYTES >> 20} MiB")
        parts.append(part)
    return b"".join(parts)


@dataclass
class Facts:
    """What one check learns and others go by."""

    health: dict[str, Any] = field(default_factory=dict)
    use_cases: list[dict[str, Any]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)  # use cases that did
    follow_up: dict[str, Any] = field(default_factory=dict)  # the answer to one
    follow_up_s: float = 0.0  # how long it took, from here


class Deployment:
    """
    Asked over HTTP alone. *patience_s* is how long a model's answer may take; *samples* are what is attached where a
    use case wants a file. Sessions get ids of our own and are ended by `end_sessions`.
    """

    def __init__(self, url: str, key: str | None, patience_s: float, samples: Samples) -> None:
        self.url = url.rstrip("/")
        self.key = key or NO_KEY
        self.patience_s = patience_s
        self.samples = samples
        self.facts = Facts()
        self._sessions: set[str] = set()
        limits = httpx2.Timeout(None, connect=CONNECT_S)  # of all else, each check has its deadline
        self._http = httpx2.AsyncClient(base_url=self.url, timeout=limits)

    async def close(self) -> None:
        await self._http.aclose()

    def session(self) -> str:
        """The id of a new one."""
        id = f"doctor-{uuid.uuid4().hex}"
        self._sessions.add(id)
        return id

    async def get(self, path: str, *, key: str | None = None) -> Answer:
        return await self.ask("GET", path, key=key)

    async def post(self, path: str, body: Any) -> Answer:
        return await self.ask("POST", path, body)

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """
        With our own key unless another one is given. Whoever calls sets the deadline.

        Raises:
            httpx2.HTTPError: no answer came, or not all of it.
            Odd: it is longer than any of ours.
        """
        asked = perf_counter()
        async with self.opened(method, path, body, key=key) as response:
            body = await read_bounded(response, path)
        return Answer(response.status_code, response.headers, body, perf_counter() - asked)

    @asynccontextmanager
    async def opened(
        self, method: str, path: str, body: Any = None, *, key: str | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """An answer whose body is still to come."""
        key = self.key if key is None else key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with self._http.stream(method, path, json=body, headers=headers) as response:
            yield response

    async def end_sessions(self) -> tuple[int, list[str]]:
        """How many were ended or never began, and the ids of those for which that is not known."""
        ids = sorted(self._sessions)
        self._sessions.clear()
        first = dict(zip(ids, await asyncio.gather(*map(self._end, ids)), strict=True))
        unknown = [id for id, status in first.items() if status == 404]
        if unknown:  # a turn that was broken off may be about to begin one
            await asyncio.sleep(SETTLE_S)
            await asyncio.gather(*map(self._end, unknown))
        left = [id for id, status in first.items() if status not in (200, 404)]
        return len(ids) - len(left), left

    async def _end(self, id: str) -> int:
        """The answer's status; 0 where there is none."""
        try:
            async with asyncio.timeout(END_WITHIN_S):
                return (await self.ask("DELETE", f"/sessions/{id}")).status
        except (httpx2.HTTPError, Odd, TimeoutError):
            return 0
