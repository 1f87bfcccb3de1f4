"""`smart-router classifier build`: source weights and example queries in, one artifact out. Needs the `build` extra."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

from smart_router.classify import artifact, encoder_st
from smart_router.classify.artifact import Manifest, file_sha256
from smart_router.classify.base import Encoder, Example, Matrix
from smart_router.classify.encoder_onnx import OnnxEncoder
from smart_router.classify.head import Head, save_head
from smart_router.classify.lexical import columns
from smart_router.classify.quantise import quantisations
from smart_router.classify.train import train_head
from smart_router.errors import ArtifactUnusable

MAX_TOKENS = 64  # a longer text keeps its two ends; 128 were no better on unseen writers and take twice as long
MINIMUM_AGREEMENT = 0.97  # share of decisions on unseen queries that int8 must share with the original
CHECKED = 800  # examples, about, kept apart to compare on, evenly spread
LEAST_APART = 5  # but no more than every fifth: the comparing head has to learn from the others

Progress = Callable[[str], None]


def build(
    model: str, examples: Sequence[Example], use_cases: Sequence[str], target: Path, say: Progress = print
) -> Manifest:
    """
    Export, quantise, train and check; *target* is replaced only when everything is well.

    Raises:
        ArtifactUnusable: no weights, or no quantisation whose decisions agree with the original.
    """
    with tempfile.TemporaryDirectory(prefix=".classifier-", dir=_checked_parent(target)) as name:
        folder = Path(name)
        say(f"1/4 finding the weights of {model}")
        source = encoder_st.find_source(model)
        say(f"2/4 exporting {source.folder.name} to ONNX")
        original = encoder_st.TorchEncoder(source, folder / "tokenizer.json", MAX_TOKENS)
        exact = folder / "exact.onnx"
        encoder_st.export(original, exact)
        say(f"3/4 quantising to int8, encoding {len(examples)} examples and comparing decisions with the original's")
        manifest, embeddings = _quantised(source, folder, exact, original, examples, use_cases, say)
        say("4/4 training the head")
        head = train_head(examples, use_cases, embeddings, manifest.onnx_sha256)
        save_head(head, folder / "head.npz")
        _write_papers(folder, manifest, head)
        exact.unlink()
        _install(folder, target)
    return manifest


def _checked_parent(target: Path) -> Path:
    if target.exists() and any(target.iterdir()) and not (target / "manifest.json").exists():
        raise ArtifactUnusable(f"{target} holds something else than an artifact; choose another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent


def _quantised(
    source: encoder_st.Source,
    folder: Path,
    exact: Path,
    original: Encoder,
    examples: Sequence[Example],
    use_cases: Sequence[str],
    say: Progress,
) -> tuple[Manifest, Matrix]:
    """The first quantisation whose decisions agree with the original's, and its embeddings of the examples."""
    checked = list(range(0, len(examples), max(LEAST_APART, len(examples) // CHECKED)))
    expected = original.encode([examples[i].text for i in checked])
    tried: list[str] = []
    for name, quantise in quantisations().items():
        quantise(exact, folder / "encoder.onnx")
        encoder = OnnxEncoder(folder / "encoder.onnx", folder / "tokenizer.json", max_tokens=MAX_TOKENS, threads=2)
        embeddings = encoder.encode([e.text for e in examples])
        agreement = _agreement(examples, use_cases, embeddings, checked, expected)
        cosine = float((expected * embeddings[checked]).sum(axis=1).mean())
        tried.append(f"{name}: {agreement:.1%} of decisions agree, cosine {cosine:.3f}")
        say(f"    {tried[-1]}")
        if agreement >= MINIMUM_AGREEMENT:
            return _manifest(source, folder, encoder.dimension, name, agreement, cosine), embeddings
    raise ArtifactUnusable(f"{source.name} loses too much to int8 ({'; '.join(tried)}); nothing was replaced")


def _agreement(
    examples: Sequence[Example], use_cases: Sequence[str], embeddings: Matrix, checked: Sequence[int], expected: Matrix
) -> float:
    """Share of equal decisions, by a head that has not seen the queries it is compared on."""
    seen = sorted(set(range(len(examples))) - set(checked))
    head = train_head([examples[i] for i in seen], use_cases, embeddings[seen], "")
    sample = [examples[i] for i in checked]
    return float((_decisions(head, sample, embeddings[checked]) == _decisions(head, sample, expected)).mean())


def _manifest(
    source: encoder_st.Source, folder: Path, dimension: int, quantisation: str, agreement: float, cosine: float
) -> Manifest:
    return Manifest(
        version=artifact.VERSION,
        encoder=source.name,
        weights_sha256=source.weights_sha256,
        onnx_sha256=file_sha256(folder / "encoder.onnx"),
        tokenizer_sha256=file_sha256(folder / "tokenizer.json"),
        dimension=dimension,
        max_tokens=MAX_TOKENS,
        quantisation=quantisation,
        agreement=round(agreement, 4),
        mean_cosine=round(cosine, 4),
        made_with={name: version(name) for name in ("torch", "sentence-transformers", "onnxruntime")},
    )


def _decisions(head: Head, examples: Sequence[Example], embeddings: Matrix) -> np.ndarray:
    assert head.hybrid is not None
    pairs = zip(examples, embeddings, strict=True)
    scores = (head.hybrid.probabilities(columns(e.text), [e.attached] if e.attached else [], v) for e, v in pairs)
    return np.array([probabilities.argmax() for probabilities in scores])


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
    (folder / "NOTICE").write_text(_NOTICE.format(m=manifest))
    (folder / "README.md").write_text(
        _CARD.format(
            m=manifest, head=head, use_cases=", ".join(head.use_cases), languages=", ".join(head.meta["languages"])
        )
    )


_NOTICE = """\
encoder.onnx and tokenizer.json are derived from {m.encoder}
(https://huggingface.co/{m.encoder}). The default, all-MiniLM-L6-v2, is Copyright the
sentence-transformers authors and licensed under the Apache License, Version 2.0
(http://www.apache.org/licenses/LICENSE-2.0). Changes made here: exported to ONNX with its
pooling and normalisation, quantised to 8 bits ({m.quantisation}).
head.npz is part of smart-router, under the Apache License, Version 2.0.
"""

_CARD = """\
# The classifier's artifact

Which of {use_cases} does a query belong to? Made by `smart-router classifier build`; do not edit.

| | |
|---|---|
| source | {m.encoder}, `model.safetensors` SHA-256 `{m.weights_sha256}` |
| encoder | ONNX with pooling and normalisation, {m.quantisation}, {m.dimension} dimensions, {m.max_tokens} tokens |
| agreement with the original | {m.agreement:.1%} of decisions on the examples, mean cosine {m.mean_cosine} |
| head | multinomial logistic regression on the embedding and hashed word and character n-grams, temperature-scaled |
| learnt from | {head.meta[examples]} example queries in `config/examples/` ({languages}) |
| inputs | SHA-256 `{head.inputs_sha256}` |

Intended use: routing queries to models. It reads text and the kinds of media attached, never the media. Languages
other than those above rest on shared words alone. The examples were written for this purpose; no user data is in them.
Accuracy on queries that nobody here wrote: `docs/routing-quality.md`.
"""
