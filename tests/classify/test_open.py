"""Putting a classifier together: a stale head is never used, and without an encoder it says why."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from smart_router.classify.adapt import adapted
from smart_router.classify.artifact import SHIPPED, Artifact, find_artifact, find_head, folder_for, open_artifact
from smart_router.classify.base import Query
from smart_router.classify.classifier import Classifier
from smart_router.classify.head import load_head, save_head
from smart_router.classify.lessons import Lessons, inputs_sha256, load_lessons
from smart_router.classify.open import NO_ENCODER, made_from, open_classifier
from smart_router.classify.train import RECIPE, train_head, train_hybrids
from smart_router.errors import ConfigurationError
from smart_router.registry import Registry, load_registry
from smart_router.settings import Settings
from tests.fakes import FakeEncoder, settings

from .worlds import CONVERSATIONS, TEXTS, USE_CASES, a_head, a_world, an_artifact

SHIPPED_REGISTRY = Path(__file__).parents[2] / "config" / "model_registry.yaml"
TINY = "org/tiny"
TAUGHT = (1.0, 3.0)  # some recipe
TAXES = "sort my tax papers"
MORE = {**TEXTS, "tts": ["read this aloud", "say it warmly", "speak the text", "pronounce it", "read the letter aloud"]}

pytestmark = pytest.mark.usefixtures("bare_environment")


class Steps:
    """Which trainings there were, in order, and on how many lessons."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heads: list[int] = []
        self.hybrids: list[str] = []

        def trained(lessons: Lessons, *rest: Any) -> Any:
            self.heads.append(len(lessons.first))
            return train_head(lessons, *rest)

        def learnt(*given: Any) -> Any:
            self.hybrids.append("learnt")
            return train_hybrids(*given)

        def moved(*given: Any) -> Any:
            self.hybrids.append("adapted")
            return adapted(*given)

        for name, step in (("train_head", trained), ("train_hybrids", learnt), ("adapted", moved)):
            monkeypatch.setattr(f"smart_router.classify.open.{name}", step)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> FakeEncoder:
    """What every artifact has."""
    fake = FakeEncoder()
    monkeypatch.setattr(Artifact, "encoder", lambda self, threads=1: fake)
    return fake


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "world").mkdir()
    return tmp_path / "world"


def of(folder: Path, *extra: str, texts: Mapping[str, Sequence[str]] = TEXTS) -> Registry:
    return a_world(folder, extra=extra, texts=texts, conversations=CONVERSATIONS)


def ours(folder: Path, encoder_model: str = TINY) -> Settings:
    return settings(classifier_dir=folder / "classifier", encoder_model=encoder_model)


def without_encoder(folder: Path) -> Settings:
    return ours(folder, "org/nobody-built-it")


def untaught(folder: Path) -> Settings:
    """Settings with which an encoder that came as it is will be found."""
    an_artifact(folder_for(TINY, folder / "classifier"), TINY)
    return ours(folder)


def taught(folder: Path) -> Settings:
    """Settings with which an encoder will be found that has learnt from the world as it is."""
    place = an_artifact(folder_for(TINY, folder / "classifier"), TINY, taught=TAUGHT)
    sha256 = open_artifact(place).manifest.onnx_sha256
    save_head(a_head(load_lessons(of(folder)), USE_CASES, FakeEncoder(), encoder_sha256=sha256), place / "head.npz")
    return ours(folder)


def kept_heads(folder: Path) -> list[Path]:
    return sorted((folder / "classifier" / "heads").glob("*.npz"))


async def chosen(classifier: Classifier, *texts: str, standing: str | None = None) -> list[str]:
    """The likeliest use case of each of *texts*."""
    classifier.start()
    try:
        found = [await classifier.scores(Query(text, (), standing)) for text in texts]
    finally:
        classifier.close()
    assert all(scores.full == (classifier.kind == "hybrid") for scores in found)
    return [max(scores.probabilities, key=lambda name: scores.probabilities[name]) for scores in found]


# an encoder that came as it is


def test_with_an_encoder_it_is_hybrid_and_has_no_trouble(world: Path, encoder: FakeEncoder) -> None:
    classifier = open_classifier(of(world), untaught(world))
    assert (classifier.kind, classifier.trouble) == ("hybrid", "")


def test_heads_of_an_encoder_as_it_came_are_learnt_and_kept(world: Path, encoder: FakeEncoder, steps: Steps) -> None:
    for _ in range(2):
        open_classifier(of(world), untaught(world))
    assert (steps.heads, steps.hybrids) == ([30], ["learnt"])
    assert [load_head(path).use_cases for path in kept_heads(world)] == [USE_CASES]


