"""Moments as people say them."""

from datetime import datetime

UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def ago(moment: str | None, now: datetime) -> str:
    """An ISO 8601 moment as its distance from *now*; - if there is none."""
    if not moment:
        return "-"
    seconds = max(0.0, (now - datetime.fromisoformat(moment)).total_seconds())
    return next((f"{seconds / length:.0f} {unit} ago" for unit, length in UNITS if seconds >= 2 * length), "just now")
