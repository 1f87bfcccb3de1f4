"""Does the router decide with its encoder?"""

from smart_router.doctor.deployment import Deployment
from smart_router.doctor.finding import Finding, passed, warned

NAME = "classifier"
MISSING = (
    "build the encoder that ENCODER_MODEL names (`smart-router classifier build`), or unset it for the shipped one, "
    "and restart: docs/operations.md#smartrouterencodermissing"
)


async def check(there: Deployment) -> list[Finding]:
    classifier = there.facts.health["classifier"]
    if classifier["kind"] == "hybrid":
        return [passed(NAME, "decides with its encoder")]
    return [warned(NAME, f"decides by words alone: {classifier.get('trouble') or 'no encoder'}", MISSING)]