def test_changed_examples_are_learnt_anew(world: Path, encoder: FakeEncoder, steps: Steps) -> None:
    for extra in ((), (TAXES,)):
        open_classifier(of(world, *extra), untaught(world))
    assert (steps.heads, steps.hybrids) == ([30, 31], ["learnt", "learnt"])
    assert len(kept_heads(world)) == 2


def test_only_what_is_new_is_encoded(world: Path, encoder: FakeEncoder) -> None:
    open_classifier(of(world), untaught(world))
    known = set(load_lessons(of(world)).said)
    encoder.batches.clear()
    open_classifier(of(world, TAXES), untaught(world))
    assert known.isdisjoint(one for batch in encoder.batches for one in batch)
    assert any(one.text == TAXES for batch in encoder.batches for one in batch)


def test_changed_conversations_train_again(world: Path, encoder: FakeEncoder, steps: Steps) -> None:
    open_classifier(of(world), untaught(world))
    other = CONVERSATIONS.replace("make it rhyme", "let it rhyme")
    open_classifier(a_world(world, conversations=other), untaught(world))
    assert steps.heads == [30, 30]


def test_what_is_out_of_scope_trains_again(world: Path, encoder: FakeEncoder, steps: Steps) -> None:
    open_classifier(of(world), untaught(world))
    open_classifier(a_world(world, conversations=CONVERSATIONS, out_of_scope="en: [thanks]"), untaught(world))
    assert steps.heads == [30, 31]


def test_examples_changed_back_find_their_head_again(world: Path, encoder: FakeEncoder, steps: Steps) -> None:
    for extra in ((), (TAXES,), ()):
        open_classifier(of(world, *extra), untaught(world))
    assert steps.heads == [30, 31]


def test_a_head_of_the_encoder_is_not_taken_without_it(world: Path, encoder: FakeEncoder, steps: Steps) -> None:
    open_classifier(of(world), untaught(world))
    open_classifier(of(world), without_encoder(world))
    assert (steps.heads, steps.hybrids) == ([30, 30], ["learnt"])


# an encoder that was taught


def test_as_it_was_taught_it_is_taken_as_it_is(world: Path, encoder: FakeEncoder, steps: Steps) -> None:
    classifier = open_classifier(of(world), taught(world))
    assert (classifier.kind, classifier.trouble) == ("hybrid", "")
    assert (steps.heads, steps.hybrids, encoder.batches) == ([], [], [])


def test_heads_of_a_taught_encoder_are_adapted_to_changed_examples(
    world: Path, encoder: FakeEncoder, steps: Steps
) -> None:
    found = taught(world)
    for _ in range(2):
        open_classifier(of(world, TAXES), found)
    assert (steps.heads, steps.hybrids) == ([31], ["adapted"])
    assert len(kept_heads(world)) == 1


async def test_an_adapted_classifier_knows_what_was_added_and_what_it_knew(world: Path, encoder: FakeEncoder) -> None:
    added, known = "transcribe my papers", [text for texts in TEXTS.values() for text in texts]
    found, before = taught(world), of(world)
    assert await chosen(open_classifier(before, found), added) == ["stt"]
    classifier = open_classifier(of(world, added), found)
    expected = [name for name, texts in TEXTS.items() for _ in texts]
    assert await chosen(classifier, added, *known) == ["agent", *expected]


async def test_a_new_use_case_is_learnt_by_a_taught_encoder(world: Path, encoder: FakeEncoder, steps: Steps) -> None:
    classifier = open_classifier(of(world, texts=MORE), taught(world))
    assert await chosen(classifier, "read this aloud") == ["tts"]
    assert steps.hybrids == ["adapted"]


async def test_a_removed_use_case_is_forgotten_by_a_taught_encoder(world: Path, encoder: FakeEncoder) -> None:
    found = taught(world)
    fewer = {name: TEXTS[name] for name in ("agent", "stt")}
    (name,) = await chosen(open_classifier(of(world, texts=fewer), found), "which bird is in the photo")
    assert name in fewer


