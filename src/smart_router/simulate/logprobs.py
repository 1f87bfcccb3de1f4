"""Invented log probabilities, in the two forms of the real ones: the same token always has the same."""

import zlib
from collections.abc import Sequence
from typing import Any


def of_chat(tokens: Sequence[str], top: int) -> dict[str, Any]:
    return {"content": [_told(token) | {"top_logprobs": _alternatives(token, top)} for token in tokens]}


def of_completion(tokens: Sequence[str], top: int, start: int = 0) -> dict[str, Any]:
    """*start* is the number of characters before the first token."""
    offsets, at = [], start
    for token in tokens:
        offsets.append(at)
        at += len(token)
    return {
        "text_offset": offsets,
        "token_logprobs": [_logprob(token) for token in tokens],
        "tokens": list(tokens),
        "top_logprobs": [{one["token"]: one["logprob"] for one in _alternatives(token, top)} for token in tokens],
    }


def _alternatives(token: str, top: int) -> list[dict[str, Any]]:
    return [_told(token), *(_told(f" simulated-{rank}", rank) for rank in range(1, top))][:top]


def _told(token: str, rank: int = 0) -> dict[str, Any]:
    return {"token": token, "logprob": _logprob(token) - rank, "bytes": list(token.encode())}


def _logprob(token: str) -> float:
    return -(1 + zlib.crc32(token.encode()) % 1000) / 1000
