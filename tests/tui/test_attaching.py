from pathlib import Path

import pytest

from smart_router.client import BadInput
from smart_router.tui.attaching import attached, file_named, paths, size


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my cat.png").write_bytes(b"\x89PNG" * 3000)
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.mp3").write_bytes(b"ID3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "named", ["my cat.png", "'my cat.png'", '"my cat.png"', r"my\ cat.png", "~/my cat.png", "./my cat.png "]
)
def test_a_file_is_named_as_people_and_terminals_do(folder: Path, named: str) -> None:
    file = attached(named)
    assert file.label == "my cat.png (image, 12 kB)"
    assert (file.attachment.type, file.attachment.media_type) == ("image", "image/png")


def test_a_link_is_named_by_its_ending_or_by_a_word() -> None:
    assert attached("https://example.org/a.mp4?x=1").attachment.type == "video"
    file = attached("audio https://example.org/stream")
    assert (file.attachment.type, file.attachment.url) == ("audio", "https://example.org/stream")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("gone.png", "gone.png: there is no such file"),
        ("~nobody-of-that-name/a.png", "home directory"),
        ("music", "is a folder"),
        ("notes.txt", "no image, recording or film"),
        ("https://example.org/what", "say what it is"),
    ],
)
def test_what_cannot_be_attached_says_why(folder: Path, named: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        attached(named)


def test_paths_are_completed_with_folders_and_what_can_be_attached(folder: Path) -> None:
    assert paths("m") == ["music/", "my cat.png"]
    assert paths("") == ["music/", "my cat.png"]
    assert paths("music/") == ["music/song.mp3"]
    assert paths("~/mu") == ["~/music/"]
    assert paths(".h") == [".hidden.png"]
    assert paths("nowhere/x") == paths("~nobody-of-that-name/x") == []


def test_a_backslash_of_a_real_name_stays(folder: Path) -> None:
    (folder / r"a\b.png").write_bytes(b"x")
    assert file_named(r"a\b.png").name == r"a\b.png"


def test_sizes_are_short() -> None:
    assert [size(999), size(12_400), size(2_340_000)] == ["999 B", "12 kB", "2.3 MB"]
