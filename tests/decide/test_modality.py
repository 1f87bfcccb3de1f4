"""The numbered cases of `admitted`, and what counts as media."""

import pytest

from smart_router.decide.modality import admitted, media_of
from smart_router.types import MEDIA_KINDS, MediaKind, Modality

TEXT = frozenset({"text"})
SEES = frozenset({"text", "image"})
HEARS = frozenset({"text", "audio"})
SEES_AND_HEARS = frozenset({"text", "image", "audio"})

MODALITIES = {"agent": TEXT, "multimodal": SEES, "stt": HEARS, "tts": HEARS, "avatar": SEES_AND_HEARS}
ACCEPTS = {
    "agent": (TEXT,),
    "multimodal": (SEES,),
    "stt": (HEARS,),
    "tts": (HEARS,),
    "avatar": (SEES, HEARS),  # no single model takes a picture and a recording
}


def among(media: tuple[MediaKind, ...] = (), attached: tuple[MediaKind, ...] = ()) -> tuple[str, ...]:
    """*media* are hints; what is attached counts among them."""
    kinds = tuple(kind for kind in MEDIA_KINDS if kind in media or kind in attached)
    return admitted(kinds, frozenset(attached), MODALITIES, ACCEPTS)


@pytest.mark.parametrize(
    ("modality", "attached", "media"),
    [
        (None, (), ()),
        ("text", (), ()),
        ("image", (), ("image",)),
        (None, ("audio",), ("audio",)),
        ("text", ("audio",), ("audio",)),
        ("image", ("image",), ("image",)),
        ("video", ("image",), ("image", "video")),
        (None, ("video", "audio", "image"), ("image", "audio", "video")),
    ],
)
def test_media_are_what_is_attached_and_what_is_strongly_hinted_at(
    modality: Modality | None, attached: tuple[MediaKind, ...], media: tuple[MediaKind, ...]
) -> None:
    assert media_of(modality, frozenset(attached)) == media


def test_1_without_media_every_use_case_is_admitted_in_the_registrys_order() -> None:
    assert among() == ("agent", "multimodal", "stt", "tts", "avatar")


def test_2_a_hint_leaves_the_use_cases_that_list_it() -> None:
    assert among(media=("audio",)) == ("stt", "tts", "avatar")


def test_2_an_attachment_leaves_the_use_cases_one_of_whose_models_takes_it() -> None:
    assert among(attached=("image",)) == ("multimodal", "avatar")


def test_2_a_use_case_without_a_model_for_the_attachment_is_out_though_it_lists_the_kind() -> None:
    able = {**ACCEPTS, "avatar": (TEXT,)}
    assert admitted(("image",), frozenset({"image"}), MODALITIES, able) == ("multimodal",)


def test_2_a_use_case_that_lists_every_kind_beats_those_that_list_some() -> None:
    assert among(media=("image", "audio")) == ("avatar",)


def test_3_if_none_lists_every_kind_any_of_them_will_do() -> None:
    assert among(media=("image", "video")) == ("multimodal", "avatar")


def test_3_what_is_attached_must_still_be_taken() -> None:
    assert among(media=("video",), attached=("image",)) == ("multimodal", "avatar")


def test_4_two_attachments_that_no_single_model_takes_leave_nothing() -> None:
    assert among(attached=("image", "audio")) == ()


def test_4_an_attachment_that_no_model_takes_leaves_nothing() -> None:
    assert among(attached=("video",)) == ()
