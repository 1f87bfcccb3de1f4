"""What every kind of upstream promises: `tests/upstream/test_contract.py` holds each kind to it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from smart_router.registry import Model
from smart_router.types import Ask, Message, Usage


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a model server: the ask, the conversation so far, and whether to stream."""

    ask: Ask
    model: Model
    history: tuple[Message, ...] = ()
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer: text, or what came with its end."""

    text: str = ""
    usage: Usage | None = None
    finish_reason: str | None = None


class Answer(Protocol):
    """
    An accepted request: the server has answered 200, and when streaming the first content has arrived.

    `pieces` may be iterated once; leaving early is fine, but whoever opened it must call `close`, which frees the
    connection (aborting the request upstream if the answer is not complete) and may be called twice.

    Raises, from `pieces`:
        BackendBroke: the answer cannot be read, or the stream ended without its end.
        BackendTimeout: nothing came within the deadline between chunks.
    """

    def pieces(self) -> AsyncIterator[Piece]: ...

    async def close(self) -> None: ...


class Upstream(Protocol):
    """One kind of model server."""

    kind: str

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def open(self, call: Call, endpoint: str) -> Answer:
        """
        Send *call* to the server at *endpoint* and wait until it is accepted. An answer that is not streamed comes when
        it is complete: how long that may take, the caller bounds.

        Raises:
            BackendUnreachable, BackendTimeout, BackendBusy, BackendBroke: another replica may do better.
            BackendRejected: the request is at fault; no other replica would take it.
            BadRequest: the model's API needs something that the caller did not send.
        """

    async def check(self, endpoint: str) -> None:
        """
        Return when the server at *endpoint* is healthy.

        Raises:
            UpstreamError: it is not; the message says how.
        """
