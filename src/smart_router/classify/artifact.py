"""
The classifier's artifact: one folder that knows what it was made from.

    manifest.json    version, the encoder's source and hashes, how well int8 agrees with the original
    encoder.onnx     int8
    tokenizer.json
    head.npz         the linear heads, with the hash of lessons, use cases and encoder
    README.md        model card;  NOTICE  the source's licence notice

The default one ships inside the package. Others, and heads trained again for changed examples, are kept in a folder of
the user's (`CLASSIFIER_DIR`). What is damaged or does not belong together is refused, never used silently.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smart_router.classify.encoder_onnx import OnnxEncoder
from smart_router.classify.head import Head, load_head
from smart_router.errors import ArtifactUnusable

VERSION = 2
SHIPPED = Path(__file__).parent / "artifact"


@dataclass(frozen=True)
class Manifest:
    """What *encoder.onnx* is. `agreement` is the share of decisions that int8 and the original share, 0..1."""

    version: int
    encoder: str
    weights_sha256: str
    onnx_sha256: str
    tokenizer_sha256: str
    dimension: int
    max_tokens: int
    quantisation: str
    agreement: float
    mean_cosine: float
    made_with: dict[str, str]
    prompt: str = ""  # stands before every text
    taught: tuple[float, ...] = ()  # the recipe by which the encoder learnt from examples; empty: it is as it came
    apart: tuple[str, ...] = ()  # writers of examples from whom it did not learn, to calibrate on


@dataclass(frozen=True)
class Artifact:
    """An artifact whose files are all there and are the ones its manifest names."""

    folder: Path
    manifest: Manifest

    def encoder(self, threads: int = 1) -> OnnxEncoder:
        """
        Raises:
            ArtifactUnusable: onnxruntime or tokenizers cannot load it.
        """
        graph, tokenizer, most = self.folder / "encoder.onnx", self.folder / "tokenizer.json", self.manifest.max_tokens
        try:
            return OnnxEncoder(graph, tokenizer, max_tokens=most, prompt=self.manifest.prompt, threads=threads)
        except Exception as exc:  # either library raises classes of its own, down to plain Exception
            raise ArtifactUnusable(f"{self.folder}: cannot be loaded: {exc}") from exc


def user_folder(configured: Path | None) -> Path:
    """Where artifacts made on this machine are kept."""
    if configured is not None:
        return configured
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - does not raise without a home
    return Path(cache) / "smart-router" / "classifier"


def folder_for(encoder_model: str, configured: Path | None) -> Path:
    return user_folder(configured) / encoder_model.strip("/").replace("/", "--")


def open_artifact(folder: Path) -> Artifact:
    """
    Raises:
        ArtifactUnusable: missing, of another version, or with a file that is not the one it was made with.
    """
    manifest = read_manifest(folder)
    if manifest.version != VERSION:
        raise ArtifactUnusable(f"{folder}: version {manifest.version}, this release reads {VERSION}; build it again")
    for name, expected in (("encoder.onnx", manifest.onnx_sha256), ("tokenizer.json", manifest.tokenizer_sha256)):
        if not (folder / name).is_file() or file_sha256(folder / name) != expected:
            raise ArtifactUnusable(f"{folder / name}: missing or damaged; run `smart-router classifier build`")
    return Artifact(folder, manifest)


def read_manifest(folder: Path) -> Manifest:
    """
    Raises:
        ArtifactUnusable: missing or damaged.
    """
    try:
        read: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        return Manifest(**{key: _frozen(value) for key, value in read.items()})
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise ArtifactUnusable(
            f"{folder}: no readable manifest.json ({exc}); run `smart-router classifier build`"
        ) from exc


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def find_artifact(encoder_model: str, configured: Path | None) -> Artifact:
    """
    The artifact of *encoder_model*: one built on this machine, else the shipped one.

    Raises:
        ArtifactUnusable: there is none for that model; the message lists why each place was passed over.
    """
    refusals: list[str] = []
    for folder in (folder_for(encoder_model, configured), SHIPPED):
        try:
            found = open_artifact(folder)
        except ArtifactUnusable as exc:
            refusals.append(str(exc))
            continue
        if found.manifest.encoder in (encoder_model, f"sentence-transformers/{encoder_model}"):
            return found
        refusals.append(f"{folder}: made from {found.manifest.encoder}, not from {encoder_model}")
    raise ArtifactUnusable("; ".join(refusals))


def find_head(inputs_sha256: str, artifact: Artifact | None, configured: Path | None) -> Head | None:
    """The head made from exactly these inputs, if there is one."""
    for path in _head_paths(inputs_sha256, artifact, configured):
        try:
            head = load_head(path)
        except ArtifactUnusable:
            continue
        if head.inputs_sha256 == inputs_sha256:
            return head
    return None


def _head_paths(inputs_sha256: str, artifact: Artifact | None, configured: Path | None) -> Iterator[Path]:
    if artifact is not None:
        yield artifact.folder / "head.npz"
    yield trained_head_path(inputs_sha256, configured)


def trained_head_path(inputs_sha256: str, configured: Path | None) -> Path:
    return user_folder(configured) / "heads" / f"{inputs_sha256[:16]}.npz"


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
