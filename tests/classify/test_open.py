"""Putting a classifier together: a stale head is never used, and without an encoder it says why."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smart_router.classify.artifact import SHIPPED, find_artifact, find_head, open_artifact
from smart_router.classify.base import Query
from smart_router.classify.classifier import Classifier
from smart_router.classify.examples import inputs_sha256, load_examples
from smart_router.classify.head import load_head
from smart_router.classify.open import NO_ENCODER, open_classifier
from smart_router.classify.train import RECIPE, train_head
from smart_router.errors import ConfigurationError
from smart_router.registry import load_registry
from smart_router.settings import Settings
from tests.fakes import settings

from .worlds import USE_CASES, a_world

SHIPPED_REGISTRY = Path(__file__).parents[2] / "config" / "model_registry.yaml"

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "world").mkdir()
    return tmp_path / "world"


def ours(folder: Path, **changed: Any) -> Settings:
    return settings(classifier_dir=folder / "classifier", **changed)


def without_encoder(folder: Path) -> Settings:
    return ours(folder, encoder_model="org/nobody-built-it")


def kept_heads(folder: Path) -> list[Path]:
    return sorted((folder / "classifier" / "heads").glob("*.npz"))


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many examples each training had, in order."""
    seen: list[int] = []

    def counted(examples: Any, *rest: Any) -> Any:
        seen.append(len(examples))
        return train_head(examples, *rest)

    monkeypatch.setattr("smart_router.classify.open.train_head", counted)
    yield seen


def test_with_the_shipped_encoder_it_is_hybrid_and_has_no_trouble(world: Path) -> None:
    classifier = open_classifier(a_world(world), ours(world))
    assert (classifier.kind, classifier.trouble) == ("hybrid", "")


def test_a_head_for_other_examples_is_trained_and_kept(world: Path, trainings: list[int]) -> None:
    registry = a_world(world)
    open_classifier(registry, ours(world))
    open_classifier(registry, ours(world))
    assert trainings == [30]
    assert [load_head(path).use_cases for path in kept_heads(world)] == [USE_CASES]


def test_changed_examples_train_again(world: Path, trainings: list[int]) -> None:
    open_classifier(a_world(world), ours(world))
    open_classifier(a_world(world, extra=["sort my tax papers"]), ours(world))
    assert trainings == [30, 31]
    assert len(kept_heads(world)) == 2


def test_examples_changed_back_find_their_head_again(world: Path, trainings: list[int]) -> None:
    settings = ours(world)
    for extra in ([], ["sort my tax papers"], []):
        open_classifier(a_world(world, extra=extra), settings)
    assert trainings == [30, 31]


def test_a_head_of_the_encoder_is_not_taken_without_it(world: Path, trainings: list[int]) -> None:
    registry = a_world(world)
    open_classifier(registry, ours(world))
    open_classifier(registry, without_encoder(world))
    assert trainings == [30, 30]


def test_a_damaged_head_is_trained_again(world: Path, trainings: list[int]) -> None:
    registry = a_world(world)
    open_classifier(registry, without_encoder(world))
    (path,) = kept_heads(world)
    path.write_bytes(b"damaged")
    open_classifier(registry, without_encoder(world))
    assert trainings == [30, 30]
    load_head(path)


def test_a_head_cut_short_by_a_full_disk_is_trained_again(world: Path, trainings: list[int]) -> None:
    registry = a_world(world)
    open_classifier(registry, without_encoder(world))
    (path,) = kept_heads(world)
    path.write_bytes(path.read_bytes()[:-100])
    open_classifier(registry, without_encoder(world))
    assert trainings == [30, 30]


def test_without_an_artifact_it_is_lexical_and_says_why(world: Path) -> None:
    classifier = open_classifier(a_world(world), without_encoder(world))
    assert classifier.kind == "lexical"
    assert "org/nobody-built-it" in classifier.trouble


async def test_without_an_artifact_it_still_classifies(world: Path) -> None:
    classifier = open_classifier(a_world(world), without_encoder(world))
    found = await classifier.scores(Query("please transcribe the recording"))
    assert not found.full
    assert max(found.probabilities, key=lambda name: found.probabilities[name]) == "stt"


def test_a_head_that_cannot_be_kept_is_used_all_the_same(world: Path) -> None:
    (world / "classifier").write_text("a file where the folder should be")
    assert isinstance(open_classifier(a_world(world), without_encoder(world)), Classifier)


def test_too_few_examples_stop_the_start(world: Path) -> None:
    registry = a_world(world)
    (world / "stt.yaml").write_text("en: [one, two]")
    with pytest.raises(ConfigurationError, match="use case stt has 2 example queries"):
        open_classifier(registry, ours(world))


def test_the_kept_head_is_the_one_of_todays_examples(world: Path) -> None:
    registry = a_world(world)
    open_classifier(registry, without_encoder(world))
    wanted = inputs_sha256(load_examples(registry), USE_CASES, NO_ENCODER, RECIPE)
    assert find_head(wanted, None, world / "classifier") is not None


def test_the_shipped_head_matches_the_shipped_examples(tmp_path: Path) -> None:
    """Otherwise every first start trains for seconds: rebuild the artifact with `make classifier`."""
    registry = load_registry(SHIPPED_REGISTRY, {})
    artifact = find_artifact(settings().encoder_model, tmp_path)
    examples, use_cases = load_examples(registry), tuple(registry.use_cases)
    wanted = inputs_sha256(examples, use_cases, artifact.manifest.onnx_sha256, RECIPE)
    assert artifact == open_artifact(SHIPPED)
    assert load_head(SHIPPED / "head.npz").inputs_sha256 == wanted
