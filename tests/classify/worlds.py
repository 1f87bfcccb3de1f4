"""Small worlds to classify in: three use cases with some ten examples each."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from smart_router.classify.base import Example, Matrix
from smart_router.registry import Registry, load_registry
from tests.fakes import examples_of

TEXTS = {
    "agent": (
        "write a python function that sorts a list",
        "write a poem about the rain",
        "explain recursion to a child",
        "fix the bug in this python function",
        "plan a week of dinners",
        "write an email to my landlord",
        "compare two python libraries",
        "draft a letter to the school",
        "solve this equation step by step",
        "summarise the plot of hamlet",
    ),
    "multimodal": (
        "what is in this picture",
        "read the sign in this photo",
        "describe the picture for a blind person",
        "which bird is in the photo",
        "what colour is the car in this picture",
        "count the people in the photo",
        "is the chart in this picture rising",
        "read the receipt in this photo",
        "what does the screenshot show",
        "find the error in this screenshot",
    ),
    "stt": (
        "transcribe this recording",
        "what does she say in the recording",
        "type out the voice note",
        "transcribe the interview for me",
        "what is said in this voice note",
        "write down the recording of the meeting",
        "which language is spoken in the recording",
        "minutes of the recording please",
        "who speaks in this voice note",
        "transcribe my dictation",
    ),
}
USE_CASES = tuple(TEXTS)
EXAMPLES = examples_of(TEXTS)


def a_world(folder: Path, *, extra: Sequence[str] = ()) -> Registry:
    """A registry in *folder* with examples files beside it; *extra* are more queries of agent."""
    for name, texts in TEXTS.items():
        more = list(extra) if name == "agent" else []
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"en": [*texts, *more]}))
    models = [{"id": "writer", "endpoints": ["http://a:8000"]}]
    use_cases = [{"id": name, "models": ["writer"], "examples": f"{name}.yaml"} for name in TEXTS]
    path = folder / "registry.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "models": models, "use_cases": use_cases}))
    return load_registry(path, {})


def embeddings_of(encoder: object, examples: Sequence[Example] = EXAMPLES) -> Matrix:
    from tests.fakes import FakeEncoder

    assert isinstance(encoder, FakeEncoder)
    return encoder.encode([example.text for example in examples])
