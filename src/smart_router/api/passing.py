"""Passes an answer back to the client as it comes, and closes the exchange exactly once."""

import msgspec

from smart_router.api.asgi import Send
from smart_router.api.envelopes import Dialect, stream_error
from smart_router.api.relay import decided_headers
from smart_router.api.visit import Visit
from smart_router.errors import BackendBroke, BackendRejected, UpstreamError
from smart_router.exchange import Passage
from smart_router.upstream.base import REFUSED

MOST_OF_AN_EVENT = 1024 * 1024  # bytes of an answer that is no stream


class Pass:
    """An ASGI response. The exchange is closed before the client learns that the answer is complete."""

    def __init__(self, passage: Passage, visit: Visit, within_s: float) -> None:
        self._passage = passage
        self._visit = visit
        self._within_s = within_s  # for each part, until the client has taken it

    async def __call__(self, send: Send) -> None:
        """
        Cancelled when the client leaves.

        Raises:
            UpstreamError: the answer broke off, and the client can only be told by a broken connection.
        """
        try:
            await self._pass(send)
        finally:
            self._passage.close()

    async def _pass(self, send: Send) -> None:
        passage, answer, presence = self._passage, self._passage.answer, self._visit.presence
        if self._visit.started and not answer.events:
            await self._pass_as_event(send)
            return
        data = await passage.chunk()
        if answer.complete:  # in one piece
            passage.close()
        presence.all_read()  # of an upload that was answered early, too
        if not self._visit.started:
            await self._begin(send)
        while not answer.complete:
            if data:
                message = {"type": "http.response.body", "body": data, "more_body": True}
                await presence.send(send, message, self._within_s)
            try:
                data = await passage.chunk()
            except UpstreamError as exc:
                if not answer.events:
                    raise
                data = stream_error(exc, passage.ask.request_id, self._visit.dialect)
                break
        passage.close()
        await presence.send(send, {"type": "http.response.body", "body": data}, self._within_s)

    async def _begin(self, send: Send) -> None:
        answer, visit = self._passage.answer, self._visit
        visit.started = True
        headers = [*answer.headers, *decided_headers(self._passage)]
        start: dict[str, object] = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await visit.presence.send(send, start, self._within_s)

    async def _pass_as_event(self, send: Send) -> None:
        """An answer, such as a refusal, that is no stream, to a client that is told by one already."""
        passage, visit = self._passage, self._visit
        try:
            event = _event_of(await self._whole(), passage.answer.status, visit.dialect)
        except UpstreamError as exc:
            passage.failure = None if isinstance(exc, BackendRejected) else exc
            event = stream_error(exc, passage.ask.request_id, visit.dialect)
        passage.close()
        await visit.presence.send(send, {"type": "http.response.body", "body": event}, self._within_s)

    async def _whole(self) -> bytes:
        whole = await self._passage.chunk()
        while not self._passage.answer.complete:
            if len(whole) > MOST_OF_AN_EVENT:
                raise BackendBroke("the model server's answer is no stream, and too long for an event of one")
            whole += await self._passage.chunk()
        return whole


def _event_of(answer: bytes, status: int, dialect: Dialect) -> bytes:
    """
    Raises:
        UpstreamError: it is nothing that a client's reader of events could read.
    """
    if not _is_object(answer):
        if status >= 400:
            raise BackendRejected(REFUSED, status=status)
        raise BackendBroke("the model server's answer is no stream")
    name = b"event: error\n" if status >= 400 and dialect != "openai" else b""  # without it, Anthropic's hear nothing
    return name + b"".join(b"data: " + line + b"\n" for line in answer.splitlines()) + b"\n"


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except (ValueError, RecursionError):
        return False
