"""What stands between a client and the model servers' known weaknesses: links to media, and dangerous parameters."""

import asyncio
from collections.abc import Iterable

from smart_router.access.links import Link, Links
from smart_router.api.body import Head
from smart_router.api.media import NO_MEDIA, Media, may_hold_media, media_of
from smart_router.api.parameters import check_parameters, check_prompts, decoded, refuse_unless_allowed
from smart_router.api.structures import Structures
from smart_router.settings import Settings
from smart_router.types import Attachment

# Bytes of a body beyond which it does not hold up the other requests,
AT_ONCE = 8 * 1024  # to walk through its objects,
SCANNED_AT_ONCE = 64 * 1024  # to see whether it may have media at all.


class Armour:
    """Refuses before anything is forwarded. What it lets through it does not change."""

    def __init__(self, settings: Settings) -> None:
        self._links = Links(settings.media_hosts)
        self._most_choices = settings.max_choices
        self._allowed = frozenset(settings.allow_parameters)
        self._structures = Structures(self._allowed)

    async def inspect(self, body: bytes, head: Head) -> None:
        """
        An OpenAI-style body, and what was read of it.

        Raises:
            BadRequest: something in it is not let through; names the place.
        """
        check_parameters(head, self._most_choices, self._allowed)
        check_prompts(head.prompt)
        await self._structures.check(head)
        media = await _media_of(body)
        for place, name in media.encoded:
            refuse_unless_allowed(name, place, self._allowed)
        links: list[Link] = [*media.links]
        if head.ref_audio and isinstance(voice := decoded("ref_audio", head.ref_audio), str):
            links.append(("ref_audio", voice))
        if links:
            await self._links.admit(links)

    async def admit(self, attachments: Iterable[Attachment]) -> None:
        """
        Raises:
            BadRequest: one is a link that is not let through.
        """
        links = [(f"attachments[{i}].url", one.url) for i, one in enumerate(attachments) if one.url is not None]
        if links:
            await self._links.admit(links)


async def _media_of(body: bytes) -> Media:
    if len(body) <= SCANNED_AT_ONCE and not may_hold_media(body):
        return NO_MEDIA
    return await asyncio.to_thread(_found_in, body) if len(body) > AT_ONCE else media_of(body)


def _found_in(body: bytes) -> Media:
    return media_of(body) if may_hold_media(body) else NO_MEDIA
