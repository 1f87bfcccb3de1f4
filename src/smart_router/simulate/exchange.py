"""One answer on its way to one client."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from smart_router.simulate.engine import Engine, Run
from smart_router.simulate.errors import envelope
from smart_router.simulate.faults import FaultName, refusal
from smart_router.simulate.jobs import Counted, Job, Step, said
from smart_router.simulate.wire import Dialect

EVENT_STREAM = "text/event-stream; charset=utf-8"


class ConnectionCut(Exception):
    """The answer ends here, unfinished; the server closes the connection when it sees that."""


class Exchange(Response):
    """
    Runs the job and tells it in a dialect, whole or as a stream.

    It owns the run: whatever happens, also when the client leaves before the first byte, the run is closed.
    """

    def __init__(
        self, engine: Engine, job: Job, dialect: Dialect, *, stream: bool = False, fault: FaultName | None = None
    ) -> None:
        if fault == "role-then-error" and not stream:
            raise refusal(fault)
        super().__init__()
        self._engine, self._job, self._dialect = engine, job, dialect
        self._stream, self._fault = stream, fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        run = self._engine.open(self._job)
        try:
            await _while_connected(receive, self._answer(run, send))
        except ConnectionCut:
            pass
        finally:
            run.close()

    async def _answer(self, run: Run, send: Send) -> None:
        if self._fault == "stall-before-headers" or (self._fault == "never-ends" and not self._stream):
            await self._hold(run)
        if self._stream:
            await self._tell_stream(run, send)
        else:
            await self._tell_whole(run, send)

    async def _tell_whole(self, run: Run, send: Send) -> None:
        steps = [step async for step in run.steps()]
        body = self._dialect.whole(said(steps, len(self._job.answers)), self._counted(run.generated))
        half = body[: len(body) // 2]
        if self._fault == "broken-json":
            body = half
        await _start(send, self._dialect.media_type, len(body))
        if self._breaks_off:
            await _more(send, half)
            await self._break_off()
        run.close()  # before the last bytes: who has read them may rely on the metrics
        await send({"type": "http.response.body", "body": body})

    async def _tell_stream(self, run: Run, send: Send) -> None:
        await _start(send, EVENT_STREAM)
        async for event in self._events(run):
            await _more(send, event)
        await send({"type": "http.response.body", "body": b""})

    async def _events(self, run: Run) -> AsyncIterator[bytes]:
        steps = run.steps(endless=self._fault == "never-ends")
        for event in self._first_events(await anext(steps)):
            yield event
        if self._fault == "role-then-error":
            return
        if self._breaks_off:
            await self._break_off()
        async for step in steps:
            for event in self._dialect.delta(step, self._counted(step.position)):
                yield event
        run.close()  # before the last bytes, see above
        for event in self._dialect.closing(self._counted(run.generated)):
            yield event

    def _first_events(self, step: Step) -> Iterator[bytes]:
        """What opens the stream, and the first words, or what a fault makes of them."""
        yield from self._dialect.opening(self._counted(0))
        if self._fault == "role-then-error":
            yield from self._dialect.broken(envelope(refusal(self._fault)))
            return
        for event in self._dialect.delta(step, self._counted(step.position)):
            yield _garbled(event) if self._fault == "broken-json" else event

    async def _hold(self, run: Run) -> None:
        """Take a place and keep it, until the client leaves."""
        async for _ in run.steps(endless=True):
            pass
        await asyncio.Event().wait()

    @property
    def _breaks_off(self) -> bool:
        return self._fault in ("stall-mid-stream", "reset-mid-stream")

    async def _break_off(self) -> None:
        if self._fault == "reset-mid-stream":
            raise ConnectionCut
        await asyncio.Event().wait()

    def _counted(self, completion: int) -> Counted:
        return Counted(len(self._job.prompt), completion)


async def nothing(receive: Receive) -> Response:
    """Not a byte until the client leaves, and nobody to read what follows."""
    await _left(receive)
    return Response(status_code=500)


async def _while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do *work* to its end, or until the client leaves."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))
    if not working.cancelled():
        working.result()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _start(send: Send, media_type: str, length: int | None = None) -> None:
    headers = [(b"content-type", media_type.encode())]
    if length is not None:
        headers.insert(0, (b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _more(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _garbled(event: bytes) -> bytes:
    return event[: len(event) // 2] + b"\n\n"
