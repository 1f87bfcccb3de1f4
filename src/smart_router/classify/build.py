"""`smart-router classifier build`: source weights and lessons in, one artifact out. Needs the `build` extra."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from smart_router.classify import artifact, encoder_st, finetune
from smart_router.classify.artifact import Manifest, file_sha256
from smart_router.classify.base import Matrix
from smart_router.classify.encoder_onnx import OnnxEncoder
from smart_router.classify.head import Head, save_head
from smart_router.classify.lessons import Lessons
from smart_router.classify.quantise import quantisations
from smart_router.classify.train import Hybrids, calibrated, check, tables, train_head, train_hybrids
from smart_router.errors import ArtifactUnusable

MAX_TOKENS = 64  # a longer text keeps its two ends; 128 were no better on unseen writers and take twice as long
MINIMUM_AGREEMENT = 0.97  # share of decisions on unseen queries that int8 must share with the original
UNSEEN = 12  # of every so many writers the last is one from whom the encoder does not learn, to calibrate and compare
FEW_WRITERS = 3  # with fewer, the encoder learns from all of them

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """*model* is a name or a folder, *prompt* None means its own, *taught* False leaves it as it came."""

    model: str
    prompt: str | None = None
    taught: bool = True


def build(recipe: Recipe, lessons: Lessons, use_cases: Sequence[str], target: Path, say: Progress = print) -> Manifest:
    """
    Teach, export, quantise, train and check; *target* is replaced only when everything is well.

    Raises:
        ArtifactUnusable: no weights, or no quantisation whose decisions agree with the original.
        ConfigurationError: a use case has too few examples to learn from.
    """
    check(lessons.first, use_cases)
    with tempfile.TemporaryDirectory(prefix=".classifier-", dir=_checked_parent(target)) as name:
        folder = Path(name)
        say(f"1/5 finding the weights of {recipe.model}")
        source = encoder_st.find_source(recipe.model)
        original = encoder_st.TorchEncoder(source, folder / "tokenizer.json", MAX_TOKENS, recipe.prompt)
        work = Work(folder, source, original, lessons, tuple(use_cases), recipe.taught)
        finish(work, _taught(work, say), say)
        _install(folder, target)
    return artifact.read_manifest(target)


def _taught(work: "Work", say: Progress) -> Hybrids | None:
    if not work.taught:
        say("2/5 leaving the encoder as it came")
        return None
    seen = work.lessons.without(work.apart)
    by = f", none by {', '.join(work.apart)}" if work.apart else ""
    say(f"2/5 teaching it {len(seen.first)} first and {len(seen.later)} later turns{by}")
    return finetune.teach(work.original, seen, work.use_cases, say)


def finish(work: "Work", hybrids: Hybrids | None, say: Progress) -> None:
    """Everything after teaching: the artifact's files in the folder of *work*."""
    say(f"3/5 exporting {work.source.folder.name} to ONNX")
    exact = work.folder / "exact.onnx"
    encoder_st.export(work.original, exact)
    lessons, apart = work.lessons, work.apart
    say(f"4/5 quantising to int8, encoding {len(lessons.turns)} lessons, comparing decisions with the original's")
    embeddings, quantisation, agreement = _quantised(work, exact, hybrids, say)
    exact.unlink()
    say("5/5 training the heads")
    if hybrids is None:
        hybrids = train_hybrids(lessons, work.use_cases, embeddings, apart)
    else:
        hybrids = calibrated(hybrids, lessons, work.use_cases, embeddings, apart)
    manifest = _manifest(work, embeddings.shape[1], quantisation, agreement)
    head = train_head(lessons, work.use_cases, manifest.onnx_sha256, hybrids, apart, fine=False)
    save_head(head, work.folder / "head.npz")
    _write_papers(work.folder, manifest, head)


def writers_apart(lessons: Lessons) -> tuple[str, ...]:
    """The writers from whom the encoder does not learn."""
    writers = sorted({example.writer for example in lessons.first if example.writer})
    return tuple(writers[UNSEEN - 1 :: UNSEEN]) if len(writers) >= UNSEEN else tuple(writers[FEW_WRITERS:][-1:])


@dataclass(frozen=True)
class Work:
    """What an artifact is made from, and the folder that it is made in."""

    folder: Path
    source: encoder_st.Source
    original: encoder_st.TorchEncoder
    lessons: Lessons
    use_cases: tuple[str, ...]
    taught: bool

    @property
    def apart(self) -> tuple[str, ...]:
        return writers_apart(self.lessons) if self.taught else ()

    @property
    def compared(self) -> list[int]:
        """First turns from which the encoder has not learnt; without writers, every tenth."""
        apart = self.apart
        by_writer = [i for i, example in enumerate(self.lessons.first) if example.writer in apart]
        return by_writer or list(range(0, len(self.lessons.first), UNSEEN))


