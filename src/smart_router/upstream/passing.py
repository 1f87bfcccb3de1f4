"""A client's request passed on, and its answer passed back, byte for byte."""

import re
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec
from msgspec import Struct

from smart_router.decide import content, sse
from smart_router.errors import BackendBroke
from smart_router.types import RESPONSE_ID, Usage
from smart_router.upstream.response import Header, Response

MOST_HELD_BYTES = 1024 * 1024  # of an answer, while it is not known to be one
TAIL_BYTES = 4096  # of a stream, where its token counts stand
MOST_TOKENS = 10**12 - 1  # of one answer; more is garbage, which would spoil every sum that it is added to

# Between us and the server alone (RFC 9110, section 7.6.1), or said by us.
_NOT_PASSED = frozenset({
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"te", b"trailer", b"transfer-encoding",
    b"upgrade", b"server", b"date", b"set-cookie", b"x-session-id", b"x-request-id", b"server-timing",
    # What browsers may do is for the router to say.
    b"access-control-allow-origin", b"access-control-allow-credentials", b"access-control-allow-methods",
    b"access-control-allow-headers", b"access-control-expose-headers", b"access-control-max-age", b"alt-svc",
    b"access-control-allow-private-network", b"strict-transport-security",
    b"x-route-use-case", b"x-route-model", b"x-route-reason", b"x-route-bypass", b"x-route-confidence",
    b"x-route-fallback", b"x-route-because",
})  # fmt: skip


class PassedBack:
    """
    An answer on its way to the client. `begin` holds it back until it is known to be one: JSON until it is whole and
    can be read, a 404 in JSON until it is known what is not found, events until the first content. The rest goes
    through as it comes.
    """

    def __init__(self, response: Response, between_s: float, counted: Callable[[Usage], None] = lambda _: None) -> None:
        """*counted* hears of its tokens, where the server tells them."""
        self._response = response
        self._between_s = between_s
        self._counted = counted
        self._until = 0.0
        self._held: list[bytes] = []
        self._tail = b""
        self.status = response.status
        self.headers: Sequence[Header] = [header for header in response.headers if header[0] not in _NOT_PASSED]
        media_type = response.media_type.lower()
        self.events = media_type == b"text/event-stream"
        self._json = media_type == b"application/json"
        self.usage = Usage()
        self.response_id: str | None = None
        self.refusal = b""  # where it may be the model that is not found

    async def begin(self, until: float) -> None:
        """
        Raises:
            BackendBroke, BackendTimeout: it is no answer; nothing of it has been passed on.
        """
        if self.status < 300 and self.events:
            await self._hold_events(until)
        elif self.status < 300 and self._json:
            if (whole := await self._hold_whole(until)) is not None:
                self._read(whole)
        elif self.status == 404 and self._json:
            self.refusal = await self._hold_whole(until) or b""
        self._until = monotonic() + self._between_s

    async def chunk(self) -> bytes:
        if self._held:
            data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held = []
        else:
            data = await self._response.chunk(max(0.0, self._until - monotonic()))
        if not self.events:
            self._until = monotonic() + self._between_s
        elif data:
            self._tail = (self._tail + data)[-TAIL_BYTES:]
            if not _only_comments(data):  # a server that merely says that it lives does not answer
                self._until = monotonic() + self._between_s
        if self.events and self.complete:
            self.usage = _usage_in(self._tail)
            self._counted(self.usage)
        return data

    @property
    def complete(self) -> bool:
        return self._response.ended and not self._response.waiting and not self._held

    def close(self) -> None:
        self._response.close()

    async def _hold_events(self, until: float) -> None:
        parser, size = sse.Parser(), 0
        while size < MOST_HELD_BYTES:
            data = await self._response.chunk(max(0.0, until - monotonic()))
            self._held.append(data)
            size += len(data)
            try:
                if self._content_began(parser.feed(data or b"\n\n")):  # the end ends the last event, too
                    return
            except ValueError:  # not what a parser expects, but perhaps what the client does
                return
            if not data:
                raise BackendBroke("the model server's answer ended without content")

    def _content_began(self, events: Sequence[sse.Event]) -> bool:
        for event in events:
            seen = content.look_at(event)
            self.response_id = self.response_id or _fit(seen.response_id)
            if seen.kind == "error" and (seen.status is None or seen.status >= 500):
                raise BackendBroke("the model server reported an error")
            if seen.kind != "preamble":
                return True
        return False

    async def _hold_whole(self, until: float) -> bytes | None:
        """None where it is more than may be held."""
        response, size = self._response, 0
        while not response.ended or response.waiting:
            self._held.append(await response.chunk(max(0.0, until - monotonic())))
            size += len(self._held[-1])
            if size > MOST_HELD_BYTES:
                return None
        return self._held[0] if len(self._held) == 1 else b"".join(self._held)

    def _read(self, body: bytes) -> None:
        try:
            answer = _whole(body)
        except (ValueError, RecursionError) as exc:
            raise BackendBroke("the model server's answer cannot be read") from exc
        self.usage = answer.usage.counted() if answer.usage else Usage()
        self._counted(self.usage)
        self.response_id = _fit(answer.id) if answer.object == "response" else None


def _fit(response_id: str | None) -> str | None:
    """Only ids that can be asked for are kept."""
    return response_id if response_id and re.fullmatch(RESPONSE_ID, response_id) else None


class _Usage(Struct):
    """Chat completions count prompt and completion tokens, responses and messages input and output tokens."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None

    def counted(self) -> Usage:
        sent, said = self.prompt_tokens or self.input_tokens, self.completion_tokens or self.output_tokens
        return Usage(bounded(sent or 0), bounded(said or 0))


def bounded(tokens: int) -> int:
    return min(MOST_TOKENS, max(0, tokens))


class _Whole(Struct):
    usage: _Usage | None = None
    id: str | None = None
    object: str | None = None


_answer = msgspec.json.Decoder(_Whole)
_any = msgspec.json.Decoder(msgspec.Raw)


def _whole(body: bytes) -> _Whole:
    """JSON of another form than known here is the client's to read."""
    try:
        return _answer.decode(body)
    except msgspec.ValidationError:
        _any.decode(body)
        return _Whole()


_SENT = re.compile(rb'"(?:prompt|input)_tokens"\s*:\s*(\d{1,12})')
_SAID = re.compile(rb'"(?:completion|output)_tokens"\s*:\s*(\d{1,12})')


def _usage_in(tail: bytes) -> Usage:
    """The last counts that a stream gave. In a text they would be escaped, so no text is taken for them."""
    if b'_tokens"' not in tail:
        return Usage()
    sent, said = _SENT.findall(tail), _SAID.findall(tail)
    return Usage(int(sent[-1]) if sent else 0, int(said[-1]) if said else 0)


def _only_comments(data: bytes) -> bool:
    return data.startswith((b":", b"\n", b"\r")) and all(line[:1] in (b":", b"") for line in data.splitlines())
