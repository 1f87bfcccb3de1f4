"""Whether a model that was woken answers: it is asked for as little as its API allows."""

import asyncio
import base64
import io
import wave

import msgspec

from smart_router.errors import BackendBroke, BackendBusy, BackendRejected
from smart_router.registry import Model
from smart_router.types import Ask, Attachment
from smart_router.upstream.base import Call, Forward, Upstream

EMBEDS = frozenset({"embedding", "embeddings"})
RANKS = frozenset({"rerank", "reranking", "score", "scoring"})
JSON = ((b"content-type", b"application/json"),)
BUSY_PAUSE_S = 0.2
SAMPLES_PER_S = 16_000
SILENCE_S = 0.5  # models refuse, or choke on, recordings of nothing at all


async def prove(upstream: Upstream, model: Model, endpoint: str) -> None:
    """
    Return when *model* has answered. One that refuses the question has answered, too; one that is busy is asked again.
    Callers bound the time by cancelling.

    Raises:
        UpstreamError: it does not answer.
    """
    while True:
        try:
            await (_passed_on if model.api == "chat" and _pools(model) else _asked)(upstream, model, endpoint)
        except BackendBusy:
            await asyncio.sleep(BUSY_PAUSE_S)
        except BackendRejected:
            return
        else:
            return


async def _asked(upstream: Upstream, model: Model, endpoint: str) -> None:
    answer = await upstream.open(Call(_ask(model), model), endpoint)
    try:
        async for _ in answer.pieces():
            pass
    finally:
        answer.close()


async def _passed_on(upstream: Upstream, model: Model, endpoint: str) -> None:
    """What generates nothing has no chat."""
    path, asked = (b"/v1/embeddings", {"input": "Hi"})
    if not EMBEDS & set(model.capabilities):
        path, asked = b"/v1/score", {"text_1": "Hi", "text_2": "Hi"}
    body = msgspec.json.encode({"model": model.served_name, **asked})
    answer = await upstream.forward(Forward(path, body, JSON, model=model), endpoint)
    try:
        if answer.status == 404:
            raise BackendBroke(f"{path.decode()} was answered with 404")
        while await answer.chunk():
            pass
    finally:
        answer.close()


def _pools(model: Model) -> bool:
    return bool(model.capabilities) and set(model.capabilities) <= EMBEDS | RANKS


def _ask(model: Model) -> Ask:
    heard = (_silence(),) if model.api == "transcriptions" else ()
    return Ask("probe", "", "Hi", "", attachments=heard, max_tokens=1, temperature=0.0)


def _silence() -> Attachment:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(SAMPLES_PER_S)
        sound.writeframes(bytes(2 * int(SAMPLES_PER_S * SILENCE_S)))
    return Attachment("audio", data=base64.b64encode(file.getvalue()).decode(), media_type="audio/wav")
