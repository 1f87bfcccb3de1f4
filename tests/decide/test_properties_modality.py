"""Which use cases media leave possible, whatever the registry says."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.modality import admitted, media_of
from smart_router.types import MEDIA_KINDS, MediaKind, Modality

NAMES = ("agent", "multimodal", "stt", "tts")
KINDS: st.SearchStrategy[frozenset[MediaKind]] = st.frozensets(st.sampled_from(MEDIA_KINDS))
TAKEN = st.frozensets(st.sampled_from(["text", *MEDIA_KINDS]))
HINTS: st.SearchStrategy[Modality | None] = st.none() | st.sampled_from(["text", *MEDIA_KINDS])
REGISTRIES = st.lists(st.sampled_from(NAMES), min_size=1, unique=True).flatmap(
    lambda names: st.tuples(
        st.fixed_dictionaries(dict.fromkeys(names, TAKEN)),
        st.fixed_dictionaries({name: st.lists(TAKEN, min_size=1, max_size=3).map(tuple) for name in names}),
    )
)
Registry = tuple[dict[str, frozenset[str]], dict[str, tuple[frozenset[str], ...]]]


@given(HINTS, KINDS)
def test_media_are_what_is_attached_and_hinted_at_each_once_in_one_order(
    hint: Modality | None, attached: frozenset[MediaKind]
) -> None:
    found = media_of(hint, attached)
    assert set(found) == attached | ({hint} & set(MEDIA_KINDS))
    assert found == tuple(kind for kind in MEDIA_KINDS if kind in found)


@given(HINTS, KINDS, KINDS, REGISTRIES)
def test_whatever_is_attached_a_model_of_each_admitted_use_case_takes_all_of_it(
    hint: Modality | None, attached: frozenset[MediaKind], earlier: frozenset[MediaKind], registry: Registry
) -> None:
    modalities, accepts = registry
    media, seen = media_of(hint, attached), attached | earlier
    found = admitted(media, seen, modalities, accepts)
    assert found == tuple(name for name in modalities if name in found), "in the registry's order"
    for name in found:
        assert not seen or any(seen <= taken for taken in accepts[name])
        assert not media or set(media) & modalities[name]


@given(HINTS, KINDS, REGISTRIES)
def test_a_use_case_that_lists_all_media_and_takes_them_is_always_admitted(
    hint: Modality | None, attached: frozenset[MediaKind], registry: Registry
) -> None:
    modalities, accepts = registry
    media = media_of(hint, attached)
    found = admitted(media, attached, modalities, accepts)
    for name in modalities:
        if set(media) <= modalities[name] and any(attached <= taken for taken in accepts[name]):
            assert name in found


@given(REGISTRIES)
def test_without_media_every_use_case_is_admitted(registry: Registry) -> None:
    modalities, accepts = registry
    assert admitted((), frozenset(), modalities, accepts) == tuple(modalities)
