"""POST /v1/embeddings: a unit vector per text, the sum of one fixed direction per word."""

import base64
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from smart_router.simulate.errors import refused_value
from smart_router.simulate.exchange import Exchange
from smart_router.simulate.fields import Fields
from smart_router.simulate.jobs import Counted, Job, Said
from smart_router.simulate.sampling import check_prompt
from smart_router.simulate.simulation import read_json, simulation
from smart_router.simulate.tokens import tokenise
from smart_router.simulate.wire import Reply, Unstreamed, encode, usage

DIMENSIONS = 256


async def embeddings(request: Request) -> Response:
    here = simulation(request)
    fields = Fields(await read_json(request))
    fault = here.strike()
    model, texts = fields.text("model"), _read_texts(fields)
    dimensions = fields.integer("dimensions")
    packed = fields.choice("encoding_format", ("float", "base64")) == "base64"
    fields.check()
    here.model_for(model)
    size = DIMENSIONS if dimensions is None else dimensions
    if not 1 <= size <= DIMENSIONS:
        raise refused_value(f"dimensions must be in 1..{DIMENSIONS}, got {size}.", "dimensions", size)
    words = [tokenise(text) for text in texts]
    check_prompt(max(map(len, words), default=0), here.model.max_model_len)
    vectors = [embed(tokens, size) for tokens in words]
    dialect = EmbeddingDialect(Reply.to(request, here.model, "embd"), vectors, packed=packed)
    return Exchange(here.engine, Job(tuple(word for tokens in words for word in tokens)), dialect, fault=fault)


def embed(words: Sequence[str], size: int) -> NDArray[np.float32]:
    """A unit vector; texts that share words point in similar directions."""
    total = np.zeros(size)
    for word in ("", *words):
        total += _direction(word.strip().lower(), size)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


class EmbeddingDialect(Unstreamed):
    media_type = "application/json"

    def __init__(self, reply: Reply, vectors: Sequence[NDArray[np.float32]], *, packed: bool) -> None:
        self._reply, self._vectors, self._packed = reply, vectors, packed

    def whole(self, choices: Sequence[Said], counted: Counted) -> bytes:
        data = [
            {"index": index, "object": "embedding", "embedding": self._told(vector)}
            for index, vector in enumerate(self._vectors)
        ]
        told = usage(counted) | {"prompt_tokens_details": None}
        return encode(self._reply.headed("list") | {"data": data, "usage": told})

    def _told(self, vector: NDArray[np.float32]) -> str | list[float]:
        return base64.b64encode(vector.tobytes()).decode() if self._packed else [float(value) for value in vector]


def _direction(word: str, size: int) -> NDArray[np.float64]:
    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(size)


def _read_texts(fields: Fields) -> list[str]:
    """A text, a list of texts, or token numbers, which stand for themselves."""
    given = fields.body.get("input")
    if isinstance(given, str):
        return [given]
    listed = fields.list("input", required=True) or []
    if listed and isinstance(listed[0], int):
        return [" ".join(map(str, listed))]
    return [one if isinstance(one, str) else " ".join(map(str, one)) for one in listed]
