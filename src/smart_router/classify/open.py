"""Puts a classifier together at the start: artifact, head for exactly today's examples, or the best that can be had."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import structlog

from smart_router.classify.adapt import adapted, to_repeat
from smart_router.classify.artifact import Artifact, find_artifact, find_head, trained_head_path, user_folder
from smart_router.classify.base import Encoder, Example, Matrix
from smart_router.classify.classifier import Classifier
from smart_router.classify.embeddings import Progress, encode_known
from smart_router.classify.head import Head, load_head, save_head
from smart_router.classify.lessons import Lessons, inputs_sha256, load_lessons
from smart_router.classify.train import RECIPE, Hybrids, check, train_head, train_hybrids
from smart_router.errors import ArtifactUnusable, ConfigurationError
from smart_router.kinds import named_by
from smart_router.registry import Registry
from smart_router.settings import Settings

log = structlog.get_logger("classifier")

FEW = 200  # examples per use case, about as many as each shipped one has in English alone
NO_ENCODER = "none"  # stands for the encoder's hash in a head of lexical features alone


def open_classifier(registry: Registry, settings: Settings, progress: Progress | None = None) -> Classifier:
    """
    The hybrid classifier; with no usable artifact, one of lexical features alone, which says why. A head that was made
    from other examples or use cases is never used: it is trained again and kept. Embeddings are kept too, so that
    only the first training encodes all examples. *progress* hears how far that is; without one, the log does.

    Where CLASSIFIER names one of others, that one, made of *registry* and *settings*.

    Raises:
        ConfigurationError: the examples are missing or malformed; CLASSIFIER names nothing that can be imported.
    """
    if settings.classifier:
        found: Classifier = named_by("CLASSIFIER", settings.classifier)(registry, settings)
        return found
    lessons = load_lessons(registry)
    artifact, encoder, trouble = _encoder(settings)
    try:
        head = _head(lessons, registry.taught, artifact, settings.classifier_dir, progress)
    except ArtifactUnusable as exc:
        _warn(exc)
        encoder, trouble = None, str(exc)
        head = _head(lessons, registry.taught, None, settings.classifier_dir, progress)
    return Classifier(
        head, encoder, queue_size=settings.classifier_queue, timeout_s=settings.classifier_timeout, trouble=trouble
    )


def made_from(registry: Registry) -> str:
    """
    The identity of what `open_classifier` reads of *registry*: another one means that it has to be opened again.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    digest = hashlib.sha256(repr(registry.taught).encode())
    names = [registry.use_cases[name].examples for name in registry.taught]
    for name in (*names, registry.conversations, registry.out_of_scope):
        content = _content(registry.beside(name)) if name else b""
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be read ({exc.strerror}); make it readable") from None


def _head(
    lessons: Lessons,
    use_cases: Sequence[str],
    artifact: Artifact | None,
    folder: Path | None,
    progress: Progress | None,
) -> Head:
    encoder_sha256 = artifact.manifest.onnx_sha256 if artifact else NO_ENCODER
    found = find_head(inputs_sha256(lessons, use_cases, encoder_sha256, RECIPE), artifact, folder)
    return found or _trained(lessons, use_cases, artifact, folder, progress or _logged)


def _logged(done: int, of: int) -> None:
    log.info("encoding examples", done=done, of=of)


def _trained(
    lessons: Lessons, use_cases: Sequence[str], artifact: Artifact | None, folder: Path | None, progress: Progress
) -> Head:
    log.info("examples or use cases have changed: training the head", lessons=len(lessons.turns))
    started = perf_counter()
    _warn_of_few(lessons.first, use_cases)
    check(lessons.first, use_cases)
    hybrids = _hybrids(lessons, use_cases, artifact, folder, progress) if artifact else None
    log.info("fitting the heads")
    head = train_head(lessons, use_cases, artifact.manifest.onnx_sha256 if artifact else NO_ENCODER, hybrids)
    try:
        save_head(head, trained_head_path(head.inputs_sha256, folder))
    except OSError as exc:
        log.warning("the head cannot be kept, the next start trains it again", error=str(exc))
    log.info("head trained", seconds=round(perf_counter() - started, 1))
    return head


def _hybrids(
    lessons: Lessons, use_cases: Sequence[str], artifact: Artifact, folder: Path | None, progress: Progress
) -> Hybrids:
    """What the encoder was taught with, adapted to what is new; of one that was not taught, learnt from all lessons."""
    if not artifact.manifest.taught:
        return train_hybrids(lessons, use_cases, _embeddings(lessons, artifact, folder, progress))
    before = load_head(artifact.folder / "head.npz")
    repeated = to_repeat(lessons, before.known)
    return adapted(before, repeated, use_cases, _embeddings(repeated, artifact, folder, progress))


def _warn_of_few(examples: Sequence[Example], use_cases: Sequence[str]) -> None:
    counts = Counter(example.use_case for example in examples)
    for use_case in use_cases:
        if counts[use_case] < FEW:
            log.warning("few examples: expect few hits", use_case=use_case, examples=counts[use_case], better=FEW)


def _embeddings(lessons: Lessons, artifact: Artifact, folder: Path | None, progress: Progress) -> Matrix:
    encoder = artifact.encoder(threads=os.cpu_count() or 1)
    path = user_folder(folder) / "embeddings" / f"{artifact.manifest.onnx_sha256[:16]}.npz"
    return encode_known(encoder, lessons.said, path, progress)


def _encoder(settings: Settings) -> tuple[Artifact | None, Encoder | None, str]:
    try:
        artifact = find_artifact(settings.encoder_model, settings.classifier_dir)
        return artifact, artifact.encoder(), ""
    except ArtifactUnusable as exc:
        _warn(exc)
        return None, None, str(exc)


def _warn(trouble: ArtifactUnusable) -> None:
    log.warning("no usable encoder: classifying by words and characters alone", why=str(trouble))
