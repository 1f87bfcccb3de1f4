"""What all kinds share: the OpenAI-style paths, over our own HTTP client, with a deadline for every wait."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from math import inf, isnan
from time import monotonic

from smart_router.decide.load import Load
from smart_router.errors import (
    BackendAway,
    BackendBroke,
    BackendBusy,
    BackendLocked,
    BackendModelMissing,
    BackendTimeout,
    UpstreamError,
)
from smart_router.registry import Model
from smart_router.settings import Settings
from smart_router.types import Usage
from smart_router.upstream import payload
from smart_router.upstream.answers import StreamedAnswer, WholeAnswer
from smart_router.upstream.base import Answer, Call, Forward, Forwarded, key_header
from smart_router.upstream.passing import PassedBack
from smart_router.upstream.pool import Pools
from smart_router.upstream.response import Response

MOST_ANSWER_BYTES = 32 * 1024 * 1024
MOST_ERROR_BYTES = 64 * 1024
MOST_LIST_BYTES = 4 * 1024 * 1024  # of models: OpenRouter's is half a megabyte
ERROR_WITHIN_S = 1.0
LONGEST_RETRY_AFTER_S = 60.0
MOST_NAMES_TOLD = 10
CALLERS_FAULT = (400, 413, 422)  # the model server refuses what the caller asked for
UNPAID = 402
LOCKED = "the model server does not take the router's key: correct api_key of this model in the registry"
UNLOCKED = "the model server wants a key: give this model an api_key in the registry"


class OpenAIStyle:
    """One set of pools for all replicas. Deadlines come from the settings. A kind adds `check`, and what it can do."""

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
        until, model = monotonic() + within_s, forward.model
        headers = forward.headers if model is None or model.api_key is None else (*forward.headers, *key_header(model))
        response = await self._pools.to(endpoint).request(
            forward.method, forward.path, headers, forward.body, within_s=within_s, length=forward.length
        )
        try:
            if _another_may_do_better(response.status):
                raise await self._error(response, model)
            counted = partial(self._counted, model, endpoint)
            passed = PassedBack(response, self._settings.between_chunks_timeout, counted)
            await passed.begin(until)
            if passed.refusal and model is not None and payload.lacks_the_model(passed.refusal, model.served_name):
                raise BackendModelMissing(self._missing(model))
        except BaseException:
            response.close()
            raise
        return passed

    async def asleep(self, endpoint: str) -> bool:
        return False

    async def load(self, endpoint: str) -> Load:
        raise BackendBroke("this kind of model server does not say how busy it is")

    async def models(self, model: Model, endpoint: str) -> frozenset[str]:
        return payload.names_in(await self._get(endpoint, b"/v1/models", MOST_LIST_BYTES, model))

    def _missing(self, model: Model | None) -> str:
        """What is to be done about a model that a server does not have."""
        name = "this model" if model is None else model.served_name
        return f"the model server does not have {name}: correct served_as in the registry, or have it served there"

    def _counted(self, model: Model | None, endpoint: str, usage: Usage) -> None:
        """Of an answer, when it has told its tokens."""

    async def _streamed(self, call: Call, endpoint: str, request: payload.Request, within_s: float) -> Answer:
        until = monotonic() + within_s
        response = await self._post(call, endpoint, request, within_s)
        try:
            await self._refuse_errors(response, call.model)
            counted = partial(self._counted, call.model, endpoint)
            stream = StreamedAnswer(response, self._settings.between_chunks_timeout, counted)
            await stream.await_first(until)
        except BaseException:
            response.close()
            raise
        return stream

    async def _whole(self, call: Call, endpoint: str, request: payload.Request, within_s: float) -> Answer:
        """Such an answer comes when it is complete: how long that takes, the caller bounds."""
        response = await self._post(call, endpoint, request, within_s)
        try:
            await self._refuse_errors(response, call.model)
            body = await response.read(MOST_ANSWER_BYTES, self._settings.between_chunks_timeout)
        finally:
            response.close()
        media_type = (response.media_type or b"application/octet-stream").decode("latin-1")
        piece = payload.piece_from(call.model.api, body, media_type)
        if piece.usage is not None:
            self._counted(call.model, endpoint, piece.usage)
        return WholeAnswer(piece)

    async def _post(self, call: Call, endpoint: str, request: payload.Request, within_s: float) -> Response:
        headers = ((b"content-type", request.content_type), *call.headers, *key_header(call.model))
        return await self._pools.to(endpoint).request(b"POST", request.path, headers, request.body, within_s=within_s)

    async def _get(self, endpoint: str, path: bytes, most: int, model: Model | None = None) -> bytes:
        """What is there, for who has *model*'s key; any other status than 200 is an error."""
        return await self._asked(endpoint, b"GET", path, b"", most, model)

    async def _asked(
        self, endpoint: str, method: bytes, path: bytes, body: bytes, most: int, model: Model | None
    ) -> bytes:
        within_s, headers = self._settings.health_timeout, () if model is None else key_header(model)
        if body:
            headers = ((b"content-type", b"application/json"), *headers)
        response = await self._pools.to(endpoint).request(method, path, headers, body, within_s=within_s)
        try:
            if response.status == 401:
                raise _locked(model)
            if response.status == 429:
                raise BackendBusy(f"{path.decode()} may be asked less often", retry_after_s=_retry_after(response))
            if response.status != 200:
                raise BackendBroke(f"{path.decode()} was answered with {response.status}")
            return await response.read(most, within_s)
        finally:
            response.close()

    async def _refuse_errors(self, response: Response, model: Model) -> None:
        if response.status != 200:
            raise await self._error(response, model)

    async def _error(self, response: Response, model: Model | None) -> UpstreamError:
        status = response.status
        if status in CALLERS_FAULT:
            return payload.rejection(await _error_body(response), status)
        if status == 401:
            return _locked(model)
        if (
            status == 404
            and model is not None
            and payload.lacks_the_model(await _error_body(response), model.served_name)
        ):
            return BackendModelMissing(self._missing(model))
        if status in (429, 503):
            return BackendBusy("the model server is busy", retry_after_s=_retry_after(response))
        if status in (502, 504):  # a proxy in front of it has lost it
            return BackendAway(f"the model server answered {status}")
        return BackendBroke(f"the model server answered {status}")


def listed(names: frozenset[str]) -> str:
    """The first of *names*, for people."""
    told = sorted(names)[:MOST_NAMES_TOLD]
    return ", ".join(told) + (f" and {len(names) - len(told)} more" if len(told) < len(names) else "")


def _locked(model: Model | None) -> BackendLocked:
    return BackendLocked(UNLOCKED if model is None or model.api_key is None else LOCKED)


def _another_may_do_better(status: int) -> bool:
    """The router's key, and who pays for it, are the operator's business; so is what is out of order."""
    return status >= 500 or status in (401, UNPAID, 408, 429) or 300 <= status < 400


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
