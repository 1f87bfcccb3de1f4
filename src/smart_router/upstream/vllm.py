"""The vLLM kind: its OpenAI-style API, over our own HTTP client, with a deadline for every wait."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf, isnan
from time import monotonic

from smart_router.decide.load import Load, read_load
from smart_router.errors import (
    BackendAsleep,
    BackendAway,
    BackendBroke,
    BackendBusy,
    BackendTimeout,
    UpstreamError,
)
from smart_router.settings import Settings
from smart_router.upstream import payload
from smart_router.upstream.answers import StreamedAnswer, WholeAnswer
from smart_router.upstream.base import SLEEPS, Answer, Call, Forward, Forwarded
from smart_router.upstream.passing import PassedBack
from smart_router.upstream.pool import Pools
from smart_router.upstream.response import Response

MOST_ANSWER_BYTES = 32 * 1024 * 1024
MOST_ERROR_BYTES = 64 * 1024
MOST_METRICS_BYTES = 4 * 1024 * 1024
ERROR_WITHIN_S = 1.0
LONGEST_RETRY_AFTER_S = 60.0
CALLERS_FAULT = (400, 413, 422)  # the model server refuses what the caller asked for


class VllmUpstream:
    """One set of pools for all replicas. Deadlines come from the settings."""

    kind = "vllm"

    def __init__(self, settings: Settings, may_retry: Callable[[], bool] = lambda: True) -> None:
        """*may_retry*: whether the traffic bears a request that is sent again, as its connection had gone stale."""
        self._settings = settings
        self._pools = Pools(connect_s=settings.connect_timeout, may_retry=may_retry)

    async def start(self) -> None:
        self._pools.start()

    async def close(self) -> None:
        self._pools.close()

    async def open(self, call: Call, endpoint: str, within_s: float = inf) -> Answer:
        request = payload.request_for(call)
        if request.whole or not call.stream:
            return await self._whole(call, endpoint, request, within_s)
        return await self._streamed(call, endpoint, request, min(within_s, self._settings.first_byte_timeout))

    async def forward(self, forward: Forward, endpoint: str, within_s: float = inf) -> Forwarded:
        within_s = min(within_s, self._settings.first_byte_timeout) if forward.stream else within_s
        until = monotonic() + within_s
        response = await self._pools.to(endpoint).request(
            forward.method, forward.path, forward.headers, forward.body, within_s=within_s, length=forward.length
        )
        try:
            if _another_may_do_better(response.status):
                raise await _error(response)
            passed = PassedBack(response, self._settings.between_chunks_timeout)
            await passed.begin(until)
        except BaseException:
            response.close()
            raise
        return passed

    async def check(self, endpoint: str) -> None:
        await self._get(endpoint, b"/health", MOST_ERROR_BYTES)
        if await self.asleep(endpoint):
            raise BackendAsleep(SLEEPS)

    async def asleep(self, endpoint: str) -> bool:
        """Only a server in development mode says so, and only such a one can be put to sleep."""
        try:
            said = await self._get(endpoint, b"/is_sleeping", MOST_ERROR_BYTES)
        except BackendBroke:
            return False
        return payload.says_that_it_sleeps(said)

    async def load(self, endpoint: str) -> Load:
        return read_load(await self._get(endpoint, b"/metrics", MOST_METRICS_BYTES))

    async def _streamed(self, call: Call, endpoint: str, request: payload.Request, within_s: float) -> Answer:
        until = monotonic() + within_s
        response = await self._post(call, endpoint, request, within_s)
        try:
            await _refuse_errors(response)
            stream = StreamedAnswer(response, self._settings.between_chunks_timeout)
            await stream.await_first(until)
        except BaseException:
            response.close()
            raise
        return stream

    async def _whole(self, call: Call, endpoint: str, request: payload.Request, within_s: float) -> Answer:
        """Such an answer comes when it is complete: how long that takes, the caller bounds."""
        response = await self._post(call, endpoint, request, within_s)
        try:
            await _refuse_errors(response)
            body = await response.read(MOST_ANSWER_BYTES, self._settings.between_chunks_timeout)
        finally:
            response.close()
        media_type = (response.media_type or b"application/octet-stream").decode("latin-1")
        return WholeAnswer(payload.piece_from(call.model.api, body, media_type))

    async def _post(self, call: Call, endpoint: str, request: payload.Request, within_s: float) -> Response:
        headers = ((b"content-type", request.content_type), *call.headers)
        return await self._pools.to(endpoint).request(b"POST", request.path, headers, request.body, within_s=within_s)

    async def _get(self, endpoint: str, path: bytes, most: int) -> bytes:
        """What is there; any other status than 200 is an error."""
        within_s = self._settings.health_timeout
        response = await self._pools.to(endpoint).request(b"GET", path, within_s=within_s)
        try:
            if response.status != 200:
                raise BackendBroke(f"{path.decode()} was answered with {response.status}")
            return await response.read(most, within_s)
        finally:
            response.close()


def _another_may_do_better(status: int) -> bool:
    return status >= 500 or status in (408, 429) or 300 <= status < 400


async def _refuse_errors(response: Response) -> None:
    if response.status != 200:
        raise await _error(response)


async def _error(response: Response) -> UpstreamError:
    status = response.status
    if status in CALLERS_FAULT:
        return payload.rejection(await _error_body(response), status)
    if status in (429, 503):
        return BackendBusy("the model server is busy", retry_after_s=_retry_after(response))
    if status in (502, 504):  # a proxy in front of it has lost it
        return BackendAway(f"the model server answered {status}")
    return BackendBroke(f"the model server answered {status}")


async def _error_body(response: Response) -> bytes:
    """What there is of it soon; the status says enough."""
    body, until = b"", monotonic() + ERROR_WITHIN_S
    try:
        while len(body) < MOST_ERROR_BYTES and (more := await response.chunk(max(0.0, until - monotonic()))):
            body += more
    except (BackendTimeout, BackendBroke):
        pass
    return body


def _retry_after(response: Response) -> float:
    """Seconds, or a date (RFC 9110, section 10.2.3)."""
    value = (response.header(b"retry-after") or b"1").decode("latin-1")
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    return 1.0 if isnan(seconds) else min(LONGEST_RETRY_AFTER_S, max(0.0, seconds))


def _seconds_until(date: str) -> float:
    try:
        then = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return 1.0
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
