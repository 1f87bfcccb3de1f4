"""Is nothing left behind?"""

from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, passed, warned

NAME = "sessions"
REMAIN = "they end by themselves after SESSION_TIMEOUT (30 minutes unless set): docs/configuration.md"


async def clean_up(there: Deployment) -> list[Finding]:
    """Ends the sessions that were made; says nothing where there were none."""
    ended, left = await there.end_sessions()
    if left:
        return [warned(NAME, f"{len(left)} of doctor's own could not be ended: {', '.join(left[:3])}", REMAIN)]
    return [passed(NAME, f"{ended} of doctor's own ended, none is left")] if ended else []
