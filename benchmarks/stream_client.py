"""
Many streams at once, watched chunk by chunk: `python -m benchmarks.stream_client` with a Plan as JSON on its standard
input prints what it saw as JSON. Reads both dialects: OpenAI's chunks and the events of /route.
"""

import asyncio
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import monotonic_ns
from typing import cast

import uvloop

CHUNK = re.compile(rb"@(\d+):(\d+)@")
DONE = (b"data: [DONE]", b"event: done")
LONGEST_MARK = 128
GRACE_S = 10.0  # that streams may end late


@dataclass(frozen=True)
class Plan:
    """*streams* connections to host and port, opened evenly over *ramp_s*; `{session}` is the stream's number."""

    port: int
    path: str
    headers: dict[str, str]
    body: str
    streams: int
    chunks: int
    ramp_s: float
    lasts_s: float  # one stream, undisturbed


@dataclass(frozen=True)
class Seen:
    """Times in milliseconds: of a first token since its request was sent, of a chunk since the upstream sent it."""

    ttft_p50_ms: float
    ttft_p99_ms: float
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float
    chunks: int
    lost: int
    duplicated: int
    broken: int
    first_trouble: str | None


class Stream(asyncio.Protocol):
    """One request and what came back."""

    def __init__(self, request: bytes, lateness: list[int]) -> None:
        self.over = asyncio.get_running_loop().create_future()
        self.first_ns: int | None = None
        self.received = 0
        self.duplicated = 0
        self.complete = False
        self.head = b""
        self._request = request
        self._lateness = lateness
        self._next = 0
        self._tail = b""
        self._done = False
        self._sent_ns = 0
        self._transport: asyncio.Transport | None = None

    @property
    def ended_well(self) -> bool:
        return self.complete and self.head.startswith(b"HTTP/1.1 200")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has another base class
        self._sent_ns = monotonic_ns()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = monotonic_ns()
        self.head = self.head or data[:300]
        window, end = self._tail + data, 0
        for found in CHUNK.finditer(window):
            self._take(int(found[1]), now - int(found[2]), now)
            end = found.end()
        self._tail = window[max(end, len(window) - LONGEST_MARK) :]
        self._done = self._done or any(mark in window for mark in DONE)
        if self._done and window.endswith(b"\r\n0\r\n\r\n"):
            self.complete = True
            self._finish()

    def _take(self, number: int, late_ns: int, now: int) -> None:
        if number < self._next:
            self.duplicated += 1
            return
        if self.first_ns is None:
            self.first_ns = now - self._sent_ns
        self._next = number + 1
        self.received += 1
        self._lateness.append(late_ns)

    def connection_lost(self, exc: Exception | None) -> None:
        self.complete = self.complete or (self._done and exc is None)
        self._finish()

    def _finish(self) -> None:
        if not self.over.done():
            self.over.set_result(None)
        if self._transport:
            self._transport.close()


async def watch(plan: Plan) -> Seen:
    lateness: list[int] = []
    tasks = [asyncio.create_task(_stream(plan, number, lateness)) for number in range(plan.streams)]
    return _seen(plan, await asyncio.gather(*tasks), lateness)


async def _stream(plan: Plan, number: int, lateness: list[int]) -> Stream | str:
    """A stream that was opened, or why it could not be."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(plan.ramp_s * number / plan.streams)
    request = _request(plan, number)
    try:
        _, stream = await loop.create_connection(lambda: Stream(request, lateness), "127.0.0.1", plan.port)
    except OSError as exc:
        return f"could not connect: {exc.strerror}"
    await asyncio.wait([stream.over], timeout=plan.lasts_s + GRACE_S)
    return stream


def _request(plan: Plan, number: int) -> bytes:
    body = plan.body.replace("{session}", f"{number:06d}")
    headers = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        **plan.headers,
        "Content-Length": f"{len(body)}",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {plan.path} HTTP/1.1\r\n{lines}\r\n{body}".replace("{session}", f"{number:06d}").encode()


def _seen(plan: Plan, ended: Sequence[Stream | str], lateness: list[int]) -> Seen:
    streams = [one for one in ended if isinstance(one, Stream)]
    firsts = sorted(one.first_ns for one in streams if one.first_ns is not None)
    late = sorted(lateness)
    return Seen(
        ttft_p50_ms=_percentile_ms(firsts, 50),
        ttft_p99_ms=_percentile_ms(firsts, 99),
        late_p50_ms=_percentile_ms(late, 50),
        late_p99_ms=_percentile_ms(late, 99),
        late_max_ms=_percentile_ms(late, 100),
        chunks=len(late),
        lost=plan.streams * plan.chunks - len(late),
        duplicated=sum(one.duplicated for one in streams),
        broken=plan.streams - sum(one.ended_well for one in streams),
        first_trouble=next(filter(None, map(_trouble, ended)), None),
    )


def _trouble(one: Stream | str) -> str | None:
    if isinstance(one, str):
        return one
    if one.ended_well:
        return None
    head, _, body = one.head.decode(errors="replace").partition("\r\n\r\n")
    return f"after {one.received} chunks; {head.partition(chr(13))[0]} {body[:120] if one.received == 0 else ''}"


def _percentile_ms(ordered: list[int], percent: int) -> float:
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] / 1e6


if __name__ == "__main__":
    json.dump(asdict(uvloop.run(watch(Plan(**json.load(sys.stdin))))), sys.stdout)
