"""A router that says what a test told it to, in place of the Python client."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast

from smart_router.client import (
    Answer,
    AsyncClient,
    Because,
    Classification,
    Decision,
    SessionInfo,
    SessionPage,
    UnknownSession,
    Usage,
    UseCase,
)

AGENT = "Qwen/Qwen2.5-7B-Instruct"
VISION = "Qwen/Qwen2.5-VL-7B-Instruct"


def a_decision(**fields: Any) -> Decision:
    given: dict[str, Any] = {"use_case": "agent", "selected_model": AGENT, "session_id": "chat-1"}
    given |= {"confidence": 0.97, "reason": "classified", "routing_time": 0.0056, "request_id": "req-1"}
    return Decision(**(given | fields))


def a_session(id: str, **fields: Any) -> SessionInfo:
    given: dict[str, Any] = {"session_id": id, "use_case": "agent", "request_count": 3}
    return SessionInfo(**(given | fields))


@dataclass
class Reply:
    """One answer: its words; then the *error*, if there is one. Where it has a *gate*, words wait for it to be set."""

    words: Sequence[str] = ("Hello.",)
    decision: Decision = field(default_factory=a_decision)
    refuse: Exception | None = None  # before anything else
    error: Exception | None = None
    gate: asyncio.Event | None = None
    finish_reason: str = "stop"


@dataclass
class FakeRouter:
    """Records what is asked, answers from `replies` and then by the default one."""

    replies: list[Reply] = field(default_factory=list)
    listed: list[SessionInfo] = field(default_factory=list)
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    down: Exception | None = None  # raised by all but streams
    unlisted: Exception | None = None  # raised where sessions are asked for
    left: int = 0  # streams that were left before their end
    closed: int = 0

    def connect(self, key: str | None) -> AsyncClient:
        self.keys.append(key)
        return cast(AsyncClient, _FakeClient(self))


@dataclass
class _FakeClient:
    router: FakeRouter

    def stream(self, query: str, **fields: Any) -> "_FakeStream":
        self.router.asked.append((query, fields))
        return _FakeStream(self.router, self.router.replies.pop(0) if self.router.replies else Reply())

    async def classify(self, query: str, **fields: Any) -> Classification:
        self._check()
        return Classification(
            use_case="agent",
            selected_model=AGENT,
            confidence=0.97,
            reason="session",
            scores={"agent": 0.97, "multimodal": 0.02, "tts": 0.01},
            because=Because(guard_cues={"agent": 0.4}, session_prior="agent", note="a follow-up"),
        )

    async def use_cases(self) -> tuple[UseCase, ...]:
        self._check()
        return tuple(UseCase(id=id) for id in ("agent", "multimodal", "video", "stt", "tts", "avatar"))

    async def sessions(self, cursor: str | None = None, limit: int = 50) -> SessionPage:
        self._check()
        if self.router.unlisted:
            raise self.router.unlisted
        begin = int(cursor or 0)
        more = begin + limit < len(self.router.listed)
        page = tuple(self.router.listed[begin : begin + limit])
        return SessionPage(sessions=page, next_cursor=str(begin + limit) if more else None)

    async def end_session(self, id: str) -> None:
        self._check()
        if id not in {session.session_id for session in self.router.listed}:
            raise UnknownSession(404, "unknown_session", "no such session; it may have expired")
        self.router.ended.append(id)
        self.router.listed = [session for session in self.router.listed if session.session_id != id]

    async def close(self) -> None:
        self.router.closed += 1

    def _check(self) -> None:
        if self.router.down:
            raise self.router.down


@dataclass
class _FakeStream:
    router: FakeRouter
    reply: Reply
    answer: Answer | None = None

    @property
    def decision(self) -> Decision:
        return self.reply.decision

    async def __aenter__(self) -> Self:
        if self.reply.refuse:
            raise self.reply.refuse
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        self.router.left += kind is not None

    async def __aiter__(self) -> AsyncIterator[str]:
        for word in self.reply.words:
            if self.reply.gate:
                await self.reply.gate.wait()
            yield word
        if self.reply.error:
            raise self.reply.error
        fields = {name: getattr(self.decision, name) for name in Decision.__struct_fields__}
        text = "".join(self.reply.words)
        self.answer = Answer(
            **fields,
            result=text,
            usage=Usage(completion_tokens=len(text.split())),
            finish_reason=self.reply.finish_reason,
        )
