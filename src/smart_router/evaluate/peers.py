"""The library `semantic-router`, where it is installed, with the same encoder and the same examples."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from smart_router.classify.base import Encoder, Example, Said
from smart_router.classify.examples import NOWHERE

ENCODED_AT_ONCE = 256


class SemanticRouter:
    """
    Its `IndexedRouter` as it comes: the mean similarity of the five nearest examples.

    Raises:
        ImportError: it is not installed.
    """

    def __init__(self, encoder: Encoder, examples: Sequence[Example]) -> None:
        from semantic_router import IndexedRouter, Route

        texts: dict[str, list[str]] = {}
        for example in examples:
            if example.use_case != NOWHERE and example.attached is None:
                texts.setdefault(example.use_case, []).append(example.text)
        routes = [Route(name=name, utterances=list(dict.fromkeys(some))) for name, some in texts.items()]
        self.name = f"semantic-router {version('semantic-router')}"
        self._router: Any = IndexedRouter(_adapter(encoder), routes)

    def choose(self, text: str) -> str:
        """A use case; empty if none comes near."""
        return str(self._router(text).name or "")


def _adapter(encoder: Encoder) -> Any:
    from semantic_router.encoders import DenseEncoder

    class Adapter(DenseEncoder):  # type: ignore[misc]  # the library is absent in most environments
        def __call__(self, docs: list[str]) -> list[list[float]]:
            found: list[list[float]] = []
            for start in range(0, len(docs), ENCODED_AT_ONCE):
                found += encoder.encode([Said(text) for text in docs[start : start + ENCODED_AT_ONCE]]).tolist()
            return found

        async def acall(self, docs: list[str]) -> list[list[float]]:
            raise NotImplementedError

    return Adapter(name="smart-router's encoder")
