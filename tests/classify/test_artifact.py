"""The artifact knows what it was made from; what is damaged or does not belong together is refused."""

import json
import shutil
from pathlib import Path

import pytest

from smart_router.classify.artifact import (
    SHIPPED,
    VERSION,
    find_artifact,
    find_head,
    folder_for,
    open_artifact,
    trained_head_path,
)
from smart_router.classify.base import Said
from smart_router.classify.head import save_head
from smart_router.errors import ArtifactUnusable

from .worlds import a_head, an_artifact

MOST_BYTES = 25_000_000
MINILM = "sentence-transformers/all-MiniLM-L6-v2"

pytestmark = pytest.mark.usefixtures("bare_environment")


def refusal(folder: Path) -> str:
    with pytest.raises(ArtifactUnusable) as caught:
        open_artifact(folder)
    return str(caught.value)


def test_an_artifact_opens_with_its_manifest(tmp_path: Path) -> None:
    found = open_artifact(an_artifact(tmp_path / "a"))
    assert (found.folder, found.manifest.encoder, found.manifest.made_with) == (
        tmp_path / "a",
        "org/tiny",
        {"torch": "2"},
    )


def test_a_manifest_keeps_how_the_encoder_was_taught_and_by_whom_not(tmp_path: Path) -> None:
    manifest = open_artifact(an_artifact(tmp_path, prompt="query: ", taught=(1.0, 3.0), apart=("w9",))).manifest
    assert (manifest.prompt, manifest.taught, manifest.apart) == ("query: ", (1.0, 3.0), ("w9",))


def test_an_encoder_that_came_as_it_is_says_so(tmp_path: Path) -> None:
    manifest = open_artifact(an_artifact(tmp_path)).manifest
    assert (manifest.prompt, manifest.taught, manifest.apart) == ("", (), ())


@pytest.mark.parametrize("name", ["encoder.onnx", "tokenizer.json"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    folder = an_artifact(tmp_path)
    with (folder / name).open("ab") as file:
        file.write(b"x")
    assert name in refusal(folder)


@pytest.mark.parametrize("name", ["encoder.onnx", "tokenizer.json", "manifest.json"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    folder = an_artifact(tmp_path)
    (folder / name).unlink()
    message = refusal(folder)
    assert name in message
    assert "smart-router classifier build" in message


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', '{"unknown": 1}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    folder = an_artifact(tmp_path)
    (folder / "manifest.json").write_text(text)
    assert "manifest.json" in refusal(folder)


def test_a_manifest_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = an_artifact(tmp_path)
    (folder / "manifest.json").write_bytes(b'{"version": "\xff"}')
    assert "manifest.json" in refusal(folder)


def test_another_version_is_refused_with_both(tmp_path: Path) -> None:
    message = refusal(an_artifact(tmp_path, version=VERSION + 1))
    assert f"version {VERSION + 1}" in message
    assert f"reads {VERSION}" in message


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "none" in refusal(tmp_path / "none")


# which one is found


def test_the_shipped_artifact_is_found_by_default(tmp_path: Path) -> None:
    assert find_artifact(MINILM, tmp_path).folder == SHIPPED


def test_the_short_name_means_the_same_model(tmp_path: Path) -> None:
    assert find_artifact("all-MiniLM-L6-v2", tmp_path).folder == SHIPPED


def test_one_built_here_comes_before_the_shipped_one(tmp_path: Path) -> None:
    folder = an_artifact(folder_for(MINILM, tmp_path), MINILM)
    assert find_artifact(MINILM, tmp_path).folder == folder


def test_a_damaged_one_built_here_is_passed_over(tmp_path: Path) -> None:
    (an_artifact(folder_for(MINILM, tmp_path), MINILM) / "encoder.onnx").write_bytes(b"")
    assert find_artifact(MINILM, tmp_path).folder == SHIPPED


@pytest.mark.parametrize("model", ["org/another", "sentence-transformers/all-MiniLM-L12-v2"])
def test_another_encoder_is_never_taken_instead(tmp_path: Path, model: str) -> None:
    with pytest.raises(ArtifactUnusable, match=f"not from {model}"):
        find_artifact(model, tmp_path)


@pytest.mark.parametrize("model", ["L6-v2", "2", "MiniLM-L6-v2", "v2"])
def test_the_end_of_a_name_is_another_name(tmp_path: Path, model: str) -> None:
    with pytest.raises(ArtifactUnusable):
        find_artifact(model, tmp_path)


def test_the_default_folder_is_the_users_cache(bare_environment: Path) -> None:
    folder = folder_for("org/tiny", None)
    assert folder == bare_environment / "cache" / "smart-router" / "classifier" / "org--tiny"


# heads


def test_a_head_is_found_only_for_exactly_its_inputs(tmp_path: Path) -> None:
    head = a_head()
    save_head(head, trained_head_path(head.inputs_sha256, tmp_path))
    assert find_head(head.inputs_sha256, None, tmp_path) is not None
    assert find_head("0" * 64, None, tmp_path) is None


def test_a_head_under_the_wrong_name_is_not_believed(tmp_path: Path) -> None:
    head = a_head()
    save_head(head, trained_head_path("0" * 64, tmp_path))
    assert find_head("0" * 64, None, tmp_path) is None


def test_a_damaged_head_is_passed_over(tmp_path: Path) -> None:
    path = trained_head_path("0" * 64, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04 damaged")
    assert find_head("0" * 64, None, tmp_path) is None


# what ships


def test_the_shipped_artifact_is_whole_and_small_enough_for_the_package() -> None:
    open_artifact(SHIPPED)
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= MOST_BYTES


def test_the_shipped_artifact_has_its_papers_and_names_no_folder_of_its_maker() -> None:
    assert "Apache License" in (SHIPPED / "NOTICE").read_text()
    assert (SHIPPED / "README.md").read_text().startswith("# ")
    text = (SHIPPED / "manifest.json").read_text() + (SHIPPED / "README.md").read_text()
    assert json.loads((SHIPPED / "manifest.json").read_text())["encoder"] == MINILM
    assert not any(place in text for place in ("/home/", "/root/", "/tmp/"))


def test_the_shipped_encoder_makes_unit_vectors_that_know_meaning() -> None:
    artifact = open_artifact(SHIPPED)
    encoder = artifact.encoder()
    assert encoder.dimension == artifact.manifest.dimension
    texts = "type out this recording", "transcribe this audio", "a picture of a cat"
    typed, written, painted = encoder.encode([Said(text) for text in texts])
    assert typed @ typed == pytest.approx(1, abs=1e-3)
    assert typed @ written > typed @ painted
    assert encoder.encode([]).shape == (0, encoder.dimension)
    assert encoder.encode([Said(""), Said("word " * 5000)]).shape == (2, encoder.dimension)


def test_a_copy_of_the_shipped_artifact_with_one_bit_changed_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(SHIPPED, folder)
    with (folder / "encoder.onnx").open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)[0]
        file.seek(1_000_000)
        file.write(bytes([byte ^ 1]))
    assert "encoder.onnx" in refusal(folder)
