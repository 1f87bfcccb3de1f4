"""Small worlds to classify in: three use cases with some ten examples each, and some conversations."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from smart_router.classify.artifact import VERSION, Manifest, file_sha256, write_manifest
from smart_router.classify.base import Encoder, Example, Query, Vector
from smart_router.classify.conversations import Conversation
from smart_router.classify.head import Head, Linear
from smart_router.classify.lessons import Lessons, lessons_from
from smart_router.classify.lexical import Columns, columns
from smart_router.classify.scorer import Scorer
from smart_router.classify.train import train_head, train_hybrids
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
CONVERSATIONS = """
en:
  - [{agent: draft a letter to the bank}, {agent: make it shorter}, {stt: now type out this voice note}]
  - [{agent: write a poem about snow}, {agent: make it rhyme}, {multimodal: which bird is in this picture}]
  - [{multimodal: what is in this photo}, {multimodal: and on the left}, {agent: write an email about it}]
  - [{multimodal: describe the picture}, {multimodal: and on the right}, {stt: transcribe this recording too}]
  - [{stt: transcribe the meeting}, {stt: and the second speaker}, {agent: summarise it as a letter}]
  - [{stt: type out my dictation}, {stt: and the second half}, {multimodal: now read the sign in this photo}]
"""
USE_CASES = tuple(TEXTS)
EXAMPLES = examples_of(TEXTS)


def conversations_of(text: str) -> tuple[Conversation, ...]:
    """Those of *text*, which is as a conversations file, but with no writers."""
    return tuple(
        Conversation(tuple(Example(said, use_case, language) for turn in turns for use_case, said in turn.items()))
        for language, found in yaml.safe_load(text).items()
        for turns in found
    )


LESSONS = lessons_from(EXAMPLES, conversations_of(CONVERSATIONS))


def a_world(
    folder: Path,
    *,
    extra: Sequence[str] = (),
    texts: Mapping[str, Sequence[str]] = TEXTS,
    conversations: str = "",
    out_of_scope: str = "",
) -> Registry:
    """
    A registry in *folder* with examples files beside it; *extra* are more queries of agent. *conversations* and
    *out_of_scope* are the text of their files.
    """
    for name, found in texts.items():
        more = list(extra) if name == "agent" else []
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"en": [*found, *more]}))
    models = [{"id": "writer", "endpoints": ["http://a:8000"]}]
    use_cases = [{"id": name, "models": ["writer"], "examples": f"{name}.yaml"} for name in texts]
    more_files = {"conversations": conversations, "out_of_scope": out_of_scope}
    named = {key: f"{key}.yaml" for key, text in more_files.items() if text}
    for key, file in named.items():
        (folder / file).write_text(more_files[key])
    path = folder / "registry.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "models": models, "use_cases": use_cases, **named}))
    return load_registry(path, {})


def a_head(
    lessons: Lessons = LESSONS,
    use_cases: Sequence[str] = USE_CASES,
    encoder: Encoder | None = None,
    *,
    encoder_sha256: str = "none",
    apart: Collection[str] = (),
) -> Head:
    """Trained on *lessons*; hybrid if there is an *encoder*."""
    hybrids = train_hybrids(lessons, use_cases, encoder.encode(lessons.said), apart) if encoder else None
    return train_head(lessons, use_cases, encoder_sha256, hybrids, apart)


def best(linear: Linear, use_cases: Sequence[str], query: Query, embedding: Vector | None = None) -> str:
    """The likeliest use case."""
    scores = Scorer(linear, use_cases)(query, embedding)
    return max(scores, key=lambda name: scores[name])


def an_artifact(folder: Path, encoder: str = "org/tiny", **changed: Any) -> Path:
    """A folder whose manifest is right; its encoder could not run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoder.onnx").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text("{}")
    usual: dict[str, Any] = {
        "version": VERSION,
        "encoder": encoder,
        "weights_sha256": "w",
        "onnx_sha256": file_sha256(folder / "encoder.onnx"),
        "tokenizer_sha256": file_sha256(folder / "tokenizer.json"),
        "dimension": 8,
        "max_tokens": 64,
        "quantisation": "uint8",
        "agreement": 0.99,
        "mean_cosine": 0.99,
        "made_with": {"torch": "2"},
    }
    write_manifest(folder, Manifest(**usual | changed))
    return folder


def columns_of(text: str) -> Columns:
    return next(columns([text]))
