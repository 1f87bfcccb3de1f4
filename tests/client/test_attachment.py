"""Files: what they are, and what cannot be sent."""

import base64
from pathlib import Path

import pytest

from smart_router.api.wire import decode_request
from smart_router.client import Attachment, BadInput
from smart_router.client.attachment import MEDIA_TYPES, MOST_BYTES
from smart_router.client.calls import Fields, route
from smart_router.settings import Settings


@pytest.mark.parametrize(("name", "type", "media_type"), [
    ("a.png", "image", "image/png"), ("b.JPG", "image", "image/jpeg"), ("c.tar.wav", "audio", "audio/wav"),
    ("d.mp4", "video", "video/mp4"),
])  # fmt: skip
def test_a_file_is_what_its_ending_says(tmp_path: Path, name: str, type: str, media_type: str) -> None:
    (tmp_path / name).write_bytes(b"\0\xff")
    made = Attachment.from_file(str(tmp_path / name))
    assert (made.type, made.media_type, made.url) == (type, media_type, None)
    assert base64.b64decode(made.data or "") == b"\0\xff"


def test_whatever_the_ending_one_can_say_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"x")
    assert Attachment.from_file(tmp_path / "noise", media_type="audio/x-own").type == "audio"


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.txt", b"x", r"a\.txt: is no image, recording or film by its ending; give media_type, or one of png, jpg"),
    ("a.png", None, r"a\.png: cannot be read: No such file"),
    ("a.png", b"", r"a\.png: is empty"),
    ("a.png", b"x" * 11, r"a\.png: has 11 bytes, at most 10 can be sent; shrink it, or send a link"),
])  # fmt: skip
def test_what_cannot_be_sent_is_named(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=words):
        Attachment.from_file(tmp_path / name, most_bytes=10)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        Attachment.from_file(tmp_path / "a.png")


def test_bytes_need_a_type_that_can_be_attached() -> None:
    assert Attachment.from_bytes(b"x", "video/mp4").type == "video"
    with pytest.raises(BadInput, match="media_type: 'text/plain' cannot be attached"):
        Attachment.from_bytes(b"x", "text/plain")


def test_a_link_is_to_something() -> None:
    assert Attachment.from_url("https://e.org/a", "audio").url == "https://e.org/a"
    with pytest.raises(BadInput, match="type: 'pdf' cannot be attached; it can be image, audio, video"):
        Attachment.from_url("https://e.org/a", "pdf")
    with pytest.raises(BadInput, match="is no http:// or https:// address; a file is attached by from_file"):
        Attachment.from_url("a.png", "image")


@pytest.mark.parametrize("media_type", sorted(set(MEDIA_TYPES.values())))
def test_a_router_takes_every_type_that_is_known_here(media_type: str) -> None:
    attachment = Attachment.from_bytes(b"x", media_type)
    body = route("q", Fields(attachments=[attachment])).body
    assert decode_request(body or b"").attachments[0].media_type == media_type


def test_the_largest_file_fits_into_what_a_router_takes() -> None:
    attachment = Attachment.from_bytes(bytes(MOST_BYTES), "image/png")
    body = route("q" * 10_000, Fields(attachments=[attachment])).body
    assert len(body or b"") < Settings.model_fields["max_body_bytes"].default
