"""
What every kind of upstream promises: `tests/upstream/test_contract.py` holds each kind to it.

What one may want of a model server, and who gives it:

    chat, stream     `open` with a `Call`: ours to say, whole or as it comes, by whichever API the model has
    chat, stream, complete, embed, …, as a client said it
                     `forward` with the path of that API: every kind speaks the OpenAI-style paths
    is available     `check`
    models           `models`

An answer tells its text, its tokens and why it ended (`Piece`, `Reply`); its model is that of the lease it came by.
"""

from collections.abc import AsyncIterator, Sequence
from math import inf
from typing import Protocol

from msgspec import Struct

from smart_router.decide.load import Load
from smart_router.registry import Model
from smart_router.types import Ask, Headers, Message, Usage
from smart_router.upstream.response import Header

REFUSED = "the model server refused the request without a word why; compare the request with what that server takes"
SLEEPS = "the model server sleeps; wake it with POST /wake_up, or let the router do so (lifecycle: sleep)"


class Call(Struct, frozen=True):
    """One request in our own words: the ask, the conversation so far, whether to stream, and headers beside ours."""

    ask: Ask
    model: Model
    history: tuple[Message, ...] = ()
    stream: bool = False
    headers: Headers = ()


class Forward(Struct, frozen=True):
    """
    A client's request to pass on, to be answered by *model*. Method and path are ours. A *body* that is iterated has
    *length* bytes, or an unknown number; it can be sent once.
    """

    path: bytes
    body: bytes | AsyncIterator[bytes] = b""
    headers: tuple[Header, ...] = ()
    method: bytes = b"POST"
    stream: bool = False  # the client asked for server-sent events
    length: int | None = None
    model: Model | None = None  # whose key goes along


class Piece(Struct, frozen=True):
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

    def close(self) -> None: ...


class Forwarded(Protocol):
    """
    The answer to a request that was passed on, byte for byte: a success whose first content has arrived, or a refusal
    (4xx) that is the client's to read. Close it as an `Answer`.
    """

    status: int
    headers: Sequence[Header]  # end to end only
    events: bool  # a stream of server-sent events
    usage: Usage  # then
    response_id: str | None  # of `/v1/responses`, where the answer is kept

    @property
    def complete(self) -> bool:
        """All of it has been handed out."""

    async def chunk(self) -> bytes:
        """
        The next part, b"" at the end.

        Raises:
            BackendLost, BackendBroke, BackendTimeout: what came before it has been handed out.
        """

    def close(self) -> None: ...


class Upstream(Protocol):
    """One kind of model server."""

    kind: str

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def open(self, call: Call, endpoint: str, within_s: float = inf) -> Answer:
        """
        Send *call* to the server at *endpoint* and wait until it is accepted, *within_s* at most. An answer that is not
        streamed comes when it is complete.

        Raises:
            BackendUnreachable, BackendTimeout, BackendBusy, BackendBroke, BackendModelMissing, BackendLocked: another
                replica may do better.
            BackendRejected: the request is at fault; no other replica would take it.
            BadRequest: the model's API needs something that the caller did not send.
        """

    async def forward(self, forward: Forward, endpoint: str, within_s: float = inf) -> Forwarded:
        """
        Pass *forward* on to the server at *endpoint* and wait until it is accepted or refused.

        Raises:
            BackendUnreachable, BackendTimeout, BackendBusy, BackendBroke, BackendModelMissing, BackendLocked: another
                replica may do better.
        """

    async def check(self, model: Model, endpoint: str) -> str:
        """
        Return when the server at *endpoint* is healthy and has *model*, with what an operator should know all the same;
        mostly nothing.

        Raises:
            BackendAsleep: it is, but sleeps.
            BackendModelMissing: it has others only; the message names them.
            BackendLocked: it does not take the model's key.
            UpstreamError: it is not; the message says how.
        """

    async def models(self, model: Model, endpoint: str) -> frozenset[str]:
        """
        The names by which the server at *endpoint* knows its models, asked with *model*'s key.

        Raises:
            UpstreamError: it does not say.
        """

    async def asleep(self, endpoint: str) -> bool:
        """
        Whether the server at *endpoint* sleeps, so that requests to it would hang; a kind that never does says False.

        Raises:
            UpstreamError: it does not answer.
        """

    async def load(self, endpoint: str) -> Load:
        """
        How busy the server at *endpoint* says it is.

        Raises:
            UpstreamError: it does not say.
        """


def key_header(model: Model) -> tuple[Header, ...]:
    """The router's own key for *model*'s servers, if it has one."""
    key = model.api_key
    return () if key is None else ((b"authorization", b"Bearer " + key.get_secret_value().encode()),)
