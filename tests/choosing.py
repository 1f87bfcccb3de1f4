"""A classifier that says what it is told, and a registry to choose in."""

from collections.abc import Mapping

from smart_router.classify.base import Query
from smart_router.classify.classifier import Classifier, Scores
from tests.fakes import a_model, a_registry, a_use_case

Told = Mapping[str, Mapping[str, float]]  # a part of the text -> use case -> probability

USE_CASES = ("agent", "multimodal", "stt")
WORDS: Told = {
    "transcribe": {"agent": 0.03, "multimodal": 0.02, "stt": 0.95},
    "picture": {"agent": 0.03, "multimodal": 0.95, "stt": 0.02},
    "perhaps": {"agent": 0.3, "multimodal": 0.3, "stt": 0.4},
}

REGISTRY = a_registry(
    a_model("writer"),
    a_model("seer", accepts=["text", "image"]),
    a_model("hearer", accepts=["text", "audio"]),
    use_cases=[
        a_use_case("agent", "writer", examples="agent.yaml", description="Writes and reasons."),
        a_use_case(
            "multimodal",
            "seer",
            examples="multimodal.yaml",
            modalities=["text", "image"],
            description="Looks at pictures.",
        ),
        a_use_case(
            "stt", "hearer", examples="stt.yaml", modalities=["text", "audio"], description="Writes down what is said."
        ),
    ],
)


class FakeClassifier(Classifier):
    """
    Gives what it was *told* of the first part that the text contains, else that the session goes on, or belongs to
    agent; *cues* where they differ. Records each query; `failure` makes it raise.
    """

    def __init__(self, told: Told = WORDS, cues: Told | None = None, *, full: bool = True) -> None:
        self._told, self._cues, self._full = told, cues or told, full
        self.classified: list[Query] = []
        self.guarded: list[Query] = []
        self.failure: Exception | None = None
        self.running = False

    def start(self) -> None:
        self.running = True

    def close(self) -> None:
        self.running = False

    def cues(self, query: Query) -> dict[str, float]:
        self.guarded.append(query)
        return _of(query, self._cues)

    async def scores(self, query: Query) -> Scores:
        self.classified.append(query)
        if self.failure is not None:
            raise self.failure
        return Scores(_of(query, self._told), self._full)


def _of(query: Query, told: Told) -> dict[str, float]:
    found = next((found for part, found in told.items() if part in query.text), None)
    return dict(found or dict.fromkeys(USE_CASES, 0.05) | {query.standing or "agent": 0.9})