def _checked_parent(target: Path) -> Path:
    if target.exists() and any(target.iterdir()) and not (target / "manifest.json").exists():
        raise ArtifactUnusable(f"{target} holds something else than an artifact; choose another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent


@dataclass(frozen=True)
class _Agreement:
    """Of the 8-bit encoder with the original: share of equal decisions, and mean cosine of embeddings."""

    decisions: float
    cosine: float


def _quantised(work: Work, exact: Path, hybrids: Hybrids | None, say: Progress) -> tuple[Matrix, str, _Agreement]:
    """The first quantisation whose decisions agree with the original's, and its embeddings of the lessons."""
    said, compared = work.lessons.said, work.compared
    expected = work.original.encode([said[i] for i in compared])
    tried: list[str] = []
    for name, quantise in quantisations().items():
        quantise(exact, work.folder / "encoder.onnx")
        embeddings = _serving(work).encode(said)
        agreement = _agreement(work, hybrids, embeddings, expected)
        tried.append(f"{name}: {agreement.decisions:.1%} of decisions agree, cosine {agreement.cosine:.3f}")
        say(f"    {tried[-1]}")
        if agreement.decisions >= MINIMUM_AGREEMENT:
            return embeddings, name, agreement
    raise ArtifactUnusable(f"the encoder loses too much to int8 ({'; '.join(tried)}); nothing was replaced")


def _serving(work: Work) -> OnnxEncoder:
    graph, tokenizer = work.folder / "encoder.onnx", work.folder / "tokenizer.json"
    return OnnxEncoder(graph, tokenizer, max_tokens=MAX_TOKENS, prompt=work.original.prompt, threads=2)


def _agreement(work: Work, hybrids: Hybrids | None, embeddings: Matrix, expected: Matrix) -> _Agreement:
    """By a head for first turns that has not seen the queries it is compared on."""
    compared, first = work.compared, work.lessons.first
    if hybrids is None:
        seen = sorted(set(range(len(first))) - set(compared))
        hybrids = train_hybrids(Lessons(tuple(first[i] for i in seen), ()), work.use_cases, embeddings[seen])
    sample, head = Lessons(tuple(first[i] for i in compared), ()), hybrids[0]

    def decisions(vectors: Matrix) -> np.ndarray:
        return np.asarray(tables(sample, work.use_cases, vectors)[0].logits(head).argmax(axis=1))

    same = decisions(embeddings[compared]) == decisions(expected)
    return _Agreement(float(same.mean()), float((expected * embeddings[compared]).sum(axis=1).mean()))


def _manifest(work: Work, dimension: int, quantisation: str, agreement: _Agreement) -> Manifest:
    return Manifest(
        version=artifact.VERSION,
        encoder=work.source.name,
        weights_sha256=work.source.weights_sha256,
        onnx_sha256=file_sha256(work.folder / "encoder.onnx"),
        tokenizer_sha256=file_sha256(work.folder / "tokenizer.json"),
        dimension=dimension,
        max_tokens=MAX_TOKENS,
        quantisation=quantisation,
        agreement=round(agreement.decisions, 4),
        mean_cosine=round(agreement.cosine, 4),
        made_with={name: version(name) for name in ("torch", "sentence-transformers", "onnxruntime")},
        prompt=work.original.prompt,
        taught=finetune.recipe() if work.taught else (),
        apart=work.apart,
    )


def _install(folder: Path, target: Path) -> None:
    """In one step each: the old artifact out of the way, the new one in its place."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.copytree(folder, fresh)
    fresh.chmod(0o755)
    old = folder.with_name(folder.name + ".old")
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _write_papers(folder: Path, manifest: Manifest, head: Head) -> None:
    artifact.write_manifest(folder, manifest)
    (folder / "NOTICE").write_text(
        _NOTICE.format(m=manifest, taught=", taught smart-router's examples" if manifest.taught else "")
    )
    writers = f"all writers but {', '.join(manifest.apart)}" if manifest.apart else "all writers"
    taught = f"by cross-entropy, on {writers}" if manifest.taught else "no"
    (folder / "README.md").write_text(
        _CARD.format(
            m=manifest,
            taught=taught,
            head=head,
            use_cases=", ".join(head.use_cases),
            languages=", ".join(head.meta["languages"]),
        )
    )


_NOTICE = """\
encoder.onnx and tokenizer.json are derived from {m.encoder}
(https://huggingface.co/{m.encoder}). The default, all-MiniLM-L6-v2, is Copyright the
sentence-transformers authors and licensed under the Apache License, Version 2.0
(http://www.apache.org/licenses/LICENSE-2.0). Changes made here: exported to ONNX with its
pooling and normalisation{taught}, quantised to 8 bits ({m.quantisation}).
head.npz is part of smart-router, under the Apache License, Version 2.0.
"""

_CARD = """\
# The classifier's artifact

Which of {use_cases} does a query belong to? Made by `smart-router classifier build`; do not edit.

| | |
|---|---|
| source | {m.encoder}, `model.safetensors` SHA-256 `{m.weights_sha256}` |
| encoder | ONNX with pooling and normalisation, {m.quantisation}, {m.dimension} dimensions, {m.max_tokens} tokens |
| agreement with the original | {m.agreement:.1%} of decisions on writers it has not seen, mean cosine {m.mean_cosine} |
| taught | {taught} |
| heads | linear, on the embedding and hashed n-grams, temperature-scaled; for first turns and for later ones |
| learnt from | {head.meta[examples]} example queries and {head.meta[later_turns]} later turns ({languages}) |
| inputs | SHA-256 `{head.inputs_sha256}` |

Intended use: routing queries to models. It reads text and the kinds of media attached, never the media. Languages
other than those above rest on shared words alone. The examples were written for this purpose; no user data is in them.
Accuracy on queries that nobody here wrote: `docs/routing-quality.md`.
"""
