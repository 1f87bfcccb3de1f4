"""Puts a classifier together at the start: artifact, head for exactly today's examples, or the best that can be had."""

from collections.abc import Sequence
from time import perf_counter

import structlog

from smart_router.classify.artifact import Artifact, find_artifact, find_head, trained_head_path
from smart_router.classify.base import Encoder, Example
from smart_router.classify.classifier import Classifier
from smart_router.classify.examples import inputs_sha256, load_examples
from smart_router.classify.head import Head, save_head
from smart_router.classify.train import RECIPE, train_head
from smart_router.errors import ArtifactUnusable
from smart_router.registry import Registry
from smart_router.settings import Settings

log = structlog.get_logger("classifier")

NO_ENCODER = "none"  # stands for the encoder's hash in a head of lexical features alone


def open_classifier(registry: Registry, settings: Settings) -> Classifier:
    """
    The hybrid classifier; with no usable artifact, one of lexical features alone, which says why. A head that was made
    from other examples or use cases is never used: it is trained again, which takes seconds, and kept.

    Raises:
        ConfigurationError: the examples are missing or malformed.
    """
    examples = load_examples(registry)
    artifact, encoder, trouble = _encoder(settings)
    head = head_for(examples, registry.taught, artifact, encoder, settings)
    return Classifier(
        head, encoder, queue_size=settings.classifier_queue, timeout_s=settings.classifier_timeout, trouble=trouble
    )


def head_for(
    examples: Sequence[Example],
    use_cases: Sequence[str],
    artifact: Artifact | None,
    encoder: Encoder | None,
    settings: Settings,
) -> Head:
    """The head made from exactly these inputs: found, else trained and kept where the user's artifacts are."""
    encoder_sha256 = artifact.manifest.onnx_sha256 if artifact else NO_ENCODER
    wanted = inputs_sha256(examples, use_cases, encoder_sha256, RECIPE)
    found = find_head(wanted, artifact, settings.classifier_dir)
    if found is not None:
        return found
    return _trained(examples, use_cases, encoder, encoder_sha256, settings)


def _trained(
    examples: Sequence[Example],
    use_cases: Sequence[str],
    encoder: Encoder | None,
    encoder_sha256: str,
    settings: Settings,
) -> Head:
    log.info("examples or use cases have changed: training the head", examples=len(examples))
    started = perf_counter()
    embeddings = encoder.encode([example.text for example in examples]) if encoder else None
    head = train_head(examples, use_cases, embeddings, encoder_sha256)
    path = trained_head_path(head.inputs_sha256, settings.classifier_dir)
    try:
        save_head(head, path)
    except OSError as exc:
        log.warning("the head cannot be kept, the next start trains it again", path=str(path), error=str(exc))
    log.info("head trained", seconds=round(perf_counter() - started, 1))
    return head


def _encoder(settings: Settings) -> tuple[Artifact | None, Encoder | None, str]:
    try:
        artifact = find_artifact(settings.encoder_model, settings.classifier_dir)
        return artifact, artifact.encoder(), ""
    except ArtifactUnusable as exc:
        log.warning("no usable encoder: classifying by words and characters alone", why=str(exc))
        return None, None, str(exc)