def test_of_many_known_lessons_only_a_sample_is_encoded_again(
    world: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = taught(world)
    monkeypatch.setattr("smart_router.classify.adapt.SAMPLE", 5)
    open_classifier(of(world, TAXES), found)
    encoded = [one.text for batch in encoder.batches for one in batch]
    assert TAXES in encoded
    assert len(encoded) < len(load_lessons(of(world)).turns) / 2


@pytest.mark.parametrize("content", [b"damaged", None])
def test_a_taught_encoder_without_its_head_is_lexical_and_says_why(
    world: Path, encoder: FakeEncoder, content: bytes | None
) -> None:
    found = taught(world)
    path = folder_for(TINY, world / "classifier") / "head.npz"
    path.unlink() if content is None else path.write_bytes(content)
    classifier = open_classifier(of(world), found)
    assert classifier.kind == "lexical"
    assert "head.npz" in classifier.trouble


# no encoder


def test_without_an_artifact_it_is_lexical_and_says_why(world: Path, steps: Steps) -> None:
    classifier = open_classifier(of(world), without_encoder(world))
    assert classifier.kind == "lexical"
    assert "org--nobody-built-it" in classifier.trouble
    assert steps.hybrids == []


def test_an_encoder_that_cannot_be_loaded_is_as_none(world: Path) -> None:
    """The made-up artifact's is no ONNX."""
    classifier = open_classifier(of(world), untaught(world))
    assert classifier.kind == "lexical"
    assert "cannot be loaded" in classifier.trouble


async def test_without_an_artifact_it_still_classifies(world: Path) -> None:
    classifier = open_classifier(of(world), without_encoder(world))
    assert await chosen(classifier, "please transcribe the recording") == ["stt"]
    assert await chosen(classifier, "please transcribe the recording", standing="agent") == ["stt"]


def test_a_damaged_head_is_trained_again(world: Path, steps: Steps) -> None:
    open_classifier(of(world), without_encoder(world))
    (path,) = kept_heads(world)
    path.write_bytes(b"damaged")
    open_classifier(of(world), without_encoder(world))
    assert steps.heads == [30, 30]
    load_head(path)


def test_a_head_cut_short_by_a_full_disk_is_trained_again(world: Path, steps: Steps) -> None:
    open_classifier(of(world), without_encoder(world))
    (path,) = kept_heads(world)
    path.write_bytes(path.read_bytes()[:-100])
    open_classifier(of(world), without_encoder(world))
    assert steps.heads == [30, 30]


def test_a_head_that_cannot_be_kept_is_used_all_the_same(world: Path) -> None:
    (world / "classifier").write_text("a file where the folder should be")
    assert isinstance(open_classifier(of(world), without_encoder(world)), Classifier)


@pytest.mark.parametrize("prepare", [untaught, taught, without_encoder])
def test_too_few_examples_stop_the_start(world: Path, encoder: FakeEncoder, prepare: Any) -> None:
    found = prepare(world)
    registry = of(world)
    (world / "stt.yaml").write_text("en: [one, two]")
    with pytest.raises(ConfigurationError, match="use case stt has 2 example queries"):
        open_classifier(registry, found)


def test_the_kept_head_is_the_one_of_todays_examples(world: Path) -> None:
    registry = of(world)
    open_classifier(registry, without_encoder(world))
    wanted = inputs_sha256(load_lessons(registry), USE_CASES, NO_ENCODER, RECIPE)
    assert find_head(wanted, None, world / "classifier") is not None


# what ships


def test_the_shipped_head_matches_the_shipped_examples(tmp_path: Path) -> None:
    """Otherwise every first start trains for seconds: rebuild the artifact with `make classifier`."""
    registry = load_registry(SHIPPED_REGISTRY, {})
    artifact = find_artifact(settings().encoder_model, tmp_path)
    wanted = inputs_sha256(load_lessons(registry), registry.taught, artifact.manifest.onnx_sha256, RECIPE)
    assert artifact == open_artifact(SHIPPED)
    assert load_head(SHIPPED / "head.npz").inputs_sha256 == wanted


async def test_the_shipped_encoder_is_adapted_to_another_world(world: Path, steps: Steps) -> None:
    classifier = open_classifier(of(world), settings(classifier_dir=world / "classifier"))
    assert (classifier.kind, classifier.trouble, steps.hybrids) == ("hybrid", "", ["adapted"])
    assert await chosen(classifier, "transcribe the recording") == ["stt"]


def test_what_a_classifier_is_made_from_is_its_use_cases_and_the_files_they_name(world: Path) -> None:
    before = made_from(of(world))
    assert made_from(of(world)) == before
    assert made_from(of(world, CONVERSATIONS)) != before


def test_a_file_that_cannot_be_read_is_named(world: Path) -> None:
    registry = of(world)
    path = registry.examples_path(next(iter(registry.use_cases.values())))
    assert path is not None
    path.unlink()
    with pytest.raises(ConfigurationError, match=path.name):
        made_from(registry)
