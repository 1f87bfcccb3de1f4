"""Passes an answer back to the client as it comes, and closes the exchange exactly once."""

from smart_router.api.asgi import Send
from smart_router.api.envelopes import stream_error
from smart_router.api.relay import decided_headers
from smart_router.api.visit import Visit
from smart_router.errors import UpstreamError
from smart_router.exchange import Passage


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
        data = await passage.chunk()
        if answer.complete:  # in one piece
            passage.close()
        presence.all_read()  # of an upload that was answered early, too
        if not self._visit.started:
            await self._begin(send)
        elif not answer.events:
            data = await self._as_event(data)
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

    async def _as_event(self, data: bytes) -> bytes:
        """An answer, such as a refusal, that is no stream, to a client that is told by one already."""
        parts = [data]
        while not self._passage.answer.complete:
            parts.append(await self._passage.chunk())
        lines = b"".join(parts).splitlines()
        return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
