"""What kinds of media a turn brings, and which use cases that leaves."""

from collections.abc import Mapping

from smart_router.types import MEDIA_KINDS, MediaKind, Modality


def media_of(modality: Modality | None, attached: frozenset[MediaKind]) -> tuple[MediaKind, ...]:
    """The kinds attached or strongly hinted at, in the order of MEDIA_KINDS; `modality: text` hints at nothing."""
    return tuple(kind for kind in MEDIA_KINDS if kind in attached or kind == modality)


def admitted(
    media: tuple[MediaKind, ...],
    attached: frozenset[MediaKind],
    modalities: Mapping[str, frozenset[str]],
    accepts: Mapping[str, tuple[frozenset[str], ...]],
) -> tuple[str, ...]:
    """
    The use cases that a turn with these *media* may belong to, in the registry's order.

    *attached*: what a model would really see, with this turn or an earlier one.

    1. Without media: all of them, or where an earlier turn brought some, those one of whose models takes that.
    2. Else those whose *modalities* list every kind, and one of whose models (*accepts*: use case -> what each model
       takes) takes all that is *attached*.
    3. If none lists every kind, one that lists any of them will do.
    4. If no model takes what is attached: none. The caller has to say so.
    """
    if not media and not attached:
        return tuple(modalities)  # 1
    able = [name for name in modalities if any(attached <= taken for taken in accepts[name])]
    if not media:
        return tuple(able)  # 1
    whole = tuple(name for name in able if set(media) <= modalities[name])  # 2
    return whole or tuple(name for name in able if set(media) & modalities[name])  # 3, 4
